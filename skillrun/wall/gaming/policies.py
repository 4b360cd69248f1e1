"""A fleet's policy that a branch leaves, replaces by one that asks for less, or deviates from."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.contract.positions import Document
from skillrun.core.verdict import Finding
from skillrun.repo.policy import DEMANDS, KEY, parse_demands
from skillrun.repo.profile import NAME
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, listed, mapping

ID = "weaker-policy"
HELP = (
    "REPO_PROFILE.json extends a fleet's policy, which it pins by its digest. Found: the policy is"
    " left; another one is pinned, which asks for less or cannot be compared; a deviation that the"
    " base's profile does not hold. A first policy takes nothing away."
)
_HINT = "put it back, or have a person change the policy on the base branch"


def find(diff: Diff) -> Iterator[Finding]:
    """What the changed profile takes from the policy that the base's extends."""
    for file in diff.files_named(NAME):
        was = mapping(_find_extended(file.old_document))
        if file.old_path != NAME or not was:
            continue
        now = {}
        if file.path == NAME:
            now = mapping(_find_extended(file.new_document))
        if not now:
            said = f"the policy {quoted(was.get('file'))} is asked no more"
            yield taken(ID, file, 1, said, hint=_HINT)
            continue
        if was.get("sha256") != now.get("sha256"):
            yield from _compare_policies(diff, file, was, now)
        yield from _find_deviations(file, was, now)


def _find_extended(document: Document | None) -> object:
    """The value of `extends`; None where there is none."""
    if document is None:
        return None
    return at(document.value, KEY)


def _compare_policies(
    diff: Diff, file: File, was: dict[str, object], now: dict[str, object]
) -> Iterator[Finding]:
    """An error for each demand that the newly pinned policy has no more; else a warning."""
    line = _find_line(file, "sha256")
    before, after = _read_both(diff, was, now)
    if before is None or after is None:
        said = f"another policy is pinned, {quoted(now.get('file'))}, which cannot be compared"
        hint = f"edit {was.get('file')} itself, so that both can be read; or {_HINT}"
        yield taken(ID, file, line, f"{said} with the base's", hint=hint)
        return
    is_weaker = False
    for kind, name in DEMANDS.items():
        for demand in before[name]:
            if demand not in after[name]:
                is_weaker = True
                said = f"the policy that is pinned asks for no {kind} {quoted(demand)} any more"
                yield taken(ID, file, line, said, hint=_HINT)
    if not is_weaker:
        said = "another policy is pinned; it asks for all that the base's does"
        yield doubtful(ID, file, line, said, hint="see that it is the house's own")


def _read_both(
    diff: Diff, was: dict[str, object], now: dict[str, object]
) -> tuple[dict[str, tuple[str, ...]] | None, dict[str, tuple[str, ...]] | None]:
    """What both policies ask for, where the branch has edited or moved the base's into HEAD's;
    None for one that cannot be read. That HEAD's has the pinned digest, its profile's reader asks.
    """
    for policy in diff.files:
        if policy.old_path == was.get("file") and policy.path == now.get("file"):
            return _read_demands(policy.old_document), _read_demands(policy.new_document)
    return None, None


def _read_demands(document: Document | None) -> dict[str, tuple[str, ...]] | None:
    if document is None:
        return None
    try:
        return parse_demands(document.value)
    except ValueError:
        return None


def _find_deviations(
    file: File, was: dict[str, object], now: dict[str, object]
) -> Iterator[Finding]:
    """An error for each deviation that the base's profile does not have; its reason may be said
    otherwise.
    """
    held = set()
    for one in listed(was.get("deviations")):
        held.add(_name_demand(one))
    for number, one in enumerate(listed(now.get("deviations"))):
        kind, name = _name_demand(one)
        if (kind, name) in held:
            continue
        said = f"the {kind} {quoted(name)} of the policy is left out: {quoted(at(one, 'reason'))}"
        yield taken(ID, file, _find_line(file, "deviations", number), said, hint=_HINT)


def _name_demand(deviation: object) -> tuple[str, str]:
    """`{"risk": "broker-lost", ...}` -> ("risk", "broker-lost")."""
    for kind in DEMANDS:
        name = at(deviation, kind)
        if name is not None:
            return kind, str(name)
    return "demand", str(deviation)


def _find_line(file: File, *path: str | int) -> int:
    if file.new_document is None:
        return 1
    return file.new_document.line((KEY, *path))
