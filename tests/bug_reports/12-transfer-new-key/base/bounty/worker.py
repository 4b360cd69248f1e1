import asyncio
import json
import os
import uuid

from arq import Retry, create_pool, func
from arq.connections import RedisSettings

from bounty import db, provider

MAX_TRIES = 4
redis_settings = RedisSettings.from_dsn(os.environ.get("BOUNTY_REDIS", "redis://localhost:6379"))


def give_up(message, reason):
    with db.connect() as con:
        con.execute("insert or ignore into failed_payouts values (?, ?)", (json.dumps(message, sort_keys=True), reason))


async def pay_out(ctx, message):
    payout_id = message.get("payout_id")
    if set(message) != {"payout_id"} or type(payout_id) is not int:
        return give_up(message, "malformed")
    with db.connect() as con:
        row = con.execute("select account, cents, transfer from payouts where id = ?", (payout_id,)).fetchone()
    if row is None:
        return give_up(message, "no such payout")
    account, cents, done = row
    if done:
        return None
    key = str(uuid.uuid4())
    try:
        transfer_id = await provider.transfer(account, cents, key)
    except provider.TransferRefused:
        return give_up(message, "refused")
    except provider.ProviderTrouble as error:
        if ctx["job_try"] >= MAX_TRIES:
            return give_up(message, "provider trouble")
        raise Retry(defer=30) from error
    with db.connect() as con:
        con.execute("update payouts set transfer = ? where id = ?", (transfer_id, payout_id))
    return None


def approve(payout_id):
    async def publish():
        pool = await create_pool(redis_settings)
        await pool.enqueue_job("pay_out", {"payout_id": payout_id})
        await pool.aclose()

    asyncio.run(publish())


class WorkerSettings:
    functions = [func(pay_out, max_tries=MAX_TRIES)]
    redis_settings = redis_settings
