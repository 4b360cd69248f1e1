"""Which rows are the marks of jobs that nobody gave, where a job's key has two fields: of a history,
and of what stands in its tables.
"""

from __future__ import annotations

from typing import Any

import pytest
from histories import BEGAN, ENTERED, RETURNED, effect, history, spec

from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.reference import Reference
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.varied import varied_payloads
from skillrun.proof.varied_marks import find_skipped_marks

INTEGER = {"type": "integer"}
# Both fields have the same value in the example, so that no row of its own tells them apart.
PAYLOAD = {
    "type": "object",
    "properties": {"shipment": INTEGER, "revision": INTEGER},
    "examples": [{"shipment": 1, "revision": 1}],
}
IDEMPOTENCY = {"strategy": "keyed", "key": ["shipment", "revision"], "dedupe": {"store": "table x"}}
SPEC = spec(payload=PAYLOAD, idempotency=IDEMPOTENCY)
JOBS = list(varied_payloads(SPEC).values())


def list_marks(rows: list[Any], before: list[Any]) -> list[str]:
    """What is said where the jobs together leave these rows, and the example alone its [1, 1]."""
    deliveries = []
    for place, number in enumerate(varied_payloads(SPEC), 1):
        told = [BEGAN, ENTERED, *effect(), RETURNED]
        events = tuple(Event(at, kind, data) for at, (kind, data) in enumerate(told, 1))
        deliveries.append(Delivery(place, "deliver", number, 0.0, events))
    together = History(
        parse_schedule("once"),
        tuple(deliveries),
        {"rows": rows},
        payloads=varied_payloads(SPEC),
    )
    once = history("once", [*effect(), RETURNED], state=_replace(before, [1, 1]))
    asked = Reference(SPEC, once, before={"rows": before})
    return [found.message for found in find_skipped_marks(together, asked)]


def _replace(rows: list[Any], new: list[Any]) -> list[Any]:
    return sorted([row for row in rows if row[0] != new[0]] + [new])


def _list_rows(is_marked: Any = lambda job: True) -> list[Any]:
    marked = filter(is_marked, JOBS)
    return sorted([[1, 1], *([job["shipment"], job["revision"]] for job in marked)])


@pytest.mark.parametrize("others", [[[2, 0], [3, 1]], [[2, 1], [3, 1]], [[2, 0], [3, 0]]])
def test_where_the_highest_revision_stands_it_is_no_mark_of_each(others: list[Any]) -> None:
    """That shipment 3 is at revision 1 as well makes its row none of shipment 1."""
    before = [[1, 0], [2, 0], [3, 0]]
    highest = max(job["revision"] for job in JOBS)
    assert list_marks([[1, highest], *others], before) == []


def test_a_row_of_each_job_is_a_mark() -> None:
    assert list_marks(_list_rows(), []) == []


def test_revisions_that_leave_no_row_are_found_though_shipments_leave_theirs() -> None:
    """Each [v, 1] stands there, and says nothing of [1, v]."""
    (said,) = list_marks(_list_rows(lambda job: job["revision"] % 2), [])
    assert "leave nothing in rows, where it leaves [1, 1]" in said


def test_shipments_that_leave_no_row_are_found() -> None:
    (said,) = list_marks(_list_rows(lambda job: job["shipment"] % 3), [])
    assert "leave nothing in rows, where it leaves [1, 1]" in said
