import pytest

from tidings import editions
from tidings.worker import WorkerSettings


async def test_an_issue_goes_to_everybody_once(queue, rows):
    assert await editions.send_issue(1) == 2
    assert await editions.send_issue(1) == 0
    assert [kwargs["_job_id"] for _, kwargs in queue.jobs] == ["letter-1-1", "letter-1-2"]


async def test_a_lost_publication_is_caught_up(queue, monkeypatch):
    async def broken(redis_settings):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(editions, "create_pool", broken)
        with pytest.raises(ConnectionError):
            await editions.send_to(1, 2)
    assert await editions.publish_pending() == 1
    assert len(queue.jobs) == 1


async def test_unknown(queue):
    with pytest.raises(editions.NoSuchLetter):
        await editions.send_to(1, 99)


def test_the_worker_knows_the_job():
    assert [function.name for function in WorkerSettings.functions] == ["deliver_letter"]
