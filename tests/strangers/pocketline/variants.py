"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK1_ACTIVATION = '''"""The job: switch an eSIM on, tell the phone. The key of the carrier follows from the
order's id, nothing has to be remembered for it."""
import asyncio
import logging
import re
import sqlite3
import uuid

import httpx
from arq import Retry

from . import logs, orders, push
from .carrier import Carrier
from .settings import settings

logs.setup()
log = logging.getLogger(__name__)

JOB = "activate-esim"
NAMESPACE = uuid.UUID("6f0c7a52-0d51-4b8e-9a43-0f7d6a3f1e11")
carrier = Carrier()


class Hopeless(Exception):
    pass


class Wait(Exception):
    def __init__(self, reason, seconds=None):
        super().__init__(reason)
        self.seconds = seconds


async def call(request, *, fine):
    """Await one request; sort what goes wrong into Wait and Hopeless."""
    try:
        async with asyncio.timeout(20):
            await request
    except httpx.HTTPStatusError as exc:
        status = exc.response.status_code
        if status == fine:
            return
        if status < 500 and status not in (408, 425, 429):
            raise Hopeless(f"refused with {status}") from exc
        after = exc.response.headers.get("Retry-After", "")
        raise Wait(f"answered {status}", min(int(after), 900) if after.isdigit() else None) from exc
    except (httpx.TransportError, TimeoutError) as exc:
        raise Wait(f"no answer: {type(exc).__name__} {exc}") from exc


async def switch_on(order):
    if not order["active"]:
        key = uuid.uuid5(NAMESPACE, order["id"]).hex
        await call(carrier.activate(order["iccid"], order["plan"], idempotency_key=key), fine=409)
        await orders.set_active(order["id"])
    text = f"{order['plan']} is on. Enjoy!"
    await call(push.notify(order["device"], text, collapse_id=order["id"]), fine=410)
    await orders.set_told(order["id"])


def order_id_of(message):
    order_id = message.get("order_id")
    if len(message) != 1 or not isinstance(order_id, str) or not re.fullmatch(r"ord_[0-9a-z]{4,24}", order_id):
        raise Hopeless("malformed message")
    return order_id


async def activate_esim(ctx, **message):
    n, about = ctx["job_try"], f"{JOB} {message}"
    log.info("%s started, try %s, arq id %s", about, n, ctx["job_id"])
    try:
        order_id = order_id_of(message)
        if n > settings.max_attempts:
            raise Hopeless(f"{settings.max_attempts} tries came to no end")
        order = await orders.find(order_id)
        if order["told"] or order["given_up"]:
            log.info("%s has ended before, nothing to do", about)
            return
        if not order["paid"]:
            raise orders.NotPaid(order_id)
        await switch_on(order)
    except (Wait, sqlite3.OperationalError) as exc:
        if n < settings.max_attempts:
            seconds = getattr(exc, "seconds", None) or settings.waits[n - 1]
            log.warning("%s try %s failed, will be retried in %ss: %s", about, n, seconds, exc)
            raise Retry(defer=seconds) from exc
        await give_up(about, message, exc)
    except Exception as exc:
        await give_up(about, message, exc)
    else:
        log.info("%s succeeded", about)


async def give_up(about, message, exc):
    await orders.bury(JOB, message, f"{type(exc).__name__}: {exc}")
    log.error("%s failed, given up: %s: %s", about, type(exc).__name__, exc)
'''

OK1_LOGS = '''import logging

from .settings import settings


def setup():
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
'''

OK2_JOBS = '''"""What all our arq jobs have in common: a model for the message, tries, logs, the end."""
import functools

from arq import Retry
from loguru import logger
from pydantic import ValidationError

from . import logs
from .settings import settings

logs.setup()


def job(name, model, *, transient, bury):
    """transient(exc) is the number of seconds to wait, 0 for the usual, None for never."""

    def decorate(work):
        @functools.wraps(work)
        async def run(ctx, **message):
            log = logger.bind(job=name, arq_id=ctx["job_id"], job_try=ctx["job_try"], payload=message)
            log.info("started")
            try:
                if ctx["job_try"] > settings.max_attempts:
                    raise RuntimeError(f"{settings.max_attempts} tries came to no end")
                await work(ctx, model.model_validate(message), log)
            except Exception as exc:
                wait = None if isinstance(exc, ValidationError) else transient(exc)
                reason = " ".join(f"{type(exc).__name__}: {exc}".split())
                if wait is None or ctx["job_try"] >= settings.max_attempts:
                    await bury(name, message, reason)
                    log.error("failed, given up: {}", reason)
                    return
                wait = wait or settings.waits[ctx["job_try"] - 1]
                log.warning("failed, will be retried in {}s: {}", wait, reason)
                raise Retry(defer=wait) from exc
            log.info("succeeded")

        return run

    return decorate
'''

OK2_ACTIVATION = '''"""The job: switch an eSIM on, tell the phone. Each step that is done leaves a row."""
import asyncio
import sqlite3
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, StringConstraints
from redis.exceptions import RedisError

from . import carrier, orders, push, tokens
from .jobs import job


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: Annotated[str, StringConstraints(pattern=r"^ord_[0-9a-z]{4,24}$")]


def transient(exc):
    match exc:
        case httpx.HTTPStatusError(response=httpx.Response() as answer):
            if answer.status_code < 500 and answer.status_code not in (408, 425, 429):
                return None
            after = answer.headers.get("Retry-After", "")
            return min(int(after), 900) if after.isdigit() else 0
        case httpx.TransportError() | TimeoutError() | sqlite3.OperationalError() | RedisError():
            return 0
    return None


@job("activate-esim", Message, transient=transient, bury=orders.bury)
async def activate_esim(ctx, message, log):
    order = await orders.find(message.order_id)
    done = await orders.steps(order["id"])
    if done & {"told", "given_up"}:
        log.info("has ended before: {}", sorted(done))
        return
    if not order["paid"]:
        raise orders.NotPaid(order["id"])
    async with asyncio.timeout(45):
        if "active" not in done:
            token = await tokens.token_for(ctx["redis"], order["id"])
            fresh = await carrier.activate(order["iccid"], order["plan"], headers={"Idempotency-Key": token})
            log.info("carrier: {}", "on already" if fresh is False else "switched on")
            await orders.step(order["id"], "active")
        text = f"{order['plan']} is on. Enjoy!"
        await push.notify(order["device"], text, collapse_id=order["id"])
        await orders.step(order["id"], "told")
'''

OK2_CARRIER = '''"""The carrier's provisioning API, for all who switch something on."""
import httpx

from .settings import settings


async def activate(iccid, plan, *, headers):
    """Switch a profile on; False where it was on already. headers hold the Idempotency-Key."""
    async with httpx.AsyncClient(
        base_url=settings.carrier_url,
        headers={"Authorization": f"Bearer {settings.carrier_token}"},
        timeout=10,
    ) as http:
        answer = await http.post(f"/profiles/{iccid}/activation", json={"plan": plan}, headers=headers)
    if answer.status_code == 409:
        return False
    answer.raise_for_status()
    return True
'''

OK2_PUSH = '''import httpx

from .settings import settings


async def notify(device, text, *, collapse_id):
    """Phones show one notification per collapse_id; the service keeps it a week.
    False where the phone is gone."""
    async with httpx.AsyncClient(base_url=settings.push_url, timeout=10) as http:
        answer = await http.post(
            f"/devices/{device}/messages", json={"text": text, "collapse_id": collapse_id}
        )
    if answer.status_code == 410:
        return False
    answer.raise_for_status()
    return True
'''

OK2_TEST = '''import os
import tempfile

os.environ["POCKETLINE_DATABASE"] = os.path.join(tempfile.mkdtemp(), "test.db")

import fakeredis
import httpx
import pytest
from arq import Retry

from pocketline import activation, carrier, db, orders, push

CTX = {"job_try": 1, "job_id": "j"}


@pytest.fixture
async def calls(monkeypatch):
    calls = []

    async def activate(iccid, plan, *, headers):
        calls.append(headers["Idempotency-Key"])
        if len(calls) == 1:
            raise httpx.ReadTimeout("slow")

    async def notify(device, text, *, collapse_id):
        calls.append(collapse_id)

    monkeypatch.setattr(carrier, "activate", activate)
    monkeypatch.setattr(push, "notify", notify)
    await db.create(seed=True)
    return calls


async def test_slow_then_fine_then_again(calls):
    ctx = CTX | {"redis": fakeredis.FakeAsyncRedis()}
    with pytest.raises(Retry):
        await activation.activate_esim(ctx, order_id="ord_a1f4")
    await activation.activate_esim(ctx, order_id="ord_a1f4")
    await activation.activate_esim(ctx, order_id="ord_a1f4")
    assert len(calls) == 3 and calls[0] == calls[1] and calls[2] == "ord_a1f4"
    assert await orders.steps("ord_a1f4") == {"active", "told"}


async def test_malformed(calls):
    await activation.activate_esim(CTX, order_id=7)
    assert not calls
'''

SPEC = ".skillrun/jobs/activate-esim.yaml"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "activate-esim",
        "what": "A key derived from the order instead of a token in Redis, errors sorted at the call, plain logging",
        "edits": [
            ("pocketline/activation.py", "", OK1_ACTIVATION),
            ("pocketline/logs.py", "", OK1_LOGS),
            ("pocketline/orders.py", "from loguru import logger\n\n", "\n"),
            ("pocketline/orders.py", "import asyncio\nimport json\nimport sys\n", "import asyncio\nimport json\nimport logging\nimport sys\n"),
            ("pocketline/orders.py", "class NoSuchOrder(Exception):", "logger = logging.getLogger(__name__)\n\n\nclass NoSuchOrder(Exception):"),
            ("pocketline/orders.py", '"brought back {} of {} open orders: {}"', '"brought back %s of %s open orders: %s"'),
            ("pocketline/web.py", "from aiohttp import web\nfrom loguru import logger\n", "import logging\n\nfrom aiohttp import web\n"),
            ("pocketline/web.py", "routes = web.RouteTableDef()", "logger = logging.getLogger(__name__)\nroutes = web.RouteTableDef()"),
            ("pocketline/web.py", '"payment for an unknown order {}"', '"payment for an unknown order %s"'),
            ("requirements.txt", "loguru>=0.7\n", ""),
            (SPEC, '"table orders (active, told), redis esim:token:*"', '"table orders (active, told)"'),
            (SPEC, "pocketline.activation:TooManyTries", "pocketline.activation:Hopeless"),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "activate-esim",
        "what": "A decorator for all jobs, a table of steps instead of flags, adapters that swallow 409 and 410 themselves and take the key in a header",
        "edits": [
            ("pocketline/jobs.py", "", OK2_JOBS),
            ("pocketline/activation.py", "", OK2_ACTIVATION),
            ("pocketline/carrier.py", "", OK2_CARRIER),
            ("pocketline/push.py", "", OK2_PUSH),
            ("tests/test_activation.py", "", OK2_TEST),
            ("pocketline/db.py", '''    requested integer not null default 0,
    active    integer not null default 0, -- the carrier has switched it on
    told      integer not null default 0, -- the phone knows: this is the end
    given_up  integer not null default 0
);
''', '''    requested integer not null default 0
);
create table if not exists steps (
    order_id text not null,
    step     text not null check (step in ('active', 'told', 'given_up')),
    primary key (order_id, step)
);
'''),
            ("pocketline/orders.py", '''async def set_active(order_id):
    async with transaction() as db:
        await db.execute("update orders set active = 1 where id = ?", (order_id,))


async def set_told(order_id):
    async with transaction() as db:
        await db.execute("update orders set told = 1 where id = ?", (order_id,))
''', '''async def steps(order_id):
    async with transaction() as db:
        async with db.execute("select step from steps where order_id = ?", (order_id,)) as cursor:
            return {row["step"] async for row in cursor}


async def step(order_id, name):
    async with transaction() as db:
        await db.execute("insert or ignore into steps values (?, ?)", (order_id, name))
'''),
            ("pocketline/orders.py", '''            async with db.execute("select told from orders where id = ?", (order_id,)) as cursor:
                row = await cursor.fetchone()
            if row and row["told"]:
                return
            await db.execute("update orders set given_up = 1 where id = ?", (order_id,))
''', '''            async with db.execute(
                "select 1 from steps where order_id = ? and step = 'told'", (order_id,)
            ) as cursor:
                if await cursor.fetchone():
                    return
            await db.execute(
                "insert or ignore into steps select id, 'given_up' from orders where id = ?", (order_id,)
            )
'''),
            ("pocketline/orders.py", '''            "select id from orders where requested = 1 and told = 0 and given_up = 0 order by id"
''', '''            "select id from orders where requested = 1 and not exists (select 1 from steps"
            " where order_id = id and step in ('told', 'given_up')) order by id"
'''),
            ("pocketline/orders.py", '''        await db.execute("update orders set given_up = 0, requested = 1 where id = ?", (order_id,))
''', '''        await db.execute("update orders set requested = 1 where id = ?", (order_id,))
        await db.execute("delete from steps where order_id = ? and step = 'given_up'", (order_id,))
'''),
            ("pocketline/web.py", '''        order = await orders.find(request.match_info["id"])
''', '''        order = await orders.find(request.match_info["id"])
        done = await orders.steps(order["id"])
'''),
            ("pocketline/web.py", '''{key: order[key] for key in ("id", "plan", "active", "given_up")}''', '''{"id": order["id"], "plan": order["plan"], "done": sorted(done)}'''),
            (SPEC, '"table orders (active, told), redis esim:token:*"', '"table steps, redis esim:token:*"'),
            (SPEC, "    call: pocketline.carrier:Carrier.activate\n    key_arg: idempotency_key\n", "    call: pocketline.carrier:activate\n    key_arg: headers.Idempotency-Key\n"),
            (SPEC, "    window: 14d\n    guarantee: keyed\n", "    window: 14d\n    guarantee: keyed\n    returns: true\n"),
            (SPEC, "    window: 7d\n    guarantee: keyed\n", "    window: 7d\n    guarantee: keyed\n    returns: true\n"),
            (SPEC, '''    - {type: "pocketline.activation:TooManyTries", effects: []}
  success:
    - {type: "httpx:HTTPStatusError", args: [409], effects: [activation]}
    - {type: "httpx:HTTPStatusError", args: [410], effects: [push]}
''', ""),
            (SPEC, "    orders: select id, active, told, given_up from orders order by id\n", "    steps: select order_id, step from steps order by 1, 2\n"),
        ],
    },
    {
        "id": "m-token", "kind": "mistake", "job": "activate-esim",
        "what": "The token is remembered only once the carrier has answered; after a crash or a lost answer the next try draws another, and a second activation is billed",
        "edits": [
            ("pocketline/tokens.py", '''async def token_for(redis, order_id):
    key = f"esim:token:{order_id}"
    await redis.set(key, secrets.token_hex(16), nx=True, ex=30 * DAYS)
    return (await redis.get(key)).decode()
''', '''async def token_for(redis, order_id):
    known = await redis.get(f"esim:token:{order_id}")
    return known.decode() if known else secrets.token_hex(16)


async def remember(redis, order_id, token):
    await redis.set(f"esim:token:{order_id}", token, nx=True, ex=30 * DAYS)
'''),
            ("pocketline/tokens.py", "drawn before the first call to the carrier and the same for\neach call after it.", "the same for each call to the carrier. Only tokens that the carrier has\nseen are kept, the rest would fill Redis for nothing."),
            ("pocketline/activation.py", '''            await carrier.activate(order["iccid"], order["plan"], idempotency_key=token)
''', '''            await carrier.activate(order["iccid"], order["plan"], idempotency_key=token)
            await tokens.remember(redis, order_id, token)
'''),
        ],
    },
    {
        "id": "m-server-error", "kind": "mistake", "job": "activate-esim",
        "what": "Tidied up with httpx's is_server_error: 429 (and 408) now gives a paid order up at the first try",
        "edits": [
            ("pocketline/activation.py", '''        status = exc.response.status_code
        return status >= 500 or status in (408, 425, 429)
''', '''        return exc.response.is_server_error
'''),
        ],
    },
    {
        "id": "m-max-tries", "kind": "mistake", "job": "activate-esim",
        "what": "The odd + 1 is gone: where every try takes its worker along, arq fails the job without calling it, and nobody writes it down",
        "edits": [
            ("pocketline/worker.py", '''        # One try more than we make: arq fails a job with more tries than this without
        # calling us, and then nobody would write down that it was given up.
        # No results''', '''        # No results'''),
            ("pocketline/worker.py", "max_tries=settings.max_attempts + 1, keep_result", "max_tries=settings.max_attempts, keep_result"),
        ],
    },
    {
        "id": "m-bind", "kind": "mistake", "job": "activate-esim",
        "what": "logger.bind returns another logger, which nobody uses: no line says any more which job or order it is about",
        "edits": [
            ("pocketline/activation.py", '''    with logger.contextualize(job=JOB, id=ctx["job_id"], job_try=job_try, payload=message):
        logger.info("started")
        try:
            order_id = Message.model_validate(message).order_id
            if job_try > settings.max_attempts:
                # the try beyond the last: all others ended together with their workers
                raise TooManyTries(f"{settings.max_attempts} tries came to no end")
            async with asyncio.timeout(45):
                outcome = await activate(ctx["redis"], order_id)
        except Exception as exc:
            reason = in_one_line(exc)
            if is_transient(exc) and job_try < settings.max_attempts:
                wait = retry_after(exc) or settings.waits[job_try - 1]
                logger.warning("failed, will be retried in {}s: {}", wait, reason)
                raise Retry(defer=wait) from exc
            await orders.bury(JOB, message, reason)
            logger.error("failed, given up: {}", reason)
        else:
            logger.info("succeeded: {}", outcome)
''', '''    logger.bind(job=JOB, id=ctx["job_id"], job_try=job_try, payload=message)
    logger.info("started")
    try:
        order_id = Message.model_validate(message).order_id
        if job_try > settings.max_attempts:
            # the try beyond the last: all others ended together with their workers
            raise TooManyTries(f"{settings.max_attempts} tries came to no end")
        async with asyncio.timeout(45):
            outcome = await activate(ctx["redis"], order_id)
    except Exception as exc:
        reason = in_one_line(exc)
        if is_transient(exc) and job_try < settings.max_attempts:
            wait = retry_after(exc) or settings.waits[job_try - 1]
            logger.warning("failed, will be retried in {}s: {}", wait, reason)
            raise Retry(defer=wait) from exc
        await orders.bury(JOB, message, reason)
        logger.error("failed, given up: {}", reason)
    else:
        logger.info("succeeded: {}", outcome)
'''),
        ],
    },
]
