"""A step of a leaf as one kernel, made of the rule's own arithmetic by Pallas.

On a CPU without a native loop it is a loop over blocks in plain JAX (`cpu`). `lowering`
tells JAX when a fused optimizer's leaves are computed so. Pallas is imported when the
first of them is lowered for a GPU or a TPU.
"""
