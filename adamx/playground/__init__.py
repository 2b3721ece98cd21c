"""The page `python -m adamx playground`: optimizers walk in two dimensions.

The page runs in a browser alone. What it computes is translated from the jaxprs of the
transformations and of the surfaces, so no optimizer is written twice.
"""
