"""The error that the race raises for input that it cannot use."""


class UsageError(ValueError):
    """One sentence for the user: what was given, and the remedy."""
