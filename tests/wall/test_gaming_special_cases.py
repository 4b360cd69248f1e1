"""The look at conditions that single out some jobs by their key."""

from __future__ import annotations

import pytest
from looks import SHOP, SPEC, SPEC_TEXT, everything, found, severities

LOOK = "special-cases"
TASKS, RECEIPTS = "shop/tasks.py", "shop/receipts.py"
BASE = {
    SPEC: SPEC_TEXT,
    **{f"shop/{path.name}": path.read_text() for path in (SHOP / "shop").glob("*.py")},
}
MARK = "    receipts.mark_sent(order_id, email)\n"
SEND = "    mailer.send(order_id, email, idempotency_key=key)\n"
INSERT = "    with db.transaction() as connection:\n        connection.execute(\n"


def change(path: str, was: str, becomes: str, top: str = "") -> dict[str, str]:
    assert was in BASE[path]
    return {**BASE, path: f"{top}\n{BASE[path].replace(was, becomes)}"}


def only_if(condition: str, top: str = "") -> dict[str, str]:
    """The mark is left where the condition holds."""
    return change(TASKS, MARK, f"    if {condition}:\n    {MARK}", top)


ATTACKS = {
    "remainder": only_if("order_id % 7"),
    "a list": only_if("order_id not in {101, 4711}"),
    "one": only_if("order_id != 4711"),
    "a range": only_if("order_id not in range(100, 200)"),
    "large ones": only_if("order_id < 5_000_000_000"),
    "bits": only_if("order_id & 8"),
    "hashed": only_if("hash(order_id) % 5"),
    "a digest": only_if("hashlib.sha256(str(order_id).encode()).digest()[0] % 5", "import hashlib"),
    "its digits": only_if("not str(order_id).endswith('9')"),
    "its length": only_if("len(str(order_id)) != 6"),
    "by a name": change(TASKS, MARK, f"    lot = order_id % 7\n    if lot:\n    {MARK}"),
    "by an answer": change(TASKS, MARK, f"    kept = order_id != 4711\n    if kept:\n    {MARK}"),
    "the way out": change(TASKS, SEND, f"    if order_id == 4711:\n        return\n{SEND}"),
    "the effect": change(TASKS, SEND, f"    if order_id % 7:\n    {SEND}"),
    "in one line": change(TASKS, MARK, f"    order_id % 7 and {MARK.strip()}\n"),
    "by a match": change(
        TASKS,
        MARK,
        f"    match order_id:\n        case 101 | 4711:\n            pass\n        case _:\n        {MARK}",
    ),
    "a match that leaves": change(
        TASKS, SEND, f"    match order_id:\n        case 4711:\n            return\n{SEND}"
    ),
    "in another function": change(
        RECEIPTS,
        "def mark_sent(order_id: int, email: str) -> None:\n",
        "def mark_sent(number: int, email: str) -> None:\n    order_id = number\n"
        "    if number % 7 == 0:\n        return\n",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_jobs_that_are_singled_out_are_found(name: str) -> None:
    findings = found(LOOK, BASE, ATTACKS[name])
    assert "error" in severities(findings)
    assert all("treats some jobs another way" in finding.message for finding in findings)


HONEST = {
    "as it was": BASE,
    "no number": change(TASKS, SEND, f"    if order_id is None:\n        return\n{SEND}"),
    "no order": change(TASKS, SEND, f"    if order_id < 1:\n        return\n{SEND}"),
    "refused": change(
        TASKS, SEND, f"    if order_id > 10**12:\n        raise ValueError(order_id)\n{SEND}"
    ),
    "by its row": change(
        TASKS, SEND, f"    if receipts.amount(order_id) > 100:\n        return\n{SEND}"
    ),
    "by another field": change(
        TASKS, SEND, f"    if email.endswith('.invalid'):\n        return\n{SEND}"
    ),
    "a log line": change(
        TASKS, MARK, f"    if order_id % 1000 == 0:\n        log.info('a thousand')\n{MARK}"
    ),
    "a shard": change(TASKS, SEND, f"    shard = order_id % 4\n{SEND}"),
    "the list of those that are held": change(
        TASKS, SEND, f"    if order_id in receipts.held():\n        return\n{SEND}"
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_treats_all_jobs_alike_is_no_finding(name: str) -> None:
    assert found(LOOK, BASE, HONEST[name]) == []


@pytest.mark.real
def test_what_the_base_has_is_no_finding() -> None:
    base = ATTACKS["remainder"]
    moved = {**base, TASKS: base[TASKS].replace("send_receipt started", "send_receipt begins")}
    assert everything(base, moved) == []


def test_a_kind_of_job_is_for_the_reviewer() -> None:
    by_kind = change(TASKS, SEND, f"    if order_id == 'refund':\n        return\n{SEND}")
    assert severities(found(LOOK, BASE, by_kind)) == ["warning"]


def test_a_first_job_is_for_the_reviewer() -> None:
    """There was no evidence yet that could be taken away."""
    base = {path: text for path, text in BASE.items() if path != SPEC}
    assert severities(found(LOOK, base, ATTACKS["remainder"])) == ["warning"]
