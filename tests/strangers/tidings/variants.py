"""Three other correct versions of deliver-letter and seven natural mistakes."""

LETTERS = "tidings/letters.py"
EDITIONS = "tidings/editions.py"
WORKER = "tidings/worker.py"
TESTS = "tests/test_letters.py"

DELAY = '''            wait = backoff(ctx["job_try"])
            log.warning("letter_delayed", error=repr(exc), wait=round(wait))
            raise Retry(defer=wait) from exc
'''
DIED = '''            if ctx["job_try"] > MAX_TRIES:
                raise TimeoutError("the worker died in the last try")
'''
LAST = '''            if ctx["job_try"] >= MAX_TRIES:
                await _bury(message, exc)
                return
'''
SEND = '''    async with asyncio.timeout(SEND_TIMEOUT):
        house_id = await mail.send(
            to=draft["to"], subject=draft["subject"], html=draft["html"], token=draft["token"]
        )
'''
OPEN_ROW = '''    session.execute(insert(Delivery).values(**letter.model_dump()).on_conflict_do_nothing())
    delivery = session.scalars(select(Delivery).filter_by(**letter.model_dump())).one()
    if delivery.status == "pending" and not reader.active:
        delivery.status = "skipped"
    return {
        "status": delivery.status,
        "token": delivery.token,
'''
MARK = '''    session.execute(
        update(Delivery)
        .filter_by(**letter.model_dump())
        .where(Delivery.status != "sent")
        .values(status="sent", house_id=house_id, sent_at=now())
    )
'''
FAIL = '''    if not isinstance(exc, ValidationError):
        this = {key: message[key] for key in ("issue_id", "subscriber_id")}
'''
SAME_TOKEN = "    assert relay.sent[0] == relay.sent[1]\n"
GIVES_UP = '''async def test_gives_up_in_the_end(rows):
    await run(Relay(MailHouseDown("503")), job_try=MAX_TRIES, issue_id=1, subscriber_id=2)
    assert rows("select status from deliveries") == [("failed",)]
    assert rows("select payload from dead_letters") == [('{"issue_id": 1, "subscriber_id": 2}',)]
'''
JOB = '''async def deliver_letter(ctx: dict[str, Any], **message: Any) -> None:
    """arq runs it again after a Retry or when its worker died; any other exception is final for arq."""
    context = {key: message.get(key) for key in ("issue_id", "subscriber_id")}
    with structlog.contextvars.bound_contextvars(job="deliver-letter", job_try=ctx["job_try"], **context):
        try:
            letter = Letter.model_validate(message)
            if ctx["job_try"] > MAX_TRIES:
                raise TimeoutError("the worker died in the last try")
            await _deliver(ctx["mail"], letter)
        except (ValidationError, NoSuchLetter, AddressRefused) as exc:
            await _bury(message, exc)
        except Exception as exc:
            if ctx["job_try"] >= MAX_TRIES:
                await _bury(message, exc)
                return
            wait = backoff(ctx["job_try"])
            log.warning("letter_delayed", error=repr(exc), wait=round(wait))
            raise Retry(defer=wait) from exc


'''
DELIVER = '''async def _deliver(mail: Any, letter: Letter) -> None:
    draft = await unit(_draft, letter)
'''
BURY = '''    if buried:
        log.error("letter_given_up", error=repr(exc), message=message)


def'''

POLICY = '''"""How this house's jobs end: done, tried again, or buried and reported to arq as failed."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from arq import Retry
from pydantic import BaseModel, ValidationError

log = structlog.get_logger("tidings.jobs")


class Exhausted(Exception):
    """The worker died in the last try."""


def job(
    message_type: type[BaseModel],
    *,
    permanent: tuple[type[Exception], ...],
    tries: int,
    wait: Callable[[int], float],
    bury: Callable[[dict[str, Any], Exception], Awaitable[None]],
) -> Callable[..., Any]:
    def wrap(work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(work)
        async def run(ctx: dict[str, Any], **message: Any) -> None:
            number = ctx["job_try"]
            note = log.bind(job=work.__name__, message=message, job_try=number)
            try:
                content = message_type.model_validate(message)
                if number > tries:
                    raise Exhausted(f"tried {number - 1} times")
                await work(ctx, content)
            except Exception as exc:
                if isinstance(exc, (ValidationError, *permanent)) or number >= tries:
                    await bury(message, exc)
                    note.error("job_buried", error=repr(exc))
                    raise
                note.warning("job_delayed", error=repr(exc))
                raise Retry(defer=wait(number)) from exc

        return run

    return wrap
'''

CORE = '''"""The arq job that mails one issue to one reader."""

import asyncio
import json
import logging
import random
from uuid import uuid4

from arq import Retry
from sqlalchemy import text

from .editions import NoSuchLetter
from .mailhouse import AddressRefused
from .store import engine

MAX_TRIES = 4
SEND_TIMEOUT = 20
WAITS = {1: 20, 2: 60, 3: 180}
logger = logging.getLogger("tidings.letters")

FIND = text("""
    select d.status, d.token, r.email, r.active, i.subject, i.html
    from issues i, subscribers r
    left join deliveries d on d.issue_id = i.id and d.subscriber_id = r.id
    where i.id = :issue_id and r.id = :subscriber_id
""")
OPEN = text("""
    insert into deliveries (issue_id, subscriber_id, token, status) values (:issue_id, :subscriber_id, :token, 'pending')
    on conflict (issue_id, subscriber_id) do nothing
""")
SETTLE = text("""
    update deliveries set status = :status, house_id = :house_id,
        sent_at = case :status when 'sent' then current_timestamp || '.000000' end
    where issue_id = :issue_id and subscriber_id = :subscriber_id and status in ('pending', :over)
""")
STATUS = text("select status from deliveries where issue_id = :issue_id and subscriber_id = :subscriber_id")
DEAD = text("""
    insert into dead_letters (job, payload, reason, at)
    values ('deliver-letter', :payload, :reason, current_timestamp || '.000000')
    on conflict (job, payload) do update set reason = excluded.reason, at = excluded.at
""")


class Malformed(ValueError):
    pass


def backoff(job_try):
    return WAITS.get(job_try, 300) * random.uniform(0.5, 1)


async def deliver_letter(ctx, **message):
    name = "letter issue={} reader={} try={}".format(message.get("issue_id"), message.get("subscriber_id"), ctx["job_try"])
    try:
        _check(message)
        if ctx["job_try"] > MAX_TRIES:
            raise RuntimeError("worker lost in the last try")
        await _mail(ctx["mail"], message, name)
        return
    except (Malformed, NoSuchLetter, AddressRefused) as exc:
        reason = exc
    except Exception as exc:
        if ctx["job_try"] < MAX_TRIES:
            logger.warning("%s: %r, will be tried again", name, exc)
            raise Retry(defer=backoff(ctx["job_try"]))
        reason = exc
    try:
        await asyncio.to_thread(_dead, message, reason)
    except Exception:
        logger.exception("%s: could not be recorded as dead (%r)", name, reason)
        raise Retry(defer=30)
    logger.error("%s: given up, %r, message %s", name, reason, message)


def _check(message):
    if set(message) != {"issue_id", "subscriber_id"}:
        raise Malformed(sorted(message))
    if not all(type(value) is int and 0 < value < 2**63 for value in message.values()):
        raise Malformed(message)


async def _mail(mail, message, name):
    found = await asyncio.to_thread(_prepare, message)
    if found.status != "pending":
        logger.info("%s: is %s already", name, found.status)
    elif not found.active:
        await asyncio.to_thread(_settle, message, "skipped")
        logger.info("%s: no longer subscribed", name)
    else:
        sending = mail.send(to=found.email, subject=found.subject, html=found.html, token=found.token)
        house_id = await asyncio.wait_for(sending, SEND_TIMEOUT)
        await asyncio.to_thread(_settle, message, "sent", house_id, over="failed")
        logger.info("%s: sent as %s", name, house_id)


def _prepare(message):
    with engine().begin() as con:
        if con.execute(FIND, message).first() is None:
            raise NoSuchLetter(message)
        con.execute(OPEN, {**message, "token": uuid4().hex})
        return con.execute(FIND, message).one()


def _settle(message, status, house_id=None, over="pending"):
    with engine().begin() as con:
        con.execute(SETTLE, {**message, "status": status, "house_id": house_id, "over": over})


def _dead(message, reason):
    with engine().begin() as con:
        if not isinstance(reason, Malformed):
            con.execute(SETTLE, {**message, "status": "failed", "house_id": None, "over": "pending"})
            if con.execute(STATUS, message).scalar() == "sent":
                return
        con.execute(DEAD, {"payload": json.dumps(message, sort_keys=True, default=str), "reason": repr(reason)})
'''

VARIANTS = [
    dict(
        id="ok-1",
        kind="correct",
        job="deliver-letter",
        what="The token is made of the ids, and the row is an upserted receipt that is written after the letter is out",
        edits=[
            (LETTERS, OPEN_ROW, '''    delivery = session.get(Delivery, (letter.issue_id, letter.subscriber_id))
    status = delivery.status if delivery else "pending"
    if status == "pending" and not reader.active:
        session.merge(Delivery(**letter.model_dump(), status="skipped"))
        status = "skipped"
    return {
        "status": status,
        "token": f"tidings-{letter.issue_id}-{letter.subscriber_id}",
'''),
            (LETTERS, MARK, '''    receipt = {"status": "sent", "house_id": house_id, "sent_at": now()}
    session.execute(
        insert(Delivery)
        .values(**letter.model_dump(), **receipt)
        .on_conflict_do_update(
            index_elements=["issue_id", "subscriber_id"], set_=receipt, where=Delivery.status != "sent"
        )
    )
'''),
            (LETTERS, FAIL, FAIL + '''        if not isinstance(exc, NoSuchLetter):
            session.execute(insert(Delivery).values(**this).on_conflict_do_nothing())
'''),
        ],
    ),
    dict(
        id="ok-2",
        kind="correct",
        job="deliver-letter",
        what="Trying again and burying live in a decorator of their own; a buried job is raised on, so that arq reports it as failed, too",
        edits=[
            ("tidings/policy.py", "", POLICY),
            (LETTERS, JOB, ""),
            (LETTERS, DELIVER, '''async def _bury(message: dict[str, Any], exc: Exception) -> None:
    try:
        await unit(_give_up, message, exc)
    except Exception as trouble:
        log.exception("letter_not_buried", message=message)
        raise Retry(defer=30) from trouble


@job(Letter, permanent=(NoSuchLetter, AddressRefused), tries=MAX_TRIES, wait=backoff, bury=_bury)
async def deliver_letter(ctx: dict[str, Any], letter: Letter) -> None:
    mail = ctx["mail"]
    draft = await unit(_draft, letter)
'''),
            (LETTERS, '''async def _bury(message: dict[str, Any], exc: Exception) -> None:
    try:
        buried = await unit(_give_up, message, exc)
    except Exception as trouble:  # the store is away; arq would forget the letter
        log.exception("letter_not_buried", message=message)
        raise Retry(defer=30) from trouble
''' + BURY, "def"),
            (LETTERS, "from .store import unit\n", "from .policy import job\nfrom .store import unit\n"),
            (TESTS, '''    await deliver_letter({"mail": relay, "job_try": job_try}, **message)
''', '''    try:
        await deliver_letter({"mail": relay, "job_try": job_try}, **message)
    except Retry:
        raise
    except Exception as exc:  # buried, and reported to arq
        return exc
'''),
        ],
    ),
    dict(
        id="ok-3",
        kind="correct",
        job="deliver-letter",
        what="SQL text on connections instead of the ORM, checks by hand instead of pydantic, stdlib logging whose messages name the letter",
        edits=[(LETTERS, "", CORE)],
    ),
    dict(
        id="bad-1",
        kind="mistake",
        job="deliver-letter",
        what="The relay's error is raised as it is, in the belief that arq tries again after any error: the letter is lost and not buried",
        edits=[
            (LETTERS, DELAY, '''            log.warning("letter_delayed", error=repr(exc), tries_left=MAX_TRIES - ctx["job_try"])
            raise
'''),
            (TESTS, "    with pytest.raises(Retry):\n", "    with pytest.raises(MailHouseDown):\n"),
            (TESTS, "from arq import Retry\n\n", "\n"),
        ],
    ),
    dict(
        id="bad-2",
        kind="mistake",
        job="deliver-letter",
        what="Giving up is left to arq's max_tries, which drops the job without a dead letter",
        edits=[
            (LETTERS, DIED, ""),
            (LETTERS, LAST, ""),
            (WORKER, '''    # arq drops a job beyond max_tries without a word, so its limit lies above ours: the job gives up itself
    functions = [func(deliver_letter, max_tries=MAX_TRIES + 3, timeout=120, keep_result=0)]
''', '''    functions = [func(deliver_letter, max_tries=MAX_TRIES, timeout=120, keep_result=0)]
'''),
            (TESTS, GIVES_UP, '''async def test_is_tried_again(rows):
    with pytest.raises(Retry):
        await run(Relay(MailHouseDown("503")), job_try=MAX_TRIES - 1, issue_id=1, subscriber_id=2)
    assert rows("select status from deliveries") == [("pending",)]
'''),
        ],
    ),
    dict(
        id="bad-3",
        kind="mistake",
        job="deliver-letter",
        what="Every try has a token of its own, so a letter whose try died after the relay took it goes out twice",
        edits=[
            (LETTERS, '_deliver(ctx["mail"], letter)\n', '_deliver(ctx["mail"], letter, ctx["job_try"])\n'),
            (LETTERS, "async def _deliver(mail: Any, letter: Letter) -> None:\n", "async def _deliver(mail: Any, letter: Letter, job_try: int) -> None:\n"),
            (LETTERS, 'token=draft["token"]\n', "token=f\"{draft['token']}-{job_try}\"\n"),
            (TESTS, SAME_TOKEN, "    assert [to for to, _ in relay.sent] == [\"luc@example.org\"] * 2\n"),
            (TESTS, "test_the_token_outlives_a_failure", "test_is_sent_after_a_failure"),
        ],
    ),
    dict(
        id="bad-4",
        kind="mistake",
        job="deliver-letter",
        what="A timeout is swallowed, because the relay surely has the letter: it is marked as sent and never comes",
        edits=[
            (LETTERS, SEND, '''    house_id = None
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            house_id = await mail.send(
                to=draft["to"], subject=draft["subject"], html=draft["html"], token=draft["token"]
            )
    except TimeoutError:
        log.info("relay_is_slow", seconds=SEND_TIMEOUT)  # it answers late on Fridays but mails them all
'''),
        ],
    ),
    dict(
        id="bad-5",
        kind="mistake",
        job="deliver-letter",
        what="Until it is sent, the row is merged afresh: every try has a new token, and a buried or skipped letter is pending again and mailed",
        edits=[
            (LETTERS, '''    session.execute(insert(Delivery).values(**letter.model_dump()).on_conflict_do_nothing())
    delivery = session.scalars(select(Delivery).filter_by(**letter.model_dump())).one()
''', '''    delivery = session.get(Delivery, (letter.issue_id, letter.subscriber_id))
    if delivery is None or delivery.status != "sent":
        delivery = session.merge(Delivery(**letter.model_dump(), token=uuid4().hex, status="pending"))
'''),
            (TESTS, SAME_TOKEN, "    assert [to for to, _ in relay.sent] == [\"luc@example.org\"] * 2\n"),
            (TESTS, "test_the_token_outlives_a_failure", "test_is_sent_after_a_failure"),
            (LETTERS, "from typing import Any\n", "from typing import Any\nfrom uuid import uuid4\n"),
        ],
    ),
    dict(
        id="bad-6",
        kind="mistake",
        job="deliver-letter",
        what="Readers are kept out of logs and dead letters so thoroughly that nothing says which letter failed",
        edits=[
            (LETTERS, '''    context = {key: message.get(key) for key in ("issue_id", "subscriber_id")}
    with structlog.contextvars.bound_contextvars(job="deliver-letter", job_try=ctx["job_try"], **context):
''', '''    with structlog.contextvars.bound_contextvars(job="deliver-letter", job_try=ctx["job_try"]):
'''),
            (LETTERS, '        log.error("letter_given_up", error=repr(exc), message=message)\n', '        log.error("letter_given_up", error=type(exc).__name__)\n'),
            (LETTERS, '''    payload = json.dumps(message, sort_keys=True, default=str)
    session.execute(
        insert(DeadLetter)
        .values(job="deliver-letter", payload=payload, reason=repr(exc))
''', '''    payload = json.dumps({key: "***" for key in message})  # no personal data in here, see the data protection audit
    session.execute(
        insert(DeadLetter)
        .values(job="deliver-letter", payload=payload, reason=type(exc).__name__)
'''),
            (LETTERS, 'set_={"reason": repr(exc), "at": now()}', 'set_={"reason": type(exc).__name__, "at": now()}'),
            (TESTS, '{"issue_id": 1, "subscriber_id": 2}', '{"issue_id": "***", "subscriber_id": "***"}'),
        ],
    ),
    dict(
        id="bad-7",
        kind="mistake",
        job="deliver-letter",
        what="arq's job id names the reader only: while one issue waits, arq drops the same reader's letter of the next one",
        edits=[
            (EDITIONS, '_job_id=f"letter-{issue_id}-{subscriber_id}"', '_job_id=f"letter-{subscriber_id}"'),
            ("tests/test_editions.py", '["letter-1-1", "letter-1-2"]', '["letter-1", "letter-2"]'),
        ],
    ),
]
