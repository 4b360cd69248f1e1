"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

SPEC = ".skillrun/jobs/transmit-result.yaml"

REGISTER = '''"""The register of transmissions.

Each function is one transaction, and holds SQLite's write lock from its first statement (database.py): what it
has read stays true until it has written.
"""
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from .database import transaction
from .tables import Acknowledgement, AuditEntry, Consent, DeadLetter, Patient, Result, Transmission, utcnow


class ConsentWithdrawn(Exception):
    pass


@dataclass(frozen=True)
class Work:
    result_id: int
    control_id: str
    status: str
    starts: int
    patient_id: int
    patient: str
    born: str
    practice: str
    code: str
    value: str


def queue(result_id: int) -> str | None:
    """Write down that a result is to be transmitted. Its status, None where there is no such result."""
    with transaction() as session:
        if session.get(Result, result_id) is None:
            return None
        transmission = session.get(Transmission, result_id)
        if transmission is None:
            transmission = Transmission(result_id=result_id, control_id=f"KLI-{result_id:08d}", status="queued")
            session.add(transmission)
        return _status(session, transmission)


def begin(result_id: int) -> Work | None:
    """Count a start of what is queued."""
    with transaction() as session:
        transmission = session.get(Transmission, result_id)
        if transmission is None:
            return None
        status = _status(session, transmission)
        if status == "queued":
            transmission.starts += 1
            transmission.touched_at = utcnow()
        result = session.get_one(Result, result_id)
        patient = session.get_one(Patient, result.patient_id)
        return Work(result_id, transmission.control_id, status, transmission.starts, patient.id, patient.name,
                    patient.born, result.practice, result.code, result.value)


def clear_for_sending(work: Work) -> None:
    """The last thing before the message leaves: is it allowed? From here on it may have left."""
    with transaction() as session:
        consent = session.get(Consent, work.patient_id)
        if consent is None or consent.state != "given":
            raise ConsentWithdrawn
        session.get_one(Transmission, work.result_id).posted = True


def sent(work: Work, number: str) -> bool:
    """False where another delivery of the message has written it down."""
    with transaction() as session:
        if session.get(Acknowledgement, work.control_id):
            return False
        session.add(Acknowledgement(control_id=work.control_id, number=number))
        session.get_one(Transmission, work.result_id).status = "closed"
        session.add(AuditEntry(result_id=work.result_id, control_id=work.control_id, event="sent"))
        letter = session.get(DeadLetter, str(work.result_id))
        if letter:
            session.delete(letter)
        return True


def withheld(work: Work, delivered_before: bool | None = None) -> str | None:
    """The event that the audit has of it; None where the transmission had come to an end."""
    with transaction() as session:
        transmission = session.get_one(Transmission, work.result_id)
        if transmission.status != "queued":
            return None
        transmission.status = "withheld"
        in_doubt = transmission.posted if delivered_before is None else delivered_before
        event = "withheld-unconfirmed" if in_doubt else "withheld"
        session.add(AuditEntry(result_id=work.result_id, control_id=work.control_id, event=event))
        return event


def bury(result_id: int, message_id: str | None, reason: str) -> bool:
    """False where the transmission had come to an end."""
    with transaction() as session:
        transmission = session.get(Transmission, result_id)
        if transmission is None or transmission.status != "queued":
            return False
        transmission.status = "dead"
        session.merge(DeadLetter(key=str(result_id), message_id=message_id, reason=reason))
        return True


def lay_aside(key: str, message_id: str | None, reason: str) -> None:
    """A message that is about no transmission."""
    with transaction() as session:
        if session.get(DeadLetter, key) is None:
            session.add(DeadLetter(key=key, message_id=message_id, reason=reason))


def standing_still(since: datetime) -> list[tuple[int, int]]:
    with transaction() as session:
        found = session.scalars(
            select(Transmission)
            .where(Transmission.status == "queued", Transmission.touched_at < since)
            .order_by(Transmission.result_id)
        )
        return [(transmission.result_id, transmission.starts) for transmission in found]


def touch(result_id: int) -> None:
    with transaction() as session:
        session.get_one(Transmission, result_id).touched_at = utcnow()


def _status(session, transmission: Transmission) -> str:
    return "sent" if session.get(Acknowledgement, transmission.control_id) else transmission.status
'''

LOG = '''"""One JSON object a line: which job, which message, which result, which attempt, and how it went."""
import json
import logging
from contextvars import ContextVar

context: ContextVar[dict] = ContextVar("context", default={})


class JobAdapter(logging.LoggerAdapter):
    """Takes key=value words, and makes JSON of them and of what is known of the job."""

    def log(self, level, msg, *args, **kwargs):
        if self.isEnabledFor(level):
            words = dict(word.split("=", 1) for word in msg.split(" "))
            values = iter(args)
            line = {name: value % next(values) if "%s" in value else value for name, value in words.items()}
            known = {name: str(context.get().get(name, "-")) for name in ("job", "id", "key", "attempt")}
            self.logger.log(level, "%s", json.dumps({**known, **line}), stacklevel=3)


def get(name: str) -> JobAdapter:
    return JobAdapter(logging.getLogger(name), {})


def about(**more) -> None:
    context.set({**context.get(), **more})


# Its lines have the whole address of each request.
logging.getLogger("httpx").setLevel(logging.WARNING)
'''

VARIANTS = [
    {"id": "ok-acknowledgements", "kind": "correct", "job": "transmit-result",
     "what": "What the gateway has acknowledged is remembered in a table by control id; the register works with the ORM's "
             "objects under SQLite's write lock (BEGIN IMMEDIATE) instead of conditional updates; JSON lines",
     "edits": [
         ("klinikum/register.py", "", REGISTER),
         ("klinikum/log.py", "", LOG),
         ("klinikum/database.py", "from sqlalchemy import create_engine\n", "from sqlalchemy import create_engine, event\n"),
         ("klinikum/database.py",
          "    return sessionmaker(create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={\"timeout\": 10}))\n",
          "    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={\"timeout\": 10})\n\n"
          "    @event.listens_for(engine, \"connect\")\n"
          "    def leave_begin_to_us(connection, record):\n        connection.isolation_level = None\n\n"
          "    @event.listens_for(engine, \"begin\")\n"
          "    def begin_immediate(connection):\n        connection.exec_driver_sql(\"BEGIN IMMEDIATE\")\n\n"
          "    return sessionmaker(engine)\n"),
         ("klinikum/tables.py", "    acknowledgement: Mapped[str | None]\n", ""),
         ("klinikum/tables.py", "status in ('queued', 'sent', 'withheld', 'dead')", "status in ('queued', 'closed', 'withheld', 'dead')"),
         ("klinikum/tables.py", "class AuditEntry(Base):\n",
          "class Acknowledgement(Base):\n    __tablename__ = \"acknowledgements\"\n\n"
          "    control_id: Mapped[str] = mapped_column(ForeignKey(\"transmissions.control_id\"), primary_key=True)\n"
          "    number: Mapped[str]\n    at: Mapped[datetime] = mapped_column(default=utcnow)\n\n\n"
          "class AuditEntry(Base):\n"),
         ("tests/test_transmit.py", "import logging\n", "import json\nimport logging\n"),
         ("tests/test_transmit.py",
          "    return column(select(Transmission.status).where(Transmission.result_id == result_id))[0]\n",
          "    return register.queue(result_id)\n"),
         ("tests/test_transmit.py", '    assert lines[-1].endswith("key=1 attempt=1 outcome=sent")\n',
          '    line = json.loads(lines[-1])\n'
          '    assert (line["key"], line["attempt"], line["outcome"]) == ("1", "1", "sent")\n'),
         (SPEC, "dedupe: {store: table transmissions}", "dedupe: {store: table acknowledgements}"),
         (SPEC, "    transmissions: select result_id, control_id, status, acknowledgement from transmissions order by 1\n",
          "    transmissions: select result_id, control_id, status from transmissions order by 1\n"
          "    acknowledgements: select control_id, number from acknowledgements order by 1\n"),
         ("README.md", "Status and audit row are written in one transaction.",
          "Acknowledgement and audit row are written in one transaction."),
     ]},
    {"id": "m-audit-apart", "kind": "mistake", "job": "transmit-result",
     "what": "The audit of what was sent moved into a function of its own that the actor calls, with a transaction of its "
             "own. Breaks the state `audit`: the worker is killed (or the database is locked) after the status is "
             "committed as sent and before the audit row is; the next delivery finds already-sent "
             "and leaves, and the transmission is never audited",
     "edits": [
         ("klinikum/register.py", '            _audit(session, work, "sent")\n', ""),
         ("klinikum/register.py", "def withheld(work: Work, delivered",
          'def audit_sent(work: Work) -> None:\n    with transaction() as session:\n'
          '        _audit(session, work, "sent")\n\n\n'
          "def withheld(work: Work, delivered"),
         ("klinikum/actors.py", '        event = "sent" if register.sent(work, number) else None\n',
          '        event = None\n        if register.sent(work, number):\n'
          '            register.audit_sent(work)\n            event = "sent"\n'),
         ("README.md", " Status and audit row are written in one transaction.", ""),
     ]},
    {"id": "m-bury-blind", "kind": "mistake", "job": "transmit-result",
     "what": "bury() loads the transmission and sets its status, whatever it was. Breaks the state and the dead letter "
             "(only what was not done is given up): two deliveries at once have passed the status check; one is "
             "acknowledged and commits sent, the other gets GatewayRejected (or its "
             "fifth outage) and buries: the result that was sent and audited is dead, with a dead letter",
     "edits": [
         ("klinikum/register.py", '''        if not session.execute(
            _change(result_id, Transmission.status == "queued").values(status="dead", touched_at=utcnow())
        ).rowcount:
            return False
        _lay_aside''', '''        transmission = session.get(Transmission, result_id)
        if transmission is None:
            return False
        transmission.status = "dead"
        transmission.touched_at = utcnow()
        _lay_aside'''),
         ("klinikum/register.py", '''reason: str) -> bool:
    """False where the transmission had come to an end."""
''', '''reason: str) -> bool:
    """False where there is no such transmission."""
'''),
     ]},
    {"id": "m-consent-lags", "kind": "mistake", "job": "transmit-result",
     "what": "The gateway's register of consents lags some minutes behind ours, so its refusal is tried again and "
             "recorded as withheld only at the fifth attempt. Breaks failures.success (ConsentRevoked is an outcome: no "
             "further attempt): the gateway answers 451, the actor raises, Retries delivers the message "
             "four times more, each time with the data of a patient who does not consent",
     "edits": [
         ("klinikum/actors.py", "    except gateway.ConsentRevoked:\n",
          "    except gateway.ConsentRevoked:\n        if work.starts < MAX_ATTEMPTS:\n"
          "            raise  # a consent given this morning may not have got there yet\n"),
         ("tests/test_transmit.py", '    gp.script = [ConsentRevoked("HTTP 451")]\n',
          '    gp.script = [ConsentRevoked("HTTP 451")] * 5\n'),
         ("tests/test_transmit.py",
          '    assert len(gp.received) == 1 and status() == "withheld" and audit() == ["withheld"]\n',
          '    assert len(gp.received) == 5 and status() == "withheld" and audit() == ["withheld"]\n'),
         ("README.md", "before, so a refusal for want of consent means that nothing has been delivered.\n",
          "before, so a refusal for want of consent means that nothing has been delivered. It lags behind ours\n"
          "by some minutes; such a refusal is tried again.\n"),
     ]},
]
