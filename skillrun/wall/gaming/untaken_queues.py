"""A job that the branch publishes to a queue from which no worker takes jobs."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.job_queues import USUAL_QUEUES, JobQueues, Named, list_consumed
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.specs import at, base_document

_HINT = (
    "let a worker's command line name the queue as well, or publish to one that is taken from; the"
    " old queue needs its worker until it is empty"
)


def find_untaken_queues(look: str, diff: Diff) -> Iterator[Finding]:
    """Yields an error for each queue that the branch newly gives a job of a spec, and that no
    worker names. Only where every command line that starts a worker says its queues, and the base's
    said that of the job.
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
        is_open = None in known or any(one.queue is None for one in after)
        if new and not is_open:
            yield from _find_untaken(look, diff, before, new)


def _find_untaken(
    look: str, diff: Diff, before: list[Named], new: list[Named]
) -> Iterator[Finding]:
    was_taken = list_consumed(diff.before, diff.starting_before)
    now_taken = list_consumed(diff.after, diff.starting_after)
    if was_taken is None or now_taken is None:
        return
    had_worker = was_taken & ({str(one.queue) for one in before} or set(USUAL_QUEUES))
    if not had_worker:
        return
    told: set[str] = set()
    for one in new:
        queue = str(one.queue)
        if queue in now_taken or queue in told:
            continue
        told.add(queue)
        file = File(one.path, one.path, None, diff.after.texts[one.path])
        workers = ", ".join(sorted(now_taken))
        message = (
            f"the job is published to {queue}, and the workers take jobs from {workers} alone:"
            f" {quoted(file.new_line(one.line))}"
        )
        yield taken(look, file, one.line, message, hint=_HINT)
