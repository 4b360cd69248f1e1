"""Stage 5: does the code retry what the spec says, as often as it says, and never for ever?"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Finding, Grade, Severity, StageResult, status_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.unfollowed import Unfollowed, is_foreign
from skillrun.repo.source import last_word
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note, warning
from skillrun.skills.job_worker.stages.effects import dotted, handler_calls
from skillrun.skills.job_worker.stages.horizon import duration
from skillrun.skills.job_worker.stages.interface import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.stages.unread import ask_proof, unread

if TYPE_CHECKING:
    from skillrun.contract.job import BackoffSpec, JobSpec, Retry
    from skillrun.frameworks.interface import (
        Policy,
    )
    from skillrun.repo.uses import Place

ID = "retry"
TITLE = "Define retry policy"
ANSWERS = wording(r"\bretr(y|ies)\b.*\bpolicy\b|\bbackoff\b|\bretry\b")
READS = PROOF_PARTS
COSTLY = False

_UNSAFE = (
    "where no safe policy is known, write retry: {kind: none, reason: ...} and take the retry out"
    " of the code"
)


def examine(case: JobCase) -> StageResult:
    """The effective policy equals the spec, is bounded, grows, is capped, and fits the acceptable
    delay.
    """
    spec, policy = case.spec, case.policy
    retry = None
    if spec:
        retry = spec.retry
    if spec is None or retry is None:
        return _undefined(spec)
    if (blind := unread(case, ID)) is not None:
        return blind
    findings = [*_declared(spec, retry)]
    if policy is not None:
        compared = [
            *_unread(policy),
            *_compare(spec, retry, policy),
            *_classification(case, spec, policy),
        ]
        compared = [_at_least_at_handler(case, finding) for finding in compared]
        findings += _doubt(case, compared)
    elif case.handler is None:
        findings.append(
            blocker(
                "retry.no-handler",
                "no handler to compare with yet",
                hint="the stage handler comes first",
            )
        )
    findings += case.rule_findings(ID)
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC if policy is not None and not policy.unknown else Grade.DECLARED,
        findings=tuple(findings),
        next=_next(findings),
        summary=_summary(policy) if policy else "not in the code yet",
        facts={"retries": "none" if retry.kind == "none" else "bounded"},
    )


def _doubt(case: JobCase, compared: Sequence[Finding]) -> list[Finding]:
    """Where something around the handler, or in its clauses, is not understood, the policy that was
    read is not the whole one: what differs is a question, once.
    """
    wrong = [finding for finding in compared if finding.severity == Severity.ERROR]
    unfollowed = case.unfollowed or find_next_tick(case) or find_unread_retries(case)
    if not wrong or not unfollowed:
        return list(compared)
    question = f"whether the code retries as the spec says ({wrong[0].message})"
    sure = [finding for finding in compared if finding not in wrong]
    return [*sure, ask_proof(ID, question, unfollowed[0])]


def find_next_tick(case: JobCase) -> tuple[Unfollowed, ...]:
    """A poller tries again by leaving a piece of work where its next tick finds it."""
    trigger = None
    if case.spec:
        trigger = case.spec.trigger
    if case.handler is None or trigger is None or trigger.type != "poller":
        return ()
    because = "the next tick of a poller takes what the last one left"
    return (Unfollowed(because, place_of(case.handler.module, case.handler.node)),)


def find_unread_retries(case: JobCase) -> tuple[Unfollowed, ...]:
    """Calls in the handler's clauses that may try again: of an installed package, and raised,
    returned, or given the task itself.
    """
    if case.handler is None:
        return ()
    read: Collection[str] = ()
    if case.framework:
        read = case.framework.FEATURES.read_retries
    found = []
    for call in handler_calls(case, case.handler):
        if call.in_except is None or not call.resolved or call.name in read:
            continue
        if is_foreign(case.project, call.origin):
            above = next(call.module.parents(call.node), None)
            given = {last_word(argument) for argument in call.node.args}
            if isinstance(above, ast.Raise | ast.Return) or "self" in given:
                because = f"{call.name} is not of this repository"
                found.append(Unfollowed(because, place_of(call.module, call.node)))
    return tuple(found)


def _at_least_at_handler(case: JobCase, finding: Finding) -> Finding:
    """What rests on the library's default has no line of its own: the decorator's is the one to
    look at.
    """
    if finding.path is not None or case.handler is None:
        return finding
    use, framework = case.use, case.framework
    place = None
    if use and framework:
        place = framework.find_registration(case.project, use, case.handler)
    where = place or case.handler
    return replace(finding, path=where.path, line=where.line)


def _undefined(spec: JobSpec | None) -> StageResult:
    place = {}
    if spec:
        place = {"path": spec.shown_path, "line": spec.line("retry")}
    hint = (
        "retry: {max_attempts: 5, backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s,"
        " jitter: true}}"
    )
    finding = blocker("retry.undefined", "the retry policy is not defined", hint=hint, **place)
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(ID, "decide", f"{hint}; {_UNSAFE}"),),
        summary="not defined",
    )


def _declared(spec: JobSpec, retry: Retry) -> Iterator[Finding]:
    place = {"path": spec.shown_path, "line": spec.line("retry")}
    if retry.kind == "none":
        if not retry.reason:
            hint = "retry: {kind: none, reason: why one try is all that is safe}"
            yield blocker("retry.no-reason", "retry: none without a reason", hint=hint, **place)
        return
    total = sum(retry.delays())
    delay = None
    if spec.failures:
        delay = spec.failures.acceptable_delay
    if delay is not None and total > delay:
        message = (
            f"the waits add up to {duration(total)}, more than the acceptable delay"
            f" {duration(delay)}"
        )
        yield error("retry.too-slow", message, hint="fewer attempts or a smaller cap", **place)
    # A number of attempts bounds the waits as well, and the acceptable delay has judged their sum.
    is_bounded = retry.max_attempts is not None and delay is not None
    if _grows_without_cap(retry) and not is_bounded:
        yield error(
            "retry.no-cap",
            "exponential backoff without a cap",
            hint="retry.backoff.cap: 60s",
            **place,
        )
    if _never_waits(retry) and (retry.max_attempts or 1) > 1:
        hint = "retry.backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s, jitter: true}"
        yield warning(
            "retry.no-backoff", "several attempts without a wait between them", hint=hint, **place
        )


def _grows_without_cap(retry: Retry) -> bool:
    backoff = retry.backoff
    return backoff is not None and backoff.kind == "exponential" and backoff.cap is None


def _never_waits(retry: Retry) -> bool:
    return retry.backoff is None or retry.backoff.kind == "none"


def _unread(policy: Policy) -> Iterator[Finding]:
    for field, place in policy.unknown.items():
        yield note(
            "retry.unread",
            f"{field} is computed by the code and was not read: {place.text}",
            hint="the proof will measure it",
            path=place.path,
            line=place.line,
        )


def _compare(spec: JobSpec, retry: Retry, policy: Policy) -> Iterator[Finding]:
    """Spec against code, field by field; what could not be read is not compared."""
    if retry.kind == "none":
        if policy.max_attempts != 1:
            times = _times(policy.max_attempts)
            if "max_attempts" in policy.unknown:
                times = "again"
            yield _differs(
                policy, "max_attempts", f"the spec says no retry; the code tries {times}"
            )
        return
    yield from _waits(spec, policy)
    if "max_attempts" not in policy.unknown and policy.max_attempts != retry.max_attempts:
        said = (
            f"the spec says {retry.max_attempts} attempts; the code tries"
            f" {_times(policy.max_attempts)}"
        )
        yield _differs(policy, "max_attempts", said)
    if policy.max_attempts == 1 or "backoff" in policy.unknown or retry.backoff is None:
        return
    if policy.backoff.waits:
        yield from _listed(retry, policy)
        return
    yield from _compare_backoff(retry, retry.backoff, policy)


def _compare_backoff(retry: Retry, backoff: BackoffSpec, policy: Policy) -> Iterator[Finding]:
    """The kind, then its numbers."""
    code = policy.backoff
    if backoff.kind == "linear" or backoff.first is not None:
        # No library's options say so: the proof measures the waits.
        return
    if backoff.kind != code.kind:
        yield _differs(
            policy,
            "backoff",
            f"the spec says {backoff.kind} backoff; the code has {_backoff(policy)}",
        )
        return
    for field, (wanted, seen) in _list_compared(retry, backoff, policy).items():
        if f"backoff.{field}" not in policy.unknown and wanted is not None and wanted != seen:
            words = "none"
            if seen is not None:
                words = _number(field, seen)
            message = (
                f"backoff.{field}: the spec says {_number(field, wanted)}; the code has {words}"
            )
            yield _differs(policy, "backoff", message)
    if backoff.kind != "exponential" or "backoff.jitter" in policy.unknown:
        return
    if backoff.jitter != code.jitter:
        have = "lacks"
        if code.jitter:
            have = "has"
        yield _differs(
            policy,
            "backoff",
            f"the spec says jitter: {str(backoff.jitter).lower()}; the code {have} it",
        )


def _list_compared(
    retry: Retry, backoff: BackoffSpec, policy: Policy
) -> dict[str, tuple[float | None, float | None]]:
    """Number -> (as the spec says, as the code has it), of those that have to agree."""
    code = policy.backoff
    compared: dict[str, tuple[float | None, float | None]] = {"base": (backoff.base, code.base_s)}
    if backoff.kind == "exponential":
        compared |= {"factor": (backoff.factor, code.factor), "cap": (backoff.cap, code.cap_s)}
    if code.cap_s is None and policy.max_attempts is not None and _never_capped(policy, retry):
        compared.pop("cap", None)
    # The spec's jitter shortens a wait. Of a library whose jitter lengthens it, an author names
    # the shortest or the longest.
    if backoff.base is not None and backoff.base == code.base_s * code.spread:
        compared.pop("base")
    return compared


def _never_capped(policy: Policy, retry: Retry) -> bool:
    """The code's waits end before they reach the spec's cap (Huey knows none): a cap would change
    nothing.
    """
    cap = None
    if retry.backoff:
        cap = retry.backoff.cap
    longest = max(policy.backoff.delays((policy.max_attempts or 1) - 1), default=0.0)
    return cap is not None and longest <= cap


def _listed(retry: Retry, policy: Policy) -> Iterator[Finding]:
    """Waits that the code writes out one by one are compared one by one: base, factor and cap are
    only other words.
    """
    pairs = zip(retry.delays(), policy.backoff.waits, strict=False)
    if any(wanted != seen for wanted, seen in pairs):
        wanted, seen = (
            ", ".join(map(duration, waits)) for waits in (retry.delays(), policy.backoff.waits)
        )
        yield _differs(policy, "backoff", f"the spec waits {wanted}; the code waits {seen}")
    if retry.backoff is not None and retry.backoff.jitter and not policy.backoff.jitter:
        yield _differs(policy, "backoff", "the spec says jitter: true; the code lacks it")


def _waits(spec: JobSpec, policy: Policy) -> Iterator[Finding]:
    """The code's own waits fit the acceptable delay, also where the spec names none."""
    delay = None
    if spec.failures:
        delay = spec.failures.acceptable_delay
    if (
        delay is None
        or policy.max_attempts is None
        or {"max_attempts", "backoff"} & policy.unknown.keys()
    ):
        return
    waited = sum(policy.backoff.delays(policy.max_attempts - 1))
    if waited > delay:
        message = (
            f"the code waits {duration(waited)} in all, more than the acceptable delay"
            f" {duration(delay)}"
        )
        place = _place(policy, "backoff") or {"path": spec.shown_path, "line": spec.line("retry")}
        yield error("retry.too-slow", message, hint="fewer attempts or a smaller cap", **place)


def _differs(policy: Policy, field: str, message: str) -> Finding:
    place = policy.sources.get(field)
    where = {}
    if place:
        where = {"path": place.path, "line": place.line}
    return error(
        f"retry.{field.replace('_', '-')}-differs",
        message,
        hint="make code and spec agree",
        **where,
    )


def _classification(case: JobCase, spec: JobSpec, policy: Policy) -> Iterator[Finding]:
    """Every transient error is retried; the framework's own rule judges the permanent ones."""
    if spec.failures is None or policy.max_attempts == 1 or "retried" in policy.unknown:
        return
    for number, name in enumerate(spec.failures.transient_names):
        if not any(_covers(case, wide, dotted(name)) for wide in policy.retried):
            place = _place(policy, "retried") or {
                "path": spec.shown_path,
                "line": spec.line("failures", "transient", number),
            }
            message = f"{name} is transient in the spec, and the code does not retry it"
            yield error(
                "retry.transient-not-retried",
                message,
                hint="retry it, or move it to permanent",
                **place,
            )


def _covers(case: JobCase, wide: str, narrow: str) -> bool:
    """`wide` is the exception itself or a base of it, as far as builtins and the repository's
    classes tell.
    """
    if dotted(wide) in ("builtins.Exception", "builtins.BaseException"):
        # Also of a library whose classes are not read.
        return True
    if "." not in narrow:
        narrow = f"builtins.{narrow}"
    # Two classes of one installed package: which of them derives from which is not read.
    package = narrow.partition(".")[0]
    if is_foreign(case.project, narrow) and dotted(wide).partition(".")[0] == package:
        return True
    return case.project.is_subclass(narrow, dotted(wide))


def _place(policy: Policy, field: str) -> dict[str, Any] | None:
    place: Place | None = policy.sources.get(field)
    if not place:
        return None
    return {"path": place.path, "line": place.line}


def _next(findings: list[Finding]) -> tuple[Action, ...]:
    """What stands in the spec is changed there, everything else in the code."""
    bad = []
    for f in findings:
        if f.severity in (Severity.BLOCKER, Severity.ERROR) and f.rule != "retry.no-handler":
            bad.append(f)
    actions = []
    unsafe = False
    for finding in bad:
        kind = "edit-code"
        if _is_in_spec(finding):
            kind = "edit-spec"
        actions.append(Action(ID, kind, f"{finding.message}: {finding.hint}"))
        if finding.severity == Severity.ERROR and not finding.rule.endswith("-differs"):
            unsafe = True
    if unsafe:
        actions.append(Action(ID, "decide", _UNSAFE))
    return tuple(actions)


def _is_in_spec(finding: Finding) -> bool:
    return finding.severity == Severity.BLOCKER or finding.rule == "retry.no-cap"


def _times(attempts: int | None) -> str:
    if attempts is None:
        return "for ever"
    if attempts == 1:
        return "once"
    return f"{attempts} times"


def _number(field: str, value: float) -> str:
    if field == "factor":
        return f"{value:g}"
    return duration(value)


def _backoff(policy: Policy) -> str:
    if policy.backoff.kind == "none":
        return "no backoff"
    return f"{policy.backoff.kind} backoff"


def _summary(policy: Policy) -> str:
    if policy.max_attempts == 1:
        return "no retry"
    if policy.max_attempts is None and "max_attempts" in policy.unknown:
        return "tries as often as its own code says"
    words = [f"tries {_times(policy.max_attempts)}", _backoff(policy)]
    if policy.backoff.cap_s is not None:
        words.append(f"capped at {duration(policy.backoff.cap_s)}")
    if policy.backoff.jitter:
        words.append("jitter")
    return ", ".join(words)
