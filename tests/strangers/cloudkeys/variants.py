OK1_JOBS = '''"""The provisioning job.

What has been issued lies in issued_keys, one row per request: that table, not the status,
says whether a request is done. The partner de-duplicates by our idempotency key, so two
deliveries at once end up with the same key and one row. arq counts the tries.
"""

import hashlib
import json
import random
from typing import Any

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, exists, literal, select, update
from sqlalchemy.dialects.sqlite import insert

from cloudkeys.db import ACTIVE, FAILED, DeadLetter, IssuedKey, KeyRequest, Sessions
from cloudkeys.partner import PartnerClient, PartnerRefused

JOB = "provision_key"
MAX_ATTEMPTS = 5


class ProvisionMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: str = Field(pattern=r"^kr_[0-9a-f]{6}$")


class NoSuchRequest(Exception):
    pass


class Provisioning:
    def __init__(self, sessions: Sessions, partner: PartnerClient, message: Any, log) -> None:
        self.sessions = sessions
        self.partner = partner
        self.message = message
        self.log = log
        self.ref = "sha256:" + hashlib.sha256(
            json.dumps(message, sort_keys=True, default=repr).encode()
        ).hexdigest()

    def parse(self) -> None:
        self.ref = ProvisionMessage.model_validate(self.message).request_id
        self.log = self.log.bind(request_id=self.ref)

    async def load(self) -> KeyRequest | None:
        """None where there is nothing left to do."""
        async with self.sessions() as session:
            request = await session.get(KeyRequest, self.ref)
            if request is None:
                raise NoSuchRequest(self.ref)
            issued = await session.get(IssuedKey, self.ref)
        if issued is not None:
            self.log.info("nothing to do, the key is issued", key_id=issued.key_id)
            return None
        if request.status == FAILED:
            self.log.info("nothing to do, the request has failed before")
            return None
        return request

    async def provision(self, request: KeyRequest) -> str:
        key = await self.partner.create_key(
            tenant=request.tenant,
            scope=request.scope,
            idempotency_key=f"cloudkeys:{self.ref}",
        )
        async with self.sessions.begin() as session:
            await session.execute(
                insert(IssuedKey)
                .values(request_id=self.ref, key_id=key["key_id"], fingerprint=key["fingerprint"])
                .on_conflict_do_nothing(index_elements=["request_id"])
            )
            row = await session.get(KeyRequest, self.ref)
            row.status = ACTIVE
            await session.execute(delete(DeadLetter).where(DeadLetter.job == JOB, DeadLetter.ref == self.ref))
        return key["key_id"]

    async def bury(self, reason: str) -> None:
        async with self.sessions.begin() as session:
            # one statement, so that a key issued in the same moment is seen
            unless_issued = select(
                literal(JOB), literal(self.ref), literal(json.dumps(self.message, default=repr)), literal(reason)
            ).where(~exists().where(IssuedKey.request_id == self.ref))
            await session.execute(
                insert(DeadLetter)
                .from_select(["job", "ref", "message", "reason"], unless_issued)
                .on_conflict_do_nothing(index_elements=["job", "ref"])
            )
            buried = await session.scalar(select(DeadLetter.id).where(DeadLetter.job == JOB, DeadLetter.ref == self.ref))
            if buried is not None:
                await session.execute(update(KeyRequest).where(KeyRequest.id == self.ref).values(status=FAILED))
        if buried is None:
            self.log.info("nothing to do, another delivery has issued the key", reason=reason)
            return
        self.log.error("provisioning gave up", reason=reason)


async def provision_key(ctx: dict[str, Any], message: dict[str, Any]) -> None:
    job_try = ctx["job_try"]
    log = structlog.get_logger(__name__).bind(job=JOB, job_id=ctx["job_id"], job_try=job_try)
    work = Provisioning(ctx["sessions"], ctx["partner"], message, log)
    try:
        try:
            work.parse()
            request = await work.load()
            if request is None:
                return
            if job_try > MAX_ATTEMPTS:
                await work.bury(f"no try came back, {MAX_ATTEMPTS} were made")
                return
            work.log.info("provisioning starts", tenant=request.tenant, scope=request.scope)
            key_id = await work.provision(request)
            work.log.info("provisioning done", key_id=key_id)
        except (ValidationError, PartnerRefused, NoSuchRequest) as exc:
            await work.bury(repr(exc))
        except Exception as exc:
            if job_try < MAX_ATTEMPTS:
                raise
            await work.bury(f"after {job_try} tries: {exc!r}")
    except Exception as exc:
        wait = min(10 * 3 ** (job_try - 1), 300) * random.uniform(0.5, 1.0)
        work.log.warning("provisioning will be tried again", error=repr(exc), seconds=round(wait, 1))
        raise Retry(defer=wait) from exc
'''

OK2_PARTNER = '''"""The partner's key API: keys are made with PUT, under a reference of ours.

PUT of the same reference answers 200 with the key that is there, else 201 with a new one.
"""

import httpx

from cloudkeys.settings import Settings


def make_http(settings: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=settings.partner_url,
        headers={"Authorization": f"Bearer {settings.partner_token.get_secret_value()}"},
        timeout=httpx.Timeout(10.0, connect=5.0),
    )


async def put_key(http: httpx.AsyncClient, reference: str, tenant: str, scope: str) -> dict:
    response = await http.put(
        f"/v1/keys/{reference}",
        json={"tenant": tenant, "scope": scope},
        headers={"Idempotency-Key": reference},
    )
    response.raise_for_status()
    return response.json()


def is_final(exc: httpx.HTTPStatusError) -> bool:
    status = exc.response.status_code
    return status < 500 and status not in (408, 409, 425, 429)
'''

OK2_JOBS = '''"""The provisioning job. The worker's on_job_start binds job, job_id and attempt to the log."""

import hashlib
import json
from typing import Any

import httpx
import structlog
from arq import Retry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from cloudkeys.db import utcnow
from cloudkeys.partner import is_final, put_key

log = structlog.get_logger(__name__)

WAITS = (15, 60, 240, 300)  # after the first, second ... attempt
MAX_ATTEMPTS = len(WAITS) + 1


class Hopeless(Exception):
    """Trying again does not help."""


async def on_job_start(ctx: dict[str, Any]) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(job_id=ctx["job_id"], attempt=ctx["job_try"])


def read_message(message: Any) -> str:
    match message:
        case {"request_id": str(request_id), **rest} if not rest:
            head, _, tail = request_id.partition("kr_")
            if not head and len(tail) == 6 and set(tail) <= set("0123456789abcdef"):
                return request_id
    raise Hopeless(f"not a message of ours: {message!r}")


async def provision_key(ctx: dict[str, Any], message: dict[str, Any]) -> None:
    structlog.contextvars.bind_contextvars(job="provision_key")
    log.info("start", message=message)
    try:
        request_id = read_message(message)
        async with ctx["sessions"]() as session:
            row = await one(session, "select tenant, scope, status from key_requests where id = :id", id=request_id)
        if row is None:
            raise Hopeless(f"there is no request {request_id}")
        if row.status in ("active", "failed"):
            log.info("was done before", request_id=request_id, status=row.status)
            return
        if ctx["job_try"] > MAX_ATTEMPTS:
            raise Hopeless(f"attempt {ctx['job_try']} of {MAX_ATTEMPTS}: the worker died too often")
        key = await put_key(ctx["http"], f"ck-{request_id}", row.tenant, row.scope)
        async with ctx["sessions"].begin() as session:
            await session.execute(
                text(
                    "update key_requests set status = 'active', key_id = :key_id, fingerprint = :fingerprint"
                    " where id = :id and status <> 'active'"
                ),
                {"id": request_id, "key_id": key["key_id"], "fingerprint": key["fingerprint"]},
            )
            await session.execute(
                text("delete from dead_letters where job = 'provision_key' and ref = :id"), {"id": request_id}
            )
    except Exception as exc:
        final = isinstance(exc, Hopeless) or (isinstance(exc, httpx.HTTPStatusError) and is_final(exc))
        if final or ctx["job_try"] >= MAX_ATTEMPTS:
            await bury(ctx, message, exc)
            return
        wait = WAITS[ctx["job_try"] - 1]
        log.warning("will try again", error=repr(exc), in_seconds=wait)
        raise Retry(defer=wait) from exc
    log.info("done", request_id=request_id, key_id=key["key_id"])


async def one(session: AsyncSession, sql: str, **params):
    return (await session.execute(text(sql), params)).one_or_none()


async def bury(ctx: dict[str, Any], message: Any, exc: Exception) -> None:
    body = json.dumps(message, sort_keys=True, default=repr)
    try:
        ref = read_message(message)
    except Hopeless:
        ref = hashlib.sha1(body.encode()).hexdigest()
    try:
        async with ctx["sessions"].begin() as session:
            await session.execute(
                text("update key_requests set status = 'failed' where id = :id and status <> 'active'"), {"id": ref}
            )
            written = await session.execute(
                text(
                    "insert into dead_letters (job, ref, message, reason, created_at)"
                    " select 'provision_key', :ref, :body, :reason, :now"
                    " where not exists (select 1 from key_requests where id = :ref and status = 'active')"
                    " on conflict do nothing"
                ),
                {"ref": ref, "body": body, "reason": repr(exc), "now": utcnow().isoformat()},
            )
    except Exception as error:
        log.exception("could not write the dead letter", why=repr(exc))
        raise Retry(defer=60) from error
    if written.rowcount:
        log.error("gave up, see dead_letters", ref=ref, why=repr(exc))
    else:
        log.warning("nothing to record, another delivery has ended this job", ref=ref, why=repr(exc))
'''

SPEC = ".skillrun/jobs/provision-key.yaml"

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "provision-key",
        "what": "issued_keys (one row per request) remembers what is done; a class does the work; "
        "a bound logger instead of contextvars; arq's job_try alone counts",
        "edits": [
            ("cloudkeys/jobs.py", "", OK1_JOBS),
            (
                "cloudkeys/db.py",
                """    attempts: Mapped[int] = mapped_column(default=0)
    key_id: Mapped[str | None] = mapped_column(String(80))
    fingerprint: Mapped[str | None] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utcnow)


class DeadLetter""",
                """    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utcnow)


class IssuedKey(Base):
    __tablename__ = "issued_keys"

    request_id: Mapped[str] = mapped_column(ForeignKey("key_requests.id"), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(80))
    fingerprint: Mapped[str] = mapped_column(String(80))


class DeadLetter""",
            ),
            ("cloudkeys/db.py", "from sqlalchemy import DateTime, String", "from sqlalchemy import DateTime, ForeignKey, String"),
            ("tests/test_provisioning.py", "FAILED, QUEUED, DeadLetter, KeyRequest", "FAILED, QUEUED, DeadLetter, IssuedKey, KeyRequest"),
            (
                "tests/test_provisioning.py",
                """    got = await row(ctx)
    assert (got.status, got.key_id, got.fingerprint) == (ACTIVE, "k-1", "fp-acme")
""",
                """    assert (await row(ctx)).status == ACTIVE
    async with ctx["sessions"]() as session:
        got = await session.get(IssuedKey, "kr_a1f09c")
    assert (got.key_id, got.fingerprint) == ("k-1", "fp-acme")
""",
            ),
            (SPEC, "dedupe: {store: table key_requests}", "dedupe: {store: table issued_keys}"),
            (
                SPEC,
                "    requests: select id, status, key_id, fingerprint from key_requests order by id\n",
                "    requests: select id, status from key_requests order by id\n"
                "    issued: select request_id, key_id, fingerprint from issued_keys order by request_id\n",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "provision-key",
        "what": "a PUT under our own reference, as a plain function; httpx's own status errors; "
        "contextvars bound by arq's on_job_start; SQL by hand; a table of waits",
        "edits": [
            ("cloudkeys/jobs.py", "", OK2_JOBS),
            ("cloudkeys/partner.py", "", OK2_PARTNER),
            (
                "cloudkeys/worker.py",
                "from cloudkeys.jobs import MAX_ATTEMPTS, provision_key\nfrom cloudkeys.partner import PartnerClient, make_http\n",
                "from cloudkeys.jobs import MAX_ATTEMPTS, on_job_start, provision_key\nfrom cloudkeys.partner import make_http\n",
            ),
            ("cloudkeys/worker.py", 'ctx["partner"] = PartnerClient(make_http(settings))', 'ctx["http"] = make_http(settings)'),
            ("cloudkeys/worker.py", 'await ctx["partner"].aclose()', 'await ctx["http"].aclose()'),
            ("cloudkeys/worker.py", "    on_startup = startup\n", "    on_startup = startup\n    on_job_start = on_job_start\n"),
            ("tests/conftest.py", "from cloudkeys.partner import PartnerClient\n", ""),
            ("tests/conftest.py", '        "partner": PartnerClient(http),\n', '        "http": http,\n'),
            (
                "tests/test_provisioning.py",
                """    async def dies(*args, **kwargs):
        raise KeyboardInterrupt

    real = ctx["partner"].create_key

    async def killed(**kwargs):
        await real(**kwargs)
        raise KeyboardInterrupt

    ctx["partner"].create_key = killed
    with pytest.raises(KeyboardInterrupt):
        await provision_key(ctx, MESSAGE)
    ctx["partner"].create_key = real
    with""",
                """    async def killed(*args, **kwargs):
        await put_key(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cloudkeys.jobs.put_key", killed)
        await provision_key(ctx, MESSAGE)
    with""",
            ),
            ("tests/test_provisioning.py", "with_the_same_key(ctx, partner)", "with_the_same_key(ctx, partner, monkeypatch)"),
            (
                "tests/test_provisioning.py",
                "from cloudkeys.jobs import MAX_ATTEMPTS, provision_key\n",
                "from cloudkeys.jobs import MAX_ATTEMPTS, provision_key\nfrom cloudkeys.partner import put_key\n",
            ),
            (
                SPEC,
                "    call: cloudkeys.partner:PartnerClient.create_key\n    key_arg: idempotency_key\n",
                "    call: cloudkeys.partner:put_key\n    key_arg: reference\n",
            ),
            (
                SPEC,
                """  transient: [cloudkeys.partner:PartnerUnavailable]
  permanent:
    - cloudkeys.partner:PartnerRefused
    - {type: "cloudkeys.jobs:NoSuchRequest", effects: []}
""",
                """  transient:
    - {type: "httpx:HTTPStatusError", args: [503], effects: [create-key]}
    - {type: "httpx:ConnectTimeout", args: [timed out], effects: [create-key], unsent: true}
    - {type: "httpx:ReadTimeout", args: [timed out], effects: [create-key]}
  permanent:
    - {type: "httpx:HTTPStatusError", args: [422], effects: [create-key]}
""",
            ),
            (
                SPEC,
                "backoff: {kind: exponential, base: 10s, factor: 3, cap: 5m, jitter: true}",
                "backoff: {kind: exponential, base: 15s, factor: 4, cap: 5m}",
            ),
        ],
    },
    {
        "id": "m-key-per-attempt",
        "kind": "mistake",
        "job": "provision-key",
        "what": "the idempotency key carries the attempt ('the partner replays errors otherwise'): "
        "a lost answer or a crash makes a second key",
        "edits": [
            ("cloudkeys/jobs.py", 'idempotency_key=f"cloudkeys:{ref}",', 'idempotency_key=f"cloudkeys:{ref}:{attempt}",'),
        ],
    },
    {
        "id": "m-claim-is-final",
        "kind": "mistake",
        "job": "provision-key",
        "what": "the request is claimed as 'provisioning' before the call; after a crash nobody takes it up again",
        "edits": [
            (
                "cloudkeys/db.py",
                'NEW, QUEUED, ACTIVE, FAILED = "new", "queued", "active", "failed"',
                'NEW, QUEUED, ACTIVE, FAILED = "new", "queued", "active", "failed"\nBUSY = "busy"',
            ),
            ("cloudkeys/jobs.py", "import ACTIVE, FAILED, NEW,", "import ACTIVE, BUSY, FAILED, NEW,"),
            (
                "cloudkeys/jobs.py",
                '''    """Count the attempt; None if the request is settled."""
    async with sessions.begin() as session:
        await session.execute(''',
                '''    """Take the request, so that nobody else does; None if it is not ours to take."""
    async with sessions.begin() as session:
        taken = await session.execute(''',
            ),
            (
                "cloudkeys/jobs.py",
                ".values(attempts=KeyRequest.attempts + 1)",
                ".values(status=BUSY, attempts=KeyRequest.attempts + 1)",
            ),
            (
                "cloudkeys/jobs.py",
                """    if request.status not in OPEN:
        log.info("job skipped, the request is settled", status=request.status)""",
                """    if not taken.rowcount:
        log.info("job skipped, the request is taken or settled", status=request.status)""",
            ),
            (
                "cloudkeys/jobs.py",
                """                .where(KeyRequest.id == ref, KeyRequest.status.in_(OPEN))
                .values(status=FAILED)""",
                """                .where(KeyRequest.id == ref, KeyRequest.status.in_((*OPEN, BUSY)))
                .values(status=FAILED)""",
            ),
            (
                "cloudkeys/jobs.py",
                """        wait = backoff(attempt)
""",
                """        wait = backoff(attempt)
        async with sessions.begin() as session:
            await session.execute(
                update(KeyRequest).where(KeyRequest.id == ref, KeyRequest.status == BUSY).values(status=QUEUED)
            )
""",
            ),
        ],
    },
    {
        "id": "m-arq-gives-up",
        "kind": "mistake",
        "job": "provision-key",
        "what": "arq's max_tries is left to do the counting: it drops the job without a dead letter, "
        "the request stays queued and the sweep starts it over, for ever",
        "edits": [
            (
                "cloudkeys/jobs.py",
                """        # the partner is down, the database is locked, or a bug: bounded either way
        if attempt >= MAX_ATTEMPTS and ref is not None:
            await _give_up(sessions, ref, message, _reason(exc))
            return
""",
                """        # the partner is down, the database is locked, or a bug: arq bounds the tries
""",
            ),
            (
                "cloudkeys/jobs.py",
                """        attempt = max(attempt, request.attempts)
        bind_contextvars(attempt=attempt)
        if attempt > MAX_ATTEMPTS:
            raise AttemptsUsedUp(f"{MAX_ATTEMPTS} attempts are used up, the last one did not come back")
""",
                "",
            ),
            (
                "cloudkeys/worker.py",
                """        # Beyond max_tries arq drops a job without asking us. The job itself gives up
        # before that, and writes the dead letter.
        func(provision_key, name="provision_key", timeout=120, max_tries=MAX_ATTEMPTS + 5),""",
                """        func(provision_key, name="provision_key", timeout=120, max_tries=MAX_ATTEMPTS),""",
            ),
        ],
    },
    {
        "id": "m-refusal-retried",
        "kind": "mistake",
        "job": "provision-key",
        "what": "'a tenant that is being set up gets a 403 for a minute': every refusal is tried five times",
        "edits": [
            (
                "cloudkeys/jobs.py",
                "PERMANENT = (PartnerRefused, NoSuchRequest, AttemptsUsedUp)",
                "# not PartnerRefused: a tenant that is being set up gets a 403 for a minute\n"
                "PERMANENT = (NoSuchRequest, AttemptsUsedUp)",
            ),
            ("cloudkeys/jobs.py", "from cloudkeys.partner import PartnerRefused\n", ""),
        ],
    },
]
