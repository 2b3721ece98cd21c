"""The building blocks that several optimizers share; every one is a rule."""
