"""Knitwear shop: one more that is right, and three that are not."""

JOB = "refund-return"

VARIANTS = [
    {
        "id": "ok-note-decides",
        "kind": "correct",
        "job": JOB,
        "what": (
            'The unique credit note is the dedupe store: insert ... on conflict do nothing decides who settles, '
            "the return's state follows in the same transaction. The refund lives in a module of its own that "
            'knows nothing of Dramatiq; retry_when instead of max_retries and throws; logfmt lines.'
        ),
        "edits": [
            (".skillrun/jobs/refund-return.yaml", '''  dedupe: {store: "table returns (state), unique credit_notes.return_number"}
''', '''  dedupe: {store: "table credit_notes (unique return_number)"}
'''),
            (".skillrun/jobs/refund-return.yaml", '''    - {type: "strickwaren.actors:BadMessage", args: ["expected return_number"], effects: []}
''', '''    - {type: "strickwaren.refunds:BadMessage", args: ["expected return_number"], effects: []}
'''),
            ("README.md", '''- **Once.** `returns.state` decides, and changes in the same transaction that writes the credit note. Zahlwerk gets
  `refund-R-2041` as its `Idempotency-Key` at every try; it knows a key for 48 hours, we stop trusting it after 40.
- **Tries.** Six (`max_retries=5`), from 20 seconds on, doubled, with jitter. `throws` lists what is not worth a second.
''', '''- **Once.** The credit note decides: `credit_notes.return_number` is unique, and the return's state changes in the
  transaction that writes it. Zahlwerk gets
  `refund-R-2041` as its `Idempotency-Key` at every try; it knows a key for 48 hours, we stop trusting it after 40.
- **Tries.** Six (`refunds.worth_another_try`), from 20 seconds on, doubled, with jitter. `refunds.FINAL` lists what is not worth
  a second.
'''),
            ("README.md", '''- **Log.** JSON on stderr: `job`, `job_id`, `attempt`, `key`, `outcome`.
''', '''- **Log.** logfmt on stderr: `job`, `job_id`, `attempt`, `key`, `outcome`.
'''),
            ("strickwaren/actors.py", '''import re

import dramatiq
import structlog
from structlog.contextvars import bind_contextvars

from strickwaren import ledger
from strickwaren.broker import broker
from strickwaren.zahlwerk import RefundDenied, Zahlwerk

log = structlog.get_logger("strickwaren.refunds")

NUMBER = re.compile(r"R-[0-9]{4,8}")


class BadMessage(Exception):
    pass


def _checked(return_number=None, **surplus) -> str:
    if surplus or type(return_number) is not str or not NUMBER.fullmatch(return_number):
        raise BadMessage("expected return_number, R- and digits, and nothing else")
    return return_number
''', '''
import dramatiq

from strickwaren import refunds
from strickwaren.broker import broker
'''),
            ("strickwaren/actors.py", '''        number = _checked(*message.args, **message.kwargs)
        key = f"refund-{number}"
    except (BadMessage, TypeError):
        text = json.dumps([message.args, message.kwargs], sort_keys=True, default=str)
        number, key = None, "bad-" + hashlib.sha1(text.encode()).hexdigest()
    buried = ledger.bury(key, number, message_id=message.message_id, actor=message.actor_name, reason=reason)
    if buried:
        log.error("refund given up", key=key, outcome="dead", reason=reason)
    else:
        log.info("refund ended elsewhere", key=key, outcome="skipped", reason=reason)
''', '''        number = refunds.checked(*message.args, **message.kwargs)
        key = f"refund-{number}"
    except (refunds.BadMessage, TypeError):
        text = json.dumps([message.args, message.kwargs], sort_keys=True, default=str)
        number, key = None, "bad-" + hashlib.sha1(text.encode()).hexdigest()
    refunds.bury(key, number, message.message_id, message.actor_name, reason)
'''),
            ("strickwaren/actors.py", '''    max_retries=5,
    min_backoff=20_000,
    max_backoff=400_000,
    time_limit=90_000,
    throws=(RefundDenied, BadMessage, TypeError, ledger.NotRefundable, ledger.GivenUp),
''', '''    retry_when=refunds.worth_another_try,
    min_backoff=20_000,
    max_backoff=400_000,
    time_limit=90_000,
'''),
            ("strickwaren/actors.py", '''    number = _checked(return_number, **surplus)
    bind_contextvars(key=f"refund-{number}")
    refund = ledger.begin(number)
    if refund is None:
        log.info("nothing to refund", outcome="skipped")
        return
    log.info("refund started", outcome="started", amount_cents=refund.amount_cents)
    with Zahlwerk() as payments:
        refund_id = payments.refund(
            payment_id=refund.payment_id,
            amount_cents=refund.amount_cents,
            reference=refund.return_number,
            idempotency_key=refund.key,
        )
    if ledger.settle(refund, refund_id):
        log.info("refund made", outcome="refunded", refund_id=refund_id)
    else:
        log.info("refund was known", outcome="skipped", refund_id=refund_id)
''', '''    refunds.refund(refunds.checked(return_number, **surplus))
'''),
            ("strickwaren/ledger.py", '''"""The state of returns. Each function is one transaction, and writes before it reads."""
import time
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
''', '''"""Returns and credit notes. Each function is one transaction, and writes before it reads.

A return is refunded when it has a credit note, and there is one credit note for a return: whoever comes second cannot
write it.
"""
import time
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select, update
'''),
            ("strickwaren/ledger.py", '''
def begin(return_number: str) -> Refund | None:
''', '''
def _unsettled(return_number: str):
    noted = exists().where(CreditNote.return_number == return_number)
    return Return.number == return_number, Return.state == INSPECTED, ~noted


def begin(return_number: str) -> Refund | None:
'''),
            ("strickwaren/ledger.py", '''            update(Return)
            .where(Return.number == return_number, Return.state == INSPECTED)
''', '''            update(Return)
            .where(*_unsettled(return_number))
'''),
            ("strickwaren/ledger.py", '''            )
        ).rowcount
''', '''            )
            .execution_options(synchronize_session=False)
        ).rowcount
'''),
            ("strickwaren/ledger.py", '''    """The money is on its way: the return and its credit note say so, even if it was given up meanwhile."""
    with transaction() as session:
        settled = session.execute(
            update(Return)
            .where(Return.number == refund.return_number, Return.state.in_([INSPECTED, REFUND_FAILED]))
            .values(state=REFUNDED, refund_id=refund_id, check_at=None)
        ).rowcount
        if settled:
            session.add(
                CreditNote(
                    number=f"GS-{refund.return_number[2:]}",
                    return_number=refund.return_number,
                    amount_cents=refund.amount_cents,
                    refund_id=refund_id,
                )
            )
            session.execute(delete(DeadJob).where(DeadJob.key == refund.key))
    return bool(settled)
''', '''    """The money is on its way: write the credit note, even if the return was given up meanwhile."""
    note = {
        "number": f"GS-{refund.return_number[2:]}",
        "return_number": refund.return_number,
        "amount_cents": refund.amount_cents,
        "refund_id": refund_id,
    }
    with transaction() as session:
        written = session.execute(insert(CreditNote).values(note).on_conflict_do_nothing()).rowcount
        if written:
            session.execute(
                update(Return)
                .where(Return.number == refund.return_number)
                .values(state=REFUNDED, refund_id=refund_id, check_at=None)
            )
            session.execute(delete(DeadJob).where(DeadJob.key == refund.key))
    return bool(written)
'''),
            ("strickwaren/ledger.py", '''                .where(Return.number == return_number, Return.state == INSPECTED)
                .values(state=REFUND_FAILED, check_at=None)
''', '''                .where(*_unsettled(return_number))
                .values(state=REFUND_FAILED, check_at=None)
                .execution_options(synchronize_session=False)
'''),
            ("strickwaren/logs.py", '''            structlog.processors.JSONRenderer(sort_keys=True),
''', '''            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
'''),
            ("strickwaren/refunds.py", "", '''"""The refund of one return, from the message to the credit note. Knows nothing of Dramatiq."""
import re

import structlog
from structlog.contextvars import bind_contextvars

from strickwaren import ledger
from strickwaren.zahlwerk import RefundDenied, Zahlwerk

log = structlog.get_logger("strickwaren.refunds")

NUMBER = re.compile(r"R-[0-9]{4,8}")
MAX_RETRIES = 5


class BadMessage(Exception):
    pass


FINAL = (RefundDenied, BadMessage, TypeError, ledger.NotRefundable, ledger.GivenUp)


def worth_another_try(retries: int, exception: BaseException) -> bool:
    return retries < MAX_RETRIES and not isinstance(exception, FINAL)


def checked(return_number=None, **surplus) -> str:
    if surplus or type(return_number) is not str or not NUMBER.fullmatch(return_number):
        raise BadMessage("expected return_number, R- and digits, and nothing else")
    return return_number


def refund(return_number: str) -> None:
    bind_contextvars(key=f"refund-{return_number}")
    due = ledger.begin(return_number)
    if due is None:
        log.info("nothing to refund", outcome="skipped")
        return
    log.info("refund started", outcome="started", amount_cents=due.amount_cents)
    with Zahlwerk() as payments:
        refund_id = payments.refund(
            payment_id=due.payment_id,
            amount_cents=due.amount_cents,
            reference=due.return_number,
            idempotency_key=due.key,
        )
    if ledger.settle(due, refund_id):
        log.info("refund made", outcome="refunded", refund_id=refund_id)
    else:
        log.info("refund was known", outcome="skipped", refund_id=refund_id)


def bury(key: str, return_number: str | None, message_id: str, actor: str, reason: str) -> None:
    if ledger.bury(key, return_number, message_id=message_id, actor=actor, reason=reason):
        log.error("refund given up", key=key, outcome="dead", reason=reason)
    else:
        log.info("refund ended elsewhere", key=key, outcome="skipped", reason=reason)
'''),
            ("tests/test_refund_return.py", '''import json
import logging
''', '''import logging
import shlex
'''),
            ("tests/test_refund_return.py", '''    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name.startswith("strickwaren")]
    assert [(li["attempt"], li["outcome"]) for li in lines if li["outcome"] != "started"] == [
        (1, "retry"), (2, "retry"), (3, "retry"), (4, "retry"), (5, "retry"), (6, "dead"), (1, "skipped"),
''', '''    lines = [dict(p.split("=", 1) for p in shlex.split(r.getMessage())) for r in caplog.records if r.name.startswith("strickwaren")]
    assert [(li["attempt"], li["outcome"]) for li in lines if li["outcome"] != "started"] == [
        ("1", "retry"), ("2", "retry"), ("3", "retry"), ("4", "retry"), ("5", "retry"), ("6", "dead"), ("1", "skipped"),
'''),
        ],
    },
    {
        "id": "m-key-of-the-day",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'The Idempotency-Key has the day (UTC) in it. Promise broken: effect refund is keyed for 48 h, one '
            'refund per return_number. Events: 23:59:50, Zahlwerk makes the refund under ...-20261201 and the '
            'answer is lost (or the worker is killed before settle commits); the retry 20 to 40 s later, or the '
            "redelivery or the sweep's message hours later, asks under ...-20261202: a second refund, although "
            'the first key is still remembered.'
        ),
        "edits": [
            ("strickwaren/actors.py", '''import re
''', '''import re
from datetime import datetime, timezone
'''),
            ("strickwaren/actors.py", '''            idempotency_key=refund.key,
''', '''            idempotency_key=f"{refund.key}-{datetime.now(timezone.utc):%Y%m%d}",
'''),
            ("tests/test_refund_return.py", '''    assert shop.keys == ["refund-R-2041"]
''', '''    assert len(shop.keys) == 1
'''),
            ("tests/test_refund_return.py", '''    assert shop.keys == ["refund-R-2041", "refund-R-2042"]
''', '''    assert len(shop.keys) == len(set(shop.keys)) == 2
'''),
            ("tests/test_refund_return.py", '''    assert shop.keys == ["refund-R-2041"] * 2
''', '''    assert len(shop.keys) == 2 and len(shop.made) == 1
'''),
        ],
    },
    {
        "id": "m-note-after",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'settle() commits the return as refunded, and writes the credit note in a second transaction. Promise '
            "broken: state credit_notes, a worker's death loses nothing. Events: refund made; first transaction "
            'committed; the worker is killed (or the database fails at the insert); the redelivery or the retry '
            "finds the return 'refunded', begin() gives None, 'nothing to refund': there is never a credit note, "
            'check_at is null and the sweep does not look, no dead job either.'
        ),
        "edits": [
            ("strickwaren/ledger.py", '''        if settled:
            session.add(
                CreditNote(
                    number=f"GS-{refund.return_number[2:]}",
                    return_number=refund.return_number,
                    amount_cents=refund.amount_cents,
                    refund_id=refund_id,
                )
            )
            session.execute(delete(DeadJob).where(DeadJob.key == refund.key))
    return bool(settled)
''', '''        session.execute(delete(DeadJob).where(DeadJob.key == refund.key))
    if settled:
        write_credit_note(refund, refund_id)
    return bool(settled)


def write_credit_note(refund: Refund, refund_id: str) -> None:
    with transaction() as session:
        session.add(
            CreditNote(
                number=f"GS-{refund.return_number[2:]}",
                return_number=refund.return_number,
                amount_cents=refund.amount_cents,
                refund_id=refund_id,
            )
        )
'''),
        ],
    },
    {
        "id": "m-window-from-last-try",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'coalesce(now, first_try_at): first_try_at is overwritten at each start, so the age of the key is '
            'always 0. Promise broken: effect refund, window 48h; a refund that was first tried more than 40 '
            'hours ago is given up (GivenUp). Events: first try at t0, Zahlwerk makes the refund and the answer '
            'is lost; the messages are lost with Redis, and worker and sweep stand still over a long weekend; at '
            't0+50h the sweep or a late redelivery starts the job again, first_try_at becomes now, nothing is '
            'given up, Zahlwerk has forgotten the key: a second refund.'
        ),
        "edits": [
            ("strickwaren/ledger.py", '''                first_try_at=func.coalesce(Return.first_try_at, now),
''', '''                first_try_at=func.coalesce(now, Return.first_try_at),
'''),
            ("tests/test_refund_return.py", '''from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from strickwaren import db, ledger, returns
''', '''from sqlalchemy.exc import OperationalError

from strickwaren import ledger, returns
'''),
            ("tests/test_refund_return.py", '''def test_too_late_for_the_key(shop):
    ledger.begin("R-2041")
    with db.transaction() as session:
        session.execute(text("update returns set first_try_at = first_try_at - 41 * 3600"))
    shop.deliver(return_number="R-2041")
    assert shop.keys == [] and len(shop.rows(DEAD)) == 1


''', ''),
        ],
    },
]
