"""What keeps a draft from being tried at all, as its single runs show it: errors that nobody can
make, and columns that no two runs write alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skillrun.proof.reference import Reference
    from skillrun.proof.result import Proof
    from skillrun.skills.job_worker.drafting.draft import Draft

# Each look takes a second; what is wrong after so many is said as it is.
_MOST_LOOKS = 6
# As `rows_seen` writes it: a column, or whether there is something in it.
_QUERY = re.compile(r"select (?P<columns>.+) from (?P<table>\S+) order by [\d, ]+")
_IS_THERE = " is not null"


def fit_draft(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """`prove` runs one schedule. Returns whether the draft is another one now."""
    is_other = False
    for _ in range(_MOST_LOOKS):
        proof = prove("once")
        is_changed = _drop_unmade_error(draft, proof) or _drop_untried(draft, proof)
        if not is_changed and not _settle_state(draft, proof.reference):
            return is_other
        is_other = True
    return is_other


def _drop_unmade_error(draft: Draft, proof: Proof) -> bool:
    """An exception may ask for arguments that no test has shown: the draft is tried without it."""
    said = " ".join(one.message for one in proof.incomplete if one.rule == "boot.error")
    failures: dict[str, Any] = draft.values.get("failures", {})
    for name in ("transient", "permanent"):
        for listed in failures.get(name, ()) if said else ():
            error = listed["type"] if isinstance(listed, dict) else listed
            if not re.search(rf"(?<![\w.]){re.escape(error)}(?![\w.])", said):
                continue
            failures[name] = [one for one in failures[name] if one != listed]
            draft.unsure = tuple(one for one in draft.unsure if one != error)
            why = "no test shows with which arguments it is made"
            draft.guesses.append(f"failures: {error} is left out: {why}")
            return True
    return False


def _drop_untried(draft: Draft, proof: Proof) -> bool:
    """Effects that were read in what a test replaces, and that its message does not come to."""
    if not draft.untried or proof.reference is None:
        return False
    if proof.reference.once.runs[0].outcome != "succeeded":
        return False
    missing = proof.reference.list_missing()
    kept: list[dict[str, Any]] = []
    for effect in draft.values.get("effects", []):
        if effect["name"] not in missing or effect["call"] not in draft.untried:
            kept.append(effect)
            continue
        draft.untried.discard(effect["call"])
        draft.guesses.append(f"effects: {effect['call']} is left out: the job does not come to it")
    is_other = len(kept) < len(draft.values.get("effects", []))
    if is_other:
        draft.values["effects"] = kept
    return is_other


def _settle_state(draft: Draft, reference: Reference | None) -> bool:
    """Asks only whether something is there of each column that two single runs, a minute apart,
    write differently: a time as a number, a random value.
    """
    state: dict[str, str] = draft.values.get("proof", {}).get("state", {})
    if reference is None or reference.later is None:
        return False
    is_other = False
    for name in sorted(reference.volatile & state.keys()):
        found = _QUERY.fullmatch(state[name])
        if found is None:
            continue
        columns = found["columns"].split(", ")
        one, other = reference.once.state.get(name), reference.later.state.get(name)
        changing = [*_list_changing(one, other, len(columns))]
        for number in changing:
            if not columns[number].endswith(_IS_THERE):
                columns[number] += _IS_THERE
                is_other = True
        order = ", ".join(map(str, range(1, len(columns) + 1)))
        state[name] = f"select {', '.join(columns)} from {found['table']} order by {order}"
    return is_other


def _list_changing(one: Any, other: Any, width: int) -> Iterator[int]:
    """Which columns hold other values. Rows may come in another order by what changes."""
    if not (isinstance(one, list) and isinstance(other, list) and len(one) == len(other)):
        return
    for number in range(width):
        values = sorted(repr(row[number]) for row in one)
        if values != sorted(repr(row[number]) for row in other):
            yield number
