"""A schedule that somebody gives: whether the spec has what it names, and whether its faults came
about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Misuse
from skillrun.proof.history import History
from skillrun.proof.jobs import DIRECT, POISON
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.schedule import SWEEP, Schedule, is_publish
from skillrun.proof.varied import VARIED

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec


def check_key(spec: JobSpec) -> None:
    """Raises Blocked for a keyed strategy without a key: nothing says then which deliveries are the
    same job.
    """
    if (
        spec.idempotency is not None
        and spec.idempotency.strategy == "keyed"
        and not spec.idempotency.key
    ):
        hint = (
            "name the payload fields of the key; of a tick without a payload: {strategy: invariant,"
            " invariant: ...}"
        )
        raise Blocked("idempotency: a keyed strategy without key fields", hint=hint)


def check_example(spec: JobSpec, number: int) -> None:
    """Raises Misuse where the spec has no such example."""
    if number >= len(spec.examples):
        hint = f"there are {len(spec.examples)}, counted from 0"
        raise Misuse(f"--schedule: payload.examples has no {number}", hint=hint)


def check_given(only: Schedule, spec: JobSpec, payloads: Mapping[int, Any]) -> None:
    """Raises Misuse for a given schedule that names what the spec does not have."""
    if only.moves and only.moves[-1].startswith("wait="):
        hint = (
            "what has died is delivered again at once, by its library; write wait=... before"
            " redeliver or re-enqueue"
        )
        raise Misuse(f"--schedule: nothing follows {only.moves[-1]}", hint=hint)
    _check_payloads(only, spec, payloads)
    if SWEEP in only.moves and not spec.recovers:
        hint = "recovers: [{call: module:function, every: 15m}]"
        raise Misuse("--schedule: sweep needs recovers in the spec", hint=hint)
    _check_faults(only, spec)


def check_other_jobs(only: Schedule, payloads: Mapping[int, Any]) -> None:
    """Raises Misuse for a given schedule that names a distinct job which there is not. `payloads`:
    by job number.
    """
    distinct = {job for job in payloads if 0 < job < DIRECT}
    if not distinct.issuperset(only.jobs):
        hint = f"there are {len(distinct)} distinct jobs, counted from 1"
        raise Misuse(f"--schedule: no such job: {only.jobs[0]}", hint=hint)


def _check_payloads(only: Schedule, spec: JobSpec, payloads: Mapping[int, Any]) -> None:
    """`payloads`: by job number, see `proof.jobs`."""
    varied = sum(job >= VARIED for job in payloads)
    if not set(only.varied) <= set(range(1, varied + 1)):
        hint = f"there are {varied} varied payloads, counted from 1"
        raise Misuse(f"--schedule: no such payload: {only.moves[-1]}", hint=hint)
    if only.poison is not None and POISON - only.poison not in payloads:
        raise Misuse(
            f"--schedule: proof.poison has no payload {only.poison}", hint="they are counted from 0"
        )
    # Where the application's call makes a second job, its number is known once it was made.
    if spec.enqueue is None:
        check_other_jobs(only, payloads)


def _check_faults(only: Schedule, spec: JobSpec) -> None:
    failures = spec.failures
    listed = {error.type for error in failures.listed} if failures else set()
    for fault in only.faults:
        if fault.do == "raise" and fault.error not in listed and not is_publish(fault.at):
            hint = f"failures lists: {', '.join(sorted(listed)) or 'nothing'}"
            raise Misuse(f"--schedule: {fault.error} is not in failures", hint=hint)
        if fault.do.startswith("caller-") and spec.enqueue is None:
            raise Misuse(
                f"--schedule: {fault.do} needs enqueue in the spec",
                hint="enqueue: {call: module:function}",
            )


def unreached(history: History) -> list[Judgement]:
    """A given schedule whose faults did not all come about shows nothing."""
    met = history.list_met()
    for fault in history.schedule.faults:
        if not any(_is_at(fault.at, at) for at in met):
            said = f"the job never came to {fault.at}"
            return [Judgement(Verdict.INCOMPLETE, "schedule.unreached", said)]
    return []


def _is_at(planned: str, met: str) -> bool:
    if planned.endswith("!"):
        return met.rpartition("#")[0] == planned.rpartition("#")[0]
    return planned == met or (planned.endswith("#*") and met.rpartition("#")[0] == planned[:-2])
