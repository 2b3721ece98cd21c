"""The race: several optimizers train the same model on the same data.

`python -m adamx race` is its command. One file for each concern: `data` (the pictures
and their split), `models` (mlp and conv in plain JAX), `optimizers` (who may enter, at
which rate), `training` (the jitted steps), `table`, `progress`, `plot` and `report`
(what is shown and kept), and `command`, the only one that knows them all.
"""
