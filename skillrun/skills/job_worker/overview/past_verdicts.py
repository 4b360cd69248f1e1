"""What the ledger last knew of each handler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import SkillrunError

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.ledger.store import Ledger
    from skillrun.repo.git import Repo
    from skillrun.repo.tree import Tree

# Newest first: what is older than these has been told of already.
_RUNS = 100


@dataclass(frozen=True)
class PastVerdict:
    """A verdict as it was recorded. It still holds only where nothing it rests on has changed."""

    verdict: str  # proved | refuted | incomplete
    run_id: str | None  # None: it was proved without a spec
    has_changed: bool
    is_believed: bool  # recorded by skillrun for this user

    @property
    def words(self) -> str:
        """The verdict, and why it may not hold any more."""
        if not self.is_believed:
            return f"{self.verdict}, not recorded for you"
        return f"{self.verdict}, changed since" if self.has_changed else self.verdict


def read_past_verdicts(
    repo: Repo, tree: Tree, path: Path, specs: Mapping[str, JobSpec]
) -> dict[str, PastVerdict]:
    """Import path of a handler -> its latest verdict; empty where no ledger can be read."""
    from skillrun.ledger.connection import is_ledger_file
    from skillrun.ledger.store import Ledger

    try:
        if not is_ledger_file(path):
            return {}
        with Ledger.open(path, read_only=True) as opened:
            return _read_runs(opened, repo, tree, specs)
    except SkillrunError:
        return {}


def _read_runs(
    ledger: Ledger, repo: Repo, tree: Tree, specs: Mapping[str, JobSpec]
) -> dict[str, PastVerdict]:
    from skillrun.runner.target import repo_name

    found: dict[str, PastVerdict] = {}
    for run in ledger.runs(repo=repo_name(repo), limit=_RUNS):
        for event in ledger.latest_stages(run["run_id"]).values():
            proof = event["data"].get("proof")
            if isinstance(proof, Mapping) and "handler" in proof:
                handler = str(proof["handler"])
                if handler not in found:
                    found[handler] = _judge(event, proof, tree, specs.get(handler))
    return found


def _judge(
    event: dict[str, Any], proof: Mapping[str, Any], tree: Tree, spec: JobSpec | None
) -> PastVerdict:
    from skillrun.repo.tree import Lookup, name_differences
    from skillrun.runner.signing import is_signed

    has_changed = _has_other_spec(event, spec)
    for lookup in map(Lookup.from_json, event["data"]["lookups"]):
        # The other kinds ask for a survey of everything, and mean files that are among these.
        if lookup.kind == "file" and name_differences(lookup, tree.repeat(lookup)):
            has_changed = True
    return PastVerdict(str(proof["verdict"]), event["run_id"], has_changed, is_signed(event))


def _has_other_spec(event: dict[str, Any], spec: JobSpec | None) -> bool:
    """Whether a part of the spec that was read then says something else now."""
    from skillrun.core.canonical import digest

    if spec is None:
        return True
    then: dict[str, str] = event["data"]["basis"]["spec"]
    return {part: digest(spec.part(part)) for part in then} != then
