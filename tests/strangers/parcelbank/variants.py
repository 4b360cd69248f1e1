VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "send-payout",
        "what": "An inbox row per payout, in the transaction that marks it paid, and compare-and-set "
        "updates in SQLAlchemy Core instead of the ORM's version column",
        "edits": [
            (
                "parcelbank/models.py",
                'class OutboxMessage(Base):\n',
                'class InboxEntry(Base):\n'
                '    """One row for each message whose work is done."""\n\n'
                '    __tablename__ = "inbox"\n\n'
                '    task: Mapped[str] = mapped_column(String(100), primary_key=True)\n'
                '    key: Mapped[str] = mapped_column(String(100), primary_key=True)\n'
                '    result: Mapped[str] = mapped_column(String(64))\n\n\n'
                'class OutboxMessage(Base):\n',
            ),
            ("parcelbank/models.py", '    version: Mapped[int] = mapped_column(default=1)\n\n    __mapper_args__ = {"version_id_col": version}\n', ""),
            (
                "parcelbank/models.py",
                "        self.deliveries += 1\n        self.first_sent_at = self.first_sent_at or now\n"
                "        self.touched_at = now\n        self.status = SENDING\n",
                "",
            ),
            ("parcelbank/models.py", "    def begin_attempt(self) -> None:\n", "    def check_attempt(self) -> None:\n"),
            (
                "parcelbank/models.py",
                '    def mark_paid(self, bank_ref: str) -> None:\n'
                '        """Also from parked or refused: the money is on its way, whatever we had thought."""\n'
                '        self.status, self.bank_ref, self.reason, self.touched_at = PAID, bank_ref, None, utcnow()\n\n'
                '    def give_up(self, status: str, reason: str) -> None:\n'
                '        self.status, self.reason, self.touched_at = status, reason[:500], utcnow()\n\n\n',
                "\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "            if payout.is_final:\n                return None\n            payout.begin_attempt()\n"
                "            uow.commit()\n            return payout\n",
                "            if payout.is_final or uow.session.get(InboxEntry, (self.name, ref)) is not None:\n"
                "                return None\n"
                "            payout.check_attempt()\n"
                "            now = utcnow()\n"
                "            claimed = uow.session.execute(\n"
                "                update(Payout)\n"
                "                .where(Payout.ref == ref, Payout.status.in_(OPEN), Payout.deliveries == payout.deliveries)\n"
                "                .values(\n"
                "                    status=SENDING,\n"
                "                    deliveries=Payout.deliveries + 1,\n"
                "                    first_sent_at=func.coalesce(Payout.first_sent_at, now),\n"
                "                    touched_at=now,\n"
                "                ),\n"
                "                execution_options={\"synchronize_session\": False},\n"
                "            ).rowcount\n"
                "            if not claimed:\n"
                "                raise Overtaken(ref)\n"
                "            uow.commit()\n"
                "            return payout\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "            payout = uow.payouts.get(ref)\n            if payout.status == PAID:\n                return\n"
                "            if payout.is_final:\n                log.warning(\"payout.paid_after_all\", was=payout.status)\n"
                "            payout.mark_paid(bank_ref)\n            uow.commit()\n",
                "            uow.session.add(InboxEntry(task=self.name, key=ref, result=bank_ref))\n"
                "            try:\n"
                "                uow.session.flush()\n"
                "            except IntegrityError:\n"
                "                return  # another delivery has written both rows\n"
                "            uow.session.execute(\n"
                "                update(Payout)\n"
                "                .where(Payout.ref == ref)\n"
                "                .values(status=PAID, bank_ref=bank_ref, reason=None, touched_at=utcnow())\n"
                "            )\n"
                "            uow.commit()\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "        if payout.is_final:\n            return False\n"
                "        payout.give_up(REFUSED if isinstance(exc, PayoutRefused) else PARKED, repr(exc))\n        return True\n",
                "        status = REFUSED if isinstance(exc, PayoutRefused) else PARKED\n"
                "        closed = uow.session.execute(\n"
                "            update(Payout)\n"
                "            .where(Payout.ref == ref, Payout.status.in_(OPEN))\n"
                "            .values(status=status, reason=repr(exc)[:500], touched_at=utcnow())\n"
                "        ).rowcount\n"
                "        return closed == 1\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "from sqlalchemy.exc import OperationalError\nfrom sqlalchemy.orm.exc import StaleDataError\n",
                "from sqlalchemy import func, update\nfrom sqlalchemy.exc import IntegrityError, OperationalError\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "from parcelbank.models import PAID, PARKED, REFUSED, Payout\n",
                "from parcelbank.models import APPROVED, PAID, PARKED, REFUSED, SENDING, InboxEntry, Payout, utcnow\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "        except (OperationalError, StaleDataError) as exc:\n",
                "        except (OperationalError, Overtaken) as exc:\n",
            ),
            ("parcelbank/jobs/payouts.py", "LONGEST_WAIT = 240\n", "LONGEST_WAIT = 240\nOPEN = (APPROVED, SENDING)\n"),
            (
                "parcelbank/jobs/payouts.py",
                "class SendPayout(HouseTask):\n",
                'class Overtaken(Exception):\n    """Another delivery has claimed the payout at the same moment."""\n\n\n'
                "class SendPayout(HouseTask):\n",
            ),
            (
                "parcelbank/payouts.py",
                "        for payout in uow.payouts.stuck(before=utcnow() - STUCK_AFTER):\n"
                "            payout.touched_at = utcnow()\n"
                "            try:\n"
                "                uow.commit()\n"
                "            except StaleDataError:  # it moves after all\n"
                "                uow.session.rollback()\n"
                "                continue\n",
                "        for payout in uow.payouts.stuck(before=utcnow() - STUCK_AFTER):\n"
                "            payout.touched_at = utcnow()\n"
                "            uow.commit()\n",
            ),
            ("parcelbank/payouts.py", "from sqlalchemy.orm.exc import StaleDataError\n", ""),
            (
                ".skillrun/jobs/send-payout.yaml",
                "dedupe: {store: table payouts}",
                "dedupe: {store: table inbox}",
            ),
            (
                ".skillrun/jobs/send-payout.yaml",
                "    payouts: select ref, status, bank_ref from payouts order by ref\n",
                "    payouts: select ref, status, bank_ref from payouts order by ref\n"
                "    inbox: select task, key, result from inbox order by task, key\n",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "send-payout",
        "what": "A plain decorated task with autoretry_for; the client has a transport port of its own "
        "and speaks in the house's errors; the job logs through the standard library",
        "edits": [
            (
                "parcelbank/bank.py",
                '        response.raise_for_status()\n        return response.json()["transfer_id"]\n\n\n'
                "def is_transient(exc: httpx.HTTPError) -> bool:\n"
                "    if isinstance(exc, httpx.HTTPStatusError):\n"
                "        # 409: our first request with this key is still being worked on.\n"
                "        return exc.response.status_code >= 500 or exc.response.status_code in (408, 409, 425, 429)\n"
                "    return isinstance(exc, httpx.TransportError)\n\n\n"
                "def retry_after(exc: httpx.HTTPError) -> int | None:\n"
                "    if isinstance(exc, httpx.HTTPStatusError):\n"
                '        value = exc.response.headers.get("Retry-After", "")\n'
                "        return int(value) if value.isdigit() else None\n"
                "    return None\n",
                '        return response["transfer_id"]\n',
            ),
            ("parcelbank/bank.py", '        response = self._http.post(\n            "/v1/transfers",\n', '        response = self._post(\n            "/v1/transfers",\n'),
            (
                "parcelbank/bank.py",
                "    def create_transfer(\n",
                "    def _post(self, path: str, **kwargs) -> dict:\n"
                "        try:\n"
                "            response = self._http.post(path, **kwargs)\n"
                "            response.raise_for_status()\n"
                "        except httpx.HTTPStatusError as exc:\n"
                "            status = exc.response.status_code\n"
                "            # 409: our first request with this key is still being worked on.\n"
                "            if status >= 500 or status in (408, 409, 425, 429):\n"
                '                raise BankUnavailable(f"HTTP {status}") from exc\n'
                '            raise BankRefused(f"HTTP {status}: {exc.response.text[:200]}") from exc\n'
                "        except httpx.TransportError as exc:\n"
                "            raise BankUnavailable(repr(exc)) from exc\n"
                "        return response.json()\n\n"
                "    def create_transfer(\n",
            ),
            (
                "parcelbank/bank.py",
                "class BankClient:\n",
                'class BankUnavailable(Exception):\n    """No answer, or one that may be another in a minute."""\n\n\n'
                'class BankRefused(Exception):\n    """The bank has read the order and will not have it."""\n\n\n'
                "class BankClient:\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "",
                '''"""Order the transfer of one payout."""
import re

from celery.utils.log import get_task_logger
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from parcelbank import bank
from parcelbank.app import app
from parcelbank.jobs.base import HouseTask
from parcelbank.models import PAID, PARKED, REFUSED, Payout
from parcelbank.uow import UnitOfWork

logger = get_task_logger(__name__)

REF = re.compile(r"PO-[0-9]{4}-[0-9]{4}")


class MalformedMessage(Exception):
    """Not a message of ours."""


class PayoutTask(HouseTask):
    abstract = True

    def close_books(self, uow, exc, kwargs):
        ref = kwargs.get("payout_ref")
        payout = uow.payouts.find(ref) if isinstance(ref, str) else None
        if payout is None or set(kwargs) != {"payout_ref"}:
            return True
        if payout.is_final:
            return False
        payout.give_up(REFUSED if isinstance(exc, bank.BankRefused) else PARKED, repr(exc))
        return True


@app.task(
    base=PayoutTask,
    name="parcelbank.send_payout",
    autoretry_for=(bank.BankUnavailable, OperationalError, StaleDataError),
    max_retries=4,
    retry_backoff=15,
    retry_backoff_max=240,
    retry_jitter=True,
)
def send_payout(payout_ref):
    if not isinstance(payout_ref, str) or not REF.fullmatch(payout_ref):
        raise MalformedMessage(f"payout_ref is {payout_ref!r}")
    payout = claim(payout_ref)
    if payout is None:
        return "nothing to do"
    bank_ref = bank.client().create_transfer(
        reference=payout.ref,
        iban=payout.iban,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        idempotency_key=payout.idempotency_key,
    )
    settle(payout_ref, bank_ref)
    return "paid"


def claim(ref: str) -> Payout | None:
    with UnitOfWork() as uow:
        payout = uow.payouts.get(ref)
        if payout.is_final:
            return None
        payout.begin_attempt()
        uow.commit()
        return payout


def settle(ref: str, bank_ref: str) -> None:
    with UnitOfWork() as uow:
        payout = uow.payouts.get(ref)
        if payout.status == PAID:
            return
        if payout.is_final:
            logger.warning("%s was %s, but the bank has paid it", ref, payout.status)
        payout.mark_paid(bank_ref)
        uow.commit()
''',
            ),
            (
                "parcelbank/jobs/base.py",
                "        structlog.contextvars.clear_contextvars()\n"
                "        structlog.contextvars.bind_contextvars(\n"
                "            job=self.name, task_id=task_id, attempt=self.request.retries + 1, message=kwargs or list(args)\n"
                "        )\n"
                '        log.info("job.started")\n',
                '        log.info("%s[%s] %s: attempt %d started", self.name, task_id, kwargs or args, self.request.retries + 1)\n',
            ),
            ("parcelbank/jobs/base.py", '        log.info("job.succeeded", outcome=retval)\n', '        log.info("%s[%s] %s: succeeded, %s", self.name, task_id, kwargs, retval)\n'),
            ("parcelbank/jobs/base.py", '        log.warning("job.retrying", reason=repr(exc))\n', '        log.warning("%s[%s] %s: will be tried again after %r", self.name, task_id, kwargs, exc)\n'),
            ("parcelbank/jobs/base.py", '        log.error("job.failed", reason=repr(exc))\n', '        log.error("%s[%s] %s: failed for good: %r", self.name, task_id, kwargs or args, exc)\n'),
            (
                "parcelbank/jobs/base.py",
                '            log.critical("job.not_buried", reason=repr(exc), exc_info=True)\n',
                '            log.critical("%s[%s] %s: no dead letter could be written", self.name, task_id, kwargs, exc_info=True)\n',
            ),
            (
                "parcelbank/jobs/base.py",
                "    def after_return(self, status, retval, task_id, args, kwargs, einfo):\n"
                "        structlog.contextvars.clear_contextvars()\n\n",
                "",
            ),
            ("parcelbank/jobs/base.py", "import structlog\nfrom celery import Task\n", "from celery import Task\nfrom celery.utils.log import get_task_logger\n"),
            ("parcelbank/jobs/base.py", "log = structlog.get_logger(__name__)\n", "log = get_task_logger(__name__)\n"),
            (
                "tests/test_payouts.py",
                "from parcelbank.bank import BankClient\n",
                "from parcelbank.bank import BankClient, BankRefused, BankUnavailable\n",
            ),
            (
                "tests/test_payouts.py",
                'def status_error(code):\n    request = httpx.Request("POST", "https://bank.test/v1/transfers")\n'
                "    return httpx.HTTPStatusError(str(code), request=request, response=httpx.Response(code, request=request))\n",
                "def status_error(code):\n    return (BankUnavailable if code >= 500 else BankRefused)(str(code))\n",
            ),
            ("tests/test_payouts.py", 'status_error(503), httpx.ConnectError("no route")]', 'status_error(503), BankUnavailable("no route")]'),
            (
                ".skillrun/jobs/send-payout.yaml",
                "    - {type: httpx:HTTPStatusError, args: [503], effects: [transfer]}\n"
                '    - {type: httpx:HTTPStatusError, kwargs: {http: {status: 429, headers: {Retry-After: "120"}}}, effects: [transfer], wait: 120s, unsent: true}\n'
                "    - {type: httpx:ConnectError, args: [no route to the bank], effects: [transfer], unsent: true}\n"
                "    - {type: httpx:ReadTimeout, args: [no answer], effects: [transfer]}\n",
                "    - {type: parcelbank.bank:BankUnavailable, args: [HTTP 503]}\n",
            ),
            (
                ".skillrun/jobs/send-payout.yaml",
                "    - {type: httpx:HTTPStatusError, args: [422], effects: [transfer], unsent: true}\n"
                "    - {type: httpx:HTTPStatusError, args: [403], effects: [transfer], unsent: true}\n",
                '    - {type: parcelbank.bank:BankRefused, args: ["HTTP 422"], unsent: true}\n',
            ),
        ],
    },
    {
        "id": "m-key-follows-version",
        "kind": "mistake",
        "job": "send-payout",
        "what": "The idempotency key takes in the row's version, 'so that a corrected payout is not answered "
        "from the bank's memory'; but every claim raises the version: each attempt is a new order to the bank",
        "edits": [
            (
                "parcelbank/models.py",
                '        return f"parcelbank-{self.ref}"\n',
                "        # with the version: a corrected payout must not be answered from the bank's memory\n"
                '        return f"parcelbank-{self.ref}-{self.version}"\n',
            )
        ],
    },
    {
        "id": "m-autoretry-http-error",
        "kind": "mistake",
        "job": "send-payout",
        "what": "Retries handed to Celery's autoretry_for with httpx.HTTPError, of which HTTPStatusError is one: "
        "a 422 is ordered five times",
        "edits": [
            (
                "parcelbank/jobs/payouts.py",
                '    name = "parcelbank.send_payout"\n',
                '    name = "parcelbank.send_payout"\n'
                "    autoretry_for = (httpx.HTTPError, OperationalError, StaleDataError)\n"
                "    retry_backoff = 15\n"
                "    retry_backoff_max = LONGEST_WAIT\n"
                "    retry_jitter = True\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "        try:\n"
                "            payout = self.claim(payout_ref)\n"
                "            if payout is None:\n"
                '                return "nothing to do"\n'
                "            bank_ref = bank.client().create_transfer(\n"
                "                reference=payout.ref,\n"
                "                iban=payout.iban,\n"
                "                amount_minor=payout.amount_minor,\n"
                "                currency=payout.currency,\n"
                "                idempotency_key=payout.idempotency_key,\n"
                "            )\n"
                "            self.settle(payout_ref, bank_ref)\n"
                '            return "paid"\n'
                "        except httpx.HTTPError as exc:\n"
                "            if isinstance(exc, httpx.HTTPStatusError) and not bank.is_transient(exc):\n"
                '                raise PayoutRefused(f"HTTP {exc.response.status_code}: {exc.response.text[:200]}") from exc\n'
                "            if not bank.is_transient(exc):\n"
                "                raise\n"
                "            raise self.retry(exc=exc, countdown=self.wait(bank.retry_after(exc)))\n"
                "        except (OperationalError, StaleDataError) as exc:\n"
                "            raise self.retry(exc=exc, countdown=self.wait())\n\n"
                "    def wait(self, asked: int | None = None) -> int:\n"
                "        if asked is not None:\n"
                "            return min(asked, LONGEST_WAIT)\n"
                "        return get_exponential_backoff_interval(15, self.request.retries, LONGEST_WAIT, full_jitter=True)\n",
                "        payout = self.claim(payout_ref)\n"
                "        if payout is None:\n"
                '            return "nothing to do"\n'
                "        bank_ref = bank.client().create_transfer(\n"
                "            reference=payout.ref,\n"
                "            iban=payout.iban,\n"
                "            amount_minor=payout.amount_minor,\n"
                "            currency=payout.currency,\n"
                "            idempotency_key=payout.idempotency_key,\n"
                "        )\n"
                "        self.settle(payout_ref, bank_ref)\n"
                '        return "paid"\n',
            ),
            ("parcelbank/jobs/payouts.py", "from celery.utils.time import get_exponential_backoff_interval\n", ""),
            (
                ".skillrun/jobs/send-payout.yaml",
                "effects: [transfer], wait: 120s, unsent: true}",
                "effects: [transfer], unsent: true}",
            ),
        ],
    },
    {
        "id": "m-reject-to-dlx",
        "kind": "mistake",
        "job": "send-payout",
        "what": "A refusal raises celery's Reject for the broker's dead letter exchange: Celery then calls no on_failure, "
        "so there is no dead letter in the table, no failure in the log, and the payout stays in sending, from "
        "where the sweep sends it again and again",
        "edits": [
            (
                "parcelbank/jobs/payouts.py",
                '                raise PayoutRefused(f"HTTP {exc.response.status_code}: {exc.response.text[:200]}") from exc\n',
                '                raise Reject(f"HTTP {exc.response.status_code}: {exc.response.text[:200]}", requeue=False) from exc\n',
            ),
            (
                "parcelbank/jobs/payouts.py",
                "import structlog\nfrom celery.utils.time",
                "import structlog\nfrom celery.exceptions import Reject\nfrom celery.utils.time",
            ),
            (
                "parcelbank/celeryconfig.py",
                '    Queue("payouts", _exchange, routing_key="payouts", durable=True),\n',
                '    Queue(\n        "payouts", _exchange, routing_key="payouts", durable=True,\n'
                '        queue_arguments={"x-dead-letter-exchange": "parcelbank.dlx"},\n    ),\n',
            ),
        ],
    },
    {
        "id": "m-one-transaction",
        "kind": "mistake",
        "job": "send-payout",
        "what": "Claim, order and booking in one unit of work, 'a unit of work is a unit of work': the attempt and the time "
        "of the first order are rolled back with every failure or crash, so that neither the bound on "
        "deliveries nor the end of the bank's memory is ever seen",
        "edits": [
            (
                "parcelbank/jobs/payouts.py",
                "            payout = self.claim(payout_ref)\n"
                "            if payout is None:\n"
                '                return "nothing to do"\n'
                "            bank_ref = bank.client().create_transfer(\n"
                "                reference=payout.ref,\n"
                "                iban=payout.iban,\n"
                "                amount_minor=payout.amount_minor,\n"
                "                currency=payout.currency,\n"
                "                idempotency_key=payout.idempotency_key,\n"
                "            )\n"
                "            self.settle(payout_ref, bank_ref)\n"
                '            return "paid"\n',
                "            with UnitOfWork() as uow:\n"
                "                payout = uow.payouts.get(payout_ref)\n"
                "                if payout.is_final:\n"
                '                    return "nothing to do"\n'
                "                payout.begin_attempt()\n"
                "                bank_ref = bank.client().create_transfer(\n"
                "                    reference=payout.ref,\n"
                "                    iban=payout.iban,\n"
                "                    amount_minor=payout.amount_minor,\n"
                "                    currency=payout.currency,\n"
                "                    idempotency_key=payout.idempotency_key,\n"
                "                )\n"
                "                payout.mark_paid(bank_ref)\n"
                "                uow.commit()\n"
                '            return "paid"\n',
            ),
            (
                "parcelbank/jobs/payouts.py",
                "    def claim(self, ref: str) -> Payout | None:\n"
                '        """Counts the attempt and commits that before anything leaves the house."""\n'
                "        with UnitOfWork() as uow:\n"
                "            payout = uow.payouts.get(ref)\n"
                "            if payout.is_final:\n"
                "                return None\n"
                "            payout.begin_attempt()\n"
                "            uow.commit()\n"
                "            return payout\n\n"
                "    def settle(self, ref: str, bank_ref: str) -> None:\n"
                "        with UnitOfWork() as uow:\n"
                "            payout = uow.payouts.get(ref)\n"
                "            if payout.status == PAID:\n"
                "                return\n"
                "            if payout.is_final:\n"
                '                log.warning("payout.paid_after_all", was=payout.status)\n'
                "            payout.mark_paid(bank_ref)\n"
                "            uow.commit()\n\n",
                "",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "from parcelbank.models import PAID, PARKED, REFUSED, Payout\n",
                "from parcelbank.models import PARKED, REFUSED\n",
            ),
        ],
    },
]
