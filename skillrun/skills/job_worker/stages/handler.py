"""Stage 4: the handler exists, the framework knows it, something enqueues it, and it only
orchestrates.
"""

from __future__ import annotations

import ast
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import (
    Action,
    Evidence,
    Finding,
    Grade,
    Severity,
    StageResult,
    list_edits,
    status_of,
)
from skillrun.repo.syntax import find_names
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note, warning
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.effects import (
    DOMAIN,
    adapter_is_missing,
    effect_calls,
    undeclared,
)
from skillrun.skills.job_worker.readings.foreign import attest_stage, judge_handler
from skillrun.skills.job_worker.readings.near_names import name_near
from skillrun.skills.job_worker.readings.senders import find_unread_sender
from skillrun.skills.job_worker.readings.signature import signature_findings
from skillrun.skills.job_worker.readings.unread import ask_proof, unread

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.contract.spec import JobSpec
    from skillrun.frameworks.common.unfollowed import Unfollowed
    from skillrun.frameworks.interface import Send
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.repo.uses import Place

ID = "handler"
TITLE = "Implement handler as orchestrator"
ANSWERS = wording(r"\bhandler\b")
READS = ("handler", "effects", "trigger", "enqueue", "message", "payload")
COSTLY = False

# What sends the job is no question to a proof that delivers it.
WIRING_NOT_READ = "handler.wiring.not-read"

# Above these a handler decides things itself. Measured on the example shop and on public Celery
# handlers: an orchestrator with its error handling stays below.
_MANY_BRANCHES = 12
_MANY_STATEMENTS = 60
_DECIDING = ast.If | ast.For | ast.While | ast.IfExp | ast.Match
_LOOPS = ast.For | ast.AsyncFor | ast.While | ast.ListComp | ast.SetComp | ast.GeneratorExp
# How many places are shown as evidence, and how many modules with tasks in a hint.
_PLACES_SHOWN = 10
_MODULES_NAMED = 5


def examine(case: JobCase) -> StageResult:
    """Looks whether the handler is there, is registered and published, calls its effects, and does
    nothing that belongs elsewhere.
    """
    spec = case.spec
    if case.language is not None and spec is not None and spec.handler is not None:
        return attest_stage(case, case.language, ID, judge_handler(case, case.language))
    if (blind := unread(case, ID)) is not None:
        return blind
    if spec is None or spec.handler is None:
        return _tell_not_named(case, spec)
    handler = case.handler
    if handler is None:
        return _tell_not_found(case, spec, spec.handler)
    findings = [
        *_check_registration(case, handler),
        *_check_wiring(case, spec),
        *_check_enqueuer(case, spec),
        *signature_findings(case, spec, handler),
        *_check_declared_effects(case, spec, handler),
        *_find_undeclared_effects(case, spec, handler),
        *_find_stub_adapters(case, spec),
        *_find_stub_sources(case, spec, handler),
        *_find_effects_in_loops(case, spec, handler),
        *_check_thinness(handler),
        *case.rule_findings(ID),
    ]
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC,
        findings=tuple(findings),
        evidence=_list_evidence(case, handler),
        next=list_edits(ID, findings),
        summary=f"{handler.path}:{handler.line}, {_word_wiring(case)}",
        facts={"handler": spec.handler, "path": handler.path, "line": handler.line},
    )


def _tell_not_named(case: JobCase, spec: JobSpec | None) -> StageResult:
    """The result of the stage where the spec names no handler."""
    place = {}
    if spec:
        place = {"path": spec.shown_path, "line": spec.line()}
    hint = "handler: package.module:function"
    if case.language is not None:
        hint = f"handler: {case.language.handler}"
    finding = blocker("handler.not-named", "the spec names no handler", hint=hint, **place)
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(ID, "edit-spec", hint),),
        summary="not named",
    )


def _tell_not_found(case: JobCase, spec: JobSpec, name: str) -> StageResult:
    """The result of the stage where there is no such handler. It says how far the import path
    leads, and which tasks there are.
    """
    module, _, function = name.partition(":")
    path = case.project.locate(module)
    if path in case.project.broken:
        return _tell_unreadable(case, path)
    where = f"no module {module} in this repository"
    if path:
        where = f"{path} has no {function}"
    hint = name_near(case.project, name, "write it, or correct handler: in the spec")
    if path is None and case.use and case.use.task_modules:
        hint += f"; tasks live in {', '.join(case.use.task_modules[:_MODULES_NAMED])}"
    finding = blocker(
        "handler.not-found",
        f"handler {name} does not exist: {where}",
        hint=hint,
        path=spec.shown_path,
        line=spec.line("handler"),
    )
    action = Action(
        ID, "edit-code", f"create {name}: a thin function that calls the adapters of the spec"
    )
    return StageResult(status_of([finding]), None, (finding,), next=(action,), summary="not found")


def _tell_unreadable(case: JobCase, path: str) -> StageResult:
    """The result of the stage where the module cannot be parsed: the handler may well be in it."""
    reason = case.project.broken[path]
    hint = (
        "mend it, or run skillrun on the Python that the code is written for (this is"
        f" {platform.python_version()})"
    )
    # The reason begins with the place: "shop/tasks.py:7: invalid syntax".
    line = int(reason.split(":")[1])
    finding = blocker(
        "handler.unreadable",
        f"the handler's module cannot be read: {reason}",
        hint=hint,
        path=path,
        line=line,
    )
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(ID, "edit-code", hint),),
        summary="not readable",
    )


def _check_registration(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """A blocker where the framework does not know the handler; a question where something around it
    was not followed, which may register it.
    """
    use, framework = case.use, case.framework
    if use is None or framework is None:
        return
    if framework.find_registration(case.project, use, handler) is not None:
        return
    for unfollowed in case.unfollowed[:1]:
        question = f"whether {handler.name} is registered with {framework.TITLE}"
        yield ask_proof(ID, question, unfollowed)
        return
    message = f"{handler.name} is not registered with {framework.TITLE}: a worker would not know it"
    hint = f"make it a {framework.TITLE} task"
    where = {"path": handler.path, "line": handler.line}
    yield blocker("handler.not-registered", message, hint=hint, **where)


def _check_wiring(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A finding where nothing outside the tests publishes the job, or schedules it although the
    trigger is a cron or a poller.
    """
    if case.framework is None or case.handler is None:
        return
    sends = _list_real_sends(case)
    if not sends:
        yield _tell_unwired(case, spec, case.handler)
        return
    kinds = {send.kind for send in sends}
    trigger = None
    if spec.trigger:
        trigger = spec.trigger.type
    at = {"path": sends[0].place.path, "line": sends[0].place.line}
    if trigger in ("cron", "poller") and "schedule" not in kinds:
        # A poller may go on by itself.
        make = warning
        if trigger == "cron":
            make = error
        message = f"the trigger is {trigger}, and the handler is only enqueued, never scheduled"
        hint = "add the schedule entry, or correct trigger.type"
        yield make("handler.not-scheduled", message, hint=hint, **at)
    elif trigger == "event" and "enqueue" not in kinds:
        message = "the trigger is event, and the handler is only scheduled, never enqueued"
        hint = "add the call that enqueues it, or correct trigger.type"
        yield error("handler.not-enqueued", message, hint=hint, **at)


def _list_real_sends(case: JobCase) -> list[Send]:
    """The places outside of the tests that publish or schedule the job."""
    return [send for send in case.wiring if not send.in_tests]


def _tell_unwired(case: JobCase, spec: JobSpec, handler: Definition) -> Finding:
    """A blocker that says that nothing publishes the job; a question where something may."""
    sender = find_unread_sender(case, handler)
    if sender is not None:
        return _tell_unread_sender(spec, sender)
    in_tests = ""
    if case.wiring:
        in_tests = " outside the tests"
    message = f"nothing{in_tests} enqueues or schedules the handler, as far as can be read"
    trigger = None
    if spec.trigger:
        trigger = spec.trigger.type
    hint = _how_to_wire(case, trigger)
    at = {"path": handler.path, "line": handler.line}
    return blocker("handler.not-wired", message, hint=hint, **at)


def _tell_unread_sender(spec: JobSpec, sender: Unfollowed) -> Finding:
    """A question for a sender that may publish the job and was not followed. Where the spec names
    the call that enqueues it, the proof goes through that and answers it.
    """
    question = "whether anything enqueues the handler"
    if spec.enqueue is not None:
        return ask_proof(ID, question, sender)
    place = {"path": sender.place.path, "line": sender.place.line}
    hint = (
        "name the call in the spec, and the proof goes through it: enqueue: {call: module:function}"
    )
    return note(WIRING_NOT_READ, f"not read: {question}: {sender.because}", hint=hint, **place)


def _how_to_wire(case: JobCase, trigger: str | None) -> str:
    """The hint for a job that nothing publishes."""
    if trigger not in ("cron", "poller"):
        return (
            "add the call that enqueues it; the proof can be given enqueue: {call: ...} in the spec"
        )
    use = case.use
    scheduler = ""
    if use is not None and use.scheduler:
        scheduler = f" for {use.scheduler}"
    return (
        f"add a schedule entry{scheduler}; rows that exist only in a database cannot be read: ship"
        " them as a fixture"
    )


def _check_enqueuer(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A finding where the call that enqueues the job, as the spec names it, does not exist, or does
    not lead to a place that publishes the job.
    """
    if spec.enqueue is None or case.handler is None:
        return
    at = {"path": spec.shown_path, "line": spec.line("enqueue")}
    caller = case.project.find(spec.enqueue.call)
    if caller is None:
        message = f"enqueue.call {spec.enqueue.call} does not exist"
        hint = name_near(case.project, spec.enqueue.call, "write it, or correct the import path")
        yield blocker("handler.no-enqueuer", message, hint=hint, **at)
        return
    if not _publishes_job(case, caller):
        message = f"{spec.enqueue.call} does not publish the job, as far as can be read"
        yield warning(
            "handler.enqueuer-not-read", message, hint="name the function that enqueues it", **at
        )


def _publishes_job(case: JobCase, caller: Definition) -> bool:
    """Whether a place that publishes it stands in the function, or in one that it calls."""
    names: set[str] = set()
    for call in case.project.calls(caller, depth=3):
        names.update(call.via)
    parts = [caller]
    for name in names:
        part = case.project.definition(name)
        if part is not None:
            parts.append(part)
    return any(_holds_place(part, wiring.place) for part in parts for wiring in case.wiring)


def _holds_place(part: Definition, place: Place) -> bool:
    """Whether a place lies within a function."""
    last_line = part.node.end_lineno or part.line
    return part.path == place.path and part.line <= place.line <= last_line


def _check_declared_effects(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """A finding for each effect whose adapter is not there, or is never called by the handler."""
    for number, effect in enumerate(spec.effects or ()):
        # A handler may well call what is not there: it fails as it runs.
        is_missing = bool(effect.call) and adapter_is_missing(case, effect)
        if not effect.call or (effect_calls(case, handler, effect) and not is_missing):
            continue
        at = {"path": spec.shown_path, "line": spec.line("effects", number)}
        if is_missing:
            hint = (
                "write the adapter (skill backend/integration-adapter), or correct the import path"
            )
            hint = name_near(case.project, effect.call, hint)
            yield blocker(
                "handler.no-adapter",
                f"adapter {effect.call} does not exist",
                hint=hint,
                recommends="backend/integration-adapter",
                **at,
            )
        else:
            yield warning(
                "handler.effect-not-reached",
                f"the handler never calls {effect.call}, as far as can be read from the code",
                hint="the proof will say whether it is reached",
                **at,
            )


def _find_stub_adapters(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A warning for each adapter that nobody has filled in: a proof and tests replace it, so they
    cannot notice.
    """
    for effect in spec.effects or ():
        adapter = None
        if effect.call:
            adapter = case.project.find(effect.call)
        if adapter is None or adapter.is_class or not _is_unwritten(adapter.node.body[-1]):
            continue
        message = f"{effect.call} is still a stub: it raises NotImplementedError"
        hint = "fill it in: the proof and the tests replace it, so only production would notice"
        yield warning(
            "handler.stub-adapter", message, hint=hint, path=adapter.path, line=adapter.line
        )


def _find_stub_sources(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """A warning for each function that nobody has filled in, and that whoever starts the job asks
    what is due.
    """
    names = [handler.dotted]
    if spec.enqueue:
        names.append(spec.enqueue.call)
    adapters = set()
    for effect in spec.effects or ():
        if effect.call:
            adapters.add(effect.call.replace(":", "."))
    for name in sorted(_list_asked(case, names) - adapters):
        source = case.project.definition(name)
        if source is None or source.is_class or not _is_unwritten(source.node.body[-1]):
            continue
        message = (
            f"{source.dotted} is still a stub: it raises NotImplementedError, so nothing is"
            " ever due"
        )
        hint = "fill it in: it says what is due, and the proof brings payloads of its own"
        yield warning("handler.stub-source", message, hint=hint, path=source.path, line=source.line)


def _list_asked(case: JobCase, names: list[str]) -> set[str]:
    """The names of what is called by the functions that use one of these names."""
    owners = {}
    for name in names:
        for use in case.project.uses(name):
            function = use.module.function_of(use.node)
            if function is not None:
                owners[use.path, function.name] = case.project.define(use.module, function)
    asked: set[str] = set()
    for owner in owners.values():
        asked |= {call.name for call in case.project.calls(owner, depth=0) if call.resolved}
    return asked


def _is_unwritten(last: ast.stmt) -> bool:
    """Whether a function whose last statement this is raises NotImplementedError at its end."""
    if not isinstance(last, ast.Raise):
        return False
    raised = last.exc
    if isinstance(raised, ast.Call):
        raised = raised.func
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _find_undeclared_effects(
    case: JobCase, spec: JobSpec, handler: Definition
) -> Iterator[Finding]:
    """An error for each call of the handler that changes something outside and is no effect of the
    spec; a warning where it only reads, or is SQL of its own.
    """
    for effect in undeclared(case, spec, handler):
        call = effect.call
        severity = Severity.WARNING
        if not effect.writes:
            what = f"{effect.kind} read outside an adapter"
        elif effect.kind == "sql":
            what = "SQL in the handler itself"
        else:
            severity = Severity.ERROR
            what = f"undeclared effect ({effect.kind})"
        hint = f"declare it under effects, behind an adapter of its own (skill {effect.recommends})"
        yield Finding(
            "handler.undeclared-effect",
            severity,
            f"{what}: {call.name}",
            call.path,
            call.line,
            hint,
            effect.recommends,
        )


def _find_effects_in_loops(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """A warning for each effect that takes place for several items in one job: the next attempt
    begins with the first again.
    """
    for effect in spec.effects or ():
        call = _find_call_in_loop(case, handler, effect)
        if call is None or _tries_again(call):
            continue
        message = (
            f"effect {effect.name} runs in a loop: a retry repeats those that succeeded, as far as"
            " can be read"
        )
        hint = (
            "one job for each item, or a key that differs per item and stays the same in every"
            " attempt"
        )
        yield warning("handler.effect-in-loop", message, hint=hint, path=call.path, line=call.line)


def _find_call_in_loop(case: JobCase, handler: Definition, effect: Effect) -> Call | None:
    """The first call of an effect that stands in a loop, with a key that is the same in each turn
    or with none.
    """
    for call in effect_calls(case, handler, effect):
        if call.in_loop and not _has_key_for_each_turn(call, effect.key_arg):
            return call
    return None


def _has_key_for_each_turn(call: Call, key_arg: str | None) -> bool:
    """Whether the effect's key names what the loop goes over, or what the function around it was
    given.
    """
    key = None
    if key_arg:
        key = call.argument(None, key_arg)
    if key is None:
        return False
    varies = _find_loop(call)
    if varies is None:
        varies = getattr(call.module.function_of(call.node), "args", None)
    if varies is None:
        return False
    return not find_names(key).isdisjoint(_list_set_names(varies))


def _list_set_names(node: ast.AST) -> Iterator[str]:
    """The names that a loop sets in each turn, or a function's parameters."""
    for child in ast.walk(node):
        if isinstance(child, ast.arg):
            yield child.arg
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id


def _find_loop(call: Call) -> ast.AST | None:
    """The innermost loop around a call, within the function that it stands in."""
    for above in call.module.parents(call.node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return None
        if isinstance(above, _LOOPS):
            return above
    return None


def _tries_again(call: Call) -> bool:
    """Whether the loop around a call tries one effect until it succeeds:
    `for attempt in range(3): try: ...; break`.
    """
    loop = _find_loop(call)
    if not isinstance(loop, ast.For | ast.While) or not call.in_try:
        return False
    if isinstance(loop, ast.For) and "range(" not in ast.unparse(loop.iter):
        return False
    return any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(loop))


def _check_thinness(handler: Definition) -> Iterator[Finding]:
    """A warning where the handler decides so much that it is more than an orchestrator."""
    branches = sum(isinstance(node, _DECIDING) for node in ast.walk(handler.node))
    statements = sum(isinstance(node, ast.stmt) for node in ast.walk(handler.node))
    if branches > _MANY_BRANCHES or statements > _MANY_STATEMENTS:
        message = f"the handler is not thin: {statements} statements, {branches} branches"
        yield Finding(
            "handler.not-thin",
            Severity.WARNING,
            message,
            handler.path,
            handler.line,
            "move what decides into a domain module",
            DOMAIN,
        )


def _list_evidence(case: JobCase, handler: Definition) -> tuple[Evidence, ...]:
    """The handler, and the places that publish it."""
    places = [(handler.path, handler.line, "handler")]
    for send in _list_real_sends(case):
        places.append((send.place.path, send.place.line, send.how))
    evidence = []
    for path, line, what in places[:_PLACES_SHOWN]:
        digest, size = case.tree.sha256(path) or "", case.tree.size(path)
        evidence.append(Evidence("file", path, digest, size, line, {"what": what}))
    return tuple(evidence)


def _word_wiring(case: JobCase) -> str:
    """`enqueued at shop/orders.py:12 and 2 more`."""
    sends = _list_real_sends(case)
    if not sends:
        return "not wired"
    more = ""
    if len(sends) > 1:
        more = f" and {len(sends) - 1} more"
    return f"{sends[0].kind}d at {sends[0].place.path}:{sends[0].place.line}{more}"
