"""The application's own function that publishes a job, for a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.overview.handlers import FoundJob


@dataclass(frozen=True)
class Sender:
    """A function of the application that sends the job, what it is called with, and where it
    sends.
    """

    call: str
    args: Mapping[str, Any]
    place: Place


def find_sender(values: Mapping[str, Any], job: FoundJob, project: Project) -> Sender | None:
    """Where nothing at the handler says how it is run, the call that sends it does: a function that
    takes the job's fields, with those of the draft's first example.
    """
    payload = values.get("payload")
    # A decorator holds retries and callbacks itself.
    if job.handler.node.decorator_list or payload is None:
        return None
    example = payload["examples"][0]
    for send in job.real_sends:
        call = send.call
        function = call.module.function_of(call.node) if call is not None else None
        if call is None or function is None:
            continue
        sender = project.define(call.module, function)
        if sender.parameters and set(sender.parameters) <= example.keys():
            given = {name: example[name] for name in sender.parameters}
            return Sender(sender.import_path, given, send.place)
    return None
