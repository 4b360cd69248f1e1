import httpx
import pytest

from foodbank import jobs, outbox, pickups, schema, sms


def rows(sql):
    with schema.reading() as db:
        return [tuple(row) for row in db.execute(sql)]


def pickup(pickup_id=1):
    return rows(f"select status, slot_id, sms_id from pickups where id = {pickup_id}")[0]


def test_books_and_tells(partners):
    assert jobs.arrange_pickup(pickup_id=1) == "told"
    assert pickup() == ("told", "sl-7", "m-9")
    assert partners.booked == [("foodbank-pickup-1", {"dock": "migros-west", "day": "2031-05-02", "crates": 6})]
    assert partners.texted == [("+41790000001", "pickup-1")]


def test_second_delivery_does_nothing(partners):
    jobs.arrange_pickup(pickup_id=1)
    jobs.arrange_pickup(pickup_id=1)
    assert len(partners.booked) == len(partners.texted) == 1
    assert rows("select trips from drivers where id = 1") == [(1,)]


def test_gateway_down_keeps_the_slot(partners):
    partners.sms_says = [sms.GatewayDown("HTTP 502")]
    with pytest.raises(sms.GatewayDown):
        jobs.arrange_pickup(pickup_id=1)
    assert pickup() == ("booked", "sl-7", None)
    jobs.arrange_pickup(pickup_id=1)
    assert pickup() == ("told", "sl-7", "m-9")
    assert len(partners.booked) == 1


def test_dispatch_runs_through_the_queue(partners, stub):
    pickups.dispatch(2)
    stub.settle()
    assert pickup(2)[0] == "told"
    assert rows("select count(*) from outbox where sent_at is null") == [(0,)]


def test_retried_until_the_dock_is_back(partners, stub):
    partners.dock_says = [503, httpx.ConnectTimeout("timed out"), 429]
    pickups.dispatch(1)
    stub.settle()
    assert pickup() == ("told", "sl-7", "m-9")
    assert len(partners.booked) == 4
    assert len({key for key, _ in partners.booked}) == 1


def test_given_up_after_five(partners, stub):
    partners.dock_says = [503] * 9
    pickups.dispatch(1)
    stub.settle()
    assert len(partners.booked) == 5
    assert pickup()[0] == "failed"
    assert rows("select subject, error, attempt from dead_letters") == [("pickup 1", "dock answered 503", 5)]


def test_refused_is_not_retried(partners, stub):
    partners.dock_says = [422]
    pickups.dispatch(1)
    stub.settle()
    assert len(partners.booked) == 1
    assert rows("select count(*) from dead_letters") == [(1,)]


@pytest.mark.parametrize(
    "message",
    [{}, {"pickup_id": "1"}, {"pickup_id": True}, {"pickup_id": 77}, {"pickup_id": 2**70}, {"pickup_id": 1, "x": 1}],
)
def test_poison(partners, stub, message):
    jobs.arrange_pickup.send(**message)
    stub.settle()
    assert rows("select count(*) from dead_letters") == [(1,)]
    assert not partners.booked
    assert pickup()[0] == "open"


def test_relay_publishes_what_the_broker_refused(partners, stub, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(jobs.arrange_pickup, "send", lambda **_: (_ for _ in ()).throw(ConnectionError()))
        pickups.dispatch(1)
    assert rows("select sent_at from outbox") == [(None,)]
    jobs.relay_outbox.send()
    stub.settle()
    assert pickup()[0] == "told"


def test_chase_brings_back_a_lost_one(partners, stub, monkeypatch):
    with schema.writing() as db:
        db.execute("update pickups set touched_at = 1, status = 'booked', slot_id = 'sl-1', slot_from = '9' where id = 3")
    assert pickups.chase() == 1
    assert pickups.chase() == 0
    stub.settle()
    assert pickup(3) == ("told", "sl-1", "m-9")


def test_no_phone_number_in_the_log(partners, capsys):
    jobs.arrange_pickup(pickup_id=1)
    assert "+4179" not in "".join(capsys.readouterr())
