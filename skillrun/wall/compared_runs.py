"""The base's job and HEAD's with the same work: under which key, with what sent, and what each
makes of a receiver's answers.

A proof of HEAD alone says that its keys are stable and distinct, and that some answers are tried
again. Whether they are those of the jobs that are open at the deploy, and what goes out behind a
stand-in, is seen beside the base alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from skillrun.core.verdict import Finding, Severity
from skillrun.proof.history import Event, History
from skillrun.proof.schedule import SECOND_RUN_S
from skillrun.skills.job_worker.stages.testcases import is_test_file
from skillrun.wall.answers.ways import MAY_PASS
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, base_document, base_file, listed
from skillrun.wall.sent import Parts, read_number, read_parts
from skillrun.wall.verification import Job

KEY, SENT, ANSWER = "verify.other-key", "verify.sends-otherwise", "verify.answered-otherwise"
HELP = {
    KEY: (
        "The same job has another key than at the base. What is open at the deploy, or comes again"
        " after it, is done once under each of them."
    ),
    SENT: (
        "The real call of an effect, made to nobody, sends something else than at the base: another"
        " number, another receiver, a further request, the key in another place, or with each"
        " attempt something else (errors); another text (warning)."
    ),
    ANSWER: (
        "A receiver's answer with which the base's job fails, or is tried again, counts as done, or"
        " is given up."
    ),
}
_KEY_HINT = "keep the key of a job as it is; where it has to change, a person sees to what is open"
_SENT_HINT = "send what the base sends; where it is meant, a person has to decide that"
_ANSWER_HINT = "raise an error that counts as transient, or as permanent, as the base does"
# By 409 some say that it was done before. Of 3xx no client follows one without an address.
_CONFLICT = 409
STATUSES = (301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 504)
_TAKEN, _OUT_OF_SERVICE = 200, 503
_LETTER, _FAILED, _AGAIN, _DONE = "dead letter", "failed", "tried again", "done"
_MOST_SHOWN = 3

Observe = Callable[[File, list[str]], list[History] | None]
"""Runs schedules of a spec in a clean checkout of its side; None where that cannot be done."""


@dataclass(frozen=True)
class Effect:
    """One that is stood in for, and what it sent and came to on one side."""

    name: str
    keys: tuple[str, ...]
    later_keys: tuple[str, ...]
    # With each attempt: a request after the other.
    attempts: tuple[tuple[Parts, ...], ...]
    taken: tuple[Parts, ...]
    ends: dict[int, str]  # status -> what the job came to


def judge_runs(
    job: Job, spec: File, diff: Diff, observe_base: Observe, observe_head: Observe
) -> Job:
    """The job, no success where it does otherwise what the base does. Costs nothing where no code
    changed, or the job fails anyway.
    """
    is_changed = any(not is_test_file(file.path) for file in diff.python_files())
    if job.proof is None or job.outcome != "success" or not is_changed:
        return job
    if base_document(diff, spec) is None:
        return job
    old = base_file(diff, spec)
    before, after = _list_effects(old), _list_effects(spec)
    shared = [name for name in before if name in after]
    if not shared:
        return job
    was = _observe_side(observe_base, old, shared)
    now = _observe_side(observe_head, spec, shared) if was else []
    found: list[Finding] = []
    for base, head in zip(was, now, strict=False):
        found += _compare_effect(base, head, spec)
    if not found:
        return job
    is_error = any(finding.severity == Severity.ERROR for finding in found)
    proof = replace(job.proof, findings=(*job.proof.findings, *found))
    return replace(job, proof=proof, outcome="partial" if is_error else job.outcome)


def _list_effects(spec: File) -> list[str]:
    """The names of those that are stood in for."""
    document = spec.new_document or spec.old_document
    names = []
    for effect in listed(at(document.value if document else None, "effects")):
        if at(effect, "mode") != "pass_through":
            names.append(str(at(effect, "name")))
    return names


# -- one side


def _observe_side(observe: Observe, spec: File, names: list[str]) -> list[Effect]:
    asked = ["once", f"late={SECOND_RUN_S}"]
    for name in names:
        where = f"before:{name}#1"
        asked.append(f"answer={_OUT_OF_SERVICE}@{where}/* listen")
        asked += [f"answer={status}@{where} listen" for status in (_TAKEN, *STATUSES)]
    histories = observe(spec, asked)
    if histories is None:
        return []
    once, later, *rest = histories
    each = len(STATUSES) + 2
    found = []
    for number, name in enumerate(names):
        failing, taken, *answered = rest[number * each : (number + 1) * each]
        found.append(_read_effect(name, (once, later), failing, taken, answered))
    return found


def _read_effect(
    name: str,
    singles: tuple[History, History],
    failing: History,
    taken: History,
    answered: list[History],
) -> Effect:
    ends = {}
    for status, history in zip(STATUSES, answered, strict=True):
        if any(history.all("away")) and not history.hung:
            ends[status] = _name_end(history)
    return Effect(
        name=name,
        keys=_list_keys(singles[0], name),
        later_keys=_list_keys(singles[1], name),
        attempts=tuple(_list_requests(failing)),
        taken=next(_list_requests(taken), ()),
        ends=ends,
    )


def _list_keys(history: History, name: str) -> tuple[str, ...]:
    return tuple(str(call["key"]) for call in history.performed(name))


def _list_requests(history: History) -> Iterator[tuple[Parts, ...]]:
    """Those of each attempt that came to a receiver."""
    for event in history.all("heard"):
        yield tuple(_read_event(event))


def _read_event(event: Event) -> Iterator[Parts]:
    for sent in event["sent"]:
        parts = read_parts(str(sent))
        if parts:
            yield parts


def _name_end(history: History) -> str:
    if len(history.runs) > 1:
        return _AGAIN
    if history.dead_letters:
        return _LETTER
    if history.runs and history.runs[-1].outcome == "succeeded" and not history.pending:
        return _DONE
    return _FAILED


# -- both sides


def _compare_effect(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    yield from _compare_keys(base, head, spec)
    yield from _compare_requests(base, head, spec)
    yield from _compare_ends(base, head, spec)


def _say(rule: str, said: str, spec: File, hint: str, *, is_error: bool = True) -> Finding:
    severity = Severity.ERROR if is_error else Severity.WARNING
    return Finding(rule, severity, said, spec.path, 1, hint)


def _compare_keys(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    is_drawn = base.keys != base.later_keys or "None" in base.keys
    if is_drawn or not base.keys or not head.keys or base.keys == head.keys:
        return
    said = (
        f"{base.name} of the same job has the key {quoted(head.keys[0])}, and at the base"
        f" {quoted(base.keys[0])}"
    )
    yield _say(KEY, said, spec, _KEY_HINT)


def _compare_requests(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    if not base.attempts or not head.attempts:
        return
    for was, now in ((base.attempts[0], head.attempts[0]), (base.taken, head.taken)):
        if was and len(now) > len(was):
            said = f"{base.name} sends {len(now)} requests, and at the base {len(was)}"
            yield _say(SENT, said, spec, _SENT_HINT)
            return
    varies = _find_varying(base.attempts)
    newly = sorted(filter(_tells_work, _find_varying(head.attempts) - varies))
    if newly and len(base.attempts) > 1:
        said = (
            f"{base.name} sends with each attempt another {quoted(newly[0])}, and the base does not"
        )
        yield _say(SENT, said, spec, _SENT_HINT)
        return
    pairs = [*zip(base.attempts[0], head.attempts[0], strict=False)]
    pairs += zip(base.taken, head.taken, strict=False)
    texts: dict[str, tuple[object, object]] = {}
    for old, new in pairs:
        for name in old.keys() - varies:
            if old[name] == new.get(name):
                continue
            why = _find_serious(name, old, new, base.keys)
            if why is not None:
                yield _say(SENT, f"{base.name} {why}", spec, _SENT_HINT)
                return
            texts.setdefault(name, (old[name], new.get(name)))
    if texts:
        shown = []
        for name, (was_said, is_said) in sorted(texts.items())[:_MOST_SHOWN]:
            shown.append(f"{quoted(name)}: {quoted(str(was_said))} became {quoted(str(is_said))}")
        said = f"{base.name} sends another text than at the base: {'; '.join(shown)}"
        yield _say(SENT, said, spec, _SENT_HINT, is_error=False)


def _tells_work(name: str) -> bool:
    """What a receiver knows the work by, or does: of headers the ids and keys."""
    return "header" not in name or "id" in name or "key" in name


def _find_varying(attempts: tuple[tuple[Parts, ...], ...]) -> set[str]:
    """The parts that differ between two attempts of one side."""
    found: set[str] = set()
    for requests in attempts[1:]:
        for first, later in zip(attempts[0], requests, strict=False):
            for name in first.keys() | later.keys():
                if first.get(name) != later.get(name):
                    found.add(name)
    return found


def _find_serious(name: str, old: Parts, new: Parts, keys: tuple[str, ...]) -> str | None:
    """What is wrong where a part is another one; None where it is a text."""
    was, now = old[name], new.get(name)
    if name in ("to", "header host"):
        return f"goes to {quoted(str(now))}, and at the base to {quoted(str(was))}"
    if str(was) in {key.strip("'\"") for key in keys}:
        return f"no longer has its key as {quoted(name)}, by which its receiver knows it"
    before, after = read_number(was), read_number(now)
    if before is not None and after is not None and before != after:
        return f"sends {quoted(name)} {quoted(str(now))}, and at the base {quoted(str(was))}"
    return None


def _compare_ends(base: Effect, head: Effect, spec: File) -> Iterator[Finding]:
    """The first of each kind is enough."""
    for status, was in base.ends.items():
        now = head.ends.get(status)
        if now == _DONE and was != _DONE:
            said = f"counts as done with the answer {status}; at the base it is {was}"
            is_error = status != _CONFLICT
            yield _say(ANSWER, f"{base.name} {said}", spec, _ANSWER_HINT, is_error=is_error)
            return
    for status, was in base.ends.items():
        now = head.ends.get(status)
        if status in MAY_PASS and was == _AGAIN and now in (_LETTER, _FAILED):
            said = f"is given up with the answer {status}, with which the base tries again"
            yield _say(ANSWER, f"{base.name} {said}", spec, _ANSWER_HINT)
            return
