"""The rows of the wider family, one file for each file of aliases."""

FAMILIES = ()
