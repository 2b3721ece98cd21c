"""Leaf functions as native loops: from a jaxpr to machine code that XLA calls on a CPU.

Nothing here knows an optimizer. `program` reads what a jaxpr computes for one element
or one block, `schedule` orders it in loops, `kernel` writes them in LLVM's language,
`compiler` makes machine code and gives it to XLA, and `primitive` is how JAX sees it.
"""
