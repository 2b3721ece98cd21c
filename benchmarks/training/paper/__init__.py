"""`python -m benchmarks paper [figure] [--quick | --full]`: the paper's experiments.

Kingma & Ba 2014 on the genuine data sets (fetched by name, checked, cached), and what
is commonly believed of Adam. Each figure is a module with `run(scale, progress)`,
`draw(result)` and `claims(result)`; it writes benchmarks/results/paper_<figure>.json
and .png. Three scales: `--quick`, in seconds on the data that ships here; the default,
what two CPU cores allow; `--full`, the paper's own numbers of epochs.
"""

from benchmarks.training.paper.command import main

__all__ = ["main"]
