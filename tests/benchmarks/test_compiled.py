"""The reader of compiled programs, on programs whose figures are known."""

import json

import jax
import jax.numpy as jnp
import optax
import pytest

from benchmarks.cost import matrix_targets
from benchmarks.cost.compiled import command, targets
from benchmarks.cost.compiled.program import Counts, Program, size
from benchmarks.cost.compiled.row import compiled

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
    figures, text = compiled(optax.sgd(0.1), shaped, targets.TARGETS["cpu"])
    assert "ENTRY" in text
    assert figures["kernels"] == 1
    assert figures["bytes"] == figures["ideal"] == 12
    assert figures["temporaries"] == figures["collectives"] == 0


def test_a_figure_above_its_record_is_named():
    known = {"target": "cpu", "tree": "2048²", "case": "adamw, float32"}
    known |= {"kernels": 6, "bytes": 40.0, "temporaries": 0.0, "collectives": 0}
    assert command.worse(dict(known), known) == []
    assert command.worse(known | {"kernels": 7, "bytes": 39.0}, known) == [
        "cpu, 2048², adamw, float32: kernels 7, on record 6"
    ]


def test_every_row_on_record_is_one_that_is_measured():
    """A row of a case that is gone would never be compared."""
    rows = json.loads(command.RECORD.read_text())["rows"]
    for row in rows:
        assert row["target"] in targets.TARGETS
        assert row["case"] in command.cases(row["tree"], quick=False)


def test_a_target_whose_compiler_is_missing_says_what_to_install():
    absent = targets.Target("abacus", 1.0, ("no_such_package",))
    assert targets.missing(absent) == (
        "abacus: no_such_package is not installed; `pip install --group compiled` "
        "brings it."
    )
    assert targets.missing(targets.TARGETS["cpu"]) == ""


def test_the_cases_of_matrices_are_named_by_side_and_tree():
    names = matrix_targets.cases()
    assert {"adamx, muon, 12 × 512²", "optax, muon, GPT-2 small"} <= set(names)
    assert "adamx, soap(), 2048²" in names
