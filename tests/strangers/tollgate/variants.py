"""Versions of base/: (path, old text, new text); an empty old text writes the whole file."""

# ---------------------------------------------------------------- ok-1: asyncio all the way down
OK1_BANK = '''"""The gateway of the bank: direct debits against a holder's mandate.

The gateway answers a repeated Idempotency-Key with the first booking, for thirty days.
"""
import httpx

from tollgate.settings import settings


class BankUnavailable(Exception):
    """No answer, or none that says whether the debit was booked. May pass."""


class ChargeRefused(Exception):
    """The bank said no, and will say so again."""

    def __init__(self, code: str, detail: str = ""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


class BankGateway:
    def __init__(self, base_url: str, token: str, transport=None):
        self._options = {
            "base_url": base_url,
            "headers": {"Authorization": f"Bearer {token}"},
            "timeout": httpx.Timeout(15, connect=5),
            "transport": transport,
        }

    async def charge(
        self, mandate: str, amount_cents: int, reference: str, idempotency_key: str
    ) -> dict:
        debit = {
            "mandate": mandate,
            "amount": {"cents": amount_cents, "currency": "CHF"},
            "reference": reference,
        }
        try:
            async with httpx.AsyncClient(**self._options) as client:
                response = await client.post(
                    "/debits", json=debit, headers={"Idempotency-Key": idempotency_key}
                )
        except httpx.TransportError as error:
            raise BankUnavailable(f"{type(error).__name__}: {error}") from error
        if response.is_success:
            return response.json()
        if response.status_code in (400, 402, 404, 410, 422):
            body = _body(response)
            raise ChargeRefused(body.get("code", str(response.status_code)), body.get("detail", ""))
        # 401 and 403 are about our token, 409 says that the key is in flight, 429 and 5xx pass
        raise BankUnavailable(f"HTTP {response.status_code}")


def _body(response: httpx.Response) -> dict:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def gateway() -> BankGateway:
    return BankGateway(settings().bank_url, settings().bank_token)
'''

OK1_DB = '''import psycopg
from psycopg.rows import dict_row

from tollgate.settings import settings

OPTIONS = {"row_factory": dict_row, "connect_timeout": 5, "options": "-c lock_timeout=45s"}


def connect() -> psycopg.Connection:
    """For the web side. As a context manager it commits, or rolls back, and closes."""
    return psycopg.connect(settings().dsn, **OPTIONS)


async def aconnect() -> psycopg.AsyncConnection:
    """For the worker: async with await aconnect() as conn."""
    return await psycopg.AsyncConnection.connect(settings().dsn, **OPTIONS)
'''

OK1_CHARGES = '''"""The tables charges and refusals."""
import psycopg

ORDER = """
insert into charges (passage_ref) select ref from passages where ref = %s on conflict do nothing
"""


def order(conn: psycopg.Connection, ref: str) -> bool:
    """Opens the charge of a passage; False if it had been opened before."""
    return conn.execute(ORDER, (ref,)).rowcount == 1


async def begin(conn: psycopg.AsyncConnection, ref: str) -> dict | None:
    """Counts a try, for good: also if the worker dies in it. The row as it then is, if any."""
    async with conn.transaction():
        await conn.execute(ORDER, (ref,))
        await conn.execute(
            "update charges set tries = tries + 1 where passage_ref = %s and status = 'open'",
            (ref,),
        )
        cursor = await conn.execute(
            "select tries, status from charges where passage_ref = %s", (ref,)
        )
        return await cursor.fetchone()


async def lock(conn: psycopg.AsyncConnection, ref: str) -> dict | None:
    """The open charge, ours until the transaction ends. None: settled meanwhile."""
    cursor = await conn.execute(
        "select p.amount_cents, v.mandate from charges c"
        " join passages p on p.ref = c.passage_ref left join vehicles v on v.plate = p.plate"
        " where c.passage_ref = %s and c.status = 'open' for update of c",
        (ref,),
    )
    return await cursor.fetchone()


async def mark_charged(conn: psycopg.AsyncConnection, ref: str, booking: str) -> None:
    await conn.execute(
        "update charges set status = 'charged', booking = %s, settled_at = now()"
        " where passage_ref = %s",
        (booking, ref),
    )


async def refuse(
    conn: psycopg.AsyncConnection, subject: str, code: str, detail: str, tries: int
) -> None:
    """Puts the matter before the clerks, unless it has been settled meanwhile."""
    async with conn.transaction():
        cursor = await conn.execute(
            "select status from charges where passage_ref = %s for update", (subject,)
        )
        row = await cursor.fetchone()
        if row and row["status"] != "open":
            return
        await conn.execute(
            "insert into refusals (subject, code, detail, tries) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            (subject, code, detail, tries),
        )
        await conn.execute(
            "update charges set status = 'refused', settled_at = now() where passage_ref = %s",
            (subject,),
        )
'''

OK1_CHARGING = '''"""The job: one debit per passage."""
import hashlib
import json
import logging
import re

import psycopg
from procrastinate import JobContext, RetryStrategy

from tollgate import bank, charges
from tollgate.bank import BankUnavailable, ChargeRefused
from tollgate.db import aconnect
from tollgate.queue import app

MAX_ATTEMPTS = 6
TRANSIENT = (BankUnavailable, psycopg.OperationalError)
REF = re.compile(r"[A-Z][0-9]-[0-9]{8}-[0-9]{6}", re.ASCII)


class NoSuchPassage(Exception):
    pass


class NoMandate(Exception):
    pass


class BadMessage(Exception):
    pass


class GaveUp(Exception):
    pass


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return f"charge_passage[{self.extra['job_id']}] {self.extra['passage_ref']}: {msg}", kwargs


@app.task(
    name="charge_passage",
    queue="charges",
    pass_context=True,
    # Procrastinate counts the retries, not the tries: waits of 4, 16, 64, 256, 1024 s
    retry=RetryStrategy(
        max_attempts=MAX_ATTEMPTS - 1, exponential_wait=4, retry_exceptions=TRANSIENT
    ),
)
async def charge_passage(context: JobContext, /, **message) -> None:
    job = context.job
    log = JobLog(
        logging.getLogger(__name__),
        {"job_id": job.id, "passage_ref": message.get("passage_ref"), "attempt": job.attempts + 1},
    )
    log.info("started, attempt %s", job.attempts + 1)
    tries = job.attempts + 1
    subject = subject_of(message)
    try:
        if not _readable(message):
            raise BadMessage(f"not a passage: {json.dumps(message)[:500]}")
        async with await aconnect() as conn:
            charge = await charges.begin(conn, subject)
        if charge is None:
            raise NoSuchPassage(f"no passage {subject}")
        if charge["status"] != "open":
            log.info("nothing done, it is %s", charge["status"])
            return
        tries = max(tries, charge["tries"])
        if tries > MAX_ATTEMPTS:
            raise GaveUp("the workers did not survive it")
        booking = await _debit(subject)
    except TRANSIENT as error:
        if tries < MAX_ATTEMPTS:
            log.warning("attempt %s failed, to be retried: %r", tries, error)
            raise
        log.error("failed for good after %s attempts: %r", tries, error)
        await _refuse(subject, "GAVE-UP", f"{error!r}; ask the bank for the reference", tries)
        raise GaveUp(f"{tries} attempts, the last: {error!r}") from error
    except Exception as error:
        log.error("failed for good: %r", error)
        code = error.code if isinstance(error, ChargeRefused) else type(error).__name__
        await _refuse(subject, code, str(error) or repr(error), tries)
        raise
    if booking:
        log.info("succeeded, booking %s", booking)
    else:
        log.info("nothing done, another worker was faster")


async def _debit(ref: str) -> str | None:
    # The row stays locked until the booking is written. Should we die before, the bank knows
    # the key.
    async with await aconnect() as conn:
        charge = await charges.lock(conn, ref)
        if charge is None:
            return None
        if charge["mandate"] is None:
            raise NoMandate(f"no mandate for the vehicle of passage {ref}")
        booked = await bank.gateway().charge(
            mandate=charge["mandate"],
            amount_cents=charge["amount_cents"],
            reference=ref,
            idempotency_key=f"toll-{ref}",
        )
        await charges.mark_charged(conn, ref, booked["id"])
        await conn.commit()
        return booked["id"]


async def _refuse(subject: str, code: str, detail: str, tries: int) -> None:
    async with await aconnect() as conn:
        await charges.refuse(conn, subject, code, detail, tries)


def _readable(message: dict) -> bool:
    ref = message.get("passage_ref")
    return set(message) == {"passage_ref"} and isinstance(ref, str) and bool(REF.fullmatch(ref))


def subject_of(message: dict) -> str:
    """The passage, or a name for a message that tells none."""
    if _readable(message):
        return message["passage_ref"]
    text = json.dumps(message, sort_keys=True)
    return "message:" + hashlib.sha256(text.encode()).hexdigest()[:20]
'''

OK1 = [
    ("tollgate/bank.py", "", OK1_BANK),
    ("tollgate/db.py", "", OK1_DB),
    ("tollgate/charges.py", "", OK1_CHARGES),
    ("tollgate/charging.py", "", OK1_CHARGING),
    ("tollgate/upkeep.py", "from tollgate.db import connect\n", "from tollgate.db import aconnect\n"),
    (
        "tollgate/upkeep.py",
        "        with connect() as conn:\n"
        "            forgotten = conn.execute(FORGOTTEN).fetchall()\n",
        "        async with await aconnect() as conn:\n"
        "            forgotten = await (await conn.execute(FORGOTTEN)).fetchall()\n",
    ),
    (
        "tollgate/upkeep.py",
        "    with connect() as conn:\n        charges.refuse(conn, subject,",
        "    async with await aconnect() as conn:\n        await charges.refuse(conn, subject,",
    ),
    (".skillrun/jobs/charge-passage.yaml", "tollgate.charges:NoSuchPassage", "tollgate.charging:NoSuchPassage"),
    (".skillrun/jobs/charge-passage.yaml", "tollgate.charges:NoMandate", "tollgate.charging:NoMandate"),
    ("tests/conftest.py", "    def charge(self,", "    async def charge(self,"),
    (
        "tests/test_bank.py",
        "",
        '''import asyncio

import httpx
import pytest

from tollgate.bank import BankGateway, BankUnavailable, ChargeRefused


def charge(answer):
    gateway = BankGateway("http://bank", "t", transport=httpx.MockTransport(answer))
    return asyncio.run(gateway.charge("M", 340, "x", "toll-x"))


def test_sends_the_key():
    def answer(request):
        assert request.headers["idempotency-key"] == "toll-x"
        return httpx.Response(201, json={"id": "bk-1"})

    assert charge(answer) == {"id": "bk-1"}


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
def test_passing(status):
    with pytest.raises(BankUnavailable):
        charge(lambda r: httpx.Response(status))


def test_refused():
    answer = httpx.Response(402, json={"code": "R-51", "detail": "insufficient funds"})
    with pytest.raises(ChargeRefused) as caught:
        charge(lambda r: answer)
    assert caught.value.code == "R-51"
''',
    ),
]

# ------------------- ok-2: no lock around the bank; a middleware records; a strategy of our own
OK2_CHARGES = '''"""The tables charges and refusals."""
import psycopg


class NoSuchPassage(Exception):
    pass


class NoMandate(Exception):
    pass


def order(conn: psycopg.Connection, ref: str) -> bool:
    """Opens the charge of a passage; False if it had been opened before."""
    return (
        conn.execute(
            "insert into charges (passage_ref) select ref from passages where ref = %s"
            " on conflict do nothing",
            (ref,),
        ).rowcount
        == 1
    )


def count_try(conn: psycopg.Connection, ref: str) -> dict | None:
    """Counts a try, for good. What to debit from whom; None: nothing is left to do."""
    with conn.transaction():
        order(conn, ref)
        charge = conn.execute(
            "update charges c set tries = c.tries + 1 from passages p"
            " left join vehicles v on v.plate = p.plate"
            " where p.ref = c.passage_ref and c.passage_ref = %s and c.status = 'open'"
            " returning c.tries, p.amount_cents, v.mandate",
            (ref,),
        ).fetchone()
        known = conn.execute("select 1 from charges where passage_ref = %s", (ref,)).fetchone()
    if not known:
        raise NoSuchPassage(f"no passage {ref}")
    return charge


def mark_charged(conn: psycopg.Connection, ref: str, booking: str) -> None:
    """The bank has the last word: also over a refusal that another worker wrote meanwhile."""
    with conn.transaction():
        conn.execute(
            "update charges set status = 'charged', booking = %s, settled_at = now()"
            " where passage_ref = %s and status <> 'charged'",
            (booking, ref),
        )
        conn.execute("delete from refusals where subject = %s", (ref,))


def refuse(conn: psycopg.Connection, subject: str, code: str, detail: str, tries: int) -> None:
    """Puts the matter before the clerks, unless it has been settled meanwhile."""
    with conn.transaction():
        row = conn.execute(
            "select status from charges where passage_ref = %s for update", (subject,)
        ).fetchone()
        if row and row["status"] != "open":
            return
        conn.execute(
            "insert into refusals (subject, code, detail, tries) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            (subject, code, detail, tries),
        )
        conn.execute(
            "update charges set status = 'refused', settled_at = now() where passage_ref = %s",
            (subject,),
        )
'''

OK2_CHARGING = '''"""The job: one debit per passage.

Nothing is locked while the bank thinks. Two workers at once send the same Idempotency-Key and
get the same booking.
"""
import logging
import re

from procrastinate import JobContext

from tollgate import bank, charges
from tollgate.db import connect
from tollgate.queue import app
from tollgate.trouble import MAX_ATTEMPTS, GaveUp, Strategy, to_the_clerks

log = logging.getLogger(__name__)

REF = re.compile(r"[A-Z][0-9]-[0-9]{8}-[0-9]{6}", re.ASCII)


class BadMessage(Exception):
    pass


@app.task(
    name="charge_passage",
    queue="charges",
    pass_context=True,
    retry=Strategy(),
    task_middleware=[to_the_clerks],
)
def charge_passage(context: JobContext, passage_ref: str) -> str | None:
    if not isinstance(passage_ref, str) or not REF.fullmatch(passage_ref):
        raise BadMessage(f"not a passage: {passage_ref!r}")
    with connect() as conn:
        charge = charges.count_try(conn, passage_ref)
    if charge is None:
        log.info("Nothing to charge", extra={"passage_ref": passage_ref, "job_id": context.job.id})
        return None
    if charge["tries"] > MAX_ATTEMPTS:
        raise GaveUp("the workers did not survive it")
    if charge["mandate"] is None:
        raise charges.NoMandate(f"no mandate for the vehicle of passage {passage_ref}")
    booked = bank.gateway().charge(
        mandate=charge["mandate"],
        amount_cents=charge["amount_cents"],
        reference=passage_ref,
        idempotency_key=f"toll-{passage_ref}",
    )
    with connect() as conn:
        charges.mark_charged(conn, passage_ref, booked["id"])
    return booked["id"]
'''

OK2_TROUBLE = '''"""What happens to a job that fails: it is tried again, or goes to the clerks."""
import hashlib
import json
import logging

import psycopg
from procrastinate import BaseRetryStrategy, RetryDecision

from tollgate import charges
from tollgate.bank import BankUnavailable, ChargeRefused
from tollgate.db import connect

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
WAITS = (4, 16, 64, 256, 1024)
TRANSIENT = (BankUnavailable, psycopg.OperationalError)


class GaveUp(Exception):
    pass


class Strategy(BaseRetryStrategy):
    def get_retry_decision(self, *, exception, job) -> RetryDecision | None:
        if isinstance(exception, TRANSIENT) and job.attempts < len(WAITS):
            return RetryDecision(retry_in={"seconds": WAITS[job.attempts]})
        return None


def subject_of(message: dict) -> str:
    """The passage, or a name for a message that tells none."""
    if set(message) == {"passage_ref"} and isinstance(message["passage_ref"], str):
        return message["passage_ref"]
    text = json.dumps(message, sort_keys=True)
    return "message:" + hashlib.sha256(text.encode()).hexdigest()[:20]


def to_the_clerks(call_next, context, worker):
    """A task middleware. It also meets the messages that do not fit the task's signature."""
    job = context.job
    tries = job.attempts + 1
    about = {"job_id": job.id, "passage_ref": job.task_kwargs.get("passage_ref"), "attempt": tries}
    log.info("Job started", extra=about)
    try:
        booking = call_next()
    except TRANSIENT as error:
        if tries < MAX_ATTEMPTS:
            wait = WAITS[job.attempts]
            log.warning(
                "Job failed, to be retried", extra={**about, "reason": repr(error), "wait": wait}
            )
            raise
        _record(job, "GAVE-UP", f"{error!r}; ask the bank for the reference", about)
        raise GaveUp(f"{tries} attempts, the last: {error!r}") from error
    except Exception as error:
        code = error.code if isinstance(error, ChargeRefused) else type(error).__name__
        _record(job, code, str(error) or repr(error), about)
        raise
    log.info("Job succeeded", extra={**about, "booking": booking})
    return booking


def _record(job, code: str, detail: str, about: dict) -> None:
    log.error("Job failed for good", extra={**about, "code": code, "reason": detail})
    with connect() as conn:
        charges.refuse(conn, subject_of(job.task_kwargs), code, detail, job.attempts + 1)
'''

OK2 = [
    ("tollgate/charges.py", "", OK2_CHARGES),
    ("tollgate/charging.py", "", OK2_CHARGING),
    ("tollgate/trouble.py", "", OK2_TROUBLE),
    (
        "tollgate/upkeep.py",
        "from tollgate.charging import MAX_ATTEMPTS, subject_of\nfrom tollgate.db import connect\n"
        "from tollgate.queue import app\nfrom tollgate.settings import settings\n",
        "from tollgate.db import connect\nfrom tollgate.queue import app\n"
        "from tollgate.settings import settings\n"
        "from tollgate.trouble import MAX_ATTEMPTS, subject_of\n",
    ),
    (
        "tests/test_charging.py",
        'assert rows(db, "select code from refusals") == [("BadMessage",)]',
        'assert rows(db, "select code from refusals") in ([("BadMessage",)], [("TypeError",)])',
    ),
]

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "charge-passage",
        "what": "An async task: AsyncConnection, httpx.AsyncClient, LoggerAdapter",
        "edits": OK1,
    },
    {
        "id": "ok-2", "kind": "correct", "job": "charge-passage",
        "what": "No row lock during the debit, the bank's key alone keeps two workers apart; a "
                "task middleware records failures and logs; a retry strategy with a table of waits",
        "edits": OK2,
    },
    {
        "id": "m-key-per-attempt", "kind": "mistake", "job": "charge-passage",
        "what": "The attempt is part of the Idempotency-Key: a lost answer, or a killed worker, "
                "and the next attempt debits again",
        "edits": [
            (
                "tollgate/charging.py",
                "booking = charges.settle(conn, subject)",
                "booking = charges.settle(conn, subject, tries)",
            ),
            (
                "tollgate/charges.py",
                "def settle(conn: psycopg.Connection, ref: str) -> str | None:",
                "def settle(conn: psycopg.Connection, ref: str, tries: int) -> str | None:",
            ),
            (
                "tollgate/charges.py",
                '            idempotency_key=f"toll-{ref}",\n',
                "            # a new key each time, or the gateway would replay its first error\n"
                '            idempotency_key=f"toll-{ref}-{tries}",\n',
            ),
        ],
    },
    {
        "id": "m-marked-first", "kind": "mistake", "job": "charge-passage",
        "what": "The charge is marked and committed before the bank is asked, to free the row; "
                "a worker killed in between, or a 503, and it is never debited",
        "edits": [
            (
                "tollgate/charges.py",
                '''        booked = bank.gateway().charge(
            mandate=row["mandate"],
            amount_cents=row["amount_cents"],
            reference=ref,
            idempotency_key=f"toll-{ref}",
        )
        conn.execute(
            "update charges set status = 'charged', booking = %s, settled_at = now()"
            " where passage_ref = %s",
            (booked["id"], ref),
        )
        return booked["id"]
''',
                '''        conn.execute(
            "update charges set status = 'charged', settled_at = now() where passage_ref = %s",
            (ref,),
        )
    booked = bank.gateway().charge(
        mandate=row["mandate"],
        amount_cents=row["amount_cents"],
        reference=ref,
        idempotency_key=f"toll-{ref}",
    )
    conn.execute(
        "update charges set booking = %s where passage_ref = %s", (booked["id"], ref)
    )
    return booked["id"]
''',
            ),
            (
                "tollgate/charges.py",
                '''    """Debits one passage and notes the booking. The row stays locked meanwhile, so a second
    worker waits and then finds the work done; should we die in between, the bank knows the key."""
''',
                '''    """Debits one passage and notes the booking. The row is marked first and not kept locked
    while the bank takes its time."""
''',
            ),
        ],
    },
    {
        "id": "m-early-defer", "kind": "mistake", "job": "charge-passage",
        "what": "The job is deferred through the app's own pool before the passage is committed: "
                "a quick worker finds no passage and refuses for good; a rollback leaves a job",
        "edits": [
            (
                "tollgate/passages.py",
                "            job_id = charge_passage.configure(connection=conn)"
                ".defer(passage_ref=passage_ref)\n",
                "            with app.open():\n"
                "                job_id = charge_passage.defer(passage_ref=passage_ref)\n",
            ),
            (
                "tollgate/passages.py",
                "from tollgate.db import connect\n",
                "from tollgate.db import connect\nfrom tollgate.queue import app\n",
            ),
            (
                "tollgate/passages.py",
                "    \"\"\"Gantries repeat themselves when the line was down; a passage is ordered once.\n"
                "\n    The passage, its open charge and the job commit together, or not at all.\n    \"\"\"\n",
                "    \"\"\"Gantries repeat themselves when the line was down; a passage is ordered once.\"\"\"\n",
            ),
        ],
    },
    {
        "id": "m-no-record", "kind": "mistake", "job": "charge-passage",
        "what": "After the last attempt nothing is written for the clerks (the job is 'failed', "
                "is it not); the charge stays open and the upkeep orders it anew each minute",
        "edits": [
            (
                "tollgate/charging.py",
                '''        if tries < MAX_ATTEMPTS:
            log.warning("Charge failed, to be retried", extra={**about, "reason": repr(error)})
            raise
        _refuse(subject, "GAVE-UP", f"{error!r}; ask the bank for the reference", tries, about)
        raise GaveUp(f"{MAX_ATTEMPTS} attempts, the last: {error!r}") from error
''',
                '''        log.warning("Charge failed", extra={**about, "reason": repr(error)})
        raise
''',
            ),
            (
                "tollgate/charging.py",
                '''        about["attempt"] = tries = max(tries, begun)
        if tries > MAX_ATTEMPTS:
            raise GaveUp("the workers did not survive it")
''',
                "        about[\"attempt\"] = tries\n",
            ),
            (
                "tollgate/charging.py",
                "class GaveUp(Exception):\n    pass\n\n\n",
                "",
            ),
        ],
    },
]
