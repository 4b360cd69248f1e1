"""What is known to be wrong with a repository's jobs: causes, not counts. What is not among them is
new, and what is no longer seen was paid off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.errors import Refused
from skillrun.core.opening import read_file
from skillrun.core.resources import resource
from skillrun.core.text import masked, visible
from skillrun.proof.cause import UNKNOWN
from skillrun.proof.witnesses import MOST
from skillrun.repo.git import run_git

BASELINE = ".skillrun/baseline.json"
_VERSION = 1
_LONGEST = 300  # characters of a cause in one line
_MEND = "mend it, or write it anew with: skillrun baseline"


@dataclass(frozen=True, order=True)
class KnownCause:
    """Why a job is refuted: the judge's rule, the effect that it is about, and the cause in words.
    How often it was seen, and under which schedule, is left out.
    """

    rule: str
    effect: str  # empty: about no effect
    cause: str

    @property
    def text(self) -> str:
        """In one line: `charge: two deliveries both pass the check  [effect.repeated]`."""
        said = f"{self.effect or 'the job'}: {self.cause or 'no cause is told'}  [{self.rule}]"
        return visible(masked(said), limit=_LONGEST)


@dataclass(frozen=True)
class Compared:
    """A proof beside the baseline. `paid`: known causes that are no longer seen."""

    new: tuple[KnownCause, ...]
    known: tuple[KnownCause, ...]
    paid: tuple[KnownCause, ...]
    is_full: bool  # as many as a proof names: others may stand behind them

    @property
    def holds(self) -> bool:
        """Whether all that is wrong was known, as far as a proof tells."""
        return not self.new and not self.is_full


Baseline = Mapping[str, frozenset[KnownCause]]
"""Handler -> what is known of it."""


def list_causes(report: Mapping[str, Any]) -> frozenset[KnownCause]:
    """Of a proof.v1."""
    found = set()
    for witness in report["witnesses"]:
        cause = witness["cause"]
        # No cause at all would stand for every other one: then it is told by what happened.
        if cause == UNKNOWN:
            cause = f"{cause}, under {witness['schedule']}"
        found.add(KnownCause(witness["rule"], witness["effect"] or "", cause))
    return frozenset(found)


def compare_causes(report: Mapping[str, Any], known: Iterable[KnownCause]) -> Compared:
    """Known causes beside those of a proof. What keeps it from an answer pays nothing off: what it
    did not see may be there.
    """
    seen, before = list_causes(report), frozenset(known)
    paid = before - seen
    if report["incomplete"]:
        paid = frozenset()
    is_full = len(report["witnesses"]) >= MOST
    return Compared(
        new=tuple(sorted(seen - before)),
        known=tuple(sorted(seen & before)),
        paid=tuple(sorted(paid)),
        is_full=is_full,
    )


def read_baseline(root: Path) -> Baseline:
    """The one of a working tree; nothing where there is none. Raises Refused."""
    try:
        content = read_file(root / BASELINE)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused(f"{BASELINE}: {error.strerror}", hint="name a file of your own") from error
    return _parse_text(content)


def read_committed(root: Path, commit: str | None) -> Baseline | None:
    """The one of a commit, out of git's objects alone; None where it has none. Raises Refused."""
    if commit is None:
        return None
    done = run_git(root, "cat-file", "blob", f"{commit}:{BASELINE}")
    if done.returncode:
        return None
    return _parse_text(done.stdout)


def _parse_text(content: bytes) -> Baseline:
    try:
        return parse_baseline(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{BASELINE}: {error}", hint=_MEND) from error


def parse_baseline(document: Any) -> Baseline:
    """Of a document. Raises ValueError for what its schema does not allow."""
    import jsonschema

    version = None
    if isinstance(document, dict):
        version = document.get("schema_version")
    # An own sentence: who has another version needs another skillrun, and no mending.
    if isinstance(version, int) and version != _VERSION:
        raise ValueError(f"version {version}, and this skillrun reads version {_VERSION}")
    schema = json.loads(resource("schemas", "baseline.v1.json").read_text("utf-8"))
    for problem in jsonschema.Draft202012Validator(schema).iter_errors(document):
        raise ValueError(f"{problem.json_path}: {problem.message[:200]}")
    found: dict[str, frozenset[KnownCause]] = {}
    for job in document["jobs"]:
        causes = set()
        for one in job["causes"]:
            causes.add(KnownCause(one["rule"], one["effect"], one["cause"]))
        found[job["handler"]] = found.get(job["handler"], frozenset()) | causes
    return found


def write_baseline(baseline: Baseline) -> str:
    """As text: sorted, a line a member, so that a diff shows what was added."""
    jobs = []
    for handler in sorted(baseline):
        causes = []
        for one in sorted(baseline[handler]):
            causes.append({"rule": one.rule, "effect": one.effect, "cause": one.cause})
        if causes:
            jobs.append({"handler": handler, "causes": causes})
    document = {"schema_version": _VERSION, "jobs": jobs}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
