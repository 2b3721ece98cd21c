"""What a notebook shows: well-formed, escaped, without other sites."""

import re
from xml.etree import ElementTree

import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import storage
from adamx.descriptions.mathml import mathml
from adamx.storage import Blockwise

EVIL = "<script>alert('x')</script>&\"a\""
PARAMS = {EVIL: jnp.ones((8, 16)), "bias": jnp.ones(16)}
TX = adamx.store(adamx.adamw(1e-3, mask=re.escape(EVIL)), nu=Blockwise(bits=8))


def evil(updates, state, params=None):
    return updates, state


evil.__qualname__ = EVIL
FOREIGN = optax.GradientTransformation(lambda params: optax.EmptyState(), evil)

SHOWN = {
    "description": lambda: adamx.describe(TX, PARAMS),
    "plan": lambda: adamx.memory_plan(TX, PARAMS),
    "state": lambda: TX.init(PARAMS),
    "chain": lambda: TX,
    "chain with another library": lambda: adamx.chain(FOREIGN, adamx.adam(1e-3)),
    "described": lambda: adamx.describe(adamx.chain(FOREIGN, adamx.adam(1e-3))),
    "difference": lambda: adamx.diff(TX, adamx.adam(1e-3)),
    "fused plan": lambda: adamx.memory_plan(adamx.fused(adamx.adam(1e-3)), PARAMS),
}


def parsed(text):
    return ElementTree.fromstring(text.replace("&nbsp;", " "))


@pytest.mark.parametrize("name", SHOWN)
def test_html_is_well_formed_escaped_and_alone(name):
    text = SHOWN[name]()._repr_html_()
    root = parsed(text)
    assert "<script" not in text
    assert not re.search(r"(src|href)=|url\(|https?://", text)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", text)  # the notebook's colours
    assert "".join(root.itertext()).strip()


def test_a_path_is_shown_as_it_is():
    root = parsed(adamx.memory_plan(TX, PARAMS)._repr_html_())
    cells = [cell.text for cell in root.iter("code")]
    assert EVIL in cells


def test_a_state_says_what_it_keeps():
    root = parsed(adamx.adam(1e-3).init({"w": jnp.ones((4, 8))})._repr_html_())
    text = " ".join(root.itertext())
    assert "State after 0 steps" in text
    assert "(4, 8)" in text
    assert "256 bytes in all." in text  # 32 numbers, two slots of float32


@pytest.mark.parametrize(
    ("codec", "bits"),
    [
        (storage.Cast("bfloat16"), "16 bits"),
        (Blockwise(bits=8), "8.25 bits"),
        (Blockwise(bits=4), "4.25 bits"),
        (storage.RowColumnMeans(), "0.0625 bits"),
    ],
    ids=repr,
)
def test_a_codec_says_its_bits(codec, bits):
    text = " ".join(parsed(codec._repr_html_()).itertext())
    assert f"{bits} for each number, 32 without it." in text


def test_an_unknown_command_is_an_error():
    with pytest.raises(ValueError, match=r"the command \\foo is not known"):
        mathml(r"\foo x")
