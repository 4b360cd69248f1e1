from datetime import timedelta

import pytest

from treasury import errors, services
from treasury.settings import ExecutionPolicy

POLICY = ExecutionPolicy()
ORDER = {"transfer_id": 101}


@pytest.fixture
def execute(bank):
    return services.ExecuteTransfer(bank.uow, bank.gateway, POLICY, bank.clock)


@pytest.fixture
def abandon(bank):
    return services.AbandonTransfer(bank.uow, bank.clock)


def test_pays_and_books_once(bank, execute):
    assert execute(ORDER, "a") == "submitted"
    assert execute(ORDER, "a") == "already submitted"
    assert execute(ORDER, "b") == "already submitted"
    assert bank.gateway.calls == ["E2E-2024-000101"]
    assert bank.rows("select booked_cents from accounts") == [(9_875_000,)]
    assert bank.rows("select transfer_id, amount_cents from postings") == [(101, -125_000)]


def test_lost_answer_is_repeated_under_the_same_id(bank, execute):
    bank.gateway.after = [errors.GatewayUnavailable("timeout")]
    with pytest.raises(errors.GatewayUnavailable):
        execute(ORDER, "a")
    assert execute(ORDER, "a") == "submitted"
    assert bank.gateway.paid == {"E2E-2024-000101": 125_000}
    assert bank.rows("select count(*) from postings") == [(1,)]


def test_gateway_knows_it_already(bank, execute):
    bank.gateway.before = [errors.AlreadyInstructed("E2E-2024-000101")]
    assert execute(ORDER, "a") == "submitted"
    assert bank.rows("select count(*) from postings") == [(1,)]


def test_another_message_is_dropped_while_the_claim_lasts(bank, execute):
    bank.gateway.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(ORDER, "a")
    assert execute(ORDER, "b") == "held by a"
    bank.later(minutes=10)
    assert execute(ORDER, "b") == "submitted"


def test_attempts_are_bounded_however_they_end(bank, execute):
    bank.gateway.before = [KeyboardInterrupt()] * 9
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            execute(ORDER, "a")
    with pytest.raises(errors.AttemptsExhausted):
        execute(ORDER, "a")
    assert len(bank.gateway.calls) == 5


def test_not_repeated_once_the_gateway_has_forgotten(bank, execute):
    bank.gateway.after = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(ORDER, "a")
    bank.later(days=30)
    with pytest.raises(errors.OutcomeUnknown):
        execute(ORDER, "b")


def test_success_wins_over_a_transfer_given_up_meanwhile(bank, execute, abandon):
    submit = bank.gateway.submit

    def slow(**order):
        abandon(ORDER, "given up by another delivery")
        return submit(**order)

    bank.gateway.submit = slow
    assert execute(ORDER, "a") == "submitted"
    assert bank.rows("select count(*) from dead_letters") == [(0,)]
    abandon(ORDER, "too late")
    assert bank.rows("select status from transfers where id = 101") == [("SUBMITTED",)]
    assert bank.rows("select count(*) from dead_letters") == [(0,)]


def test_release_relay_and_sweep(bank, execute):
    release = services.ReleaseTransfer(bank.uow, bank.clock)
    relay = services.RelayOutbox(bank.uow, bank, bank.clock)
    sweep = services.RedispatchStalled(bank.uow, POLICY, bank.clock)
    release(101)
    release(101)
    assert relay() == 1 and relay() == 0
    assert sweep() == 0  # too early
    bank.later(minutes=11)
    assert sweep() == 1 and sweep() == 0
    assert relay() == 1
    assert bank.published == [ORDER, ORDER]
    execute(ORDER, "a")
    bank.later(minutes=60)
    assert sweep() == 0


def test_sweep_brings_back_what_died_in_the_middle(bank, execute):
    bank.gateway.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(ORDER, "a")
    bank.now += timedelta(minutes=15)
    assert services.RedispatchStalled(bank.uow, POLICY, bank.clock)() == 1


def test_relay_keeps_what_the_broker_refuses(bank):
    services.ReleaseTransfer(bank.uow, bank.clock)(101)

    class Down:
        def publish(self, payload):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        services.RelayOutbox(bank.uow, Down(), bank.clock)()
    assert services.RelayOutbox(bank.uow, bank, bank.clock)() == 1
