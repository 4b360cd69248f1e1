import logging

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from spedition import outbox, tasks
from spedition.db import Order, OutboxRow, transaction
from spedition.orders import place_order
from spedition.tasks import relay_outbox


def row(order_id=1):
    with transaction() as session:
        return session.get(OutboxRow, order_id)


def mrn(order_id=1):
    with transaction() as session:
        return session.get(Order, order_id).mrn


def test_order_and_declaration_stand_together():
    first = place_order("2026-0001", "Fjordkraft AS", "NO", [])
    assert place_order("2026-0001", "Fjordkraft AS", "NO", []) == first
    assert (row().declaration_id, row().status) == ("spd-2026-0001", "waiting")


def test_declares_what_is_due(order, office):
    place_order("2026-0002", "Säntis AG", "CH", [])
    relay_outbox.apply()
    assert list(office.known) == ["spd-2026-0001", "spd-2026-0002"]
    assert row().status == "declared" and mrn() == "26DE00000000000000"


def test_second_run_has_nothing_to_do(order, office):
    relay_outbox.apply()
    relay_outbox.apply()
    assert office.calls == 1


@pytest.mark.parametrize("failure", [503, 429, 401, httpx.ReadTimeout("timed out"), httpx.ConnectError("refused")])
def test_tries_again_after_the_wait(order, office, clock, failure):
    office.answers = [failure]
    relay_outbox.apply()
    assert row().status == "waiting" and row().attempts == 1
    clock.time += 29
    relay_outbox.apply()
    assert office.calls == 1
    clock.time += 1
    relay_outbox.apply()
    assert office.calls == 2 and row().status == "declared"


def test_waits_grow():
    assert [outbox.wait_after(n) for n in range(1, 6)] == [30, 120, 480, 1920, 3600]


def test_dead_after_six(order, office, clock):
    office.answers = [503] * 8
    for _ in range(8):
        relay_outbox.apply()
        clock.time += 3600
    assert office.calls == 6
    assert (row().status, row().attempts, row().last_error) == ("dead", 6, "gave up: HTTP 503")


def test_refused_document_is_dead_at_once(order, office, clock):
    office.answers = [422]
    relay_outbox.apply()
    clock.time += 7200
    relay_outbox.apply()
    assert office.calls == 1 and row().status == "dead"


def test_one_bad_row_does_not_hold_up_the_others(order, office):
    place_order("2026-0002", "Säntis AG", "CH", [])
    office.answers = [422]
    relay_outbox.apply()
    assert row(1).status == "dead" and row(2).status == "declared"


def test_known_declaration_keeps_its_mrn(order, office):
    office.known["spd-2026-0001"] = "26DE99999999999999"
    relay_outbox.apply()
    assert mrn() == "26DE99999999999999"


def test_held_row_is_left_alone_until_its_lease_ends(order, office, clock):
    outbox.claim(1)
    relay_outbox.apply()
    assert office.calls == 0
    clock.time += outbox.LEASE_SECONDS
    relay_outbox.apply()
    assert row().status == "declared" and row().attempts == 2


def test_row_whose_workers_died_is_buried(order, office, clock):
    for _ in range(6):
        assert outbox.claim(1)
        clock.time += outbox.LEASE_SECONDS
    relay_outbox.apply()
    assert office.calls == 0 and row().status == "dead"


def test_late_answer_outweighs_a_burial(order, clock):
    first = outbox.claim(1)
    clock.time += outbox.LEASE_SECONDS
    assert outbox.bury(outbox.claim(1), "refused")
    assert outbox.settle(first, "26DE00000000000001")
    assert row().status == "declared" and mrn() == "26DE00000000000001"


def test_database_stumbles_after_the_call(order, office, monkeypatch):
    real, failures = outbox.settle, [OperationalError("update", {}, Exception("gone"))]

    def settle(*args):
        if failures:
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(tasks.outbox, "settle", settle)
    relay_outbox.apply()
    assert office.calls == 1 and row().status == "declared"


def test_revive(order, office):
    office.answers = [422]
    relay_outbox.apply()
    assert outbox.revive(1)
    relay_outbox.apply()
    assert row().status == "declared"


def test_log_says_what_became_of_it(order, office, caplog):
    with caplog.at_level(logging.INFO, "spedition"):
        relay_outbox.apply(task_id="run-1")
    last = caplog.records[-1]
    assert (last.job_id, last.key, last.outcome, last.attempt) == ("run-1", "spd-2026-0001", "declared", 1)
    assert "Fjordkraft" not in caplog.text
