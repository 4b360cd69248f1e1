import pytest
from arq import Retry
from sqlalchemy import select

from cloudkeys import sweeps
from cloudkeys import requests as portal
from cloudkeys.db import ACTIVE, FAILED, QUEUED, DeadLetter, KeyRequest
from cloudkeys.jobs import MAX_ATTEMPTS, provision_key

MESSAGE = {"request_id": "kr_a1f09c"}


async def row(ctx, request_id="kr_a1f09c"):
    async with ctx["sessions"]() as session:
        return await session.get(KeyRequest, request_id)


async def letters(ctx):
    async with ctx["sessions"]() as session:
        return (await session.scalars(select(DeadLetter))).all()


async def test_provisions_once(ctx, partner):
    await provision_key(ctx, MESSAGE)
    await provision_key(ctx, MESSAGE)
    assert partner.calls == 1
    got = await row(ctx)
    assert (got.status, got.key_id, got.fingerprint) == (ACTIVE, "k-1", "fp-acme")


async def test_lost_answer_is_asked_again_with_the_same_key(ctx, partner):
    partner.answers = [201, None]

    async def dies(*args, **kwargs):
        raise KeyboardInterrupt

    real = ctx["partner"].create_key

    async def killed(**kwargs):
        await real(**kwargs)
        raise KeyboardInterrupt

    ctx["partner"].create_key = killed
    with pytest.raises(KeyboardInterrupt):
        await provision_key(ctx, MESSAGE)
    ctx["partner"].create_key = real
    with pytest.raises(Retry):
        await provision_key(ctx | {"job_try": 2}, MESSAGE)
    await provision_key(ctx | {"job_try": 3}, MESSAGE)
    assert len(partner.made) == 1
    assert (await row(ctx)).status == ACTIVE


async def test_gives_up_after_the_last_attempt(ctx, partner):
    partner.answers = [503] * 9
    for job_try in range(1, MAX_ATTEMPTS):
        with pytest.raises(Retry):
            await provision_key(ctx | {"job_try": job_try}, MESSAGE)
    await provision_key(ctx | {"job_try": MAX_ATTEMPTS}, MESSAGE)
    assert partner.calls == MAX_ATTEMPTS
    assert (await row(ctx)).status == FAILED
    (letter,) = await letters(ctx)
    assert "503" in letter.reason


async def test_refusal_is_final(ctx, partner):
    partner.answers = [422]
    await provision_key(ctx, MESSAGE)
    await provision_key(ctx, MESSAGE)
    assert partner.calls == 1
    assert len(await letters(ctx)) == 1


@pytest.mark.parametrize(
    "message", [{}, {"request_id": 7}, {"request_id": "x"}, MESSAGE | {"force": True}, None, {"request_id": "kr_ffffff"}]
)
async def test_nonsense_is_put_aside(ctx, partner, message):
    await provision_key(ctx, message)
    await provision_key(ctx, message)
    assert partner.calls == 0
    assert len(await letters(ctx)) == 1


class FakeRedis:
    def __init__(self):
        self.jobs = {}

    async def enqueue_job(self, function, *args, _job_id):
        if _job_id in self.jobs:
            return None
        self.jobs[_job_id] = (function, args)
        return object()

    async def aclose(self, **kwargs):
        pass


async def test_submit_and_sweep(ctx, monkeypatch):
    redis = FakeRedis()

    async def pool(settings):
        return redis

    monkeypatch.setattr("cloudkeys.queueing.create_pool", pool)
    await portal.submit("kr_b2770e")
    assert redis.jobs == {"provision_key:kr_b2770e": ("provision_key", ({"request_id": "kr_b2770e"},))}
    assert (await row(ctx, "kr_b2770e")).status == QUEUED
    assert await sweeps.republish_queued() == 1  # kr_a1f09c, whose message never came
    assert await sweeps.republish_queued() == 0
