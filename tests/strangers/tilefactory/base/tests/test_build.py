import gzip

import pytest

from tilefactory import jobs, release, settings, store, sweeps


def test_writes_the_file_once(objects, rows):
    key = jobs.build_batch({"batch_id": 1})
    jobs.build_batch({"batch_id": 1})
    assert objects.puts == [key]
    assert len(gzip.decompress(objects.objects["tiles", key][0]).splitlines()) == 2
    assert rows("select status from batches where id = 1") == [("done",)]
    assert rows("select published from layers where name = 'roads'") == [(2,)]


def test_two_at_once(objects, rows, monkeypatch):
    put = objects.put_object

    def slow(**kwargs):
        monkeypatch.setattr(objects, "put_object", put)
        jobs.build_batch({"batch_id": 1})  # a second delivery, meanwhile
        return put(**kwargs)
    monkeypatch.setattr(objects, "put_object", slow)
    jobs.build_batch({"batch_id": 1})
    assert len(objects.objects) == 1
    assert rows("select published from layers where name = 'roads'") == [(2,)]


def test_retries_what_may_pass(objects, rows):
    objects.errors = [store.StoreUnavailable("503")]
    with pytest.raises(store.StoreUnavailable):
        jobs.build_batch({"batch_id": 1})
    jobs.build_batch({"batch_id": 1})
    assert len(set(objects.puts)) == 1
    assert rows("select count(*) from dead_letters") == [(0,)]


def test_gives_up_in_the_end(objects, rows, caplog):
    objects.errors = [store.StoreUnavailable("503")] * 9
    for _ in range(settings.MAX_ATTEMPTS - 1):
        with pytest.raises(store.StoreUnavailable):
            jobs.build_batch({"batch_id": 1})
    assert jobs.build_batch({"batch_id": 1}) is None
    assert jobs.build_batch({"batch_id": 1}) is None
    assert len(objects.puts) == settings.MAX_ATTEMPTS
    assert rows("select batch_id, attempts from dead_letters") == [(1, 5)]
    assert "batch=1] gave up: StoreUnavailable: 503" in caplog.text


def test_does_not_retry_what_stays(objects, rows):
    objects.errors = [store.InvalidObject("400")]
    assert jobs.build_batch({"batch_id": 1}) is None
    assert rows("select batch_id, reason from dead_letters") == [(1, "InvalidObject: 400")]


@pytest.mark.parametrize("message", [{}, {"batch_id": "one"}, {"batch_id": 0}, {"batch_id": 99}, None])
def test_keeps_bad_messages(objects, rows, message):
    jobs.build_batch(message)
    assert rows("select count(*) from dead_letters") == [(1,)]
    assert objects.puts == []


def test_released_once_and_swept(objects, rows, monkeypatch):
    assert release.release(1)
    assert not release.release(1)
    job = release.queue().jobs[0]
    assert (job.retries_left, job.retry_intervals) == (4, [30, 90, 270, 300])
    assert sweeps.requeue() == []
    now = sweeps.time.time()
    monkeypatch.setattr(sweeps.time, "time", lambda: now + 700)
    assert sweeps.requeue() == [1]


def test_sweep_buries_what_kills_its_workers(objects, rows, monkeypatch):
    def die(*args, **kwargs):
        raise SystemExit
    monkeypatch.setattr(objects, "put_object", die)
    for _ in range(settings.MAX_ATTEMPTS):
        with pytest.raises(SystemExit):
            jobs.build_batch({"batch_id": 1})
    now = sweeps.time.time()
    monkeypatch.setattr(sweeps.time, "time", lambda: now + 700)
    assert sweeps.requeue() == []
    assert rows("select batch_id from dead_letters") == [(1,)]
