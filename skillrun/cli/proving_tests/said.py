"""What `@pytest.mark.job` says of a job: fields of its spec, in the words of a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

# `idempotency`, where the strategy is a key: what must be said most often.
_KEY = "key"
# What a person may say of a job. The others are the draft's own: whose tests these are is said by
# the mark itself.
FIELDS = (
    "intent",
    "trigger",
    "payload",
    "message",
    "enqueue",
    "recovers",
    "idempotency",
    "effects",
    "failures",
    "retry",
    "dead_letter",
    "worker",
    "proof",
)


@dataclass
class JobSaid:
    """What the marks of one session say of one job, and which tests say it."""

    handler: str
    fields: dict[str, Any] = field(default_factory=dict)
    items: list[pytest.Item] = field(default_factory=list)

    def add_mark(self, item: pytest.Item, given: Mapping[str, Any]) -> None:
        """One more mark. Raises UsageError where it contradicts another one."""
        self.items.append(item)
        for name, value in _read_fields(self.handler, given).items():
            if self.fields.setdefault(name, value) != value:
                said = f"two marks say different things of {self.handler}: {name}"
                raise pytest.UsageError(f"{said} (the second one is at {item.nodeid})")


def read_marks(items: Iterable[pytest.Item]) -> dict[str, JobSaid]:
    """Handler, as the marks name it -> what they say. Raises UsageError for a mark that cannot be
    read.
    """
    found: dict[str, JobSaid] = {}
    for item in items:
        for mark in item.iter_markers("job"):
            if len(mark.args) != 1 or not isinstance(mark.args[0], str):
                said = "the mark job takes a handler, e.g. job('shop.tasks:charge')"
                raise pytest.UsageError(f"{item.nodeid}: {said}")
            said_of = found.setdefault(mark.args[0], JobSaid(mark.args[0]))
            said_of.add_mark(item, mark.kwargs)
    return found


def _read_fields(handler: str, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(given)
    unknown = sorted(set(fields) - {_KEY, *FIELDS})
    if unknown:
        known = ", ".join((_KEY, *FIELDS))
        said = f"the mark job of {handler} has no {unknown[0]}"
        raise pytest.UsageError(f"{said}; it takes {known}")
    if _KEY in fields:
        key = fields.pop(_KEY)
        if isinstance(key, str):
            key = [key]
        fields["idempotency"] = {"strategy": "keyed", "key": list(key)}
    return fields
