"""The job's state machine beside its handler: states, transitions, a diagram, and what the proof
saw of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skillrun.contract.duration import format_duration
from skillrun.frameworks.pieces import Facts, NewFile
from skillrun.runner.changes import Change
from skillrun.skills.job_worker.scaffold.render import Renderer

if TYPE_CHECKING:
    from skillrun.skills.job_worker.job_case import JobCase

SKILL = "job-worker-orchestration"
SEEN, UNSEEN = "| yes |", "| not yet |"


def find(case: JobCase) -> str | None:
    """The job's state machine, where there is one beside its handler."""
    spec, handler = case.spec, case.handler
    path = None
    if spec is not None and handler is not None:
        path = _path_of(handler.path, spec.job)
    if path is not None and case.tree.read(path) is not None:
        return path
    return None


def _path_of(handler: str, job: str) -> str:
    folder = handler.rpartition("/")[0]
    if folder:
        return f"{folder}/{job}.state-machine.md"
    return f"{job}.state-machine.md"


def state_machine(facts: Facts, render: Renderer) -> NewFile:
    """`<job>.state-machine.md` beside the handler, before any proof."""
    text = render(
        "state-machine.md.jinja",
        facts,
        rows=_rows(facts),
        assumptions=_list_assumptions(facts),
        skill=SKILL,
        lost=_describe_death(facts)[0] == "lost",
    )
    return NewFile(_path_of(facts.path, facts.job), text, marks=(UNSEEN, SEEN))


def mark_proof(case: JobCase) -> tuple[Change, str] | None:
    """The change that marks in the job's state machine which transitions the last proof has seen,
    and a line that says so.
    """
    from skillrun.skills.job_worker.proving.kept_proofs import last_report

    report, path = last_report(case), find(case)
    text = None
    if path is not None:
        text = case.tree.peek(path)
    if report is None or path is None or text is None:
        return None
    before = text.decode()
    after = marked(before, report["transitions"])
    if after == before:
        return None
    seen = len(report["transitions"])
    return Change(path, before, after), f"{path}: marked the {seen} transitions that the proof saw"


def marked(text: str, seen: Iterable[str]) -> str:
    """The file with each transition marked that a proof has seen, and with no other marked."""
    wanted = set(seen)
    lines = []
    for line in text.split("\n"):
        name = ""
        if line.startswith("|"):
            name = line.split("|")[1].strip()
        if line.endswith((SEEN, UNSEEN)):
            line = line.removesuffix(SEEN).removesuffix(UNSEEN) + (
                SEEN if name in wanted else UNSEEN
            )
        lines.append(line)
    return "\n".join(lines)


def _list_assumptions(facts: Facts) -> list[str]:
    said = []
    for effect in facts.effects:
        if effect.key_arg:
            said.append(
                f"the receiver of {effect.name} drops a repeated {effect.key_arg}"
                + (f" for {format_duration(effect.window_s)}" if effect.window_s else "")
            )
    if facts.store.kind != "receiver" and facts.store.window_s:
        said.append(
            f"what is in {facts.store.name} is kept for at least"
            f" {format_duration(facts.store.window_s)}"
        )
    return said


def _describe_death(facts: Facts) -> tuple[str, str]:
    """(state, what is done) of a job whose process dies, by its framework's facts."""
    state, done = facts.of_library.get("dies", ("queued", "the library delivers the message again"))
    return state, done


def _list_deaths(facts: Facts) -> list[tuple[str, str, str, str, str]]:
    state, done = _describe_death(facts)
    rows = [("die", "running", state, "the process dies", done)]
    if state == "queued":
        rows.append(
            (
                "redeliver",
                state,
                "running",
                "the message whose process died comes again",
                "as at the start",
            )
        )
    return rows


def _rows(facts: Facts) -> list[dict[str, Any]]:
    """The transitions in the order in which a job meets them."""
    store, keys = facts.store, " and ".join(facts.key)
    if store.kind == "receiver":
        done = "the effects have taken place"
    else:
        done = f"a row in {store.name} says so"
    kept = {
        "table": f"a row in {facts.dead_letter_where}",
        "queue": f"a message in {facts.dead_letter_where}",
        "framework": "the library's own failed jobs",
        "none": "a log line",
    }[facts.dead_letter]
    retries = facts.retries
    rows = [
        ("start", "queued", "running", "a worker takes the message", "the payload is checked"),
        ("finish", "running", "done", "the effects have taken place", done),
        ("skip", "running", "done", f"the work of this {keys} was done before", "nothing"),
        *_list_deaths(facts),
        ("refuse", "running", "dead", "the payload breaks its schema", kept),
    ]
    failing = ", ".join(error.name for error in facts.permanent) or "any error"
    if retries.bounded:
        passing = ", ".join(error.name for error in facts.transient)
        rows[2:2] = [
            (
                "retry",
                "running",
                "waiting",
                f"{passing}, and an attempt is left",
                "the next attempt is scheduled",
            ),
            (
                "again",
                "waiting",
                "running",
                "its time has come",
                f"one of {retries.max_attempts} attempts",
            ),
        ]
        failing = f"{failing}; or attempt {retries.max_attempts} failed"
    rows.append(("give-up", "running", "dead", failing, kept))
    found = []
    for row in rows:
        found.append(dict(zip(("name", "source", "target", "when", "then"), row, strict=True)))
    return found
