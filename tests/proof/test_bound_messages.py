"""Which job a message is of, by the arguments that it says."""

from __future__ import annotations

from functools import wraps
from types import SimpleNamespace
from typing import Any

from skillrun.probe.driver import Probe

PROBE = Probe(SimpleNamespace(), {"fields": ["member_id"], "key": ["month"]})  # type: ignore[arg-type]


def buried(function: Any) -> Any:
    """Takes the message's fields, and hands the function a mapping."""

    @wraps(function)
    def run(task: Any = None, **message: Any) -> Any:
        return function(message)

    return run


def collect(message: dict[str, Any]) -> None: ...


def test_however_they_are_passed() -> None:
    def send(order_id: int, kind: str = "first") -> None: ...

    told = PROBE.bind_arguments(send, (7,), {})
    assert told == PROBE.bind_arguments(send, (), {"kind": "first", "order_id": 7})
    assert told != PROBE.bind_arguments(send, (8,), {})


def test_a_decorator_that_hands_on_something_else() -> None:
    """Another member's message was taken for the job's own: nothing said whose it was."""
    one = PROBE.bind_arguments(collect, (), {"month": "2026-03", "member_id": 1})
    assert one == "[('member_id', '1'), ('month', \"'2026-03'\")]"
    assert PROBE.bind_arguments(buried(collect), (), {"member_id": 1, "month": "2026-03"}) == one
    # The id of a trace names no job.
    traced = {"member_id": 1, "month": "2026-03", "trace_id": "8a"}
    assert PROBE.bind_arguments(collect, (), traced) == one
    # Celery hands on the task itself before the message.
    assert PROBE.bind_arguments(collect, (None,), {"member_id": 1, "month": "2026-03"}) == one
    assert PROBE.bind_arguments(collect, (1, 2), {}) is None
