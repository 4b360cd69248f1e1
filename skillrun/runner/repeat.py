"""What an invocation sees before it reads anything, and the quick way out where the last one saw
the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.actor import Actor, who
from skillrun.core.canonical import digest
from skillrun.core.errors import LedgerUnusable
from skillrun.core.resources import tool_version
from skillrun.core.text import masked
from skillrun.ledger.connection import EmptyLedger
from skillrun.ledger.rows import NewEvent, Telemetry
from skillrun.proof.packages import find_python, installed
from skillrun.repo.tree import Tree
from skillrun.runner.signing import find_tampering, is_signed, sign_event
from skillrun.runner.target import Request, RunTarget, find_target, open_ledger, shown

if TYPE_CHECKING:
    from skillrun.ledger.store import Ledger

_IN_HEADER = ("run_id", "repo", "git_head")
# Another job's run is soon passed over; that of long ago is begun anew.
_RUNS_LOOKED_AT = 20


@dataclass(frozen=True)
class FoundInputs:
    """A request, what it means here, and the tree at that moment. `key` hashes all: the same key,
    the same report.
    """

    request: Request
    target: RunTarget
    tree: Tree
    key: str

    @classmethod
    def of(cls, request: Request) -> FoundInputs:
        """Looks at the repository, the skill's bytes, the spec's bytes and the files' stats; parses
        nothing.
        """
        target = find_target(request)
        tree = Tree(target.repo.root, without=target.own_files)
        return cls(request, target, tree, _compute_key(request, target, tree))

    def options(self) -> dict[str, Any]:
        """What a later look at the run has to know of this command line: JSON values, secrets
        masked.
        """
        skill = None
        if self.request.skill_path:
            skill = shown(self.target.repo.root, self.target.skill_file)
        overrides = {path: masked(value) for path, value in self.request.overrides.items()}
        given = {"until": self.request.until, "skill": skill, "set": overrides}
        return {name: value for name, value in given.items() if value}


def _compute_key(request: Request, target: RunTarget, tree: Tree) -> str:
    """A digest of everything on which a report depends."""
    asked = [
        dict(request.overrides),
        dict(request.waive),
        dict(request.attest),
        {step: list(paths) for step, paths in request.evidence.items()},
    ]
    # A proof holds for these versions.
    packages = installed(find_python(target.repo.root, None))
    seen = [
        packages,
        target.skill_sha,
        target.code_version,
        target.spec_name,
        target.spec_sha,
        target.repo.head,
        tree.key,
        tool_version(),
    ]
    return digest([seen, asked, request.until])


def find_unchanged_run(found: FoundInputs) -> dict[str, Any] | None:
    """The run whose latest invocation saw exactly this and was done with it. Never creates a
    ledger.
    """
    try:
        with open_ledger(found.target.ledger_path, read_only=True) as ledger:
            settled = _find_same_invocation(ledger, found)
    except EmptyLedger:
        return None
    if settled is None:
        return None
    run, _ = settled
    return run


def _find_same_invocation(
    ledger: Ledger, found: FoundInputs
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(run, its last "invocation.ended" event) where that has the same key and may be repeated
    without a look.
    """
    # Somebody who asks for a new run wants everything looked at.
    if found.request.new_run:
        return None
    run = _find_latest_run(ledger, found.target)
    if run is None or run["open_invocations"]:
        return None
    ended = ledger.last_event(run["run_id"], "invocation.ended")
    # Without skillrun's own signature anybody may have written it into the ledger.
    if ended is None or not is_signed(ended):
        return None
    if ended["data"]["key"] != found.key or not ended["data"]["settled"]:
        return None
    source = _find_report_event(ledger, run["run_id"], ended)
    if source is None or not is_signed(source):
        return None
    return run, ended


def _find_latest_run(ledger: Ledger, target: RunTarget) -> dict[str, Any] | None:
    """The latest run here with the same skill and the same spec."""
    for run in ledger.runs(repo=target.repo_name, limit=_RUNS_LOOKED_AT):
        if run["spec_path"] == target.spec_name and run["skill_sha"] == target.skill_sha:
            return run
    return None


def repeat(ledger: Ledger, found: FoundInputs, started: float) -> dict[str, Any] | None:
    """The report of an invocation that found everything as the last one left it; its events and its
    telemetry row are written. None where something has changed.

    `started` is the monotonic time at which the invocation began.
    """
    settled = _find_same_invocation(ledger, found)
    if settled is None:
        return None
    run, ended = settled
    # A run that is not as it was written has nothing to repeat: a new one begins.
    if find_tampering(ledger, run["run_id"]) is not None:
        return None
    run_id, actor, invocation = run["run_id"], who(), run["invocations"] + 1
    report = stored_report(ledger, run_id, ended)
    for stage in report["stages"]:
        stage.update(cached=stage["status"] != "pending", duration_ms=0)
    row = ledger.telemetry(run_id, limit=1)[0]
    telemetry = _repeat_telemetry(row, invocation, actor, found.target, elapsed_ms(started))
    same_as = ended["data"].get("same_as", ended["n"])
    said = {"actor": actor.name, "actor_kind": str(actor.kind), "invocation": invocation}
    events = [
        NewEvent("invocation.started", data=found.options(), **said),
        NewEvent(
            "invocation.ended",
            outcome=report["outcome"],
            data={"key": found.key, "settled": True, "same_as": same_as},
            **said,
        ),
    ]
    signed = [sign_event(run_id, event) for event in events]
    stored = ledger.append(run_id, signed, telemetry=telemetry)
    report["telemetry"] = telemetry_json(telemetry)
    report["ledger"] = {"path": str(found.target.ledger_path), "head": stored[-1].hash}
    return report


def stored_report(ledger: Ledger, run_id: str, ended: Mapping[str, Any]) -> dict[str, Any]:
    """The report of an "invocation.ended" event; one that changed nothing points to the one before
    it.
    """
    source = _find_report_event(ledger, run_id, ended)
    if source is None:
        raise LedgerUnusable(
            f"{ledger.path}: run {run_id}: the event with its report is gone",
            hint="skillrun ledger verify says all that is wrong",
        )
    report: dict[str, Any] = source["data"]["report"]
    return report


def _find_report_event(
    ledger: Ledger, run_id: str, ended: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The "invocation.ended" event that holds the report; None where its row was taken away."""
    same_as = ended["data"].get("same_as")
    if same_as is None:
        return ended
    found = ledger.events(run_id, type="invocation.ended", after=same_as - 1)
    if found[0]["n"] != same_as:
        return None
    return found[0]


def _repeat_telemetry(
    row: Mapping[str, Any], invocation: int, actor: Actor, target: RunTarget, duration_ms: int
) -> Telemetry:
    """The row of an invocation that saw what the last one saw: only who, when and how long
    differ.
    """
    fields = _keep_fields(row)
    fields |= {
        "invocation": invocation,
        "ts_utc": None,
        "duration_ms": duration_ms,
        "actor": actor.name,
        "actor_kind": str(actor.kind),
        "agent": actor.agent,
        "git_head": target.repo.head,
    }
    return Telemetry(**fields)


def _keep_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a ledger's row that are fields of `Telemetry`."""
    return {name: value for name, value in row.items() if name in Telemetry.__dataclass_fields__}


def telemetry_json(row: Telemetry) -> dict[str, Any]:
    """The telemetry of the report: the row without what the run's header says already."""
    return {name: value for name, value in asdict(row).items() if name not in _IN_HEADER}


def telemetry_row_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """As `telemetry_json`, from a row of the ledger."""
    return {name: value for name, value in _keep_fields(row).items() if name not in _IN_HEADER}


def elapsed_ms(started: float) -> int:
    """Milliseconds since a monotonic time."""
    return int((time.monotonic() - started) * 1000)
