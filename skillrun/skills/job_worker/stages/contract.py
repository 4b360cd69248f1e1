"""Stage 2: is it written down what the job receives, promises and does?"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Finding, Grade, Severity, StageResult, status_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.cron import cron_problem
from skillrun.skills.job_worker.readings.foreign import find_language_of
from skillrun.skills.job_worker.readings.foreign_jobs import choose_example
from skillrun.skills.job_worker.readings.near_names import name_near

if TYPE_CHECKING:
    from skillrun.contract.languages import Language
    from skillrun.contract.spec import JobSpec

ID = "contract"
TITLE = "Define the job contract"
ANSWERS = wording(r"\bcontract\b|\bpayload schema\b")
READS = ("job", "intent", "trigger", "payload", "handler", "effects", "failures", "message")
COSTLY = False

_PARTS = {
    "intent": "intent: {what: ..., why_async: ...}",
    "trigger": "trigger: {type: event}   # or cron {schedule, timezone}, or poller {every}",
    "payload": "payload: a JSON Schema of the message, with examples",
    "effects": (
        "effects: each call that changes the world, with its guarantee (an empty list says there is"
        " none)"
    ),
    "failures": "failures: {transient: [...], permanent: [...], acceptable_delay: 15m}",
}
_INSIDE = {
    "intent.what": "intent.what: what the job does, in one sentence",
    "intent.why_async": "intent.why_async: why it cannot happen on the spot",
    "failures.transient": (
        "failures.transient: the errors that may pass, e.g. [TimeoutError]; [] says none"
    ),
    "failures.permanent": (
        "failures.permanent: the errors that stay, e.g. [{error}]; [] says none"
    ),
    "failures.acceptable_delay": (
        "failures.acceptable_delay: how late the job is still of use, e.g. 15m"
    ),
}
_JOBS_NAMED = 5
_DRAFTING = "skillrun spec init --from HANDLER"
# Django gives them to every model.
_OF_MODELS = ("DoesNotExist", "MultipleObjectsReturned")


def examine(case: JobCase) -> StageResult:
    """Looks whether every part of the contract is explicit, and the trigger can work with this
    framework.
    """
    spec = case.spec
    if spec is None:
        return _tell_no_spec(case)
    findings = [
        *_find_missing_parts(case, spec),
        *_judge_guarantees(case, spec),
        *_judge_trigger(case, spec),
        *_judge_payload(spec),
        *_judge_errors(case, spec),
        *case.rule_findings(ID),
    ]
    trigger = None
    if spec.trigger:
        trigger = spec.trigger.type
    grade = Grade.STATIC
    if case.language is not None:
        # Nothing of it was held against code.
        grade = Grade.DECLARED
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        next=tuple(_list_next(findings)),
        summary=_summarise(spec),
        facts={"trigger": trigger},
    )


def _tell_no_spec(case: JobCase) -> StageResult:
    """The result of the stage without a spec. It names the jobs that are there, so that one need
    not be described from nothing.
    """
    from skillrun.skills.job_worker.overview.rows import rank_jobs

    jobs = rank_jobs(case.project, case.survey_everything())
    case.survey_section("frameworks")
    if not jobs:
        hint = (
            "skillrun spec init asks for the fields; skillrun spec init --set job=NAME ... takes"
            " them"
        )
        command = spec_init_command()
        language = find_language_of(case.use)
        if language is not None:
            command = spec_init_command(language, choose_example(case, language))
        return _ask_for_spec("there is no job spec", hint, command)
    names = [job.handler.import_path for job in jobs]
    more = ""
    if len(names) > _JOBS_NAMED:
        more = f" and {len(names) - _JOBS_NAMED} more"
    count = "one job"
    if len(names) != 1:
        count = f"{len(names)} jobs"
    message = f"there is no job spec; the code has {count}: {', '.join(names[:_JOBS_NAMED])}{more}"
    hint = (
        f"skillrun jobs says what is known of them; {_DRAFTING} drafts the spec of one; skillrun"
        " prove HANDLER shows what it does under faults, without a spec"
    )
    return _ask_for_spec(message, hint, f"skillrun spec init --from {names[0]}")


def _ask_for_spec(message: str, hint: str, command: str) -> StageResult:
    """A result that blocks until there is a spec."""
    finding = blocker("contract.no-spec", message, hint=hint)
    action = Action(ID, "run", command)
    return StageResult(status_of([finding]), None, (finding,), next=(action,))


def spec_init_command(language: Language | None = None, name: str = "") -> str:
    """A command that writes a first spec, ready to be filled in; `name` is that of the handler in
    its language.
    """
    handler = "--set handler=package.module:function"
    if language is not None:
        handler = f"--set language={language.id} --set handler='{name or language.handler}'"
    return (
        "skillrun spec init --set job=send-receipt --set intent.what='what it does' "
        "--set intent.why_async='why it waits' --set trigger.type=event "
        f"{handler} --set idempotency.strategy=unknown"
    )


def _find_missing_parts(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A blocker for each part of the contract that the spec leaves out."""
    for part, how in _PARTS.items():
        if spec.raw.get(part) is None:
            yield blocker(
                f"contract.no-{part}", f"{part} is not given", hint=how, **_place_of(spec)
            )
    error_name = "shop.mailer:BadAddress"
    if case.language is not None:
        error_name = case.language.error
    for name, said in _INSIDE.items():
        how = said.replace("{error}", error_name)
        part, _, inner = name.partition(".")
        if spec.raw.get(part) is not None and spec.raw[part].get(inner) is None:
            yield blocker(
                f"contract.no-{inner.replace('_', '-')}",
                f"{name} is not given",
                hint=how,
                **_place_of(spec, part),
            )


def _judge_guarantees(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A blocker for each effect that promises nothing, names no adapter, or gives no reason for a
    weak promise.
    """
    for number, effect in enumerate(spec.effects or ()):
        place = _place_of(spec, "effects", number)
        if effect.guarantee is None:
            hint = (
                f"effects.{number}.guarantee: keyed, transactional, convergent, at_least_once or"
                " at_most_once"
            )
            yield blocker(
                "contract.no-guarantee",
                f"effect {effect.name} promises nothing",
                hint=hint,
                **place,
            )
        if effect.call is None:
            hint = f"effects.{number}.call: import path of the adapter, e.g. shop.mailer:send"
            if case.language is not None:
                hint = f"effects.{number}.call: the adapter, e.g. {case.language.adapter}"
            yield blocker(
                "contract.no-call", f"effect {effect.name} names no adapter", hint=hint, **place
            )
        if effect.guarantee in ("at_least_once", "at_most_once") and not effect.reason:
            hint = f"effects.{number}.reason: why that is good enough, in one sentence"
            yield blocker(
                "contract.no-reason",
                f"effect {effect.name} is only {effect.guarantee}",
                hint=hint,
                **place,
            )


def _judge_trigger(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """What is wrong with a cron trigger: its schedule, its time zone, or that nothing here would
    start it.
    """
    trigger = spec.trigger
    if trigger is None or trigger.type != "cron":
        return
    at = _place_of(spec, "trigger")
    problem = None
    if trigger.schedule:
        problem = cron_problem(trigger.schedule)
    if not trigger.schedule:
        hint = 'trigger: {type: cron, schedule: "*/5 * * * *", timezone: UTC}'
        yield blocker("contract.no-schedule", "a cron trigger without a schedule", hint=hint, **at)
    elif problem:
        message = f"trigger.schedule: {trigger.schedule!r} is no cron expression: {problem}"
        hint = 'minute hour day month weekday, e.g. "30 2 * * *"'
        yield error(
            "contract.bad-schedule", message, hint=hint, **_place_of(spec, "trigger", "schedule")
        )
    if not trigger.timezone:
        hint = "trigger.timezone: UTC"
        yield note(
            "contract.no-timezone",
            "in which time zone the schedule is meant is not said",
            hint=hint,
            **at,
        )
    use = case.use
    if use is None or use.scheduler is not None or case.language is not None:
        return
    if not any(send.kind == "schedule" for send in case.wiring):
        hint = (
            f"configure {use.id}'s scheduler (for celery: beat), or name one in REPO_PROFILE.json"
            " jobs.scheduler"
        )
        message = f"the trigger is cron, and no scheduler of {use.id} is in use here"
        yield blocker("contract.no-scheduler", message, hint=hint, **at)


def _judge_payload(spec: JobSpec) -> Iterator[Finding]:
    """A finding where the payload has no example, no fields, or what JSON cannot carry."""
    payload = spec.payload
    if payload is None:
        return
    if not payload.get("examples"):
        hint = "payload.examples: the first is the proof's message, the others are distinct jobs"
        yield blocker(
            "contract.no-example", "payload has no example", hint=hint, **_place_of(spec, "payload")
        )
    if payload.get("type") != "object":
        hint = "payload: {type: object, properties: {...}}; every broker can carry a JSON object"
        message = "the payload is not an object, so it has no fields to make a key of"
        yield error("contract.payload-not-object", message, hint=hint, **_place_of(spec, "payload"))
    elif not payload.get("properties"):
        hint = (
            "payload.properties: {order_id: {type: integer}, ...}; {} is right only for a job"
            " without a message"
        )
        # Then somebody has said that there are none.
        has_none = payload.get("properties") == {} or payload.get("additionalProperties") is False
        make = blocker
        if has_none:
            make = note
        yield make(
            "contract.no-fields",
            "the payload names no fields",
            hint=hint,
            **_place_of(spec, "payload"),
        )
    if not _is_json(payload.get("examples")):
        hint = "use text, whole numbers, true, false, lists and objects; a moment as text"
        message = "a payload example cannot be carried as JSON"
        yield error(
            "contract.payload-not-json",
            message,
            hint=hint,
            **_place_of(spec, "payload", "examples"),
        )


def _is_json(value: object) -> bool:
    """Whether it is plain JSON: no NaN, no infinity, nothing but its own types."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _judge_errors(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A finding for each error that does not exist, or is both transient and permanent.

    One class may be both where its arguments differ: HTTP 503, and 404.
    """
    failures = spec.failures
    if failures is None:
        return
    for kind, errors in (
        ("transient", failures.transient),
        ("permanent", failures.permanent),
        ("success", failures.success),
    ):
        for number, listed in enumerate(errors):
            name = listed.type
            place = _place_of(spec, "failures", kind, number)
            if not _may_exist(case, name):
                hint = "correct the import path, or write the class first"
                hint = name_near(case.project, name, hint)
                yield blocker(
                    "contract.no-such-error", f"the error {name} does not exist", hint=hint, **place
                )
            elif kind == "permanent" and listed in failures.transient:
                message = f"{name} is both transient and permanent"
                yield error(
                    "contract.error-in-both", message, hint="say once which of them it is", **place
                )


def _may_exist(case: JobCase, name: str) -> bool:
    """Whether an error may exist. False only where that can be told: there is no built-in of that
    name, or a file of the repository lacks it.
    """
    if case.language is not None:
        return True
    module_name, _, attribute = name.partition(":")
    if not attribute:
        return hasattr(builtins, name) or "." in name
    path = case.project.locate(module_name)
    module = None
    if path:
        module = case.project.module(path)
    if module is None:
        return True
    owner, _, last = name.rpartition(".")
    if last in _OF_MODELS and ":" in owner:
        name = owner
    return case.project.lookup(name) is not None or bool(module.stars)


def _place_of(spec: JobSpec, *path: str | int) -> dict[str, Any]:
    """The place of a part of the spec."""
    return {"path": spec.shown_path, "line": spec.line(*path)}


def _summarise(spec: JobSpec) -> str:
    """One line: `event; send keyed, note at_least_once`."""
    trigger: str | None = "no trigger"
    if spec.trigger:
        trigger = spec.trigger.type
    effects = [f"{effect.name} {effect.guarantee}" for effect in spec.effects or ()]
    return f"{trigger}; {', '.join(effects) or 'no effects'}"


def _list_next(findings: Iterable[Finding]) -> Iterator[Action]:
    """A step for each blocker: to write into the spec what its hint says."""
    for finding in findings:
        if finding.hint and finding.severity == Severity.BLOCKER:
            yield Action(ID, "edit-spec", finding.hint)
