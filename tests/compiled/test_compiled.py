"""The reader of compiled programs, on programs whose figures are known."""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx.compiled import TARGETS, compiled, targets
from adamx.compiled.program import Counts, Program, size

TEXT = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

%sliced (param_0: f32[100,8], param_1: s32[]) -> f32[1,8] {
  %param_1 = s32[] parameter(1)
  %param_0 = f32[100,8]{1,0} parameter(0)
  %zero = s32[] constant(0)
  ROOT %d = f32[1,8]{1,0} dynamic-slice(%param_0, %param_1, %zero)
}

%body (arg: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %arg = (s32[], f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %x = f32[8,8]{1,0} get-tuple-element(%arg), index=1
  %y = f32[8,8]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  ROOT %out = (s32[], f32[8,8]{1,0}) tuple(%next, %y)
}

%condition (arg: (s32[], f32[8,8])) -> pred[] {
  %arg = (s32[], f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %end = s32[] constant(5)
  ROOT %less = pred[] compare(%i, %end), direction=LT
}

ENTRY %main (p: f32[100,8], q: f32[8,8]) -> f32[8,8] {
  %p = f32[100,8]{1,0} parameter(0)
  %q = f32[8,8]{1,0:T(8,128)S(1)} parameter(1)
  %k = s32[] constant(3)
  %row = f32[1,8]{1,0} fusion(%p, %k), kind=kLoop, calls=%sliced
  %start = (s32[], f32[8,8]{1,0}) tuple(%k, %q)
  %loop = (s32[], f32[8,8]{1,0}) while(%start), condition=%condition, body=%body
  %whole = f32[8,8]{1,0} get-tuple-element(%loop), index=1
  ROOT %sum = f32[8,8]{1,0} all-reduce(%whole), to_apply=%add
}
"""


FETCHED = """HloModule jit_step, is_scheduled=true

ENTRY %main (p: f32[4,8]) -> f32[4,8] {
  %p = f32[4,8]{1,0:T(8,128)} parameter(0)
  %s0 = ((f32[4,8]{1,0:T(8,128)}), f32[2,8]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) \
slice-start(%p), slice={[0:2], [0:8]}
  %s1 = ((f32[4,8]{1,0:T(8,128)}), f32[2,8]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) \
slice-start(%p), slice={[2:4], [0:8]}
  %d0 = f32[2,8]{1,0:T(8,128)S(1)} slice-done(%s0)
  %d1 = f32[2,8]{1,0:T(8,128)S(1)} slice-done(%s1)
  %c = f32[4,8]{1,0:T(8,128)S(1)} custom-call(%d0, %d1), \
custom_call_target="ConcatBitcast"
  ROOT %n = f32[4,8]{1,0:T(8,128)} negate(%c)
}
"""


def test_what_is_fetched_in_slices_is_read_once():
    """A TPU fetches an array in parts, ahead of the kernel that uses it."""
    assert Program(FETCHED).counts().bytes == 2 * 4 * 8 * 4


def test_a_program_is_counted_as_it_is_written():
    """A slice counts as the slice, a loop as often as it turns, S(1) not at all."""
    found = Program(TEXT).counts()
    row = 32 + 4 + 32  # of the slice: read, its place, written
    loop = 5 * ((256 + 256) + (4 + 4 + 4))  # a product reads one operand, named twice
    assert found == Counts(
        kernels=4,
        kernels_run=12,
        products=1,
        products_run=5,
        bytes=row + loop + 5 * 256 + 512,
        collectives=1,
    )


@pytest.mark.parametrize(
    ("shape", "bytes_"),
    [
        ("f32[2,3]{1,0}", 24),
        ("(bf16[4]{0}, u8[3]{0}, pred[5]{0})", 16),
        ("s4[5]{0}", 3),
        ("f32[]", 4),
        ("f32[8,8]{1,0:T(8,128)S(1)}", 0),
    ],
)
def test_a_shape_has_its_bytes(shape, bytes_):
    assert size(shape) == bytes_


def test_the_figures_of_sgd_are_its_bytes():
    """One kernel reads weight and gradient and writes the weight: 12 bytes."""
    shaped = {"w": jax.ShapeDtypeStruct((64, 64), jnp.float32)}
    done = compiled(optax.sgd(0.1), shaped, TARGETS["cpu"])
    assert "ENTRY" in done.text
    assert done.kernels == done.kernels_run == 1
    assert done.bytes == done.ideal == 12
    assert done.temporaries == done.collectives == 0
    assert done.seconds == 12 * 64 * 64 / TARGETS["cpu"].bandwidth


def test_a_plan_tells_what_a_step_is_compiled_to():
    shaped = {"w": jax.ShapeDtypeStruct((64, 64), jnp.float32)}
    plan = adamx.memory_plan(adamx.sgd(0.1), shaped, target="cpu")
    assert plan.step is not None
    assert plan.step.bytes == 12
    assert "One step on cpu: " in str(plan)
    assert "12 bytes read and written a parameter (at least 12)" in str(plan)
    assert adamx.memory_plan(adamx.sgd(0.1), shaped).step is None


def test_a_target_whose_compiler_is_missing_says_what_to_install(monkeypatch):
    abacus = targets.Target("abacus", "abacus", 1.0, ("no_such_package",))
    monkeypatch.setitem(targets.TARGETS, "abacus", abacus)
    assert targets.missing(TARGETS["cpu"]) == ""
    with pytest.raises(
        adamx.AdamxError,
        match=r"memory_plan: target='abacus' needs XLA's compiler for it, got none. "
        r"abacus: no_such_package is not installed. Call pip install 'adamx.compiled",
    ):
        adamx.memory_plan(adamx.sgd(0.1), {"w": jnp.zeros(3)}, target="abacus")


def test_a_target_that_is_not_known_is_refused():
    with pytest.raises(
        adamx.AdamxError,
        match=r"memory_plan: `target` must be one of 'cpu', 'h100', 'tpu-v5e', got "
        r"'h10'. Did you mean 'h100'",
    ):
        adamx.memory_plan(adamx.sgd(0.1), {"w": jnp.zeros(3)}, target="h10")
