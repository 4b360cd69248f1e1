"""Other versions of base/: two that keep the promise in another way, four that break it."""

SPEC = ".skillrun/jobs/submit-schedule.yaml"
ACTORS = "gridops/actors.py"

OK1_PARTNER = '''import httpx

from .config import config


class Unavailable(Exception):
    """No answer, 5xx, or too many of our calls; wait is what the operator asks for, in seconds."""

    def __init__(self, text: str, wait: int | None = None):
        super().__init__(text)
        self.wait = wait


class NotAccepted(Exception):
    """The operator has read it and does not want it."""


class AlreadySubmitted(Exception):
    def __init__(self, receipt: str):
        super().__init__(f"the operator had it before, as {receipt}")
        self.receipt = receipt


class Partner:
    """The transmission operator's API. It keeps our Idempotency-Key for 48 hours and answers a
    repetition with 409 and the receipt of the first time."""

    def __init__(self, url: str, token: str):
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def submit(self, document: bytes, *, idempotency_key: str) -> str:
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
        try:
            response = self.http.post("/schedules", content=document, headers=headers)
            response.raise_for_status()
            return response.json()["receipt"]
        except httpx.TransportError as error:
            raise Unavailable(repr(error)) from error
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == 409:
                raise AlreadySubmitted(error.response.json()["receipt"]) from error
            if status == 429:
                wait = error.response.headers.get("Retry-After", "")
                raise Unavailable("429", min(int(wait), 300) if wait.isdigit() else 60) from error
            if status == 408 or status >= 500:
                raise Unavailable(str(status)) from error
            raise NotAccepted(f"{status}: {error.response.text[:200]}") from error


partner = Partner(config.partner.url, config.partner.token)
'''

OK1_ACTORS = '''from .broker import broker  # noqa: F401  before any actor

import dramatiq
from loguru import logger

from . import schedules
from .config import config
from .objects import ClientError, store
from .partner import AlreadySubmitted, NotAccepted, Unavailable, partner
from .schedules import BadMessage, GiveUp, Ref

ATTEMPTS = 6


def worth_another_try(retries: int, error: BaseException) -> bool:
    """retry_when replaces max_retries, so the end is here, too."""
    if isinstance(error, ClientError) and not error.passing:
        return False
    return retries + 1 < ATTEMPTS and not isinstance(error, (GiveUp, NotAccepted))


@dramatiq.actor(
    queue_name="schedules",
    retry_when=worth_another_try,
    min_backoff=15_000,
    max_backoff=240_000,
    time_limit=90_000,
    close_failed=schedules.close_failed,
)
def submit_schedule(*args, **message):
    """Archive a schedule's document and hand it in at the transmission operator."""
    if args:
        raise BadMessage(f"positional arguments {args!r}")
    ref = Ref.of(message)
    with logger.contextualize(job="submit-schedule", **message):
        row = schedules.begin(ref)
        if row is None:
            logger.info("{} needs no submission", ref.name)
            return
        document = schedules.document(row)
        store.put_object(
            Bucket=config.store.bucket, Key=f"{ref.name}.json", Body=document, ContentType="application/json"
        )
        try:
            receipt = partner.submit(document, idempotency_key=ref.name)
        except AlreadySubmitted as earlier:
            receipt = earlier.receipt
        except Unavailable as error:
            if error.wait is None:
                raise
            raise dramatiq.errors.Retry(f"operator: {error}", delay=error.wait * 1000) from error
        schedules.accept(ref, receipt)
        logger.info("{} accepted, receipt {}", ref.name, receipt)
'''

OK2_ACTORS = '''from .broker import broker  # noqa: F401  before any actor

import json
import random
import time

import dramatiq
import httpx
from dramatiq.middleware import CurrentMessage
from loguru import logger
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from . import schedules
from .config import config
from .schedules import BadMessage, GiveUp, Ref
from .tables import dead_letters, engine

MAX_RETRIES = 5


@dramatiq.actor(queue_name="schedules", max_retries=MAX_RETRIES, time_limit=90_000)
def submit_schedule(*args, **message):
    """Archive a schedule's document and hand it in at the transmission operator. Says itself how
    an attempt has ended; only the time limit is left to Retries and the sweep."""
    delivery = CurrentMessage.get_current_message()
    retries = delivery.options.get("retries", 0)
    with logger.contextualize(
        job="submit-schedule", message_id=delivery.message_id, attempt=retries + 1, schedule=message
    ):
        logger.info("submission started")
        try:
            end = submit(args, message)
        except Exception as error:
            if final(error) or retries >= MAX_RETRIES:
                give_up(delivery, message, error)
                return
            wait = asked_to_wait(error) or random.uniform(0.5, 1) * min(30 * 2**retries, 240)
            logger.warning("submission failed, will be retried in {:.0f} s: {!r}", wait, error)
            raise dramatiq.errors.Retry(repr(error), delay=int(wait * 1000)) from error
        else:
            logger.info("submission succeeded: {}", end)


def submit(args, message) -> str:
    if args:
        raise BadMessage(f"positional arguments {args!r}")
    ref = Ref.of(message)
    row = schedules.begin(ref)
    if row is None:
        return f"{ref.name} needs none"
    document = schedules.document(row)
    # the archive first: whatever the operator has seen, we have as well
    httpx.put(
        f"{config.store.url}/{config.store.bucket}/{ref.name}.json",
        content=document,
        headers={"Authorization": f"Bearer {config.store.token}", "Content-Type": "application/json"},
        timeout=15,
    ).raise_for_status()
    try:
        response = httpx.post(
            f"{config.partner.url}/schedules",
            content=document,
            headers={
                "Authorization": f"Bearer {config.partner.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": ref.name,
            },
            timeout=20,
        )
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        if error.response.status_code != 409:
            raise
        response = error.response  # had it before; the receipt is in there, too
    receipt = response.json()["receipt"]
    schedules.accept(ref, receipt)
    return f"{ref.name} accepted as {receipt}"


def final(error) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status < 500 and status not in (408, 429)
    return isinstance(error, GiveUp)


def asked_to_wait(error) -> float | None:
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 429:
        seconds = error.response.headers.get("Retry-After", "")
        return min(int(seconds), 300) if seconds.isdigit() else 60
    return None


def give_up(delivery, message, error) -> None:
    logger.opt(exception=error).error("submission given up: {!r}", error)
    try:
        with engine.begin() as con:
            if not schedules.close_failed(con, message):
                logger.info("another delivery has ended it")
                return
            con.execute(insert(dead_letters).values(
                message_id=delivery.message_id,
                actor="submit_schedule",
                message=json.dumps([delivery.args, delivery.kwargs], default=str),
                error=repr(error),
                failed_at=time.time(),
            ))
    except IntegrityError:
        logger.info("recorded before")
'''

OK2_BROKER = '''import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from . import log
from .config import config

log.setup()

if config.broker.url.startswith("stub:"):
    broker = StubBroker()
else:
    broker = RedisBroker(url=config.broker.url)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
'''

EFFECT_ARCHIVE = '''    call: gridops.objects:ObjectStore.put_object
    guarantee: convergent
    returns: {ETag: '"1f"'}
'''
EFFECT_SUBMIT = '''    call: gridops.partner:Partner.submit
    key_arg: idempotency_key
    window: 48h
    guarantee: keyed
    returns: {http: {status: 201, json: {receipt: r-1}}}
'''
HTTP_TRANSIENT = '''    - {type: "httpx:HTTPStatusError", args: [503], effects: [submit]}
    - {type: "httpx:HTTPStatusError", kwargs: {http: {status: 429, headers: {Retry-After: "60"}}}, effects: [submit], wait: 60s, unsent: true}
    - {type: "httpx:ReadTimeout", args: ["The read operation timed out"], effects: [submit]}
    - {type: "httpx:ConnectError", args: ["Connection refused"], effects: [submit], unsent: true}
'''
STORE_TRANSIENT = '''    - {type: "gridops.objects:ClientError", args: [{Error: {Code: SlowDown, Message: "Reduce your request rate"}}, PutObject], effects: [archive]}
'''
STORE_PERMANENT = '''    - {type: "gridops.objects:ClientError", args: [{Error: {Code: AccessDenied, Message: "Access denied"}}, PutObject], effects: [archive], unsent: true}
'''
HTTP_PERMANENT = '''    - {type: "httpx:HTTPStatusError", args: [422], effects: [submit], unsent: true}
'''
HTTP_SUCCESS = '''    - {type: "httpx:HTTPStatusError", kwargs: {http: {status: 409, json: {receipt: r-1}}}, effects: [submit]}
'''

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "submit-schedule",
        "what": "The adapter has errors of its own and returns the receipt; retry_when instead of max_retries and throws; "
                "receipts in a table of their own say what was handed in; loguru's contextualize",
        "edits": [
            ("gridops/partner.py", "", OK1_PARTNER),
            (ACTORS, "", OK1_ACTORS),
            ("gridops/tables.py", "outbox = Table(\n", '''receipts = Table(
    "receipts",
    metadata,
    Column("schedule", String(80), primary_key=True),
    Column("receipt", String(60), nullable=False),
)

outbox = Table(
'''),
            ("gridops/schedules.py", "from sqlalchemy import and_, select, update\n\nfrom .tables import engine, schedules\n",
             "from sqlalchemy import and_, insert, select, update\n\nfrom .tables import engine, receipts, schedules\n"),
            ("gridops/schedules.py", '''        if not taken:
            return None
''', '''        if not taken or con.execute(select(receipts).where(receipts.c.schedule == ref.name)).first():
            return None
'''),
            ("gridops/schedules.py", '''        con.execute(
            update(schedules)
            .where(ref.row, schedules.c.status != "accepted")
            .values(status="accepted", receipt=receipt, touched_at=time.time())
        )
''', '''        if con.execute(
            update(schedules)
            .where(ref.row, schedules.c.status != "accepted")
            .values(status="accepted", receipt=receipt, touched_at=time.time())
        ).rowcount:
            con.execute(insert(receipts).values(schedule=ref.name, receipt=receipt))
'''),
            (SPEC, 'dedupe: {store: "table schedules (status)"}', "dedupe: {store: table receipts}"),
            (SPEC, "    returns: {http: {status: 201, json: {receipt: r-1}}}\n", "    returns: r-1\n"),
            (SPEC, HTTP_TRANSIENT, '''    - {type: "gridops.partner:Unavailable", args: ["503"], effects: [submit]}
    - {type: "gridops.partner:Unavailable", args: ["429", 60], effects: [submit], wait: 60s, unsent: true}
'''),
            (SPEC, HTTP_PERMANENT, '''    - {type: "gridops.partner:NotAccepted", args: ["422: no such plant"], effects: [submit], unsent: true}
'''),
            (SPEC, HTTP_SUCCESS, '''    - {type: "gridops.partner:AlreadySubmitted", args: [r-1], effects: [submit]}
'''),
            (SPEC, "    outbox: select actor", "    receipts: select schedule, receipt from receipts order by 1\n    outbox: select actor"),
            # its tests go through the adapter's errors as well
            ("tests/conftest.py", "from gridops import actors, tables\n", "from gridops import actors, partner, tables\n"),
            ("tests/conftest.py", 'monkeypatch.setattr(actors.partner, "http", client)', 'monkeypatch.setattr(partner.partner, "http", client)'),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "submit-schedule",
        "what": "No middleware of the house: the actor looks at CurrentMessage, retries with dramatiq's Retry and its own "
                "waits, and writes its dead letters itself; plain httpx.put and httpx.post, the key in the headers",
        "edits": [
            (ACTORS, "", OK2_ACTORS),
            ("gridops/broker.py", "", OK2_BROKER),
            (SPEC, EFFECT_ARCHIVE, '''    call: httpx:put
    guarantee: convergent
    returns: {http: {status: 200}}
'''),
            (SPEC, EFFECT_SUBMIT, '''    call: httpx:post
    key_arg: headers.Idempotency-Key
    window: 48h
    guarantee: keyed
    returns: {http: {status: 201, json: {receipt: r-1}}}
'''),
            (SPEC, STORE_TRANSIENT, ""),
            (SPEC, HTTP_TRANSIENT, '''    - {type: "httpx:HTTPStatusError", args: [503], effects: [archive, submit]}
    - {type: "httpx:HTTPStatusError", kwargs: {http: {status: 429, headers: {Retry-After: "60"}}}, effects: [submit], wait: 60s, unsent: true}
    - {type: "httpx:ReadTimeout", args: ["The read operation timed out"], effects: [archive, submit]}
    - {type: "httpx:ConnectError", args: ["Connection refused"], effects: [archive, submit], unsent: true}
'''),
            (SPEC, STORE_PERMANENT + HTTP_PERMANENT, '''    - {type: "httpx:HTTPStatusError", args: [403], effects: [archive], unsent: true}
    - {type: "httpx:HTTPStatusError", args: [422], effects: [submit], unsent: true}
'''),
            (SPEC, "backoff: {kind: exponential, base: 15s, factor: 2, cap: 240s, jitter: true}",
             "backoff: {kind: exponential, base: 30s, factor: 2, cap: 240s, jitter: true}"),
            ("tests/conftest.py", "", '''"""The tests of the actor run against httpx.MockTransport, see test_submission."""

import os
import tempfile

os.environ["GRIDOPS_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/test.db"
os.environ["GRIDOPS_BROKER_URL"] = "stub://"
'''),
            ("tests/test_submission.py", "", '''import httpx
import pytest

from gridops import actors
from gridops.schedules import BadMessage


def answer(status, **headers):
    response = httpx.Response(status, headers=headers, request=httpx.Request("POST", "http://tso"))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    return caught.value


def test_what_is_final():
    assert [actors.final(answer(status)) for status in (403, 408, 422, 429, 503)] == [True, False, True, False, False]
    assert actors.final(BadMessage("x")) and not actors.final(httpx.ReadTimeout("slow"))


def test_retry_after():
    assert actors.asked_to_wait(answer(429, **{"Retry-After": "45"})) == 45
    assert actors.asked_to_wait(answer(429)) == 60
    assert actors.asked_to_wait(answer(503)) is None
'''),
        ],
    },
    {
        "id": "m-retry-when", "kind": "mistake", "job": "submit-schedule",
        "what": "retry_when instead of throws: in Dramatiq it takes precedence over max_retries, so transient errors "
                "are tried on and on, past the six attempts (only the nine starts of the row end it)",
        "edits": [
            (ACTORS, "    throws=GiveUp,\n", "    retry_when=lambda retries, error: not isinstance(error, GiveUp),\n"),
        ],
    },
    {
        "id": "m-numbered-key", "kind": "mistake", "job": "submit-schedule",
        "what": "The idempotency key has the number of the start in it, so that the operator's support can tell them apart",
        "edits": [
            (ACTORS, "    receipt = hand_in(ref, document)\n", '    receipt = hand_in(f"{ref.name}#{row.starts}", document)\n'),
            (ACTORS, "def hand_in(ref: Ref, document: bytes) -> str:", "def hand_in(key: str, document: bytes) -> str:"),
            (ACTORS, "idempotency_key=ref.name)", "idempotency_key=key)"),
        ],
    },
    {
        "id": "m-only-ready", "kind": "mistake", "job": "submit-schedule",
        "what": "Only a schedule that is ready may be started, and an error puts it back: one whose worker is killed "
                "stays submitting for ever",
        "edits": [
            ("gridops/schedules.py", '''            .where(ref.row, schedules.c.status.in_(OPEN))
            .values(status="submitting"''', '''            .where(ref.row, schedules.c.status == "ready")
            .values(status="submitting"'''),
            ("gridops/schedules.py", "def document(row) -> bytes:", '''def put_back(ref: Ref) -> None:
    with engine.begin() as con:
        con.execute(update(schedules).where(ref.row, schedules.c.status == "submitting").values(status="ready"))


def document(row) -> bytes:'''),
            (ACTORS, '''    archive(ref, document)
    receipt = hand_in(ref, document)
''', '''    try:
        archive(ref, document)
        receipt = hand_in(ref, document)
    except Exception:
        schedules.put_back(ref)
        raise
'''),
        ],
    },
    {
        "id": "m-middleware-last", "kind": "mistake", "job": "submit-schedule",
        "what": "The middleware is added at the end, as in Dramatiq's own examples: it hears of an error before Retries "
                "has decided, so nothing is ever recorded or logged as given up",
        "edits": [
            ("gridops/broker.py", '''# what comes before Retries hears of the end of an attempt after it
broker.add_middleware(DeadLetters(), before=Retries)
broker.add_middleware(JobLog(), before=Retries)
''', '''broker.add_middleware(DeadLetters())
broker.add_middleware(JobLog())
'''),
            ("gridops/broker.py", "from dramatiq.middleware import Retries\n", ""),
        ],
    },
]
