"""The welcome mail."""

import asyncio
import logging

from accounts import mail
from accounts.db import connect

log = logging.getLogger("accounts.welcome")
WAITS = (2, 6, 18)


async def send_welcome(user_id: int | None = None, email: str = "") -> None:
    """Sends it once to each user; tries four times, then leaves it in failed_welcomes."""
    log.info("welcome for user %s: begins", user_id)
    if not isinstance(user_id, int) or "@" not in email:
        await give_up(user_id, "not a user with an address")
        return
    if await was_sent(user_id):
        log.info("welcome for user %s: was sent before", user_id)
        return
    try:
        await send(user_id, email)
    except (mail.Rejected, mail.Unavailable, TimeoutError) as error:
        await give_up(user_id, repr(error))
        return
    async with connect() as connection:
        await connection.execute("insert or ignore into welcomes values (?, ?)", (user_id, email))
        await connection.commit()
    log.info("welcome for user %s: sent", user_id)


async def send(user_id: int, email: str) -> None:
    for wait in (*WAITS, None):
        try:
            await mail.deliver(email, "welcome", key=f"welcome-{user_id}")
            return
        except (mail.Unavailable, TimeoutError) as error:
            if wait is None:
                raise
            log.warning("welcome for user %s: %r, tried again in %s s", user_id, error, wait)
            await asyncio.sleep(wait)


async def was_sent(user_id: int) -> bool:
    async with connect() as connection:
        async with connection.execute("select 1 from welcomes where user_id = ?", (user_id,)) as rows:
            return await rows.fetchone() is not None


async def give_up(user_id: object, reason: str) -> None:
    async with connect() as connection:
        await connection.execute(
            "insert or ignore into failed_welcomes (user_id, reason) values (?, ?)", (str(user_id), reason)
        )
        await connection.commit()
    log.error("welcome for user %s: given up: %s", user_id, reason)
