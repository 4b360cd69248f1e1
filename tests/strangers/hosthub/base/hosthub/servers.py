"""The servers' rows and their way through the statuses."""
import json
import time
from dataclasses import dataclass
from enum import StrEnum

from hosthub import db
from hosthub.settings import get_settings


class Status(StrEnum):
    PAID = "paid"
    QUEUED = "queued"
    CREATING = "creating"
    CREATED = "created"
    ACTIVE = "active"
    FAILED = "failed"


ENDED = (Status.ACTIVE, Status.FAILED)


class NoSuchServer(Exception):
    pass


class Changed(Exception):
    """The row is not the one that was read: somebody else has changed the status."""


@dataclass(frozen=True)
class Server:
    id: int
    hostname: str
    plan: str
    region: str
    status: Status
    version: int
    attempts: int
    provider_id: str | None
    ip: str | None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def last_attempt(self) -> bool:
        return self.attempts >= get_settings().max_attempts


async def _read(tx, server_id: int) -> Server:
    cursor = await tx.execute(
        "select id, hostname, plan, region, status, version, attempts, provider_id, ip"
        " from servers where id = ?", (server_id,))
    row = await cursor.fetchone()
    if row is None:
        raise NoSuchServer(f"there is no server {server_id}")
    return Server(**{**dict(row), "status": Status(row["status"])})


async def _move(tx, server: Server, status: Status, **values) -> None:
    values = {**values, "status": status.value, "touched_at": time.time()}
    columns = ", ".join(f"{name} = :{name}" for name in values)
    cursor = await tx.execute(
        f"update servers set {columns}, version = version + 1"
        " where id = :id and version = :read and status = :was",
        {**values, "id": server.id, "read": server.version, "was": server.status.value})
    if cursor.rowcount == 0:
        raise Changed(f"server {server.id} is not {server.status} in version {server.version} any more")


async def queue(server_id: int) -> bool:
    """paid or failed -> queued. False where it is on its way or has arrived."""
    async with db.transaction() as tx:
        server = await _read(tx, server_id)
        if server.status not in (Status.PAID, Status.FAILED):
            return False
        await _move(tx, server, Status.QUEUED, attempts=0, saq_key=None)
        return True


async def queued_as(server_id: int, saq_key: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("update servers set saq_key = ?, touched_at = ? where id = ?",
                         (saq_key, time.time(), server_id))


async def begin(server_id: int) -> tuple[Server, bool]:
    """The server, and whether there may be one more attempt; if so, it is counted."""
    async with db.transaction() as tx:
        server = await _read(tx, server_id)
        if server.ended or server.last_attempt:
            return server, False
        await tx.execute("update servers set attempts = attempts + 1, touched_at = ? where id = ?",
                         (time.time(), server_id))
        if server.status in (Status.PAID, Status.QUEUED):
            await _move(tx, server, Status.CREATING)
        return await _read(tx, server_id), True


async def created(server: Server, provider_id: str, ip: str) -> Server:
    async with db.transaction() as tx:
        await _move(tx, server, Status.CREATED, provider_id=provider_id, ip=ip)
        return await _read(tx, server.id)


async def activate(server: Server) -> None:
    """The customer has a server, and pays for it from now on."""
    async with db.transaction() as tx:
        await _move(tx, server, Status.ACTIVE)
        await tx.execute("insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)",
                         (server.id, server.plan, time.time()))


async def fail(server: Server, saq_key: str, reason: str) -> None:
    async with db.transaction() as tx:
        await _move(tx, server, Status.FAILED)
        await _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)


async def fail_message(saq_key: str, message: dict, reason: str) -> None:
    """A message that belongs to no server."""
    async with db.transaction() as tx:
        await _failure(tx, saq_key, None, message, reason, 0)


async def _failure(tx, saq_key, server_id, message, reason, attempts) -> None:
    await tx.execute(
        "insert into provisioning_failures (saq_key, server_id, message, reason, attempts, failed_at)"
        " values (?, ?, ?, ?, ?, ?)"
        " on conflict (saq_key) do update set reason = excluded.reason, failed_at = excluded.failed_at",
        (saq_key, server_id, json.dumps(message, sort_keys=True, default=repr), reason, attempts, time.time()))


async def stuck(before: float) -> list[Server]:
    """Servers that were queued and not published, or that have not moved for too long."""
    async with db.transaction() as tx:
        cursor = await tx.execute(
            "select id from servers where (status = 'queued' and saq_key is null)"
            " or (status in ('queued', 'creating', 'created') and touched_at < ?) order by id", (before,))
        return [await _read(tx, row["id"]) for row in await cursor.fetchall()]
