"""A drafted spec as YAML, each line with the place where it was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from skillrun.contract.positions import YamlProblem
from skillrun.contract.spec import parse_path
from skillrun.contract.spec_init import new_spec
from skillrun.contract.yamlpos import load_positions
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.contract.positions import Document
    from skillrun.skills.job_worker.drafting.draft import Draft

# Of a comment: a place, or a proposal.
_LONGEST = 200
_GUESSED = "guessed: nobody says whether another try helps"


def write_annotated(draft: Draft) -> str:
    """The text of the spec. The comments change nothing: what it says is read again
    and compared.
    """
    plain = new_spec(draft.values)
    document = load_positions(plain)
    lines = [*_list_head(draft), *plain.splitlines()]
    head = len(lines) - len(plain.splitlines())
    comments: dict[int, str] = {}
    for path, words in draft.seen.items():
        number = document.lines.get(parse_path(path))
        if number is not None and not _is_open_text(plain.splitlines()[number - 1]):
            comment = visible(words, limit=_LONGEST).replace("\n", " ")
            comments[head + number - 1] = f"  # {comment}"
    for number in _list_guessed_lines(draft, document):
        comments[head + number - 1] = f"  # {_GUESSED}"
    text = _add_comments(lines, comments)
    if _says_the_same(text, document.value):
        return text
    # A text that goes on in the next line has no end at which a comment could stand.
    kept: dict[int, str] = {}
    for number, comment in comments.items():
        if _says_the_same(_add_comments(lines, {number: comment}), document.value):
            kept[number] = comment
    text = _add_comments(lines, kept)
    # A comment that would be read as a value costs more than having none.
    return text if _says_the_same(text, document.value) else plain


def _list_guessed_lines(draft: Draft, document: Document) -> Iterator[int]:
    """Yields the line of each error that is listed as permanent and that nobody has called so."""
    guessed = {*draft.unsure, *draft.guessed_errors}
    for index, listed in enumerate(draft.values.get("failures", {}).get("permanent", ())):
        error = listed["type"] if isinstance(listed, dict) else listed
        if error in guessed:
            yield document.lines["failures", "permanent", index]


def _add_comments(lines: list[str], comments: Mapping[int, str]) -> str:
    written = []
    for number, line in enumerate(lines):
        written.append(line + comments.get(number, ""))
    return "\n".join(written) + "\n"


def _says_the_same(text: str, value: object) -> bool:
    try:
        return bool(load_positions(text).value == value)
    except YamlProblem:
        return False


def _is_open_text(line: str) -> bool:
    """A block of text begins here, or a quotation goes on: a comment would be part of it."""
    ends = line.rstrip()
    if ends.endswith(("|", ">", "|-", ">-")):
        return True
    return ends.count("'") % 2 == 1 or ends.count('"') % 2 == 1


def _list_head(draft: Draft) -> list[str]:
    head = [
        f"# Drafted by skillrun from {draft.values['handler']}: read, and agreed by nobody yet."
    ]
    head += [f"# decide: {visible(one, limit=_LONGEST)}" for one in draft.decisions]
    head += [f"# guessed: {visible(one, limit=_LONGEST)}" for one in draft.guesses]
    return head
