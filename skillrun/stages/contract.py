"""Stage 2: is it written down what the job receives, promises and does?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.stages.interface import Case, blocker, error, wording
from skillrun.verdict import Action, Finding, Grade, Severity, StageResult, status_of

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec

ID = "contract"
TITLE = "Define the job contract"
ANSWERS = wording(r"\bcontract\b|\bpayload schema\b")
READS = ("job", "intent", "trigger", "payload", "effects", "failures", "message")
COSTLY = False

_PARTS = {
    "intent": "intent: {what: ..., why_async: ...}",
    "trigger": "trigger: {type: event}   # or cron {schedule, timezone}, or poller {every}",
    "payload": "payload: a JSON Schema of the message, with examples",
    "effects": "effects: each call that changes the world, with its guarantee (an empty list says there is none)",
    "failures": "failures: {transient: [...], permanent: [...], acceptable_delay: 15m}",
}
_CRON_FIELD = re.compile(r"[\d*/,\-A-Za-z#?LW]+")


def examine(case: Case) -> StageResult:
    """Every part of the contract is explicit, and the trigger can work with this framework."""
    spec = case.spec
    if spec is None:
        return _no_spec()
    findings = [*_missing_parts(spec), *_guarantees(spec), *_trigger(case, spec), *_payload(spec)]
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC,
        findings=tuple(findings),
        next=tuple(Action(ID, "edit-spec", f.hint) for f in findings if f.hint and f.severity == Severity.BLOCKER),
        summary=_summary(spec),
        facts={"trigger": spec.trigger.type if spec.trigger else None},
    )


def _no_spec() -> StageResult:
    hint = "skillrun spec init asks for the fields; skillrun spec init --set job=NAME ... takes them"
    finding = blocker("contract.no-spec", "there is no job spec", hint=hint)
    return StageResult(status_of([finding]), None, (finding,), next=(Action(ID, "run", spec_init_command()),))


def spec_init_command() -> str:
    """A command that writes a first spec, ready to be filled in."""
    return (
        "skillrun spec init --set job=send-receipt --set intent.what='what it does' --set intent.why_async='why it waits' "
        "--set trigger.type=event --set handler=package.module:function --set idempotency.strategy=unknown"
    )


def _missing_parts(spec: JobSpec) -> Iterator[Finding]:
    for part, how in _PARTS.items():
        if spec.raw.get(part) is None:
            yield blocker(f"contract.no-{part}", f"{part} is not given", hint=how, **_at(spec))


def _guarantees(spec: JobSpec) -> Iterator[Finding]:
    for number, effect in enumerate(spec.effects or ()):
        place = _at(spec, "effects", number)
        if effect.guarantee is None:
            hint = f"effects.{number}.guarantee: keyed, transactional, at_least_once or at_most_once"
            yield blocker("contract.no-guarantee", f"effect {effect.name} promises nothing", hint=hint, **place)
        if effect.call is None:
            hint = f"effects.{number}.call: import path of the adapter, e.g. shop.mailer:send"
            yield blocker("contract.no-call", f"effect {effect.name} names no adapter", hint=hint, **place)
        if effect.guarantee in ("at_least_once", "at_most_once") and not effect.reason:
            hint = f"effects.{number}.reason: why that is good enough, in one sentence"
            yield blocker("contract.no-reason", f"effect {effect.name} is only {effect.guarantee}", hint=hint, **place)


def _trigger(case: Case, spec: JobSpec) -> Iterator[Finding]:
    trigger = spec.trigger
    if trigger is None or trigger.type != "cron":
        return
    if not trigger.schedule:
        hint = 'trigger: {type: cron, schedule: "*/5 * * * *", timezone: UTC}'
        yield blocker("contract.no-schedule", "a cron trigger without a schedule", hint=hint, **_at(spec, "trigger"))
    elif not is_cron(trigger.schedule):
        message = f"trigger.schedule: {trigger.schedule!r} is not a cron expression of five fields"
        yield error("contract.bad-schedule", message, hint='e.g. "30 2 * * *"', **_at(spec, "trigger", "schedule"))
    use = case.use
    if use is not None and use.scheduler is None and not any(w.kind == "schedule" for w in case.wiring):
        hint = f"configure {use.id}'s scheduler (for celery: beat), or name one in REPO_PROFILE.json jobs.scheduler"
        message = f"the trigger is cron, and no scheduler of {use.id} is in use here"
        yield blocker("contract.no-scheduler", message, hint=hint, **_at(spec, "trigger"))


def is_cron(text: str) -> bool:
    """Five fields (or one of the @names) made of the characters that cron knows."""
    if text in ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"):
        return True
    fields = text.split()
    return len(fields) == 5 and all(_CRON_FIELD.fullmatch(field) for field in fields)


def _payload(spec: JobSpec) -> Iterator[Finding]:
    payload = spec.payload
    if payload is None:
        return
    if not payload.get("examples"):
        hint = "payload.examples: the first is the proof's message, the others are distinct jobs"
        yield blocker("contract.no-example", "payload has no example", hint=hint, **_at(spec, "payload"))
    if payload.get("type") != "object":
        hint = "payload: {type: object, properties: {...}}; every broker can carry a JSON object"
        message = "the payload is not an object, so it has no fields to make a key of"
        yield error("contract.payload-not-object", message, hint=hint, **_at(spec, "payload"))


def _at(spec: JobSpec, *path: str | int) -> dict[str, object]:
    return {"path": spec.shown_path, "line": spec.line(*path)}


def _summary(spec: JobSpec) -> str:
    effects = ", ".join(f"{e.name} {e.guarantee}" for e in spec.effects or ()) or "no effects"
    return f"{spec.trigger.type if spec.trigger else 'no trigger'}; {effects}"
