"""A drafted spec as YAML, each line with the place where it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.contract.spec import parse_path
from skillrun.contract.spec_init import new_spec
from skillrun.contract.yamlpos import load_positions
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.skills.job_worker.drafting.draft import Draft

# Of a comment: a place, or a proposal.
_LONGEST = 200


def write_annotated(draft: Draft) -> str:
    """The text of the spec. The comments change nothing: what it says is read again and compared."""
    plain = new_spec(draft.values)
    document = load_positions(plain)
    lines = plain.splitlines()
    for path, words in draft.seen.items():
        number = document.lines.get(parse_path(path))
        if number is not None and not _is_open_text(lines[number - 1]):
            comment = visible(words, limit=_LONGEST).replace("\n", " ")
            lines[number - 1] = f"{lines[number - 1]}  # {comment}"
    text = "\n".join([*_list_head(draft), *lines]) + "\n"
    # A comment that would be read as a value costs more than having none.
    return text if load_positions(text).value == document.value else plain


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
