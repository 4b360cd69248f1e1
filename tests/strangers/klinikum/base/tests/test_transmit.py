import logging

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from klinikum import register, release, sweep
from klinikum.actors import transmit_result
from klinikum.database import transaction
from klinikum.gateway import ConsentRevoked, GatewayRejected, GatewayUnavailable
from klinikum.tables import AuditEntry, Consent, DeadLetter, Transmission, utcnow


def column(statement):
    with transaction() as session:
        return list(session.scalars(statement))


def status(result_id=1):
    return column(select(Transmission.status).where(Transmission.result_id == result_id))[0]


def audit():
    return column(select(AuditEntry.event).order_by(AuditEntry.id))


def withdraw():
    with transaction() as session:
        session.execute(update(Consent).values(state="withdrawn"))


def test_sent_once(gp, work):
    release.release_result(1)
    release.release_result(1)
    work()
    assert gp.received == ["KLI-00000001"]
    assert status() == "sent" and audit() == ["sent"]


def test_lost_answer(gp, work):
    gp.script = [GatewayUnavailable("ReadTimeout")]
    release.release_result(1)
    work()
    assert gp.received == ["KLI-00000001"] * 2
    assert status() == "sent" and audit() == ["sent"]


def test_given_up_after_five(gp, work):
    gp.script = [GatewayUnavailable("HTTP 503")] * 5
    release.release_result(1)
    work()
    assert len(gp.received) == 5 and status() == "dead" and audit() == []
    assert column(select(DeadLetter.reason)) == ["GatewayUnavailable(HTTP 503)"]


def test_rejected_is_not_tried_again(gp, work):
    gp.script = [GatewayRejected("MSA AE")]
    release.release_result(1)
    work()
    assert len(gp.received) == 1 and status() == "dead"


def test_consent_withdrawn(gp, work):
    withdraw()
    release.release_result(1)
    work()
    assert gp.received == [] and status() == "withheld" and audit() == ["withheld"]
    assert column(select(DeadLetter.key)) == []


def test_consent_withdrawn_after_an_answer_was_lost(gp):
    register.queue(1)
    gp.script = [GatewayUnavailable("ReadTimeout")]
    with pytest.raises(GatewayUnavailable):
        transmit_result.fn(result_id=1)
    withdraw()
    transmit_result.fn(result_id=1)
    assert len(gp.received) == 1 and audit() == ["withheld-unconfirmed"]


def test_consent_unknown_to_the_gateway(gp, work):
    gp.script = [ConsentRevoked("HTTP 451")]
    release.release_result(1)
    work()
    assert len(gp.received) == 1 and status() == "withheld" and audit() == ["withheld"]
    assert column(select(DeadLetter.key)) == []


def test_two_at_once(gp):
    register.queue(1)

    def meanwhile():
        transmit_result.fn(result_id=1)
        return "A-1"

    gp.script = [meanwhile]
    transmit_result.fn(result_id=1)
    assert len(gp.received) == 2 and audit() == ["sent"]


def test_database_locked(gp, work, monkeypatch):
    broken = [OperationalError("update", None, Exception("database is locked"))]
    inner = register.sent

    def sent(*args):
        if broken:
            raise broken.pop()
        return inner(*args)

    monkeypatch.setattr(register, "sent", sent)
    release.release_result(1)
    work()
    assert len(gp.received) == 2 and status() == "sent" and audit() == ["sent"]


def test_malformed(gp, work):
    transmit_result.send(result_id="one", name="Berta Beispiel")
    work()
    assert column(select(DeadLetter.reason)) == ["MalformedMessage(fields)"] and gp.received == []


def test_killed_five_times_then_swept(gp, work):
    register.queue(1)
    for _ in range(5):
        register.begin(1)
    with transaction() as session:
        session.execute(update(Transmission).values(touched_at=utcnow() - 2 * sweep.STALE))
    sweep.sweep()
    work()
    assert status(1) == "dead" and status(2) == status(3) == "sent"
    assert gp.received == ["KLI-00000002", "KLI-00000003"]


def test_log_has_no_patient(gp, work, caplog):
    caplog.set_level(logging.INFO)
    release.release_result(1)
    work()
    lines = [r.getMessage() for r in caplog.records if r.name == "klinikum.jobs"]
    assert lines[-1].endswith("key=1 attempt=1 outcome=sent")
    assert "Berta" not in caplog.text and "13.1" not in caplog.text
