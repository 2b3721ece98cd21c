"""A step of a leaf as one kernel, made of the rule's own arithmetic by Pallas.

`lowering` tells JAX when a fused optimizer's leaves are computed so. Pallas is imported
when the first of them is lowered for a GPU or a TPU.
"""
