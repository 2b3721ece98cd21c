"""Optimizers that want an estimate of the curvature, for the laws: given |g|."""

import jax.numpy as jnp

from adamx import chain
from adamx.engine.rule import Wrapper


class Estimated(Wrapper):
    """A part whose extra argument `hessian` is the size of the gradient it gets.

    Some even function of the gradient, zero where it is zero: the laws, which know
    nothing of extra arguments, then hold. test_sophia_adahessian.py gives others.
    """

    def needs(self):
        return self.part.needs() - {"hessian"}

    def apply(self, update, slots, ctx):
        extra = {**ctx.extra, "hessian": jnp.abs(update)}
        return self.part.apply(update, slots, ctx.replace(extra=extra))


def completed(tx):
    return chain(Estimated(tx))


def estimated(oracle):
    """An oracle with the same estimate."""

    def described(theta, gradient, steps, **keywords):
        def hessian(k, at):
            return abs(gradient(k, at))

        return oracle(theta, gradient, steps, hessian=hessian, **keywords)

    return described
