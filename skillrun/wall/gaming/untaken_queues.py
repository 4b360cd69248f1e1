"""A job that the branch publishes to a queue from which no worker takes jobs."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.job_queues import USUAL_QUEUES, Consumed, JobQueues, Named, read_consumed
from skillrun.wall.gaming.making import found, quoted
from skillrun.wall.gaming.specs import at, base_document

_HINT = (
    "let a worker's command line name the queue as well, or publish to one that is taken from; the"
    " old queue needs its worker until it is empty"
)


def find_untaken_queues(look: str, diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each queue that the branch newly gives a job of a spec, and that no
    worker names. Only where every command line of the base that starts a worker says its queues,
    that of the job among them.
    """
    if next(iter(diff.python_files()), None) is None:
        return
    for spec in diff.specs:
        old = base_document(diff, spec)
        if old is None or spec.new_document is None:
            continue
        handler, was_handler = at(spec.new_document.value, "handler"), at(old.value, "handler")
        if not isinstance(handler, str) or not isinstance(was_handler, str):
            continue
        before = JobQueues(diff.before, was_handler).list_named()
        after = JobQueues(diff.after, handler).list_named()
        known = {one.queue for one in before}
        new = [one for one in after if one.queue not in known]
        if new and None not in known:
            yield from _find_untaken(look, diff, before, new)


def _find_untaken(
    look: str, diff: Diff, before: list[Named], new: list[Named]
) -> Iterator[Finding]:
    was_taken = read_consumed(diff.before, diff.starting_before)
    usual = {str(one.queue) for one in before} or set(USUAL_QUEUES)
    if was_taken.is_open or not was_taken.queues & usual:
        return
    now_taken = read_consumed(diff.after, diff.starting_after)
    told: set[str | None] = set()
    for one in new:
        if one.queue in now_taken.queues or one.queue in told:
            continue
        told.add(one.queue)
        said, is_certain = _explain(one.queue, was_taken, now_taken)
        is_error = is_certain and not one.is_of_side_settings
        file = File(one.path, one.path, None, diff.after.texts[one.path])
        message = f"{said}: {quoted(file.new_line(one.line))}"
        yield found(look, file, one.line, message, is_error=is_error, hint=_HINT)


def _explain(queue: str | None, was_taken: Consumed, now_taken: Consumed) -> tuple[str, bool]:
    """(what is said of a queue that no worker names, whether it is certain)."""
    workers = ", ".join(sorted(now_taken.queues)) or "none"
    if queue is None:
        said = (
            "only running tells to which queue the job is published; the base named it, and the"
            f" workers take jobs from {workers}"
        )
        return said, False
    if now_taken.is_open or not now_taken.queues:
        said = (
            f"the job is published to {queue}, which no worker names; HEAD does not write down all"
            " queues of its workers, as the base does"
        )
        return said, False
    said = f"the job is published to {queue}, and the workers take jobs from {workers} alone"
    # A page of the base may tell of a worker that is started elsewhere; one of the branch's own
    # is no more than a sentence.
    return said, queue not in was_taken.told
