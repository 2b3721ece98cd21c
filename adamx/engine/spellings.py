"""What a keyword of Optax, torch or Keras is called in adamx, or replaced by."""

from collections.abc import Iterable

RENAMED = {
    "weight_decay_mask": "mask",
    "initial_accumulator_value": "initial_accumulator",
    "ns_coeffs": "coefficients",
    "muon_weight_dimension_numbers": "axes",
    "weight_dimension_numbers": "axes",
    "init_step": "init_distance",
    "base_optimizer": "tx",
    "fast_optimizer": "tx",
}
"""Keywords of Optax whose value is given to another keyword in adamx, in its place."""

_SAME = {
    "learning_rate": "lr step_size stepsize rate alpha eta max_lr",
    "b1": "beta1 beta_1 momentum beta",
    "b2": "beta2 beta_2 rho decay alpha",
    "b3": "beta3 beta_3",
    "beta": "momentum b1 beta1 beta_1",
    "decay": "rho alpha b2 beta2 beta_2 smoothing",
    "rho": "decay b2 beta2",
    "eps": "epsilon eps1 damping",
    "weight_decay": "wd weight_decay_rate decay lambda_ l2",
    "weight_decay_rate": "weight_decay wd",
    "initial_accumulator": "initial_accumulator_value init_value",
    "mask": "weight_decay_mask mask_fn wd_mask",
    "tx": "optimizer base_optimizer fast_optimizer inner base",
    "sync_period": "k la_steps update_interval",
    "slow_step_size": "la_alpha alpha",
    "coefficients": "ns_coeffs ns_coefficients",
    "ns_steps": "steps",
    "update_proj_gap": "update_gap gap",
    "precondition_frequency": "frequency update_freq",
    "max_dim": "max_precond_dim block_size",
    "warmup_steps": "warmup",
    "init_distance": "init_step reps_rel",
    "clip_threshold": "rho",
    "update_interval": "k",
    "momentum": "beta b1 beta1",
}
"""Other spellings of a keyword of adamx."""

_BETAS = "Pass betas=(b1, b2)"

_COMPILED = "Leave it out: jax.jit compiles the whole step"

_STORE = (
    "Moments are float32, or float64 for float64 parameters. To keep one in fewer "
    "bytes use adamx.store(tx, mu=adamx.storage.Cast(jnp.bfloat16))"
)

_CLIP = "Put adamx.parts.{} in front: adamx.chain({}(1.0), tx)"

_OTHERWISE = {
    "mu_dtype": _STORE,
    "nu_dtype": _STORE,
    "accumulator_dtype": _STORE,
    "dtype_momentum": _STORE,
    "state_dtype": _STORE,
    "eps_root": "Pass eps=adamx.parts.EpsInsideRoot(eps_root, eps)",
    "eps_in_sqrt": "Pass eps=adamx.parts.EpsOutsideRoot(eps) for an eps outside the "
    "root, or EpsInsideRoot(eps) for one inside",
    "initial_scale": "Averages start at 0",
    "bias_correction": "Wrap the moment in adamx.parts.Debiased(...) to correct it",
    "nesterov": "Nesterov's form of Adam is another optimizer: adamx.nadam, "
    "adamx.nadamw",
    "amsgrad": "AMSGrad is another optimizer: adamx.amsgrad",
    "weight_decay": "Put adamx.parts.WeightDecay(...) into the chain, first for L2 "
    "regularisation, or before LearningRate for decoupled decay",
    "decoupled_weight_decay": "Weight decay of adamx is decoupled; for L2 put "
    "adamx.parts.WeightDecay(...) first in a chain",
    "mask": "Only optimizers with a weight decay have a mask; wrap a part in "
    "adamx.Masked(...)",
    "betas": "Pass b1= and b2=",
    "maximize": "Negate the gradients, or the loss",
    "foreach": _COMPILED,
    "fused": _COMPILED,
    "capturable": _COMPILED,
    "jit_compile": _COMPILED,
    "differentiable": "Leave it out: every step can be differentiated",
    "lr_decay": "Pass a schedule as learning_rate, such as "
    "lambda step: lr / (1 + lr_decay * step)",
    "params": "Parameters are passed to `init` of what this returns",
    "clipnorm": _CLIP.format("ClipByNorm", "ClipByNorm"),
    "global_clipnorm": _CLIP.format("ClipByGlobalNorm", "ClipByGlobalNorm"),
    "max_grad_norm": _CLIP.format("ClipByGlobalNorm", "ClipByGlobalNorm"),
    "clipvalue": _CLIP.format("Clip", "Clip"),
    "use_ema": "Wrap the optimizer: adamx.param_ema(tx, 0.99)",
    "ema_momentum": "Wrap the optimizer: adamx.param_ema(tx, 0.99)",
    "gradient_accumulation_steps": "Wrap the optimizer: optax.MultiSteps(tx, steps)",
    "axis_name": "It has no sum over devices; jax.jit with shardings needs none",
    "factored": "Pass a min_dim_size_to_factor that no axis reaches",
    "decay_offset": "Restart the count, or build the optimizer anew",
    "reset_state": "The moments are kept at a synchronisation",
    "learning_rate": "It has no rate of its own; chain it with "
    "adamx.parts.LearningRate(...)",
}
"""What to do in place of a keyword, for any function."""

# For one function.
_OTHERWISE_IN = {
    ("adafactor", "weight_decay_mask"): "Pass mask=",
    ("nadam", "nesterov"): "Without it, it is adamx.adam",
    ("nadamw", "nesterov"): "Without it, it is adamx.adamw",
    ("adopt", "nesterov"): "",
    ("radam", "nesterov"): "",
    ("scale_by_rprop", "learning_rate"): "It is in units of the first step; "
    "adamx.rprop has the rate",
    ("scale_by_sm3", "b2"): "The sums of squares are not averaged",
    ("sophia", "hessian_diagonal_fn"): "Pass hessian= to `update`, from "
    "adamx.hutchinson_estimate",
    ("galore", "base_optimizer"): "It runs Adam; wrap another in "
    "adamx.optimizers.GaloreProjection",
}


def instead_of(keyword: str, function: str, known: Iterable[str] = ()) -> str:
    """Return what to write in place of a keyword, "" if that is not known.

    `known` are the keywords of the function.
    """
    if (function, keyword) in _OTHERWISE_IN:
        return _OTHERWISE_IN[function, keyword]
    renamed = RENAMED.get(keyword)
    if renamed is not None and renamed in known:
        return f"Pass {renamed}="
    own = next((n for n in known if keyword in _SAME.get(n, "").split()), None)
    if own:
        return f"Pass {own}="
    if "betas" in known and keyword in ("b1", "b2", *_SAME["b1"].split()[:2]):
        return _BETAS
    return _OTHERWISE.get(keyword, "")
