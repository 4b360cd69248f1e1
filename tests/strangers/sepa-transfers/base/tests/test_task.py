import pytest

from treasury import errors
from treasury.tasks import execute_transfer


def run(payload):
    return execute_transfer.apply(args=[payload], task_id="t-1")


def test_retries_then_pays(bank):
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 3
    run({"transfer_id": 102})
    assert bank.rows("select status, attempts from transfers where id = 102") == [("SUBMITTED", 4)]


def test_gives_up_after_five(bank):
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 9
    run({"transfer_id": 102})
    assert len(bank.gateway.calls) == 5
    assert bank.rows("select status from transfers where id = 102") == [("FAILED",)]
    ((reason,),) = bank.rows("select reason from dead_letters")
    assert "GatewayUnavailable" in reason


def test_rejected_is_not_tried_again(bank):
    bank.gateway.before = [errors.TransferRejected("422: AC04")]
    run({"transfer_id": 103})
    run({"transfer_id": 103})
    assert len(bank.gateway.calls) == 1
    assert bank.rows("select count(*) from dead_letters") == [(1,)]
    assert bank.rows("select booked_cents from accounts") == [(10_000_000,)]


@pytest.mark.parametrize("payload", [{}, {"transfer_id": -1}, {"transfer_id": "101"}, {"transfer_id": 999}, "101"])
def test_poison_ends_in_the_dead_letters(bank, payload):
    run(payload)
    run(payload)
    assert bank.gateway.calls == []
    assert bank.rows("select count(*) from dead_letters") == [(1,)]
