"""A fleet's policy: what every repository of a house asks of its jobs, in a file that
REPO_PROFILE.json pins by its digest. Nothing is fetched: the file lies in the repository.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from skillrun.core.opening import parse_json, read_file

SCHEMA = "policy.v1.json"
KEY = "extends"
"""Where a profile names its policy."""

DEMANDS = {"check": "required_checks", "risk": "risks"}
"""What a deviation names -> the list of the policy that it is taken from."""

_LARGEST = 1024 * 1024  # bytes


@dataclass(frozen=True, order=True)
class Deviation:
    """One demand of the policy that this repository leaves out. `kind`: check or risk."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Policy:
    """What is asked beyond the profile's own words; deviations are left out of both lists."""

    file: str
    required_checks: tuple[str, ...]
    risks: tuple[str, ...]
    deviations: tuple[Deviation, ...]


class PolicyProblem(Exception):
    """What is wrong with a policy, and what to do. `path`: of keys, in the profile."""

    def __init__(self, path: tuple[str | int, ...], what: str, hint: str) -> None:
        super().__init__(what)
        self.path, self.what, self.hint = path, what, hint


def read_policy(root: Path, profile: Mapping[str, Any]) -> Policy | None:
    """The policy of a valid profile; None where it names none. Raises PolicyProblem."""
    said = profile.get(KEY)
    if said is None:
        return None
    content = _read_pinned(root, said["file"], said["sha256"])
    try:
        demands = parse_demands(parse_json(content))
    except (ValueError, RecursionError) as error:
        hint = "a policy has required_checks and risks: schemas/policy.v1.json"
        raise PolicyProblem((KEY, "file"), f"{said['file']}: {error}", hint) from error
    deviations = tuple(list_deviations(said))
    for number, one in enumerate(deviations):
        if one.name not in demands[DEMANDS[one.kind]]:
            what = f"the policy asks for no {one.kind} {one.name}"
            raise PolicyProblem((KEY, "deviations", number), what, "take the deviation out")
    left = {}
    for kind, name in DEMANDS.items():
        dropped = {one.name for one in deviations if one.kind == kind}
        left[name] = tuple(asked for asked in demands[name] if asked not in dropped)
    return Policy(said["file"], left["required_checks"], left["risks"], deviations)


def _read_pinned(root: Path, file: str, pinned: str) -> bytes:
    """The file's content. Raises PolicyProblem where it is not what was pinned."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        hint = "a copy of the policy lies in the repository: nothing is fetched"
        raise PolicyProblem((KEY, "file"), f"{file} leads out of the repository", hint)
    try:
        content = read_file(root / path, _LARGEST)
    except OSError as error:
        hint = "put the policy there, as the digest has it: nothing is fetched"
        what = f"{file} cannot be read: {error.strerror}"
        raise PolicyProblem((KEY, "file"), what, hint) from error
    found = hashlib.sha256(content).hexdigest()
    if found != pinned:
        hint = "put back the file that was pinned, or have a person pin this one"
        raise PolicyProblem((KEY, "sha256"), f"{file} has the sha256 {found}", hint)
    return content


def parse_demands(document: Any) -> dict[str, tuple[str, ...]]:
    """Name of a list of the policy -> what it asks for. Raises ValueError for what is no policy."""
    from skillrun.contract.violations import find_violations
    from skillrun.core.resources import resource

    schema = json.loads(resource("schemas", SCHEMA).read_text(encoding="utf-8"))
    for one in find_violations(schema, document):
        raise ValueError(f"{one.dotted()}: {one.what}")
    return {name: tuple(document.get(name) or ()) for name in DEMANDS.values()}


def list_deviations(said: Mapping[str, Any]) -> Iterator[Deviation]:
    """Of the value of `extends`, which is valid."""
    for one in said.get("deviations") or ():
        for kind in DEMANDS:
            if kind in one:
                yield Deviation(kind, one[kind], one["reason"])
