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
from skillrun.skills.job_worker.job_case import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.readings.effects import dotted, handler_calls
from skillrun.skills.job_worker.readings.foreign import attest_stage
from skillrun.skills.job_worker.readings.foreign_jobs import tell_tries
from skillrun.skills.job_worker.readings.foreign_options import (
    describe_retries,
    make_policy,
    read_options,
)
from skillrun.skills.job_worker.readings.horizon import duration
from skillrun.skills.job_worker.readings.unread import ask_proof, unread

if TYPE_CHECKING:
    from skillrun.contract.job import BackoffSpec, JobSpec, Retry
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.calls import Call
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
    """Compares the policy that the code comes to with the spec's: both are to be bounded, grow, be
    capped, and fit the acceptable delay.
    """
    spec, policy = case.spec, case.policy
    if spec is None or spec.retry is None:
        return _tell_undefined(case)
    retry = spec.retry
    if case.language is not None:
        found = [*_judge_declared(spec, retry), *_compare_options(case, spec, retry)]
        return attest_stage(case, case.language, ID, found)
    if (blind := unread(case, ID)) is not None:
        return blind
    findings = [*_judge_declared(spec, retry)]
    if policy is not None:
        compared = [
            *_note_unread(policy),
            *_compare(spec, retry, policy),
            *_find_not_retried(case, spec, policy),
        ]
        compared = [_place_at_least_at_handler(case, finding) for finding in compared]
        findings += _doubt_differences(case, compared)
    elif case.handler is None:
        findings.append(
            blocker(
                "retry.no-handler",
                "no handler to compare with yet",
                hint="the stage handler comes first",
            )
        )
    findings += case.rule_findings(ID)
    grade = Grade.DECLARED
    if policy is not None and not policy.unknown:
        grade = Grade.STATIC
    summary = "not in the code yet"
    if policy:
        summary = _summarise(policy)
    retries = "bounded"
    if retry.kind == "none":
        retries = "none"
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        next=_list_steps(findings),
        summary=summary,
        facts={"retries": retries},
    )


def _compare_options(case: JobCase, spec: JobSpec, retry: Retry) -> list[Finding]:
    """The same for a job in another language, where its library's options are read."""
    options = read_options(case)
    if options is None:
        return []
    policy = make_policy(options)
    found = list(describe_retries(options, spec))
    # With attempts that were not read nothing is compared: the waits depend on their number.
    if "max_attempts" not in policy.unknown:
        found += _compare(spec, retry, policy)
    return found


def _doubt_differences(case: JobCase, compared: Sequence[Finding]) -> list[Finding]:
    """The findings of the comparison. Where something around the handler, or in its clauses, is not
    understood, the policy that was read is not the whole one: all that differs becomes one question
    to the proof.
    """
    wrong = [finding for finding in compared if finding.severity == Severity.ERROR]
    unfollowed = case.unfollowed or find_next_tick(case) or find_unread_retries(case)
    if not wrong or not unfollowed:
        return list(compared)
    question = f"whether the code retries as the spec says ({wrong[0].message})"
    sure = [finding for finding in compared if finding not in wrong]
    return [*sure, ask_proof(ID, question, unfollowed[0])]


def find_next_tick(case: JobCase) -> tuple[Unfollowed, ...]:
    """The handler of a poller, as something that was not followed: it tries again by leaving a
    piece of work where its next tick finds it. Empty for any other job.
    """
    if case.handler is None or case.spec is None or case.spec.trigger is None:
        return ()
    if case.spec.trigger.type != "poller":
        return ()
    because = "the next tick of a poller takes what the last one left"
    return (Unfollowed(because, place_of(case.handler.module, case.handler.node)),)


def find_unread_retries(case: JobCase) -> tuple[Unfollowed, ...]:
    """Calls in the handler's clauses that may try again: of an installed package, and raised,
    returned, or given the task itself.
    """
    if case.handler is None:
        return ()
    already_read: Collection[str] = ()
    if case.framework:
        already_read = case.framework.FEATURES.read_retries
    unread_calls = []
    for call in handler_calls(case, case.handler):
        if call.in_except is None or not call.resolved or call.name in already_read:
            continue
        if is_foreign(case.project, call.origin) and _may_retry(call):
            because = f"{call.name} is not of this repository"
            unread_calls.append(Unfollowed(because, place_of(call.module, call.node)))
    return tuple(unread_calls)


def _may_retry(call: Call) -> bool:
    """Whether a call's result is raised or returned, `raise later(...)`, or it is given the task
    itself, `later(self)`.
    """
    above = next(call.module.parents(call.node), None)
    if isinstance(above, ast.Raise | ast.Return):
        return True
    return any(last_word(argument) == "self" for argument in call.node.args)


def _place_at_least_at_handler(case: JobCase, finding: Finding) -> Finding:
    """The finding, at the line that registers the handler where it has no place of its own: what
    rests on a library's default stands nowhere.
    """
    if finding.path is not None or case.handler is None:
        return finding
    use, framework = case.use, case.framework
    place = None
    if use and framework:
        place = framework.find_registration(case.project, use, case.handler)
    where = place or case.handler
    return replace(finding, path=where.path, line=where.line)


def _tell_undefined(case: JobCase) -> StageResult:
    """The result of the stage where the spec says nothing of retries; what was read of a job in
    another language is told.
    """
    spec = case.spec
    message = "the retry policy is not defined"
    tries, found_at = tell_tries(case)
    place: dict[str, Any] = {}
    if tries:
        message += f"; read: {tries}"
    if tries and found_at is not None:
        place = {"path": found_at.path, "line": found_at.line}
    if spec:
        place = {"path": spec.shown_path, "line": spec.line("retry")}
    hint = (
        "retry: {max_attempts: 5, backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s,"
        " jitter: true}}"
    )
    finding = blocker("retry.undefined", message, hint=hint, **place)
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(ID, "decide", f"{hint}; {_UNSAFE}"),),
        summary="not defined",
    )


def _judge_declared(spec: JobSpec, retry: Retry) -> Iterator[Finding]:
    """What is wrong with the policy that the spec declares, whatever the code does."""
    place = {"path": spec.shown_path, "line": spec.line("retry")}
    if retry.kind == "none":
        if not retry.reason:
            hint = "retry: {kind: none, reason: why one try is all that is safe}"
            yield blocker("retry.no-reason", "retry: none without a reason", hint=hint, **place)
        return
    total = sum(retry.delays())
    acceptable = _acceptable_delay(spec)
    if acceptable is not None and total > acceptable:
        message = (
            f"the waits add up to {duration(total)}, more than the acceptable delay"
            f" {duration(acceptable)}"
        )
        yield error("retry.too-slow", message, hint="fewer attempts or a smaller cap", **place)
    # A number of attempts bounds the waits as well, and the acceptable delay has judged their sum.
    is_bounded = retry.max_attempts is not None and acceptable is not None
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


def _acceptable_delay(spec: JobSpec) -> float | None:
    """The seconds by which the job may be late, as far as the spec says."""
    if spec.failures is None:
        return None
    return spec.failures.acceptable_delay


def _grows_without_cap(retry: Retry) -> bool:
    backoff = retry.backoff
    return backoff is not None and backoff.kind == "exponential" and backoff.cap is None


def _never_waits(retry: Retry) -> bool:
    return retry.backoff is None or retry.backoff.kind == "none"


def _note_unread(policy: Policy) -> Iterator[Finding]:
    """A note for each part of the policy that the code computes."""
    for field, place in policy.unknown.items():
        yield note(
            "retry.unread",
            f"{field} is computed by the code and was not read: {place.text}",
            hint="the proof will measure it",
            path=place.path,
            line=place.line,
        )


def _compare(spec: JobSpec, retry: Retry, policy: Policy) -> Iterator[Finding]:
    """An error for each field in which the code differs from the spec; what could not be read is
    not compared.
    """
    if retry.kind == "none":
        if policy.max_attempts != 1:
            times = _word_times(policy.max_attempts)
            if "max_attempts" in policy.unknown:
                times = "again"
            yield _tell_difference(
                policy, "max_attempts", f"the spec says no retry; the code tries {times}"
            )
        return
    yield from _judge_waits(spec, policy)
    if "max_attempts" not in policy.unknown and policy.max_attempts != retry.max_attempts:
        message = (
            f"the spec says {retry.max_attempts} attempts; the code tries"
            f" {_word_times(policy.max_attempts)}"
        )
        yield _tell_difference(policy, "max_attempts", message)
    if policy.max_attempts == 1 or "backoff" in policy.unknown or retry.backoff is None:
        return
    if policy.backoff.waits:
        yield from _compare_listed_waits(retry, policy)
    else:
        yield from _compare_backoff(retry, retry.backoff, policy)


def _compare_backoff(retry: Retry, backoff: BackoffSpec, policy: Policy) -> Iterator[Finding]:
    """An error where the kinds of backoff differ, or else for each number, and for the jitter."""
    code = policy.backoff
    # No library's options say so: the proof measures the waits.
    if backoff.kind == "linear" or backoff.first is not None:
        return
    if backoff.kind != code.kind:
        message = f"the spec says {backoff.kind} backoff; the code has {_word_backoff(policy)}"
        yield _tell_difference(policy, "backoff", message)
        return
    for field, (wanted, seen) in _list_compared(retry, backoff, policy).items():
        if f"backoff.{field}" in policy.unknown or wanted is None or wanted == seen:
            continue
        has = "none"
        if seen is not None:
            has = _word_number(field, seen)
        wants = _word_number(field, wanted)
        message = f"backoff.{field}: the spec says {wants}; the code has {has}"
        yield _tell_difference(policy, "backoff", message)
    if backoff.kind != "exponential" or "backoff.jitter" in policy.unknown:
        return
    if backoff.jitter and not code.jitter:
        yield _tell_difference(policy, "backoff", "the spec says jitter: true; the code lacks it")
    elif code.jitter and not backoff.jitter:
        yield _tell_difference(policy, "backoff", "the spec says jitter: false; the code has it")


def _list_compared(
    retry: Retry, backoff: BackoffSpec, policy: Policy
) -> dict[str, tuple[float | None, float | None]]:
    """Number -> (as the spec says, as the code has it), of those that have to agree."""
    code = policy.backoff
    compared: dict[str, tuple[float | None, float | None]] = {"base": (backoff.base, code.base_s)}
    if backoff.kind == "exponential":
        compared |= {"factor": (backoff.factor, code.factor), "cap": (backoff.cap, code.cap_s)}
    # Huey knows no cap. Where the waits end before they come to the spec's, none is missing.
    if code.cap_s is None and policy.max_attempts is not None and _never_capped(policy, retry):
        compared.pop("cap", None)
    # The spec's jitter shortens a wait. Of a library whose jitter lengthens it, an author names
    # the shortest or the longest.
    if backoff.base is not None and backoff.base == code.base_s * code.spread:
        compared.pop("base")
    return compared


def _never_capped(policy: Policy, retry: Retry) -> bool:
    """Whether the code's waits end before they reach the spec's cap, which would change nothing."""
    if retry.backoff is None or retry.backoff.cap is None:
        return False
    longest = max(policy.backoff.delays((policy.max_attempts or 1) - 1), default=0.0)
    return longest <= retry.backoff.cap


def _compare_listed_waits(retry: Retry, policy: Policy) -> Iterator[Finding]:
    """An error where the code writes its waits out one by one, and they are not those of the spec:
    base, factor and cap are only other words for them.
    """
    wanted, seen = retry.delays(), policy.backoff.waits
    if any(one != other for one, other in zip(wanted, seen, strict=False)):
        message = (
            f"the spec waits {', '.join(map(duration, wanted))};"
            f" the code waits {', '.join(map(duration, seen))}"
        )
        yield _tell_difference(policy, "backoff", message)
    if retry.backoff is not None and retry.backoff.jitter and not policy.backoff.jitter:
        yield _tell_difference(policy, "backoff", "the spec says jitter: true; the code lacks it")


def _judge_waits(spec: JobSpec, policy: Policy) -> Iterator[Finding]:
    """An error where the code waits for longer than the acceptable delay, also where the spec names
    no waits.
    """
    acceptable = _acceptable_delay(spec)
    if acceptable is None or policy.max_attempts is None:
        return
    if {"max_attempts", "backoff"} & policy.unknown.keys():
        return
    waited = sum(policy.backoff.delays(policy.max_attempts - 1))
    if waited > acceptable:
        message = (
            f"the code waits {duration(waited)} in all, more than the acceptable delay"
            f" {duration(acceptable)}"
        )
        place = _find_place(policy, "backoff") or {
            "path": spec.shown_path,
            "line": spec.line("retry"),
        }
        yield error("retry.too-slow", message, hint="fewer attempts or a smaller cap", **place)


def _tell_difference(policy: Policy, field: str, message: str) -> Finding:
    """An error at the line of the code that a field of the policy comes from."""
    return error(
        f"retry.{field.replace('_', '-')}-differs",
        message,
        hint="make code and spec agree",
        **_find_place(policy, field),
    )


def _find_not_retried(case: JobCase, spec: JobSpec, policy: Policy) -> Iterator[Finding]:
    """An error for each transient error that the code does not retry. Of the permanent ones, the
    framework's own rule judges.
    """
    if spec.failures is None or policy.max_attempts == 1 or "retried" in policy.unknown:
        return
    for number, name in enumerate(spec.failures.transient_names):
        if any(_covers(case, wide, dotted(name)) for wide in policy.retried):
            continue
        place = _find_place(policy, "retried") or {
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
    """Whether `wide` is the exception itself or a base of it, as far as builtins and the
    repository's classes tell.
    """
    # Also of a library whose classes are not read.
    if dotted(wide) in ("builtins.Exception", "builtins.BaseException"):
        return True
    if "." not in narrow:
        narrow = f"builtins.{narrow}"
    # Two classes of one installed package: which of them derives from which is not read.
    package = narrow.partition(".")[0]
    if is_foreign(case.project, narrow) and dotted(wide).partition(".")[0] == package:
        return True
    return case.project.is_subclass(narrow, dotted(wide))


def _find_place(policy: Policy, field: str) -> dict[str, Any]:
    """Path and line that a field of the policy comes from; empty where that is no line."""
    place: Place | None = policy.sources.get(field)
    if not place:
        return {}
    return {"path": place.path, "line": place.line}


def _list_steps(findings: list[Finding]) -> tuple[Action, ...]:
    """A step for each finding that stops the stage: what stands in the spec is changed there,
    everything else in the code.
    """
    steps = []
    is_unsafe = False
    for finding in findings:
        if finding.severity not in (Severity.BLOCKER, Severity.ERROR):
            continue
        # The stage handler has a step for that.
        if finding.rule == "retry.no-handler":
            continue
        kind = "edit-code"
        if _is_in_spec(finding):
            kind = "edit-spec"
        steps.append(Action(ID, kind, f"{finding.message}: {finding.hint}"))
        if finding.severity == Severity.ERROR and not finding.rule.endswith("-differs"):
            is_unsafe = True
    if is_unsafe:
        steps.append(Action(ID, "decide", _UNSAFE))
    return tuple(steps)


def _is_in_spec(finding: Finding) -> bool:
    return finding.severity == Severity.BLOCKER or finding.rule == "retry.no-cap"


def _word_times(attempts: int | None) -> str:
    if attempts is None:
        return "for ever"
    if attempts == 1:
        return "once"
    return f"{attempts} times"


def _word_number(field: str, value: float) -> str:
    if field == "factor":
        return f"{value:g}"
    return duration(value)


def _word_backoff(policy: Policy) -> str:
    if policy.backoff.kind == "none":
        return "no backoff"
    return f"{policy.backoff.kind} backoff"


def _summarise(policy: Policy) -> str:
    if policy.max_attempts == 1:
        return "no retry"
    if policy.max_attempts is None and "max_attempts" in policy.unknown:
        return "tries as often as its own code says"
    words = [f"tries {_word_times(policy.max_attempts)}", _word_backoff(policy)]
    if policy.backoff.cap_s is not None:
        words.append(f"capped at {duration(policy.backoff.cap_s)}")
    if policy.backoff.jitter:
        words.append("jitter")
    return ", ".join(words)
