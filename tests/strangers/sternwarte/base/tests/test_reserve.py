import httpx
import psycopg
import pytest
from rq import SimpleWorker
from rq.job import Job

from sternwarte import config, desk, rescue, tasks
from sternwarte.network import NetworkDown, NetworkRefused, SlotTaken, TelescopeNetwork
from sternwarte.repositories import Bookings

MESSAGE = {"message_id": "reserve:B-101", "booking_id": "B-101"}
STATUS = "select status, reservation from bookings where id = 'B-101'"
DEAD = "select message_id, error from dead_letters"
OLD = "update bookings set status = 'requested', touched_at = touched_at - interval '2 hours'"


@pytest.fixture
def waitless(monkeypatch):
    monkeypatch.setattr(config, "RETRY_WAITS", [0, 0, 0, 0])


def work(redis):
    SimpleWorker([desk.queue()], connection=redis).work(burst=True)


def test_reserves_once(network, rows):
    assert tasks.reserve_slot(MESSAGE) == "confirmed"
    assert tasks.reserve_slot(MESSAGE) == "duplicate"
    assert network.calls == [("B-101", "atacama-1m", "2026-12-12", 3)]
    assert rows(STATUS) == [("confirmed", "TN-B-101")]
    assert rows("select message_id from inbox") == [("reserve:B-101",)]


def test_slot_taken_is_an_answer(network, rows):
    network.answers = [SlotTaken("B-101")]
    assert tasks.reserve_slot(MESSAGE) == "refused"
    assert rows(STATUS) == [("refused", None)] and not rows(DEAD)


def test_two_deliveries_at_once(network, rows):
    network.answers = [lambda: tasks.reserve_slot(MESSAGE) and "TN-B-101"]
    assert tasks.reserve_slot(MESSAGE) == "duplicate"
    assert {call[0] for call in network.calls} == {"B-101"}
    assert rows(STATUS) == [("confirmed", "TN-B-101")]


def test_lost_answer_and_lost_commit(network, rows, monkeypatch):
    network.answers = [NetworkDown("ReadTimeout")]
    with pytest.raises(NetworkDown):
        tasks.reserve_slot(MESSAGE)
    with monkeypatch.context() as m:
        def broken(*_):
            raise psycopg.OperationalError("gone")
        m.setattr(Bookings, "confirm", broken)
        with pytest.raises(psycopg.OperationalError):
            tasks.reserve_slot(MESSAGE)
    assert rows(STATUS) == [("requested", None)] and not rows("select * from inbox")
    assert tasks.reserve_slot(MESSAGE) == "confirmed"


def test_gives_up_after_five(network, rows, redis, waitless):
    network.answers = [NetworkDown("status 503")] * 9
    desk.request_slot("B-101", "obs-7", "atacama-1m", "2026-12-12", 3)
    work(redis)
    assert len(network.calls) == 5
    assert rows(DEAD) == [("reserve:B-101", "NetworkDown")]
    assert rows(STATUS) == [("failed", None)]
    assert tasks.reserve_slot(MESSAGE) == "duplicate"


def test_fifth_attempt_works(network, rows, redis, waitless):
    network.answers = [NetworkDown("status 503")] * 4
    desk.request_slot("B-101", "obs-7", "atacama-1m", "2026-12-12", 3)
    work(redis)
    assert rows(STATUS) == [("confirmed", "TN-B-101")] and not rows(DEAD)


def test_refusal_is_not_tried_again(network, rows, redis, waitless):
    network.answers = [NetworkRefused("status 422")]
    desk.enqueue("B-101")
    work(redis)
    assert len(network.calls) == 1 and rows(DEAD) == [("reserve:B-101", "NetworkRefused")]


@pytest.mark.parametrize("message", [{}, None, {"booking_id": "B-101"},
                                     {"message_id": "reserve:B-102", "booking_id": "B-101"},
                                     {"message_id": "reserve:B-9", "booking_id": "B-9"}])
def test_bad_messages_die_at_once(network, rows, redis, waitless, message, monkeypatch):
    monkeypatch.setattr(desk, "message_for", lambda _: message)
    desk.enqueue("B-101")
    desk.enqueue("B-101")
    work(redis)
    assert not network.calls and len(rows(DEAD)) == 1
    assert rows(STATUS) == [("planned", None)]


def test_late_success_beside_a_giving_up(network, rows):
    network.answers = [lambda: tasks.bury(MESSAGE, "NetworkDown", 5) and "TN-B-101"]
    assert tasks.reserve_slot(MESSAGE) == "confirmed"
    assert rows(STATUS) == [("confirmed", "TN-B-101")] and not rows(DEAD)


def test_rescue_after_redis_was_away(network, rows, redis):
    rescue.rescue()
    assert not network.calls and not desk.queue().job_ids
    rows(OLD)
    rescue.rescue()
    rescue.rescue()
    assert sorted(desk.queue().job_ids) == ["reserve-B-101", "reserve-B-102", "reserve-B-103"]
    work(redis)
    assert rows("select distinct status from bookings") == [("confirmed",)]


def test_rescue_buries_what_rq_gave_up_silently(network, rows, redis):
    job = desk.enqueue("B-101")
    rows("update bookings set attempts = 5 where id = 'B-101'")
    desk.queue().remove(job)
    Job.fetch(job.id, connection=redis).set_status("failed")
    rows(OLD + " where id = 'B-101'")
    rescue.rescue()
    rescue.rescue()
    assert rows(DEAD) == [("reserve:B-101", "GivenUp")] and not network.calls


def test_callback_without_database_gets_another_chance(network, rows, redis, waitless, monkeypatch):
    network.answers = [NetworkRefused("status 422")] * 2
    bury, times = tasks.bury, []

    def flaky(*args):
        times.append(1)
        if len(times) == 1:
            raise psycopg.OperationalError("gone")
        return bury(*args)

    monkeypatch.setattr(tasks, "bury", flaky)
    desk.enqueue("B-101")
    work(redis)
    assert rows(DEAD) == [("reserve:B-101", "NetworkRefused")]


@pytest.mark.parametrize("status, error", [(409, SlotTaken), (503, NetworkDown), (429, NetworkDown),
                                           (422, NetworkRefused), (200, NetworkDown)])
def test_what_answers_mean(status, error):
    partner = httpx.MockTransport(lambda request: httpx.Response(status, text="-"))
    with pytest.raises(error):
        TelescopeNetwork("http://tn", "t", partner).reserve("B-1", "x", "2026-12-12", 1)


def test_put_under_our_id():
    def answer(request):
        assert request.method == "PUT" and request.url.path == "/reservations/B-1"
        return httpx.Response(201, json={"number": "TN-1"})
    network = TelescopeNetwork("http://tn", "t", httpx.MockTransport(answer))
    assert network.reserve("B-1", "x", "2026-12-12", 1) == "TN-1"
