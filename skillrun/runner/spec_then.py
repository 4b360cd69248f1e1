"""What the spec says when an invocation begins, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import SkillrunError
from skillrun.core.opening import read_utf8
from skillrun.core.text import masked
from skillrun.runner.excerpts import hide_private_values

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
    lines = [hide_private_values(line, spec) for line in text[:_LONGEST].split("\n")]
    return {"spec": {"sha256": sha256, "text": masked("\n".join(lines))}}


def _find_last_sha(started: Iterable[Mapping[str, Any]]) -> str | None:
    found: str | None = None
    for event in started:
        found = event["data"].get("spec", {}).get("sha256", found)
    return found
