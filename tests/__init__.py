"""The suite: folders that mirror adamx, the table of optimizers, laws and oracles."""
