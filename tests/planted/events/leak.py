"""leak: a token, card number, password or the person's address of a payload, row or provider's error ends in a log, a dead
letter, or a message."""

EVENT = "leak"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "streambox", "id": "p-leak-1", "kind": "mistake", "job": "deliver-webhook", "event": EVENT,
        "what": "A webhook that is given up is logged with its traceback and loguru's diagnose ('to see at last what the values "
                "were'): under the line of the call stand the customer's signing secret and url. No word of the spec is "
                "about secrets",
        "edits": [
            (
                "streambox/log.py",
                "               backtrace=False, diagnose=False)\n",
                "               backtrace=False, diagnose=True)\n",
            ),
            (
                "streambox/tasks.py",
                '''    try:
        await webhooks.post_webhook(
            url=delivery["webhook_url"], secret=delivery["secret"],
            event_id=delivery["event_id"], body=delivery["body"])
        await finish(delivery, log)
''',
                '''    url, secret, body = delivery["webhook_url"], delivery["secret"], delivery["body"]
    try:
        await webhooks.post_webhook(url=url, secret=secret, event_id=delivery["event_id"], body=body)
        await finish(delivery, log)
''',
            ),
            (
                "streambox/tasks.py",
                '''        await give_up(delivery, message, f"out of attempts, last error {type(e).__name__}: {e}", log)
''',
                '''        reason = f"out of attempts, last error {type(e).__name__}: {e}"
        await give_up(delivery, message, reason, log.opt(exception=e))
''',
            ),
            (
                "streambox/tasks.py",
                '''        await give_up(delivery, message, f"{type(e).__name__}: {e}", log)
''',
                '''        await give_up(delivery, message, f"{type(e).__name__}: {e}", log.opt(exception=e))
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "ticketbay", "id": "p-leak-2", "kind": "mistake", "job": "settle-order", "event": EVENT,
        "what": "Each settlement logs the whole order once it is claimed, so that support need not look into the database: "
                "card token and the buyer's address are in the log of every attempt, the good ones too. No word of the "
                "spec is about it",
        "edits": [
            (
                "ticketbay/tasks.py",
                '''    if order.status == CHARGING:
        order = charge(order)
''',
                '''    log.info("order claimed", order=order.as_dict())
    if order.status == CHARGING:
        order = charge(order)
''',
            ),
            (
                "ticketbay/models.py",
                '''class FailedSettlement(Base):
''',
                '''    def as_dict(self) -> dict:
        return {column.name: getattr(self, column.name) for column in self.__table__.columns}


class FailedSettlement(Base):
''',
            ),
            (
                "ticketbay/models.py",
                '''    unreturned: Mapped[int] = mapped_column(default=0)


''',
                '''    unreturned: Mapped[int] = mapped_column(default=0)

''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "parceldesk", "id": "p-leak-3", "kind": "mistake", "job": "print-label", "event": EVENT,
        "what": "RQ's description of a job says for whom the label is, which looks well in the dashboard: the receiver's name "
                "and address lie in Redis with every message (also of failed jobs, for a year), and RQ's worker logs the "
                "description of each job that it starts. No word of the spec is about it",
        "edits": [
            (
                "parceldesk/queueing.py",
                '''def publish_label(shipment_id, parcel):
    return label_queue().enqueue(
''',
                '''def publish_label(shipment_id, parcel):
    with reading() as con:
        order = ParcelRepository(con).get(shipment_id, parcel)
    return label_queue().enqueue(
''',
            ),
            (
                "parceldesk/queueing.py",
                '''        description=f"print-label {shipment_id}/{parcel}",
''',
                '''        description=f"print-label {shipment_id}/{parcel}, {order.grams} g to {order.receiver}, {order.address}",
''',
            ),
            (
                "parceldesk/queueing.py",
                "from .config import load\n",
                "from .config import load\nfrom .db import reading\nfrom .repositories import ParcelRepository\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "clinicsync", "id": "p-leak-4", "kind": "mistake", "job": "send-reminder", "event": EVENT,
        "what": "The call to Textbee runs under contextualize with everything it is given, so that the lines of httpx and of "
                "the ledger can be put together: the serialised log has the patient's number, name and appointment in the "
                "extras of each line. No word of the spec is about it",
        "edits": [
            (
                "clinicsync/worker.py",
                '''        try:
            sms_id = await ctx["sms"].send(to=claim.to, text=claim.text, client_ref=claim.client_ref)
        except SmsUnavailable as exc:
''',
                '''        try:
            with logger.contextualize(sms=asdict(claim)):
                logger.info("attempt {} of {}", claim.attempt, ledger.MAX_ATTEMPTS)
                sms_id = await ctx["sms"].send(to=claim.to, text=claim.text, client_ref=claim.client_ref)
        except SmsUnavailable as exc:
''',
            ),
            (
                "clinicsync/worker.py",
                "import sqlite3\nimport sys\nfrom typing import Annotated\n",
                "import sqlite3\nimport sys\nfrom dataclasses import asdict\nfrom typing import Annotated\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "gymnote", "id": "p-leak-5", "kind": "mistake", "job": "dun-member", "event": EVENT,
        "what": "The dead job carries what the desk needs to ring the member up, taken from the row as it is: name, e-mail "
                "address, and the card token along with them, in dead_jobs for as long as anybody leaves them there. No word "
                "of the spec is about it",
        "edits": [
            (
                "gymnote/dunning.py",
                '''            if invoice.charge_id is None:
                invoice.state, invoice.member.standing = "unpaid", "blocked"
''',
                '''            if invoice.charge_id is None:
                invoice.state, invoice.member.standing = "unpaid", "blocked"
            # so that the desk sees at once who it is
            message = {**message, "month": invoice.month, "cents": invoice.cents, "member": _columns(invoice.member)}
''',
            ),
            (
                "gymnote/dunning.py",
                '''def bury(task_id, task, message, error):
''',
                '''def _columns(row):
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def bury(task_id, task, message, error):
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "ticketbay", "id": "ok-leak-1", "kind": "correct", "job": "settle-order", "event": EVENT,
        "what": "The log may be given anything, whole orders too: the last processor before the renderer blots out the fields "
                "that are nobody's business, and whatever looks like a card token or an address in any text, tracebacks "
                "included; the dead letter goes through the same blotter",
        "edits": [
            (
                "ticketbay/logs.py",
                '''def configure() -> None:
''',
                '''PRIVATE = {"card_token", "buyer", "authorization", "source"}
# card tokens of the gateway, bearer tokens, mail addresses
LOOKS_PRIVATE = re.compile(r"card_\\w+|Bearer \\S+|[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+", re.IGNORECASE)


def blot(thing):
    """The same thing without what a log or a dead letter must not hold."""
    if isinstance(thing, str):
        return LOOKS_PRIVATE.sub("[blotted]", thing)
    if isinstance(thing, dict):
        return {k: "[blotted]" if str(k).lower() in PRIVATE else blot(v) for k, v in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [blot(item) for item in thing]
    return thing


def blotter(_logger, _method, event_dict):
    return blot(event_dict)


def configure() -> None:
''',
            ),
            ("ticketbay/logs.py", "import logging\n\nimport structlog\n", "import logging\nimport re\n\nimport structlog\n"),
            (
                "ticketbay/logs.py",
                '''            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
''',
                '''            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            blotter,
''',
            ),
            (
                "ticketbay/tasks.py",
                '"message": json.dumps([args, kwargs], default=str), "error": repr(exc)}',
                '"message": blot(json.dumps([args, kwargs], default=str)), "error": blot(repr(exc))}',
            ),
            (
                "ticketbay/tasks.py",
                "from .models import (\n    ATTENTION,",
                "from .logs import blot\nfrom .models import (\n    ATTENTION,",
            ),
            (
                "ticketbay/tasks.py",
                '''    if order.status == CHARGING:
        order = charge(order)
''',
                '''    log.info("order claimed", order={c.name: getattr(order, c.name) for c in Order.__table__.columns})
    if order.status == CHARGING:
        order = charge(order)
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "gymnote", "id": "ok-leak-2", "kind": "correct", "job": "dun-member", "event": EVENT,
        "what": "A column type hands card tokens out as a Secret, which shows dots wherever it is printed, logged or made JSON "
                "of and says its value only to the card desk; addresses are cut out of what is recorded of an error",
        "edits": [
            (
                "gymnote/secret.py",
                "",
                '''"""What must not be seen by the way."""

from sqlalchemy import String
from sqlalchemy.types import TypeDecorator


class Secret:
    """Dots, for everybody who does not ask for the value by name."""

    def __init__(self, value):
        self._value = value

    def reveal(self):
        return self._value

    def __repr__(self):
        return "Secret(...)"

    __str__ = __repr__

    def __getstate__(self):
        raise TypeError("a secret does not travel")

    def __eq__(self, other):
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self):
        return hash(self._value)


class SecretString(TypeDecorator):
    impl = String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.reveal() if isinstance(value, Secret) else value

    def process_result_value(self, value, dialect):
        return None if value is None else Secret(value)
''',
            ),
            (
                "gymnote/db.py",
                "    card_token: Mapped[str] = mapped_column(String(60))\n",
                "    card_token: Mapped[Secret] = mapped_column(SecretString(60))\n",
            ),
            ("gymnote/db.py", "from gymnote import config\n", "from gymnote import config\nfrom gymnote.secret import Secret, SecretString\n"),
            ("gymnote/dunning.py", "            invoice.member.card_token,\n", "            invoice.member.card_token.reveal(),\n"),
            (
                "gymnote/dunning.py",
                '''    with Session.begin() as session:
        dunning = session.get(Dunning, invoice_id) if invoice_id else None
''',
                '''    reason = ADDRESS.sub("<address>", repr(error))
    with Session.begin() as session:
        dunning = session.get(Dunning, invoice_id) if invoice_id else None
''',
            ),
            ("gymnote/dunning.py", "message=message, reason=repr(error)))", "message=message, reason=reason))"),
            (
                "gymnote/dunning.py",
                "from datetime import timedelta\n\n",
                "import re\nfrom datetime import timedelta\n\n",
            ),
            (
                "gymnote/dunning.py",
                "MAX_STARTS = 8",
                'ADDRESS = re.compile(r"[\\w.+-]+@[\\w-]+(\\.[\\w-]+)+")  # providers like to quote them\nMAX_STARTS = 8',
            ),
            (
                "gymnote/tasks.py",
                '''        log.error("failed, will not be tried again", extra={"reason": repr(error)})
''',
                '''        log.error("failed, will not be tried again", extra={"reason": ADDRESS.sub("<address>", repr(error))})
''',
            ),
            ("gymnote/tasks.py", "from gymnote.dunning import bury, collect\n", "from gymnote.dunning import ADDRESS, bury, collect\n"),
        ],
    },
]

VARIANTS += [{'base': 'ticketbay',
  'id': 'q-leak-1',
  'kind': 'mistake',
  'job': 'settle-order',
  'event': 'leak',
  'what': "Tracebacks are logged as JSON by structlog's dict_tracebacks, which adds the local variables of each frame. Sequence: the "
          'gateway declines a card (or answers 400, or is down): on_failure logs the exception, and Celery its own line; the frames of '
          "gateway.charge and _post bring card_token, body['source'] and the header 'Authorization: Bearer <gateway token>' into the log. "
          'Base: format_exc_info, the text of the traceback only.',
  'edits': [('ticketbay/logs.py', 'structlog.processors.format_exc_info', 'structlog.processors.dict_tracebacks')]},
 {'base': 'ticketbay',
  'id': 'q-leak-2',
  'kind': 'correct',
  'job': 'settle-order',
  'event': 'leak',
  'what': 'Correct. Tracebacks as JSON, too, but with show_locals=False: frames, no variables.',
  'edits': [('ticketbay/logs.py',
             '        structlog.processors.format_exc_info,\n',
             '        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),\n'),
            ('ticketbay/logs.py',
             'import structlog\n\nfrom .settings',
             'import structlog\nfrom structlog.tracebacks import ExceptionDictTransformer\n\nfrom .settings')]}]
