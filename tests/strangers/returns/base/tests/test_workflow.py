from __future__ import annotations

import logging

import pytest
from conftest import Clock, Foreign, Rows

from returns_portal.carrier import CarrierUnavailable, ShipmentRefused
from returns_portal.desk import ReturnsDesk
from returns_portal.mailer import MailNotSent, MailRejected, MailUncertain
from returns_portal.workflow import LabelWorkflow

PAYLOAD = {"return_id": 501}
ROW = "SELECT status, tracking_no, mail_result, attempts FROM returns WHERE id = 501"


@pytest.fixture
def workflow(rows: Rows, clock: Clock, foreign: Foreign) -> LabelWorkflow:
    return LabelWorkflow(ReturnsDesk(), foreign, foreign)  # type: ignore[arg-type]


def test_label_and_mail_once(workflow: LabelWorkflow, foreign: Foreign, rows: Rows) -> None:
    assert workflow.run(PAYLOAD) is None
    assert workflow.run(PAYLOAD) is None
    assert (foreign.references, foreign.mails) == (["RET-501"], ["mara@example.com"])
    assert rows(ROW) == [("done", "PH1", "sent", 1)]


def test_an_outage_of_the_carrier_is_waited_for(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    foreign.label_errors = [CarrierUnavailable("503")] * 5
    waits = []
    with caplog.at_level(logging.INFO, "returns_portal.workflow"):
        while (later := workflow.run(PAYLOAD)) is not None:
            waits.append(later.delay.total_seconds())
            clock.forward(waits[-1])
    assert waits == [20, 40, 80, 160]
    assert foreign.references == ["RET-501"] * 5
    assert rows("SELECT payload, attempt FROM dead_letters") == [('{"return_id": 501}', 5)]
    assert "return_id=501 reference=RET-501 attempt=5 result=dead reason=CarrierUnavailable('503')" in caplog.text


def test_a_mail_that_was_certainly_not_sent_is_sent_later(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailNotSent("421")]
    later = workflow.run(PAYLOAD)
    assert later is not None
    clock.forward(later.delay.total_seconds())
    assert workflow.run(PAYLOAD) is None
    assert (foreign.references, foreign.mails) == (["RET-501"], ["mara@example.com"])
    assert rows(ROW) == [("done", "PH1", "sent", 2)]


def test_a_mail_that_may_be_out_is_not_sent_again(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailUncertain("hung up")]
    assert workflow.run(PAYLOAD) is None
    clock.forward(600)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 1)]
    assert rows("SELECT * FROM dead_letters") == []


def test_a_worker_that_dies_at_the_mail_leaves_it_uncertain(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        workflow.run(PAYLOAD)
    later = workflow.run(PAYLOAD)
    assert later is not None
    clock.forward(later.delay.total_seconds())
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 2)]


def test_workers_that_always_die_use_up_the_attempts(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.label_errors = [KeyboardInterrupt()] * 9
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            workflow.run(PAYLOAD)
        clock.forward(180)
    assert workflow.run(PAYLOAD) is None
    assert len(rows("SELECT * FROM dead_letters")) == 1


def test_what_stays_is_not_tried_again(workflow: LabelWorkflow, foreign: Foreign, rows: Rows) -> None:
    foreign.label_errors = [ShipmentRefused("too heavy")]
    foreign.mail_errors = [MailRejected("550")]
    assert workflow.run(PAYLOAD) is None
    assert workflow.run({"return_id": 502}) is None
    assert (foreign.references, foreign.mails) == (["RET-501", "RET-502"], [])
    assert rows("SELECT reason FROM dead_letters ORDER BY id") == [("ShipmentRefused('too heavy')",), ("MailRejected('550')",)]


@pytest.mark.parametrize("payload", [{}, {"return_id": "501"}, {"return_id": 999}, None])
def test_poison_is_kept_once(workflow: LabelWorkflow, rows: Rows, payload: object) -> None:
    assert workflow.run(payload) is None
    assert workflow.run(payload) is None
    assert len(rows("SELECT * FROM dead_letters")) == 1


@pytest.mark.parametrize("step", ["label", "mail"])
def test_a_dead_return_can_be_reopened(workflow: LabelWorkflow, foreign: Foreign, rows: Rows, step: str) -> None:
    if step == "label":
        foreign.label_errors = [ShipmentRefused("no contract")]
    else:
        foreign.mail_errors = [MailRejected("550")]
    workflow.run(PAYLOAD)
    assert rows("SELECT status FROM returns WHERE id = 501") == [("failed",)]
    ReturnsDesk().reopen(501)
    workflow.run(PAYLOAD)
    assert rows(ROW) == [("done", "PH1", "sent", 1)]
    assert rows("SELECT * FROM dead_letters") == []
