"""The check of annotations under which all tests run finds what is wrong, each time."""

from typing import Any

import jax.numpy as jnp
import jaxtyping
import pytest
from jaxtyping import Array, Float, Int

from tests.support import typechecker
from tests.support.typechecker import JAXTYPED, check, once_for_each_form

checked = once_for_each_form(check)
WRONG = jaxtyping.TypeCheckError


@checked
def first(x: Float[Array, "m n"], y: Float[Array, "n k"]) -> Float[Array, "m k"]:
    return x[:, : y.shape[1]]


@checked
def chosen(x: Any, shape: tuple[int, ...], by: str = "a") -> Int[Array, ""] | None:
    return x


def inner(returned: Any) -> Any:
    @checked
    def of(x: Float[Array, "n"]) -> Float[Array, "n"]:
        return returned

    return of


def test_each_form_is_checked():
    """A form that has passed says nothing of another one."""
    for _ in range(2):
        assert first(jnp.ones((2, 3)), jnp.ones((3, 3))).shape == (2, 3)
        with pytest.raises(WRONG, match="y"):
            first(jnp.ones((2, 3)), jnp.ones((4, 3)))
        with pytest.raises(WRONG, match="x"):
            first(jnp.ones((2, 3), int), jnp.ones((3, 3)))
        with pytest.raises(WRONG, match="return value"):
            first(jnp.ones((2, 3)), y=jnp.ones((3, 5)))


def test_results_are_checked_though_the_arguments_have_passed():
    assert chosen(None, (1, 2)) is None
    with pytest.raises(WRONG, match="return value"):
        chosen(jnp.ones((), "float32"), (1, 2))
    assert chosen(jnp.ones((), int), (1, 2)) == 1
    with pytest.raises(WRONG, match="by"):
        chosen(None, (1, 2), by=3)


def test_inner_functions_share_a_check_and_not_what_they_return(monkeypatch):
    made = []
    monkeypatch.setattr(
        typechecker, "JAXTYPED", lambda *a, **k: made.append(1) or JAXTYPED(*a, **k)
    )
    x = jnp.ones(3)
    for _ in range(2):
        assert inner(x)(x) is x
        with pytest.raises(WRONG, match="return value"):
            inner(jnp.ones(4))(x)
    assert len(made) == 1


def draw_until_found():
    for _ in range(200):
        chosen(None, (1, 2, "3"))


def test_of_unlike_elements_none_is_taken_for_the_others():
    """beartype checks one of them, drawn at random: a wrong one is found at last."""
    with pytest.raises(WRONG, match="shape"):
        draw_until_found()


def test_a_form_that_has_passed_is_not_checked_again():
    x, y = jnp.ones((5, 7)), jnp.ones((7, 7))
    first(x, y)
    code = first.__wrapped__.__code__
    known = typechecker._checks[code.co_filename, code]
    passed = len(known.passed)
    first(2 * x, 2 * y)
    assert len(known.passed) == passed
    assert known.result == []
