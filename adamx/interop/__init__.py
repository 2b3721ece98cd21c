"""Other libraries beside adamx: `adamx.interop.optax` has every name of Optax.

    import adamx.interop.optax as optax

The optimizers that adamx has too are made of its parts, with the signature and the
state of Optax; everything else is Optax's own object. Its states are read and written
in `optax_states`, which also lets `adamx.restore` continue from them.

No module of adamx imports this folder, except `adamx/__init__.py`.
"""
