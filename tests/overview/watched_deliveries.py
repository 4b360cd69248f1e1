"""What watched tests have shown, written down: deliveries, calls and stores, and the draft of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import (
    CallSeen,
    DeliverySeen,
    EndSeen,
    SeenInTests,
    StoreSeen,
    Table,
)
from skillrun.skills.job_worker.drafting.draft import Draft, draft_spec
from skillrun.skills.job_worker.drafting.observed import add_observed
from skillrun.skills.job_worker.overview.handlers import find_job

SENT = "sent"
SEND = "shop.mailer:send"


def table(*rows: tuple[Any, ...]) -> Table:
    columns = (("id", "INTEGER", True), ("order_id", "INTEGER", False), ("at", "TEXT", False))
    return Table(columns, rows)


def store(rows: int, name: str = "/tmp/pytest-1/app.db", dead: int = 0) -> StoreSeen:
    made = [(number, 7 + number, "2026-01-02 03:04:05") for number in range(rows)]
    lost = [(number, 7, "2026-01-02") for number in range(dead)]
    tables = {SENT: table(*made), "dead_jobs": table(*lost)}
    return StoreSeen(name, "create table sent (id);", tables)


def call(**changes: Any) -> CallSeen:
    given = {"order_id": 7, "idempotency_key": "order-7"}
    plain: dict[str, Any] = {
        "path": SEND,
        "is_stand_in": False,
        "is_replaced": True,
        "wrote": False,
        "inside": (),
        "arguments": given,
        "returned": "m-1",
        "raised": None,
        "error_args": (),
    }
    return CallSeen(**{**plain, **changes})


def delivery(**changes: Any) -> DeliverySeen:
    plain: dict[str, Any] = {
        "test": "tests/test_x.py::test_sends",
        "arguments": {"order_id": 7},
        "environ": {"SHOP_DB": "/tmp/pytest-1/app.db", "TZ": "UTC"},
        "before": (store(0),),
        "after": (store(1),),
        "raised": None,
        "is_ended": True,
        "calls": (call(),),
    }
    return DeliverySeen(**{**plain, **changes})


def seen(*deliveries: DeliverySeen) -> SeenInTests:
    tests = {one.test: EndSeen(True, "", one.after) for one in deliveries}
    return SeenInTests(deliveries, tests)


def observe(root: Path, what: SeenInTests, **options: Any) -> Draft:
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft = draft_spec(reader, job)
    add_observed(draft, what, reader.project, **options)
    draft.name_places()
    return draft
