"""The papers of optimizers and parts, as the docstrings name them, and their BibTeX.

A docstring ends in `Reference: authors, "title", venue year, place, arXiv:number`, with
several papers divided by `;`. The same paper may be named in several docstrings: its
entry has what the fullest of them says.
"""

import functools
import inspect
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..engine.value import Value, made_by
from . import names

_REFERENCE = re.compile(r"^References?: (.*?)(?=\n\n|\Z)", re.M | re.S)
_ARXIV = re.compile(r"arXiv:\s?(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")
_YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
_ADDRESS = re.compile(r"\b((?:[\w-]+\.)+(?:com|io|org)/[\w./-]*\w)")
_TITLE = re.compile(r'"([^"]+)"|`(\w+)`(?= of )')
_JOURNALS = ("JMLR", "IEEE", "SIAM")
_SPELT = {"&": r"\&", "_": r"\_", "β": r"{$\beta$}", "₂": r"{$_2$}"}
_EMPTY_WORDS = {"a", "an", "the", "on", "from", "some", "of", "to", "why"}


class Paper(NamedTuple):
    """A paper, as a docstring names it; what it does not say is empty."""

    authors: tuple[str, ...]
    title: str
    venue: str
    year: str
    arxiv: str
    address: str

    @property
    def identity(self) -> str:
        """What is the same wherever the paper is named."""
        return self.arxiv or self.address or f"{self.title.split(':')[0]} {self.year}"

    @property
    def key(self) -> str:
        """The key of the BibTeX entry: `kingma2015adam`."""
        words = re.findall(r"[^\W\d_]\w+", self.title.lower())
        word = next((w for w in words if w not in _EMPTY_WORDS), "")
        first = unicodedata.normalize("NFKD", self.authors[0] if self.authors else word)
        plain = re.sub(r"[^a-z0-9]", "", first.lower())
        return f"{plain}{self.year}{word if self.authors else ''}"

    def bibtex(self) -> str:
        """Return the entry of BibTeX."""
        fields = {
            "author": " and ".join(map(_author, self.authors)),
            "title": f"{{{_spelt(self.title)}}}",
            "journal" if self._is_article() else "booktitle": _spelt(self.venue),
            "year": self.year,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "url": f"https://{self.address}" if self.address else "",
        }
        kind = "misc"
        if self.venue:
            kind = "article" if self._is_article() else "inproceedings"
        lines = [f"  {name} = {{{text}}}," for name, text in fields.items() if text]
        return "\n".join((f"@{kind}{{{self.key},", *lines, "}"))

    def _is_article(self) -> bool:
        return self.venue.startswith(_JOURNALS)


def _author(name: str) -> str:
    return f"{{{name}}}" if " " in name else name


def _spelt(text: str) -> str:
    return "".join(_SPELT.get(sign, sign) for sign in text)


class Reference(NamedTuple):
    """A reference in a docstring: the text, its paper, and whose docstring it is.

    `optional` is one that is for an argument only: "`adaptive`: Bernstein & ...".
    """

    text: str
    paper: Paper
    of: str = ""
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({self.of})"


def read(text: str) -> list[Reference]:
    """Return each paper of a reference, with the words that name it.

    What has no year, such as the name of another library's class, is no paper.
    """
    found = []
    for label, piece in _pieces(" ".join(text.split()).rstrip(".")):
        if _YEAR.search(_ADDRESS.sub("", _ARXIV.sub("", piece))):
            optional = label.startswith(("`", '"'))
            found.append(Reference(piece, _paper(piece), optional=optional))
    return found


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Divide at each `;` outside of brackets and quotes; yield label and text."""
    quoted = re.sub(r'"[^"]*"|\([^)]*\)', lambda m: m[0].replace(";", "\0"), text)
    for piece in quoted.split(";"):
        # what the paper is for: "the decay: Loshchilov ..."
        piece = piece.replace("\0", ";").strip()
        label = re.match(r'(?:`[^`]+`|"\w+"|[\w ]+): (?=[A-Z"])', piece)
        yield label[0] if label else "", piece[label.end() if label else 0 :]


def _paper(piece: str) -> Paper:
    arxiv, address = _ARXIV.search(piece), _ADDRESS.search(piece)
    title = _TITLE.search(piece)
    rest = piece
    for match in (arxiv, address):
        rest = rest.replace(match[0], "") if match else rest
    if title is None:
        before, _, after = rest.partition(", ")
        while not (_YEAR.search(after.split(",")[0]) or not after):
            more, _, after = after.partition(", ")
            before += f", {more}"
    else:
        before, after = rest.split(title[0], 1)
    after = re.sub(r"\([^)]*\)", "", after)
    cells = [cell.strip() for cell in after.split(",") if cell.strip()]
    year = venue = ""
    for i, cell in enumerate(cells):
        match = _YEAR.search(cell)
        if match is not None:
            year = match[1]
            venue = cell[: match.start()].strip() or (cells[i - 1] if i else "")
            venue += " workshop" if cell.endswith("workshop") else ""
            break
    if not before.strip(" ,") and venue:
        before, venue = venue, ""  # the authors after the title
    name = (title[1] or title[2]) if title else ""
    return Paper(
        _authors(before) if "," in before or before.strip(" ,") else (),
        name,
        "" if venue.startswith(("of ", "pull ")) else venue,
        year,
        arxiv[1] if arxiv else "",
        address[1] if address else "",
    )


def _authors(text: str) -> tuple[str, ...]:
    text = re.sub(r"\b(the|of)$", "", text.strip(" ,")).strip()
    names = re.split(r"\s*(?:,|&)\s*", text.replace(" et al.", ", others"))
    return tuple(name for name in names if name)


def of_docstring(thing: Any, name: str) -> list[Reference]:
    """Return the references of a docstring."""
    found = _REFERENCE.search(inspect.getdoc(thing) or "") if thing.__doc__ else None
    if found is None:
        return []
    return [reference._replace(of=name) for reference in read(found[1])]


@functools.cache
def bibliography() -> dict[str, Paper]:
    """Return every paper of adamx's docstrings once, by its identity."""
    table: dict[str, Paper] = {}
    for name, thing in names.public().items():
        for reference in of_docstring(thing, name):
            paper, known = reference.paper, table.get(reference.paper.identity)
            if known is None or _fullness(paper) > _fullness(known):
                table[paper.identity] = paper
    return table


def _fullness(paper: Paper) -> tuple[int, int]:
    return len(paper.title), len(paper.venue)


def references(tx: Any) -> list[Reference]:
    """Return the references of a transformation and its parts, each paper once."""
    found: dict[str, Reference] = {}
    for name, thing in _cited(tx):
        for reference in of_docstring(thing, name):
            if reference.optional:
                continue
            identity = reference.paper.identity
            full = bibliography().get(identity, reference.paper)
            found.setdefault(identity, reference._replace(paper=full))
    return list(found.values())


def _cited(x: Any) -> Iterator[tuple[str, Any]]:
    """Yield what has the docstrings of a value: functions that made it, and classes."""
    if type(x) is tuple:  # a transformation is a tuple too
        for element in x:
            yield from _cited(element)
    elif isinstance(x, Value):
        for name in (*made_by(x), getattr(x, "name", "")):
            thing = names.public().get(name) if isinstance(name, str) else None
            if thing is not None and inspect.isfunction(thing):
                yield name, thing
        yield type(x).__name__, type(x)
        for field in x._fields:
            yield from _cited(getattr(x, field))
    elif inspect.isfunction(x) and x.__module__.startswith("adamx."):
        yield x.__name__, x


def cite(tx: Any) -> str:
    """Return BibTeX entries for the papers of a transformation and of its parts.

        print(adamx.cite(adamx.store(adamx.adamw(1e-3), nu=Blockwise(bits=8))))

    The papers are those of the docstrings of the functions that made it and of its
    parts. An entry has the authors as the docstring has them: `and others` stands for
    those that it does not list. Where no paper is known, the text is a comment that
    says so.

    Args:
        tx: a transformation of adamx, a part or a codec; or the name of one, such as
            "soap".

    Raises:
        ValueError: a name that adamx does not have.
        TypeError: it is not of adamx.
    """
    if isinstance(tx, str):
        thing = names.named("cite", tx)
        found = of_docstring(thing, tx)
        papers = [bibliography()[each.paper.identity] for each in found]
    else:
        names.check_own("cite", "tx", tx)
        papers = [each.paper for each in references(tx)]
    if not papers:
        return f"% No docstring of {tx!r} names a paper."
    return "\n\n".join(paper.bibtex() for paper in papers)
