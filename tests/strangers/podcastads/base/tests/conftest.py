import logging
from types import SimpleNamespace

import fakeredis
import pytest
from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty

from podcastads import billing, db, lease, queues, s3


@pytest.fixture(autouse=True)
def world(monkeypatch, tmp_path):
    monkeypatch.setenv("PODCASTADS_DB", str(tmp_path / "ads.db"))
    db.create(demo=True)
    server = fakeredis.FakeServer()
    monkeypatch.setattr(lease, "redis", lambda: fakeredis.FakeStrictRedis(server=server))
    world = SimpleNamespace(redis=lease.redis(), objects={}, puts=0, batches={}, bookings=0, s3_errors=[], billing_errors=[])

    def put_object(self, *, Bucket, Key, Body, ContentType):
        world.puts += 1
        if world.s3_errors:
            raise world.s3_errors.pop(0)
        world.objects[Bucket, Key] = Body
        return {"ETag": "e"}

    def book_batch(self, batch, *, idempotency_key):
        world.bookings += 1
        if world.billing_errors:
            raise world.billing_errors.pop(0)
        return world.batches.setdefault(idempotency_key, (f"b-{len(world.batches) + 1}", batch))[0]

    monkeypatch.setattr(s3.S3, "put_object", put_object)
    monkeypatch.setattr(billing.Billing, "book_batch", book_batch)
    return world


@pytest.fixture
def rows():
    def rows(sql, *args):
        con = db.connect()
        try:
            return [tuple(row) for row in con.execute(sql, args)]
        finally:
            con.close()
    return rows


class Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty


@pytest.fixture
def work(world):
    """Let RQ work until nothing is left; what waits for a retry is not waited for."""
    def work():
        queue = queues.queue()
        for _ in range(20):
            Worker([queue], connection=queue.connection).work(burst=True, logging_level=logging.WARNING)
            waiting = queue.scheduled_job_registry.get_job_ids()
            if not waiting:
                return
            for job_id in waiting:
                queue.scheduled_job_registry.remove(job_id)
                queue._enqueue_job(queue.fetch_job(job_id))
    return work
