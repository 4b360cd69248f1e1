"""The application's own function that publishes a job, for a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.skills.job_worker.drafting.draft import Draft
    from skillrun.skills.job_worker.overview.handlers import FoundJob


def add_sender(draft: Draft, job: FoundJob, project: Project) -> None:
    """Where nothing at the handler says how it is run, the call that sends it does: a function that
    takes the job's fields, with those of the first example.
    """
    payload = draft.values.get("payload")
    # A decorator holds retries and callbacks itself.
    if job.handler.node.decorator_list or payload is None:
        return
    example = payload["examples"][0]
    for send in job.real_sends:
        call = send.call
        function = call.module.function_of(call.node) if call is not None else None
        if call is None or function is None:
            continue
        sender = project.define(call.module, function)
        if sender.parameters and set(sender.parameters) <= example.keys():
            given = {name: example[name] for name in sender.parameters}
            draft.put("enqueue", {"call": sender.import_path, "args": given}, send.place)
            return
