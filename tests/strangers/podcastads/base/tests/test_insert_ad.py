import logging

import pytest
from redis.exceptions import ConnectionError as RedisGone

from podcastads import billing, db, desk, jobs, lease, ledger, queues, s3

EP, DAY = "ep_7fk2", "2031-03-03"
STATUS = "select status, batch_ref from insertions where episode_id = 'ep_7fk2' and day = '2031-03-03'"
TOTALS = "select booked_impressions, booked_cents from campaigns where id = 'c-oat'"


def test_books(world, rows, work, caplog):
    caplog.set_level(logging.INFO)
    desk.request(EP, DAY)
    work()
    assert rows(STATUS) == [("booked", "b-1")] and rows(TOTALS) == [(12000, 21600)]
    assert list(world.batches) == ["podcastads/ep_7fk2:2031-03-03"] and len(world.objects) == 1
    assert "key=ep_7fk2:2031-03-03 attempt=1/5]: booked" in caplog.text and "Oat & Co" not in caplog.text


def test_twice_is_once(world, rows, work):
    desk.request(EP, DAY)
    desk.request(EP, DAY)
    queues.enqueue(EP, DAY)
    work()
    queues.enqueue(EP, DAY)
    work()
    assert world.bookings == 1 and rows(TOTALS) == [(12000, 21600)]


def test_at_once_without_a_lease(world, rows, monkeypatch):
    """The lease has run out under the first one."""
    desk.request(EP, DAY)
    render = jobs.stitch.render

    def slow(row):
        monkeypatch.setattr(jobs.stitch, "render", render)
        world.redis.flushall()
        assert jobs.insert_ad(episode_id=EP, day=DAY) == "booked"
        return render(row)

    monkeypatch.setattr(jobs.stitch, "render", slow)
    assert jobs.insert_ad(episode_id=EP, day=DAY) == "another delivery was faster"
    assert len(world.batches) == 1 and rows(TOTALS) == [(12000, 21600)]


def test_taken(world, rows):
    desk.request(EP, DAY)
    with lease.hold(ledger.key_of(EP, DAY)):
        with pytest.raises(lease.Taken):
            jobs.insert_ad(episode_id=EP, day=DAY)
    assert world.bookings == 0
    assert jobs.insert_ad(episode_id=EP, day=DAY) == "booked"


def test_only_ones_own_lease_is_given_back(world):
    with lease.hold("x"):
        world.redis.set("podcastads:lease:x", "of somebody else")
    assert world.redis.get("podcastads:lease:x") == b"of somebody else"


def test_taken_to_the_end_is_left_to_the_sweep(world, rows, work, monkeypatch):
    desk.request(EP, DAY)
    world.redis.set("podcastads:lease:ep_7fk2:2031-03-03", "dead")
    work()
    assert rows(STATUS) == [("requested", None)] and rows("select * from dead_jobs") == []
    world.redis.delete("podcastads:lease:ep_7fk2:2031-03-03")
    monkeypatch.setattr(desk, "now", lambda: db.now() + 700)
    assert desk.sweep() == 1
    work()
    assert rows(STATUS) == [("booked", "b-1")]


def test_passing_errors(world, rows, work):
    world.s3_errors = [s3.S3Unavailable("503")]
    world.billing_errors = [billing.BillingDown("ReadTimeout")]
    desk.request(EP, DAY)
    work()
    assert rows(STATUS) == [("booked", "b-1")] and world.puts == 3 and len(world.objects) == 1


def test_given_up_after_five(world, rows, work):
    world.billing_errors = [billing.BillingDown("status 503") for _ in range(9)]
    desk.request(EP, DAY)
    work()
    assert world.bookings == 5 and rows(STATUS) == [("failed", None)]
    assert rows("select key, reason from dead_jobs") == [("ep_7fk2:2031-03-03", "BillingDown: status 503")]
    world.billing_errors = []
    desk.retry(EP, DAY)
    work()
    assert rows(STATUS) == [("booked", "b-1")] and rows("select * from dead_jobs") == []


def test_refused(world, rows, work):
    world.billing_errors = [billing.BillingRefused("status 422")]
    desk.request(EP, DAY)
    work()
    assert world.bookings == 1 and rows(STATUS) == [("failed", None)] and len(rows("select * from dead_jobs")) == 1


@pytest.mark.parametrize("message", [{}, {"episode_id": EP}, {"episode_id": 7, "day": DAY}, {"episode_id": EP, "day": "x"},
                                     {"episode_id": EP, "day": DAY, "force": True}, {"episode_id": "ep_none", "day": DAY}])
def test_bad_messages(world, rows, message):
    assert jobs.insert_ad(**message) == "given up" == jobs.insert_ad(**message)
    assert len(rows("select * from dead_jobs")) == 1 and world.bookings == 0


def test_redis_away(world, rows, work, monkeypatch):
    def refuse(*args):
        raise RedisGone("refused")

    with monkeypatch.context() as m:
        m.setattr(queues, "enqueue", refuse)
        desk.request(EP, DAY)
    assert desk.sweep() == 1 and desk.sweep() == 0
    work()
    assert rows(STATUS) == [("booked", "b-1")]


def test_dying_workers(world, rows):
    desk.request(EP, DAY)
    for _ in range(ledger.MAX_TRIES):
        ledger.begin(EP, DAY)
    assert jobs.insert_ad(episode_id=EP, day=DAY) == "given up" and world.bookings == 0
