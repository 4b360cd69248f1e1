"""What the spec says when an invocation begins, as the ledger keeps it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import SkillrunError
from skillrun.core.opening import read_utf8
from skillrun.core.secret_names import MASK
from skillrun.core.text import masked
from skillrun.runner.excerpts import TELLING

if TYPE_CHECKING:
    from skillrun.contract.specfile import Spec

# Characters: a spec has a few thousand, and a ledger keeps every text for good.
_LONGEST = 100_000


def describe_spec(
    file: Path | None, sha256: str | None, spec: Spec | None, started: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """The text of the spec without its secrets and private values; nothing where the run has the
    same text already, as its events `started` say, or there is none.
    """
    if file is None or spec is None or _find_last_sha(started) == sha256:
        return {}
    try:
        text = read_utf8(file)
    except (SkillrunError, OSError):
        return {}
    hidden = masked(_hide_private_scalars(text, spec))
    return {"spec": {"sha256": sha256, "text": hidden[:_LONGEST]}}


def _hide_private_scalars(text: str, spec: Spec) -> str:
    """The spec's text with a mask for each scalar that has a private value in it, however YAML
    writes that one: in quotes, with escapes, over several lines.
    """
    import yaml  # what only repeats a run reads no spec

    private = [value for value in spec.private_values() if len(value) >= TELLING]
    for scalar in reversed(_list_scalars(yaml.compose(text, yaml.SafeLoader))):
        if any(value in scalar.value for value in private):
            text = _put_mask(text, scalar.start_mark.index, scalar.end_mark.index)
    return text


def _put_mask(text: str, first: int, end: int) -> str:
    """The text with a mask in the place of a scalar; the line's end behind it stays."""
    written = text[first:end]
    ending = written[len(written.rstrip()) :]
    return text[:first] + MASK + ending + text[end:]


def _list_scalars(node: Any) -> list[Any]:
    """The scalars of a document in the order of its text; each once, whatever stands for it
    elsewhere.
    """
    found: dict[int, Any] = {}
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.id == "scalar":
            found[one.start_mark.index] = one
        elif one.id == "sequence":
            waiting += one.value
        else:
            waiting += itertools.chain.from_iterable(one.value)
    return [found[index] for index in sorted(found)]


def _find_last_sha(started: Iterable[Mapping[str, Any]]) -> str | None:
    found: str | None = None
    for event in started:
        found = event["data"].get("spec", {}).get("sha256", found)
    return found
