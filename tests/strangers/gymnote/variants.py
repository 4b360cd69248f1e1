OK2_CARDS = '''\
"""PlasticPay charges cards. A charge with a key that it knows (24 hours) is not made again."""

import requests

from gymnote import config
from gymnote.errors import Permanent


class CardsDown(Exception):
    """Nobody knows whether the charge was made."""


class CardDeclined(Permanent):
    pass


def post_charge(form, headers):
    """POST /charges; the id of the charge."""
    try:
        answer = requests.post(
            f"{config.CARDS_URL}/charges", data=form, headers=headers, auth=(config.CARDS_KEY, ""), timeout=20
        )
    except requests.RequestException as error:
        raise CardsDown(repr(error)) from error
    if answer.status_code == 402:
        raise CardDeclined(answer.text[:200])
    if answer.status_code in (400, 401, 403, 404, 422):
        raise Permanent(f"PlasticPay says {answer.status_code}: {answer.text[:200]}")
    if answer.status_code not in (200, 201):
        raise CardsDown(f"PlasticPay says {answer.status_code}")
    return answer.json()["id"]
'''

OK2_TASKS = '''\
"""The tasks; how they went is told and recorded by Huey's signals."""

import logging

from huey import crontab, signals

from gymnote.dunning import bury, collect
from gymnote.errors import BadMessage, Permanent
from gymnote.outbox import publish_pending, rescue_stuck
from gymnote.queue import huey

logger = logging.getLogger(__name__)


# waits 30 s, 1, 2 and 4 minutes between its attempts
@huey.task(retries=4, retry_delay=30, retry_backoff=2, context=True)
def dun_member(invoice_id=None, task=None, **unexpected):
    try:
        if unexpected or type(invoice_id) is not int or invoice_id < 1:
            raise BadMessage(repr({"invoice_id": invoice_id, **unexpected}))
        collect(invoice_id, logger)
    except Permanent:
        task.retries = 0
        raise


def _about(task, **more):
    args, kwargs = task.data
    return {"job": task.name, "task_id": task.id, "invoice_id": kwargs.get("invoice_id"), **more}


@huey.signal(signals.SIGNAL_EXECUTING, signals.SIGNAL_COMPLETE, signals.SIGNAL_INTERRUPTED, signals.SIGNAL_RETRYING)
def tell(signal, task):
    if task.name == "dun_member":
        logger.info(f"task {signal}", extra=_about(task, retries_left=task.retries))


@huey.signal(signals.SIGNAL_ERROR)
def failed(signal, task, error=None):
    if task.retries:
        logger.warning("task failed, will be tried again", extra=_about(task, reason=repr(error)))
        return
    logger.error("task failed for good", extra=_about(task, reason=repr(error)))
    if task.name == "dun_member":
        bury(task.id, task.name, {"invoice_id": None, **task.data[1]}, error)


@huey.periodic_task(crontab(minute="*"))
def relay():
    publish_pending()


@huey.periodic_task(crontab(minute="*/10"))
def rescue():
    rescue_stuck()
'''

OK2_COLLECT = '''\
def collect(invoice_id, log):
    about = {"job": "dun_member", "invoice_id": invoice_id}
    invoice = _begin(invoice_id)
    if invoice is None:
        log.info("nothing left to do", extra=about)
        return

    charge_id = _paid(invoice_id)
    if charge_id is None:
        form = {
            "source": invoice.member.card_token,
            "amount": invoice.cents,
            "currency": "eur",
            "description": f"Dues {invoice.month}",
        }
        charge_id = cards.post_charge(form, headers={"Idempotency-Key": f"dues-{invoice_id}"})
        with Session.begin() as session:
            if session.get(Payment, invoice_id) is None:
                session.add(Payment(invoice_id=invoice_id, charge_id=charge_id))
        log.info("charged", extra={**about, "charge_id": charge_id})

    values = {"name": invoice.member.name, "month": invoice.month, "cents": invoice.cents}
    mail_id = postmaster.send_template(
        "dues-receipt", invoice.member.email, values, message_key=f"dues-receipt-{invoice_id}"
    )
    with Session.begin() as session:
        done = session.get_one(Invoice, invoice_id)
        done.charge_id, done.mail_id, done.state, done.member.standing = charge_id, mail_id, "settled", "good"
        session.get_one(Dunning, invoice_id).state = "done"
    log.info("receipt sent", extra={**about, "mail_id": mail_id})


def _paid(invoice_id):
    with Session() as session:
        payment = session.get(Payment, invoice_id)
        return payment and payment.charge_id


'''

BASE_COLLECT = '''\
def collect(invoice_id, log):
    invoice = _begin(invoice_id)
    if invoice is None:
        log.info("nothing left to do")
        return

    if invoice.charge_id is None:
        charge_id = CardDesk().charge(
            invoice.member.card_token,
            invoice.cents,
            f"Dues {invoice.month}",
            idempotency_key=f"dues-{invoice_id}",
        )
        with Session.begin() as session:
            session.execute(
                update(Invoice)
                .where(Invoice.id == invoice_id, Invoice.charge_id.is_(None))
                .values(charge_id=charge_id, state="charged")
            )
        log.info("charged", extra={"charge_id": charge_id})

    mail_id = postmaster.send_template(
        "dues-receipt",
        invoice.member.email,
        {"name": invoice.member.name, "month": invoice.month, "cents": invoice.cents},
        message_key=f"dues-receipt-{invoice_id}",
    )
    with Session.begin() as session:
        done = session.get_one(Invoice, invoice_id)
        done.mail_id, done.state, done.member.standing = mail_id, "settled", "good"
        session.get_one(Dunning, invoice_id).state = "done"
    log.info("receipt sent", extra={"mail_id": mail_id})


'''

OK1_LOGS = '''\
"""JSON lines by python-json-logger; whatever is given as `extra` stands in them."""

import logging
import logging.config

from gymnote import config


class JobLog(logging.LoggerAdapter):
    """Says with each line which job it is about."""

    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return msg, kwargs


def configure():
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                }
            },
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
            "root": {"level": config.LOG_LEVEL, "handlers": ["stdout"]},
        }
    )
'''

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "dun-member",
        "what": "A worker holds a dunning for three minutes under its task's id, a second one leaves it alone "
        "(a holder that died is followed up by the rescue); python-json-logger on stdout",
        "edits": [
            (
                "gymnote/db.py",
                "    first_start: Mapped[datetime | None]\n",
                "    first_start: Mapped[datetime | None]\n"
                "    held_by: Mapped[str | None] = mapped_column(String(60))\n"
                "    held_until: Mapped[datetime | None]\n",
            ),
            ("gymnote/dunning.py", "def collect(invoice_id, log):\n    invoice = _begin(invoice_id)\n", "def collect(invoice_id, log, task_id):\n    invoice = _begin(invoice_id, task_id)\n"),
            ("gymnote/dunning.py", 'log.info("nothing left to do")', 'log.info("nothing to do: it is over, or another worker has it")'),
            ("gymnote/dunning.py", "def _begin(invoice_id):\n", "def _begin(invoice_id, task_id):\n"),
            (
                "gymnote/dunning.py",
                "        if dunning.starts >= MAX_STARTS:\n",
                "        now = utcnow()\n"
                "        if dunning.held_until and dunning.held_until > now and dunning.held_by != task_id:\n"
                "            return None\n"
                "        if dunning.starts >= MAX_STARTS:\n",
            ),
            ("gymnote/dunning.py", "        now = utcnow()\n        if dunning.first_start", "        if dunning.first_start"),
            (
                "gymnote/dunning.py",
                "        dunning.starts += 1\n",
                "        dunning.held_by, dunning.held_until = task_id, now + HOLD\n        dunning.starts += 1\n",
            ),
            (
                "gymnote/dunning.py",
                "def bury(task_id, task, message, error):\n",
                "def release(invoice_id, task_id):\n"
                '    """Let go of a dunning that did not work out this time."""\n'
                "    with Session.begin() as session:\n"
                "        session.execute(\n"
                "            update(Dunning)\n"
                "            .where(Dunning.invoice_id == invoice_id, Dunning.held_by == task_id)\n"
                "            .values(held_by=None, held_until=None)\n"
                "        )\n\n\n"
                "def bury(task_id, task, message, error):\n",
            ),
            (
                "gymnote/dunning.py",
                "KEYS_GOOD_FOR = timedelta(hours=23)  # PlasticPay forgets ours after 24\n",
                "KEYS_GOOD_FOR = timedelta(hours=23)  # PlasticPay forgets ours after 24\n"
                "HOLD = timedelta(minutes=3)  # both providers together answer within 35 seconds, or not at all\n",
            ),
            ("gymnote/tasks.py", "        collect(invoice_id, log)\n", "        collect(invoice_id, log, task_id)\n"),
            ("gymnote/tasks.py", "from gymnote.dunning import bury, collect\n", "from gymnote.dunning import bury, collect, release\n"),
            (
                "gymnote/tasks.py",
                '            log.warning("failed, will be tried again"',
                '            release(invoice_id, task_id)\n            log.warning("failed, will be tried again"',
            ),
            ("gymnote/logs.py", "", OK1_LOGS),
            ("pyproject.toml", '"huey>=2.5", "requests"]', '"huey>=2.5", "requests", "python-json-logger"]'),
            ("tests/test_dunning.py", "from gymnote.logs import JsonFormatter\n", "from pythonjsonlogger.json import JsonFormatter\n"),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "dun-member",
        "what": "Huey's signals log and bury, a permanent error takes the task's retries away; charges are remembered "
        "in a table of payments; the adapter takes form and headers, the key is in a header",
        "edits": [
            ("gymnote/tasks.py", "", OK2_TASKS),
            ("gymnote/cards.py", "", OK2_CARDS),
            ("gymnote/dunning.py", BASE_COLLECT, OK2_COLLECT),
            ("gymnote/dunning.py", "from sqlalchemy import update\n\nfrom gymnote import postmaster\nfrom gymnote.cards import CardDesk\n", "from gymnote import cards, postmaster\n"),
            ("gymnote/dunning.py", "Dunning, Invoice, Session, utcnow", "Dunning, Invoice, Payment, Session, utcnow"),
            (
                "gymnote/dunning.py",
                "            if invoice.charge_id is None:\n                invoice.state",
                "            if session.get(Payment, invoice_id) is None:\n                invoice.state",
            ),
            (
                "gymnote/db.py",
                "class DeadJob(Base):",
                "class Payment(Base):\n"
                '    __tablename__ = "payments"\n\n'
                '    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), primary_key=True)\n'
                "    charge_id: Mapped[str] = mapped_column(String(60))\n\n\n"
                "class DeadJob(Base):",
            ),
            (
                "tests/conftest.py",
                '    monkeypatch.setattr(cards.CardDesk, "charge", lambda desk, *a, **k: world.charge(desk, *a, **k))\n',
                '    monkeypatch.setattr(cards, "post_charge", world.post_charge)\n',
            ),
            (
                "tests/conftest.py",
                "    def send(self,",
                "    def post_charge(self, form, headers):\n"
                '        return self.charge(None, form["source"], form["amount"], "", headers["Idempotency-Key"])\n\n'
                "    def send(self,",
            ),
            ("tests/test_dunning.py", '(("charged", "dunned"), "dead", 1)', '(("open", "dunned"), "dead", 1)'),
            (".skillrun/jobs/dun-member.yaml", "dedupe: {store: table dunnings}", "dedupe: {store: table payments}"),
            (
                ".skillrun/jobs/dun-member.yaml",
                "    call: gymnote.cards:CardDesk.charge\n    key_arg: idempotency_key\n",
                "    call: gymnote.cards:post_charge\n    key_arg: headers.Idempotency-Key\n",
            ),
            (
                ".skillrun/jobs/dun-member.yaml",
                "    dunnings: select invoice_id, state",
                "    payments: select invoice_id, charge_id from payments order by 1\n    dunnings: select invoice_id, state",
            ),
        ],
    },
    {
        "id": "m-key-is-task-id",
        "kind": "mistake",
        "job": "dun-member",
        "what": "The idempotency key is the id of Huey's task: the same for its retries, another one when the rescue or the relay "
        "queues the invoice again, or it was queued twice",
        "edits": [
            ("gymnote/tasks.py", "        collect(invoice_id, log)\n", "        collect(invoice_id, log, task_id)\n"),
            ("gymnote/dunning.py", "def collect(invoice_id, log):\n", "def collect(invoice_id, log, task_id):\n"),
            ("gymnote/dunning.py", 'idempotency_key=f"dues-{invoice_id}"', 'idempotency_key=f"dues-{task_id}"'),
        ],
    },
    {
        "id": "m-rescue-pending-only",
        "kind": "mistake",
        "job": "dun-member",
        "what": "The rescue looks for rows that are still pending; a task that died with its worker is queued for the table and stays so",
        "edits": [
            (
                "gymnote/outbox.py",
                '                Dunning.state == "queued", Dunning.touched_at < utcnow() - STUCK_AFTER\n',
                '                Dunning.state == "pending", Dunning.touched_at < utcnow() - STUCK_AFTER\n',
            )
        ],
    },
    {
        "id": "m-retrytask",
        "kind": "mistake",
        "job": "dun-member",
        "what": "Outages raise RetryTask with a delay, which gives the task a retry back each time: it is tried every minute "
        "until the bound for dead workers stops it, not five times",
        "edits": [
            (
                "gymnote/tasks.py",
                "        if retries_left:\n"
                '            log.warning("failed, will be tried again", extra={"reason": repr(error), "wait": task.retry_delay})\n'
                "        else:\n"
                '            log.error("failed on its last attempt", extra={"reason": repr(error)})\n'
                '            bury(task_id, "dun_member", message, error)\n'
                "        raise\n",
                '        log.warning("failed, will be tried again", extra={"reason": repr(error), "wait": 60})\n'
                "        raise RetryTask(delay=60) from error\n",
            ),
            ("gymnote/tasks.py", "from huey import CancelExecution, crontab\n", "from huey import CancelExecution, RetryTask, crontab\n"),
        ],
    },
    {
        "id": "m-queued-before-commit",
        "kind": "mistake",
        "job": "dun-member",
        "what": "The task is queued inside the transaction that writes the dunning down: where that is rolled back, the member "
        "is charged for a dunning that never was",
        "edits": [
            (
                "gymnote/outbox.py",
                '            session.add(Dunning(invoice_id=invoice_id, state="pending"))\n'
                '            invoice.member.standing = "dunned"\n'
                "    try:\n"
                "        publish_pending()\n"
                "    except Exception:\n"
                "        # It is written down, the relay comes by every minute.\n"
                '        logger.exception("not published yet", extra={"job": "dun_member", "invoice_id": invoice_id})\n',
                '            session.add(Dunning(invoice_id=invoice_id, state="queued"))\n'
                '            invoice.member.standing = "dunned"\n'
                "            dun_member(invoice_id=invoice_id)\n"
                '            logger.info("queued", extra={"job": "dun_member", "invoice_id": invoice_id})\n',
            ),
            (
                "gymnote/outbox.py",
                '    """Dun the member for an invoice that is overdue."""\n',
                '    """Dun the member for an invoice that is overdue."""\n    from gymnote.tasks import dun_member\n\n',
            ),
        ],
    },
]
