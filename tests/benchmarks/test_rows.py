"""The benchmark of rows: it runs, says what is missing, and judges by its bars."""

import importlib.util

from benchmarks.cost import rows


def row(side, least, **changes):
    known = rows.BAR._asdict() | changes
    return known | {"side": side, "milliseconds": 2 * least, "least": least} | {
        "temporaries": 1024
    }  # fmt: skip


def test_a_quick_run_has_every_side_that_is_there(capsys):
    assert rows.main(["--quick", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    torch = importlib.util.find_spec("torch") is not None
    for side in (*rows.OURS, *rows.OTHERS):
        assert (f" {side} " in out) == (torch or "torch" not in side)


def test_the_bars_are_about_the_least_times():
    found = [row("adam", 2.0), row("optax, dense", 50.0), row("torch, sparse", 1.0)]
    found.append(row("adam, fused", 4.0))
    ends = [row("adam", t, rows=n) for t, n in ((2.0, 10_000), (3.0, 10_000_000))]
    said = list(rows.verdicts([*found, *ends]))
    assert said[0] == "adam: 25.0 times as fast as optax, dense (at least 20: yes)"
    assert said[1] == "adam: 0.5 times as fast as torch, sparse (at least 1: **no**)"
    assert said[2].startswith("adam, fused: 12.5 times as fast as optax, dense")
    assert said[4].startswith("1.50 times the time of 10,000 rows for 10,000,000")
    assert next(iter(rows.lines(found)))[-1] == f"{1024 / (4 * 400_000 * 64):.3f}"
