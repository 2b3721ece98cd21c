"""Values of the hyperparameters: schedules, and pairs of numbers.

One that is named nowhere here is a number in [0, 1), as a decay is.
"""

from collections.abc import Callable, Mapping


class _WithDefault(dict):
    def __init__(self, default, values):
        super().__init__(values)
        self.default = default

    def __missing__(self, name):
        return self.default


# A schedule is arithmetic on the number of steps already taken, so that one function
# serves the traced int32 of an optimizer and the plain integer of an oracle.
SCHEDULES: Mapping[str, Callable] = _WithDefault(
    lambda k: 0.9 - 0.5 / (k + 2.0),
    {
        "learning_rate": lambda k: 0.05 / (1.0 + 0.1 * k),
        "b1": lambda k: 0.5 + 0.45 * k / (k + 4.0),
        "b2": lambda k: 1.0 - 0.5 / (k + 1.5),
        "decay": lambda k: 0.95 - 0.5 / (k + 2.0),
        "eps": lambda k: 1e-3 / (1.0 + k),
        "momentum": lambda k: 0.5 + 0.4 * k / (k + 10.0),
        "dampening": lambda k: 0.5 / (1.0 + 0.2 * k),
        "weight_decay": lambda k: 0.3 / (1.0 + 0.05 * k),
        "threshold": lambda k: 4.0 + 2.0 * k / (k + 9.0),
        "eps_root": lambda k: 1e-4 / (1.0 + k),
        "b3": lambda k: 1.0 - 0.3 / (k + 2.0),
        "trust_coefficient": lambda k: 0.1 / (1.0 + k),
        "final_lr": lambda k: 0.1 + 0.1 / (1.0 + k),
        "gamma": lambda k: 0.1 / (1.0 + k),
        "nu2": lambda k: 0.5 + 0.5 / (k + 1.0),
        "p": lambda k: 0.25 + 0.2 / (1.0 + k),
        "max_learning_rate": lambda k: 0.1 / (1.0 + 0.1 * k),
        "alpha": lambda k: 3.0 - 2.0 / (k + 1.0),
        "a": lambda k: 1.0 + 0.3 / (k + 1.0),
        "b": lambda k: 0.5 + 0.5 / (k + 1.0),
        "rho": lambda k: 0.95 - 0.5 / (k + 2.0),
        "eta_minus": lambda k: 0.5 + 0.2 / (k + 1.0),
        "eta_plus": lambda k: 1.2 - 0.1 / (k + 1.0),
        "min_step_size": lambda k: 1e-4 / (k + 1.0),
        "max_step_size": lambda k: 1.0 + 1.0 / (k + 1.0),
    },
)

# Two ordinary values of each hyperparameter: for vmap, for arguments, for `tunable`.
PAIRS: Mapping[str, tuple[float, float]] = _WithDefault(
    (0.9, 0.6),
    {
        "learning_rate": (0.05, 0.01),
        "b2": (0.999, 0.9),
        "eps": (1e-8, 1e-2),
        "momentum": (0.9, 0.5),
        "dampening": (0.1, 0.3),
        "weight_decay": (0.01, 0.2),
        "threshold": (5.0, 7.0),
        "eps_root": (1e-16, 1e-3),
        "b3": (0.9999, 0.9),
        "trust_coefficient": (0.001, 0.1),
        "final_lr": (0.1, 0.03),
        "gamma": (1e-3, 0.2),
        "nu1": (0.7, 0.9),
        "nu2": (1.0, 0.6),
        "p": (0.25, 0.4),
        "max_learning_rate": (0.1, 0.2),
        "alpha": (5.0, 2.0),
        "a": (1.27, 1.0),
        "b": (1.0, 0.5),
        "eta_minus": (0.5, 0.7),
        "eta_plus": (1.2, 1.1),
        "min_step_size": (1e-6, 1e-3),
        "max_step_size": (50.0, 1.0),
    },
)
