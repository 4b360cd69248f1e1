"""All SQL about the state of a lab request. Each function is one transaction."""

import json
import time
from dataclasses import dataclass
from uuid import uuid4

from . import config
from .db import connection, transaction
from .errors import Busy, UnknownRequest, WornOut


@dataclass(frozen=True)
class Claim:
    ref: str
    holder: str
    attempt: int
    animal: str
    panel: str
    owner_phone: str
    lab_order_id: str | None
    texted: bool


async def add_sample(ref: str, animal: str, panel: str, owner_phone: str) -> None:
    async with transaction() as db:
        await db.execute(
            "insert into samples (ref, animal, panel, owner_phone) values (?, ?, ?, ?) on conflict (ref) do nothing",
            (ref, animal, panel, owner_phone),
        )


async def open_request(ref: str) -> None:
    async with transaction() as db:
        await _open(db, ref)


async def _open(db, ref: str) -> dict:
    """The sample and its request, which is there from the first time that somebody wants it."""
    async with db.execute("select 1 from samples where ref = ?", (ref,)) as rows:
        if await rows.fetchone() is None:
            raise UnknownRequest(ref)
    await db.execute(
        "insert into lab_requests (ref, look_at) values (?, ?) on conflict (ref) do nothing", (ref, time.time())
    )
    async with db.execute("select * from samples join lab_requests using (ref) where ref = ?", (ref,)) as rows:
        return dict(await rows.fetchone())


async def claim(ref: str) -> Claim | None:
    """Hold the request for a while, and count the attempt. None: it has ended already."""
    now = time.time()
    async with transaction() as db:
        row = await _open(db, ref)
        if row["status"] != "open":
            return None
        if row["held_until"] > now:
            raise Busy(ref)
        if row["attempts"] >= config.MAX_ATTEMPTS:
            raise WornOut(ref)
        holder = uuid4().hex
        await db.execute(
            "update lab_requests set attempts = attempts + 1, holder = ?, held_until = ?, look_at = ? where ref = ?",
            (holder, now + config.LEASE_SECONDS, now + config.STUCK_SECONDS, ref),
        )
    return Claim(
        ref=ref,
        holder=holder,
        attempt=row["attempts"] + 1,
        animal=row["animal"],
        panel=row["panel"],
        owner_phone=row["owner_phone"],
        lab_order_id=row["lab_order_id"],
        texted=row["texted_at"] is not None,
    )


async def let_go(claim: Claim) -> None:
    async with transaction() as db:
        await db.execute(
            "update lab_requests set held_until = 0 where ref = ? and holder = ?", (claim.ref, claim.holder)
        )


async def ordered(claim: Claim, lab_order_id: str) -> None:
    async with transaction() as db:
        await db.execute(
            "update lab_requests set lab_order_id = ? where ref = ? and lab_order_id is null",
            (lab_order_id, claim.ref),
        )


async def booked(claim: Claim) -> None:
    async with transaction() as db:
        await db.execute(
            "update lab_requests set texted_at = coalesce(texted_at, ?), status = 'booked', held_until = 0"
            " where ref = ? and status = 'open'",
            (time.time(), claim.ref),
        )


async def attempts(ref: str) -> int:
    async with connection() as db:
        async with db.execute("select attempts from lab_requests where ref = ?", (ref,)) as rows:
            row = await rows.fetchone()
    return row["attempts"] if row else 0


async def expect(ref: str, delay: float) -> None:
    """A message is under way that arrives after that delay; until then the rescue need not look."""
    async with transaction() as db:
        await db.execute(
            "update lab_requests set look_at = ? where ref = ? and status = 'open'",
            (time.time() + delay + config.STUCK_SECONDS, ref),
        )


async def bury(key: str, payload: dict, error: str, attempt: int) -> bool:
    """False where it has ended otherwise, or where somebody is at it who will decide."""
    now = time.time()
    async with transaction() as db:
        async with db.execute("select status, held_until from lab_requests where ref = ?", (key,)) as rows:
            row = await rows.fetchone()
        if row is not None:
            if row["status"] != "open" or row["held_until"] > now:
                return False
            await db.execute("update lab_requests set status = 'dead' where ref = ?", (key,))
        await db.execute(
            "insert into dead_letters (key, payload, error, attempts, died_at) values (?, ?, ?, ?, ?)"
            " on conflict (key) do nothing",
            (key, json.dumps(payload, default=repr)[:500], error, attempt, now),
        )
    return True


async def overdue() -> list[str]:
    async with connection() as db:
        async with db.execute(
            "select ref from lab_requests where status = 'open' and look_at <= ? order by look_at limit 100",
            (time.time(),),
        ) as rows:
            return [row["ref"] for row in await rows.fetchall()]
