"""`adamx.cite`: BibTeX of the papers that docstrings name."""

import inspect
import re

import pytest

import adamx
from adamx import parts
from adamx.descriptions import names, references
from adamx.storage import Blockwise


def test_every_reference_of_a_docstring_has_an_entry():
    table = references.bibliography()
    without = []
    for name, thing in names.public().items():
        doc = inspect.getdoc(thing) or ""
        if not re.search(r"^References?: ", doc, re.M):
            continue
        found = references.of_docstring(thing, name)
        assert found, f"{name} names no paper with a year"
        without += [f.text for f in found if f.paper.identity not in table]
        # each arXiv number of the docstring is that of an entry
        numbers = re.findall(r"arXiv:\s?([\d.]+\d)", doc[doc.index("Reference") :])
        assert set(numbers) <= {f.paper.arxiv for f in found}, name
    assert without == []
    assert len(table) > 80


def test_every_entry_has_a_title_a_year_and_a_key_of_its_own():
    table = references.bibliography()
    assert [i for i, p in table.items() if not (p.title and p.year)] == []
    keys = [paper.key for paper in table.values()]
    assert sorted(keys) == sorted(set(keys))
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)
    software = {"FlashOptim", "u/w floor", "RadialBrakeHook"}
    assert {p.title for p in table.values() if not p.authors} == software


ADAMW = """\
@inproceedings{loshchilov2019decoupled,
  author = {Loshchilov and Hutter},
  title = {{Decoupled weight decay regularization}},
  booktitle = {ICLR},
  year = {2019},
  eprint = {1711.05101},
  archiveprefix = {arXiv},
}"""


def test_the_papers_of_an_optimizer_and_its_parts():
    text = adamx.cite(adamx.store(adamx.adamw(1e-3), nu=Blockwise(bits=8)))
    assert text.startswith(ADAMW)
    keys = re.findall(r"^@\w+\{(.*),$", text, re.M)
    assert keys == [
        "loshchilov2019decoupled",
        "kingma2015adam",
        "dettmers2022bit",
    ]
    assert "author = {Dettmers and others}" in text


def test_what_is_known_survives_a_chain_and_a_wrapper():
    tx = adamx.chain(parts.ClipByGlobalNorm(1.0), adamx.lion(1e-4))
    keys = re.findall(r"^@\w+\{(.*),$", adamx.cite(tx), re.M)
    assert keys[0] == "chen2023symbolic"
    assert "pascanu2013difficulty" in keys
    cautious = adamx.cite(adamx.cautious(adamx.lion(1e-4)))
    assert "liang2024cautious" in cautious
    assert "chen2023symbolic" in cautious


def test_what_made_it_does_not_make_values_unequal():
    by_hand = adamx.chain(*adamx.adam(1e-3).parts)
    assert by_hand == adamx.adam(1e-3)
    assert hash(by_hand) == hash(adamx.adam(1e-3))


def test_by_name():
    assert adamx.cite("adamw") == ADAMW
    assert "author = {{St John}}" in adamx.cite("adamd")
    assert "{$\\beta$}{$_2$}" in adamx.cite("adopt")
    # a reference for an argument is there if one asks by name
    assert "bernstein2024old" in adamx.cite("Orthogonalize")
    assert "bernstein2024old" not in adamx.cite(adamx.muon(0.02))


def test_what_has_no_paper_says_so():
    assert adamx.cite(parts.Sign()) == "% No docstring of Sign() names a paper."


def test_errors():
    with pytest.raises(adamx.AdamxError, match=r"cite: a name .*mean 'adamw'\?"):
        adamx.cite("adamww")
    with pytest.raises(adamx.AdamxTypeError, match="cite: `tx` must be a transf"):
        adamx.cite(3)
