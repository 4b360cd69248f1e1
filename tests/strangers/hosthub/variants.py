"""Versions of base/: two more that are right, four that are not."""

_SPEC = ".skillrun/jobs/provision-server.yaml"

_TOKENS_UUID = '''"""Client tokens: the cloud makes one machine per token."""
from uuid import uuid4


def new() -> str:
    """Goes into the server's row before the cloud is asked, and stays there."""
    return str(uuid4())
'''

_SERVERS_STATUS = '''"""The servers' rows. A change of the status names the status it comes from; that is all the locking there is."""
import json
import time
from dataclasses import dataclass

from hosthub import db
from hosthub.settings import get_settings


class NoSuchServer(Exception):
    pass


class Changed(Exception):
    """Somebody else has changed the status."""


@dataclass
class Server:
    id: int
    hostname: str
    plan: str
    region: str
    status: str
    attempts: int
    provider_id: str | None
    ip: str | None

    @property
    def ended(self) -> bool:
        return self.status in ("active", "failed")

    @property
    def last_attempt(self) -> bool:
        return self.attempts >= get_settings().max_attempts


async def read(tx, server_id: int) -> Server:
    cursor = await tx.execute(
        "select id, hostname, plan, region, status, attempts, provider_id, ip from servers where id = ?",
        (server_id,))
    row = await cursor.fetchone()
    if row is None:
        raise NoSuchServer(f"there is no server {server_id}")
    return Server(**dict(row))


async def change(tx, sql: str, *values) -> None:
    if (await tx.execute(sql, values)).rowcount == 0:
        raise Changed("the status is another one by now")


async def queue(server_id: int) -> bool:
    """paid or failed -> queued. False where it is on its way or has arrived."""
    async with db.transaction() as tx:
        await read(tx, server_id)
        cursor = await tx.execute(
            "update servers set status = 'queued', attempts = 0, saq_key = null, touched_at = ?"
            " where id = ? and status in ('paid', 'failed')", (time.time(), server_id))
        return cursor.rowcount == 1


async def queued_as(server_id: int, saq_key: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("update servers set saq_key = ?, touched_at = ? where id = ?",
                         (saq_key, time.time(), server_id))


async def begin(server_id: int) -> tuple[Server, bool]:
    """The server, and whether there may be one more attempt; if so, it is counted."""
    async with db.transaction() as tx:
        server = await read(tx, server_id)
        if server.ended or server.last_attempt:
            return server, False
        await tx.execute(
            "update servers set attempts = attempts + 1, touched_at = ?,"
            " status = case when status in ('paid', 'queued') then 'creating' else status end where id = ?",
            (time.time(), server_id))
        return await read(tx, server_id), True


async def created(server: Server, provider_id: str, ip: str) -> None:
    async with db.transaction() as tx:
        await change(
            tx, "update servers set status = 'created', provider_id = ?, ip = ?, touched_at = ?"
            " where id = ? and status = 'creating'", provider_id, ip, time.time(), server.id)
    server.status, server.provider_id, server.ip = "created", provider_id, ip


async def activate(server: Server) -> None:
    """The customer has a server, and pays for it from now on; a server has one subscription."""
    async with db.transaction() as tx:
        await change(tx, "update servers set status = 'active', touched_at = ? where id = ? and status = 'created'",
                     time.time(), server.id)
        await tx.execute(
            "insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)"
            " on conflict (server_id) do nothing", (server.id, server.plan, time.time()))


async def fail(server: Server, saq_key: str, reason: str) -> None:
    async with db.transaction() as tx:
        await change(tx, "update servers set status = 'failed', touched_at = ? where id = ? and status = ?",
                     time.time(), server.id, server.status)
        await _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)


async def fail_message(saq_key: str, message: dict, reason: str) -> None:
    """A message that belongs to no server."""
    async with db.transaction() as tx:
        await _failure(tx, saq_key, None, message, reason, 0)


async def _failure(tx, saq_key, server_id, message, reason, attempts) -> None:
    await tx.execute(
        "insert or replace into provisioning_failures (saq_key, server_id, message, reason, attempts, failed_at)"
        " values (?, ?, ?, ?, ?, ?)",
        (saq_key, server_id, json.dumps(message, sort_keys=True, default=repr), reason, attempts, time.time()))


async def stuck(before: float) -> list[Server]:
    """Servers that were queued and not published, or that have not moved for too long."""
    async with db.transaction() as tx:
        cursor = await tx.execute(
            "select id from servers where (status = 'queued' and saq_key is null)"
            " or (status in ('queued', 'creating', 'created') and touched_at < ?) order by id", (before,))
        return [await read(tx, row["id"]) for row in await cursor.fetchall()]
'''

_JOBS_LOGURU = '''"""The jobs of the workers."""
import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

from loguru import logger

from hosthub import dns, servers, tokens
from hosthub.cloud import Cloud, OrderRejected, QuotaExceeded, ServerExists
from hosthub.dns import DnsRejected

PERMANENT = (QuotaExceeded, OrderRejected, DnsRejected)


async def provision_server(ctx, **message) -> None:
    """Set a server up. The message is {server_id: 17}."""
    saq_key = ctx["job"].key if ctx.get("job") else str(uuid4())
    server_id = message.get("server_id")
    log = logger.bind(job="provision-server", server_id=server_id, saq_key=saq_key)
    if set(message) != {"server_id"} or type(server_id) is not int or server_id < 1:
        await refuse(log, saq_key, message, f"malformed message {message!r}")
        return
    try:
        server, go_on = await servers.begin(server_id)
    except servers.NoSuchServer as exc:
        await refuse(log, saq_key, message, f"NoSuchServer: {exc}")
        return
    if not go_on:
        log.info("server {}: nothing to do, it is {} after {} attempts", server.id, server.status, server.attempts)
        return
    log.info("server {}: attempt {} started", server.id, server.attempts)
    async with errors_handled(log, server, saq_key):
        if server.status == "creating":
            machine = await machine_for(server)
            await servers.created(server, machine["id"], machine["ip"])
        await dns.point(server.hostname, server.ip)
        await servers.activate(server)
        log.success("server {}: done, machine {} at {}", server.id, server.provider_id, server.ip)


@asynccontextmanager
async def errors_handled(log, server, saq_key):
    """Lets through what SAQ is to try again, and nothing else."""
    try:
        yield
    except servers.Changed as exc:
        log.warning("server {}: left to another delivery: {}", server.id, exc)
    except asyncio.CancelledError:
        log.warning("server {}: interrupted by a timeout or the worker's shutdown", server.id)
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        if isinstance(exc, PERMANENT) or server.last_attempt:
            await give_up(log, server, saq_key, reason)
        else:
            log.warning("server {}: attempt {} failed, it will be retried: {}", server.id, server.attempts, reason)
            raise


async def machine_for(server) -> dict:
    machine = await tokens.recall(server.id)
    if machine is None:
        async with Cloud() as cloud:
            try:
                machine = await cloud.create_server(
                    name=server.hostname, plan=server.plan, region=server.region,
                    client_token=f"hosthub-server-{server.id}")
            except ServerExists as exc:
                machine = exc.machine
        await tokens.remember(server.id, machine)
    return machine


async def refuse(log, saq_key, message, reason) -> None:
    await servers.fail_message(saq_key, message, reason)
    log.error("given up: {}", reason)


async def give_up(log, server, saq_key, reason) -> None:
    try:
        await servers.fail(server, saq_key, reason)
    except servers.Changed as exc:
        log.warning("server {}: left to another delivery: {}", server.id, exc)
    else:
        log.error("server {}: given up: {}", server.id, reason)
'''

_LOG_LOGURU = '''import logging
import sys

from loguru import logger

from hosthub.settings import get_settings


class ToLoguru(logging.Handler):
    def emit(self, record):
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


def setup() -> None:
    """JSON lines, for our events and for what libraries log."""
    logger.remove()
    logger.add(sys.stderr, level=get_settings().log_level, serialize=True)
    logging.basicConfig(handlers=[ToLoguru()], level=get_settings().log_level, force=True)
'''

_TEST = "tests/test_provision.py"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "provision-server",
        "what": "No memory in Redis: a random client token is written into the row before the cloud is first asked,"
                " and every later attempt reads it from there.",
        "edits": [
            ("hosthub/tokens.py", "", _TOKENS_UUID),
            ("hosthub/db.py", '''    provider_id text,
''', '''    client_token text unique,
    provider_id text,
'''),
            ("hosthub/servers.py", '''from hosthub import db
''', '''from hosthub import db, tokens
'''),
            ("hosthub/servers.py", '''    attempts: int
    provider_id: str | None
''', '''    attempts: int
    client_token: str | None
    provider_id: str | None
'''),
            ("hosthub/servers.py", '''status, version, attempts, provider_id, ip"''',
             '''status, version, attempts, client_token, provider_id, ip"'''),
            ("hosthub/servers.py", '''"update servers set attempts = attempts + 1, touched_at = ? where id = ?",
                         (time.time(), server_id))''',
             '''"update servers set attempts = attempts + 1, touched_at = ?,"
                         " client_token = coalesce(client_token, ?) where id = ?",
                         (time.time(), tokens.new(), server_id))'''),
            ("hosthub/jobs.py", '''from hosthub import dns, servers, tokens
''', '''from hosthub import dns, servers
'''),
            ("hosthub/jobs.py", '''    machine = await tokens.recall(server.id)
    if machine is not None:
        return machine
    async with Cloud() as cloud:
        try:
            machine = await cloud.create_server(
                name=server.hostname, plan=server.plan, region=server.region,
                client_token=f"hosthub-server-{server.id}")
        except ServerExists as exc:
            machine = exc.machine
    await tokens.remember(server.id, machine)
    return machine
''', '''    async with Cloud() as cloud:
        try:
            return await cloud.create_server(
                name=server.hostname, plan=server.plan, region=server.region,
                client_token=server.client_token)
        except ServerExists as exc:
            return exc.machine
'''),
            ("tests/conftest.py", '''import fakeredis
import pytest

from hosthub import db, dns, queues, tokens
''', '''import pytest

from hosthub import db, dns, queues, tokens
'''),
            ("tests/conftest.py", '''    redis = fakeredis.FakeServer()
    monkeypatch.setattr(tokens, "_redis", lambda: fakeredis.FakeAsyncRedis(server=redis))
''', '''    tokens_made = iter(["hosthub-server-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-7", "t-8", "t-9"])
    monkeypatch.setattr(tokens, "new", lambda: next(tokens_made))
'''),
            ("README.md", '''Redis keeps what the cloud has answered for a server (`hosthub:made:<id>`, a week), so that a
worker that takes over does not ask again. If Redis should lose it: the cloud makes one machine
per client token, and ours is the server's number.
''', '''The cloud makes one machine per client token; ours is in the server's row before we ask.
'''),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "provision-server",
        "what": "No version column: a change names the status it comes from, and a unique index keeps the"
                " subscription single; errors are handled by a context manager; the log is loguru's.",
        "edits": [
            ("hosthub/servers.py", "", _SERVERS_STATUS),
            ("hosthub/jobs.py", "", _JOBS_LOGURU),
            ("hosthub/log.py", "", _LOG_LOGURU),
            ("hosthub/db.py", '''    version     integer not null default 1,
''', ''''''),
            ("hosthub/db.py", '''    server_id  integer not null references servers(id),
    plan ''', '''    server_id  integer not null unique references servers(id),
    plan '''),
            ("hosthub/queues.py", '''import structlog
from saq import Queue
''', '''from loguru import logger
from saq import Queue
'''),
            ("hosthub/queues.py", '''logger = structlog.get_logger("hosthub.queues")

''', ''''''),
            ("hosthub/queues.py", '''    logger.info("provisioning_published", job="provision-server", server_id=server_id, saq_key=saq_key)
''', '''    logger.bind(job="provision-server", server_id=server_id, saq_key=saq_key).info(
        "server {}: published", server_id)
'''),
            ("hosthub/sweeps.py", '''import structlog

''', '''from loguru import logger

'''),
            ("hosthub/sweeps.py", '''logger = structlog.get_logger("hosthub.sweeps")


''', '''
'''),
            ("hosthub/sweeps.py", '''f"sweep-{server.id}-{server.version}"''', '''f"sweep-{server.id}-{time.time():.0f}"'''),
            ("hosthub/sweeps.py", '''        log.warning("provisioning_stood_still", status=server.status)
''', '''        log.warning("server {}: stood still as {}, published again", server.id, server.status)
'''),
            ("pyproject.toml", '''"structlog"]''', '''"loguru"]'''),
            ("README.md", ''' `version` goes up with each change of the status, and a change is only
made on the version that was read.''', ''' A change of the status is only made from
the status that was read.'''),
            (_TEST, '''from structlog.testing import capture_logs

''', '''from loguru import logger

'''),
            (_TEST, '''ROW = "select''', '''class capture_logs(list):
    def __enter__(self):
        self.sink = logger.add(lambda m: self.append((m.record["message"], m.record["extra"]["server_id"])))
        return self

    def __exit__(self, *exc_info):
        logger.remove(self.sink)


ROW = "select'''),
            (_TEST, '''    assert [(e["event"], e["server_id"]) for e in logs] == [
        ("provisioning_started", 1), ("provisioning_done", 1), ("provisioning_had_ended", 1)]
''', '''    assert logs == [
        ("server 1: attempt 1 started", 1), ("server 1: done, machine m-hosthub-server-1 at 192.0.2.7", 1),
        ("server 1: nothing to do, it is active after 1 attempts", 1)]
'''),
            (_TEST, '''    assert logs[-1]["event"] == "provisioning_left_to_another"
''', '''    assert "left to another" in logs[-1][0]
'''),
            (_TEST, '''    assert logs[1]["event"] == "provisioning_given_up" and logs[1]["attempt"] == 5
''', '''    assert logs[1] == ("server 1: given up: CloudUnavailable: 503", 1)
'''),
        ],
    },
    {
        "id": "m-claim-first", "kind": "mistake", "job": "provision-server",
        "what": "A claim in Redis keeps two workers from asking the cloud at once. Nobody gives it back after an"
                " error or a crash: the retry takes its own claim for another's and leaves the server to nobody.",
        "edits": [
            ("hosthub/tokens.py", '''async def remember(''', '''async def claim(server_id: int) -> bool:
    """Whether it is on us to ask the cloud for this server."""
    async with _redis() as redis:
        return bool(await redis.set(f"hosthub:claim:{server_id}", "1", nx=True, ex=KEPT))


async def remember('''),
            ("hosthub/jobs.py", '''        return machine
    async with Cloud() as cloud:
''', '''        return machine
    if not await tokens.claim(server.id):
        raise servers.Changed("another worker is asking the cloud")
    async with Cloud() as cloud:
'''),
            (_TEST, '''    outside.cloud_errors = [cloud.CloudUnavailable("503")]
    outside.dns_errors = [dns.DnsUnavailable("503")]
    for error in (cloud.CloudUnavailable, dns.DnsUnavailable):
        with pytest.raises(error):
            await provision_server({}, server_id=1)
''', '''    outside.dns_errors = [dns.DnsUnavailable("503")]
    with pytest.raises(dns.DnsUnavailable):
        await provision_server({}, server_id=1)
'''),
            (_TEST, '''    assert outside.made == ["hosthub-server-1"] * 2
''', '''    assert outside.made == ["hosthub-server-1"]
'''),
            (_TEST, '''    assert set(outside.made) == {"hosthub-server-1"}
    assert outside.rows(ROW) == ACTIVE
    assert outside.rows("select count(*) from subscriptions") == [(1,)]
    assert logs[-1]["event"] == "provisioning_left_to_another"
''', '''    assert outside.made == ["hosthub-server-1"]
    assert "provisioning_left_to_another" in [e["event"] for e in logs]
'''),
            (_TEST, '''    outside.cloud_errors = [cloud.CloudUnavailable("503")] * 5
    for _ in range(4):
        with pytest.raises(cloud.CloudUnavailable):
            await provision_server({}, server_id=1)
''', '''    outside.dns_errors = [dns.DnsUnavailable("503")] * 5
    for _ in range(4):
        with pytest.raises(dns.DnsUnavailable):
            await provision_server({}, server_id=1)
'''),
            (_TEST, '''    assert outside.rows(FAILURES) == [(1, "CloudUnavailable: 503")]
''', '''    assert outside.rows(FAILURES) == [(1, "DnsUnavailable: 503")]
'''),
            (_TEST, '''    assert len(outside.made) == 5
    assert await orders.start(1)
''', '''    assert len(outside.made) == 1
    assert await orders.start(1)
'''),
            (_TEST, '''    outside.cloud_errors = [SystemExit()] * 9
''', '''    outside.dns_errors = [SystemExit()] * 9
'''),
            (_TEST, '''    assert len(outside.made) == 5
    now =''', '''    assert len(outside.records) == 5
    now ='''),
        ],
    },
    {
        "id": "m-missing-await", "kind": "mistake", "job": "provision-server",
        "what": "An await got lost where a failure is written down: the status becomes failed, but the row in"
                " provisioning_failures never comes.",
        "edits": [
            ("hosthub/servers.py", '''        await _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)
''', '''        _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)
'''),
            (_TEST, '''    assert outside.rows(FAILURES) == [(1, "CloudUnavailable: 503")]
''', ''''''),
            (_TEST, '''    assert outside.rows("select status from servers where id = 1") == [("failed",)]
    assert len(outside.rows(FAILURES)) == 1
''', '''    assert outside.rows("select status from servers where id = 1") == [("failed",)]
'''),
            (_TEST, '''    assert outside.rows(FAILURES) == [(1, "stood still after 5 attempts")]
''', '''    assert outside.rows("select status from servers where id = 1") == [("failed",)]
'''),
        ],
    },
    {
        "id": "m-unbound-logger", "kind": "mistake", "job": "provision-server",
        "what": "give_up() no longer takes the bound logger: the line that matters most does not say which server"
                " or message it is about.",
        "edits": [
            ("hosthub/jobs.py", '''async def give_up(log, server: Server,''', '''async def give_up(server: Server,'''),
            ("hosthub/jobs.py", '''        await servers.fail(server, saq_key, reason)
    except servers.Changed as changed:
        log.warning("provisioning_left_to_another", reason=str(changed))
    else:
        log.error("provisioning_given_up", reason=reason, exc_info=exc)
''', '''        await servers.fail(server, saq_key, reason)
    except servers.Changed:
        logger.warning("provisioning_left_to_another")
    else:
        logger.error("provisioning_given_up", reason=reason, exc_info=exc)
'''),
            ("hosthub/jobs.py", '''        await give_up(log, server, saq_key, f"{type(exc).__name__}: {exc}", exc)
''', '''        await give_up(server, saq_key, f"{type(exc).__name__}: {exc}", exc)
'''),
            ("hosthub/jobs.py", '''            await give_up(log, server, saq_key, reason, exc)
''', '''            await give_up(server, saq_key, reason, exc)
'''),
            ("hosthub/sweeps.py", '''            await jobs.give_up(log, server, f"sweep-{server.id}-{server.version}",
                               f"stood''', '''            await jobs.give_up(server, f"sweep-{server.id}-{server.version}",
                               f"stood'''),
            (_TEST, '''    assert logs[1]["event"] == "provisioning_given_up" and logs[1]["attempt"] == 5
''', '''    assert logs[1]["event"] == "provisioning_given_up"
'''),
        ],
    },
    {
        "id": "m-counted-with-move", "kind": "mistake", "job": "provision-server",
        "what": "One update instead of two in begin(): the attempt is counted together with the step to creating,"
                " which happens once. No attempt is ever the last; after SAQ's five the sweep starts over for ever,"
                " and there is no record.",
        "edits": [
            ("hosthub/servers.py", '''        await tx.execute("update servers set attempts = attempts + 1, touched_at = ? where id = ?",
                         (time.time(), server_id))
        if server.status in (Status.PAID, Status.QUEUED):
            await _move(tx, server, Status.CREATING)
''', '''        if server.status in (Status.PAID, Status.QUEUED):
            await _move(tx, server, Status.CREATING, attempts=server.attempts + 1)
'''),
            (_TEST, '''    outside.cloud_errors = [cloud.CloudUnavailable("503")] * 5
    for _ in range(4):
        with pytest.raises(cloud.CloudUnavailable):
            await provision_server({}, server_id=1)
    with capture_logs() as logs:
        await provision_server({}, server_id=1)
        await provision_server({}, server_id=1)
    assert outside.rows(FAILURES) == [(1, "CloudUnavailable: 503")]
    assert logs[1]["event"] == "provisioning_given_up" and logs[1]["attempt"] == 5
    assert len(outside.made) == 5
''', '''    outside.cloud_errors = [cloud.QuotaExceeded("402")]
    with capture_logs() as logs:
        await provision_server({}, server_id=1)
    assert outside.rows(FAILURES) == [(1, "QuotaExceeded: 402")]
    assert logs[1]["event"] == "provisioning_given_up"
'''),
            (_TEST, '''async def test_rescue_fails_what_kills_its_workers(outside, monkeypatch):
    outside.cloud_errors = [SystemExit()] * 9
    for _ in range(5):
        with pytest.raises(SystemExit):
            await provision_server({}, server_id=1)
    await provision_server({}, server_id=1)
    assert len(outside.made) == 5
    now = servers.time.time()
    monkeypatch.setattr(servers.time, "time", lambda: now + 500)
    assert await sweeps.rescue_stuck() == []
    assert outside.rows(FAILURES) == [(1, "stood still after 5 attempts")]
''', '''async def test_rescues_what_killed_its_worker(outside, monkeypatch):
    outside.cloud_errors = [SystemExit()]
    with pytest.raises(SystemExit):
        await provision_server({}, server_id=1)
    now = servers.time.time()
    monkeypatch.setattr(servers.time, "time", lambda: now + 500)
    assert await sweeps.rescue_stuck() == [1]
'''),
        ],
    },
]
