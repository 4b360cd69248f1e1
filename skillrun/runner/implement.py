"""`--implement CMD`: an agent gets the work order on its standard input, and the run is verified
again after it.

Bounded: so many attempts, so much time each; an attempt that changes nothing is the last one.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.actor import who
from skillrun.core.errors import Misuse
from skillrun.core.tally import count_things
from skillrun.ledger.rows import NewEvent
from skillrun.ledger.store import Ledger
from skillrun.repo.git import list_touched, open_repo, take_snapshot
from skillrun.runner.advance import advance, open_gate
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.runner.target import Request
    from skillrun.runner.watcher import Watcher
    from skillrun.validations.run import CommandResult

ATTEMPT = "implement.attempt"
_MOST_FILES = 200

_HOW = "answer on a terminal, or run again with --trust"
_NOT_ALLOWED = f"nobody has allowed anything to run in this working tree yet: {_HOW}"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Implementer:
    """A headless agent: its command, how often it is asked, and how long each attempt may take."""

    command: str
    attempts: int = 3
    limit_s: float = 1800.0


def read_implementer(command: str | None, attempts: int, limit: str) -> Implementer | None:
    """From the options; None for `none`. Raises Misuse."""
    from skillrun.contract.duration import parse_duration

    if command is None or command == "none":
        return None
    if not command.strip():
        raise Misuse(
            "--implement: an empty command", hint="e.g. --implement 'claude -p', or 'codex exec -'"
        )
    if attempts < 1:
        raise Misuse(f"--attempts {attempts}: at least 1")
    try:
        return Implementer(command, attempts, parse_duration(limit))
    except ValueError as error:
        raise Misuse(f"--time-limit: {error}") from None


def implement(
    request: Request, watcher: Watcher, who_does: Implementer, tell: Tell
) -> dict[str, Any]:
    """Advances, has the agent do what is open, and advances again; the last report. Raises as
    `advance` does.
    """
    report = advance(request, watcher)
    gate = open_gate(request, watcher, open_repo(request.repo))
    again = replace(request, waive={}, attest={}, evidence={}, new_run=False)
    for number in range(1, who_does.attempts + 1):
        if report["outcome"] == "success" or _only_people(report, tell):
            break
        if not gate.allows(CommandPlan("do what is open", (who_does.command,))):
            tell(_NOT_ALLOWED)
            break
        tell(f"attempt {number} of {who_does.attempts}: {who_does.command}")
        done, files = _run_agent(request, report, who_does, watcher)
        _record_attempt(report, number, who_does, done, files)
        changed = count_things(len(files), "file")
        took = f"{done.duration_ms / 1000:.0f} s"
        tell(f"attempt {number}: {done.words}, {took}, {changed} changed")
        report = advance(again, watcher)
        if not files:
            tell("it changed no file, so nobody is asked again")
            break
    return report


def _only_people(report: dict[str, Any], tell: Tell) -> bool:
    """Whether all that is open is a person's to answer."""
    actions = []
    for action in report["next"]:
        if action["action"] != "consider":
            actions.append(action)
    asked = [action for action in actions if action["action"] == "consent"]
    if not actions or len(asked) < len(actions):
        return False
    tell(f"what is open is a consent, which no agent can give: {_HOW}")
    return True


def _run_agent(
    request: Request, report: dict[str, Any], who_does: Implementer, watcher: Watcher
) -> tuple[CommandResult, list[str]]:
    """(how the agent ended, the files that it changed)."""
    from skillrun.runner.standing import find_work_order
    from skillrun.runner.target import own_files
    from skillrun.runner.work_orders import order_lines
    from skillrun.validations.environment import command_env
    from skillrun.validations.run import run_command

    repo, ledger = open_repo(request.repo), Path(report["ledger"]["path"])
    made = find_work_order(repo.root, run=report["run"]["id"], ledger=ledger)
    before = take_snapshot(repo)
    with tempfile.TemporaryDirectory(prefix="skillrun-order-") as folder:
        text = Path(folder) / "order.txt"
        text.write_text("\n".join(order_lines(made)) + "\n", encoding="utf-8")
        given = f"{{ {who_does.command}\n}} < {shlex.quote(str(text))}"
        name = who_does.command.split()[0].rpartition("/")[2]
        env = {**command_env(repo.root), "SKILLRUN_ACTOR": f"agent:{name}"}
        done = run_command(
            given, cwd=repo.root, timeout_s=who_does.limit_s, on_line=watcher.output, env=env
        )
    own = own_files(repo, ledger)
    theirs = []
    for path in list_touched(open_repo(repo.root), before):
        # The ledger of the run is written meanwhile, by skillrun itself.
        if not own or not path.startswith(own):
            theirs.append(path)
    return done, theirs


def _record_attempt(
    report: dict[str, Any],
    number: int,
    who_does: Implementer,
    done: CommandResult,
    files: list[str],
) -> None:
    """What it was asked, how it ended, and what it changed: an event of the run."""
    from skillrun.core.text import masked

    actor = who()
    data = {
        "command": masked(who_does.command),
        "ended": done.words,
        "files": files[:_MOST_FILES],
        "files_changed": len(files),
        "tail": done.tail[-2000:],
    }
    event = NewEvent(
        ATTEMPT,
        attempt=number,
        dur_us=done.duration_ms * 1000,
        output_sha=done.output_sha256,
        exit_code=done.exit_code,
        actor=actor.name,
        actor_kind=str(actor.kind),
        data=data,
    )
    with Ledger.open(Path(report["ledger"]["path"])) as ledger:
        ledger.append(report["run"]["id"], [event])
