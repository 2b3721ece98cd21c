"""Our defaults beside those of the authors' code: each difference has its reason."""

import pytest

from docs import authors

DEFAULTS = authors.defaults()


@pytest.mark.parametrize("row", DEFAULTS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_default_is_the_authors_or_the_file_says_why(row):
    """`why` stands where the two differ, and nowhere else."""
    assert bool(row.why) == (not row.same), (row, row.ours)


def test_every_number_is_compared():
    assert authors.missing() == []


def test_every_optimizer_of_the_file_has_its_code_and_the_reverse():
    assert list(dict.fromkeys(row.optimizer for row in DEFAULTS)) == list(
        authors.code()
    )


def test_no_keyword_stands_twice():
    assert len({row[:2] for row in DEFAULTS}) == len(DEFAULTS)


@pytest.mark.parametrize(
    ("row", "same"),
    [
        (("adashift", "learning_rate", "learning_rate", "1e-3", ""), True),
        (("adashift", "learning_rate", "learning_rate", "1e-2", ""), False),
        (("radam", "eps", "eps", "EpsBeforeCorrection(1e-8)", ""), False),
        (("adafactor", "learning_rate", "learning_rate", "None", ""), True),
        (("adabelief", "rectify", "rectify", "True", ""), False),
        (("prodigy", "betas", "betas", "(0.9, 0.999)", ""), True),
    ],
)
def test_what_counts_as_the_same(row, same):
    assert authors.Default(*row).same is same


def test_the_page_has_the_table():
    """Made anew, as `python -m docs.tables --check` compares it."""
    page = (authors.HERE / "differences_from_authors.md").read_text()
    missing = [row for row in authors.rows() if f"| {' | '.join(row)} |" not in page]
    assert missing == []
