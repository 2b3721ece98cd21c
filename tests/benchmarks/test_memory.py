"""The benchmark of storage: its data are checked, its judgements are right."""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.cost import memory
from benchmarks.cost.memory import report, speed
from benchmarks.cost.memory.forms import BY_NAME, FORMS
from benchmarks.training import data, storage_training as parity, transformer


def test_an_archive_is_compared_with_its_sha256(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAMX_DATA", str(tmp_path))
    monkeypatch.setitem(data.SHA256, "a.whl", hashlib.sha256(b"right").hexdigest())
    (tmp_path / "a.whl").write_bytes(b"wrong")
    with pytest.raises(data.NoData, match=r"a\.whl: must have the sha256 .*, got"):
        data.archive("a.whl", ["false"])
    (tmp_path / "a.whl").write_bytes(b"right")
    assert data.archive("a.whl", ["false"]).read_bytes() == b"right"


def test_a_fetch_that_fails_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAMX_DATA", str(tmp_path))
    monkeypatch.setitem(data.SHA256, "b.whl", "0")
    with pytest.raises(data.NoData, match=r"cannot be fetched with `false`"):
        data.archive("b.whl", ["false"])
    with pytest.raises(data.NoData, match=r"the download brought no such file"):
        data.archive("b.whl", ["true"])


def test_a_text_becomes_places_in_its_alphabet():
    places, alphabet = data.indexed("to be, or not")
    assert alphabet == " ,benort"
    assert "".join(alphabet[i] for i in places) == "to be, or not"


def test_a_form_is_judged_by_the_noise_of_seeds():
    rows = [
        {"form": "float32", "test": [1.0, 1.1, 1.2]},
        {"form": "near", "test": [1.05, 1.15, 1.25]},
        {"form": "far", "test": [1.2, 1.3, 1.4]},
    ]
    judged = {r["form"]: r for r in parity.judge(rows)}
    assert judged["near"]["seed_noise"] == pytest.approx(0.1)
    assert judged["near"]["off"] == pytest.approx(0.05)
    assert [r["within"] for r in judged.values()] == [True, True, False]


def test_a_bar_of_speed_is_met_by_its_quartile():
    def row(form, ratio, low):
        quartiles = [low, ratio + 1]
        return {
            "form": form,
            "ratio": ratio,
            "quartiles": quartiles,
            "in one": ratio / 2,
            "in one, quartiles": [ratio / 2, ratio],
        }

    rows = [row("bfloat16", 1.3, 1.1), row("8 bits", 5.0, 4.5), row("float32", 9, 9)]
    bars = speed.bars({"plain": {"one leaf": rows}})
    assert [bar["met"] for bar in bars] == [True, True, False, True]


def test_the_transformer_sees_the_past_only_and_starts_at_chance():
    size = transformer.Size(layers=1, width=16, heads=2, context=8, alphabet=11)
    params = transformer.init(jax.random.key(0), size)
    x = jnp.arange(9)[None] % 11
    logits = transformer.logits(params, x[:, :8], 2)
    other = transformer.logits(params, x[:, :8].at[0, 5].set(9), 2)
    assert np.allclose(logits[:, :5], other[:, :5], atol=1e-6)
    assert not np.allclose(logits[:, 5:], other[:, 5:], atol=1e-6)
    loss = transformer.loss(params, x, 2)
    assert loss == pytest.approx(np.log(11), abs=0.1)


def test_forms_are_trained_from_the_same_start():
    """A little task: both forms see the same batches."""
    task = parity.Task(
        "little",
        lambda key: {"w": jax.random.normal(key, (64, 128))},
        lambda p, x: ((x @ p["w"]) ** 2).mean(),
        lambda key: jax.random.normal(key, (4, 64)),
        jnp.ones((1, 64)),
        60,
        1e-3,
    )
    found = [parity.train(task, BY_NAME[n], 2, chunk=60) for n in ("float32", "8 bits")]
    assert found[0]["losses"][0] == found[1]["losses"][0]
    assert found[0]["test"] == pytest.approx(found[1]["test"], rel=1e-2)


def test_the_kept_results_have_every_form_and_make_tables():
    kept = json.loads((memory.options.RESULTS / "memory.json").read_text())
    assert set(kept) == {*memory.PARTS, "staleness", "parity"}
    for rows in kept["parity"].values():
        assert [r["form"] for r in rows] == [f.name for f in FORMS]
    for text in (
        report.sizes_table(),
        report.staleness_table(),
        report.parity_table(),
        report.speed_table(),
    ):
        lines = text.splitlines()
        assert len(lines) > 5
        assert len({line.count("|") for line in lines}) == 1


def test_the_command_line(capsys):
    with pytest.raises(SystemExit):
        memory.main(["--parts", "size"])
    assert "must be some of sizes, combine" in capsys.readouterr().err
