import logging

import requests
from kombu.exceptions import OperationalError

from apotheke import desk
from apotheke.claims import ClaimService
from apotheke.db import sessions
from apotheke.model import Claim, ClaimStatus, DeadLetter
from apotheke.tasks import submit_claim


def claim(number=1):
    with sessions()() as session:
        return session.get(Claim, number)


def letters():
    with sessions()() as session:
        return session.query(DeadLetter).all()


def run(**message):
    return submit_claim.apply(kwargs=message)


def test_a_released_claim_is_submitted_once(insurer, published):
    assert desk.release_claim(1) and not desk.release_claim(1)
    assert published == [{"claim_id": 1}]
    run(**published[0])
    run(**published[0])
    assert len(insurer.requests) == 1
    assert claim().status is ClaimStatus.ACCEPTED and claim().insurer_ref == "KK-1"
    assert letters() == []


def test_the_insurer_is_away_for_a_while(insurer):
    ClaimService().release(1)
    insurer.plan = [503, requests.ReadTimeout("timed out"), 429]
    run(claim_id=1)
    assert len(insurer.requests) == 4 and len(set(insurer.requests)) == 1
    assert claim().status is ClaimStatus.ACCEPTED and letters() == []


def test_after_the_last_attempt_there_is_a_dead_letter(insurer):
    ClaimService().release(1)
    insurer.plan = [503] * 20
    run(claim_id=1)
    assert len(insurer.requests) == 5
    assert claim().status is ClaimStatus.FAILED
    assert [(letter.key, letter.reason) for letter in letters()] == [("1", "InsurerAway: status 503")]
    run(claim_id=1)
    assert len(insurer.requests) == 5 and len(letters()) == 1


def test_a_refusal_is_final(insurer):
    ClaimService().release(2)
    insurer.plan = [422]
    run(claim_id=2)
    assert len(insurer.requests) == 1 and claim(2).status is ClaimStatus.FAILED and len(letters()) == 1


def test_a_draft_and_bad_messages_are_dead_letters(insurer):
    for message in ({"claim_id": 3}, {"claim_id": "1"}, {"claim_id": 77}, {}, {"claim_id": 1, "urgent": True}):
        run(**message)
    assert len(letters()) == 5 and insurer.requests == []
    assert claim(1).status is ClaimStatus.DRAFT and claim(3).status is ClaimStatus.DRAFT


def test_what_was_not_published_is_swept(insurer, published, monkeypatch):
    def away(**options):
        raise OperationalError("redis is away")

    with monkeypatch.context() as patch:
        patch.setattr(submit_claim, "apply_async", away)
        assert desk.release_claim(1)
    assert desk.requeue_stalled() == 1 and published == [{"claim_id": 1}]
    assert desk.requeue_stalled() == 0


def test_a_late_acceptance_takes_the_dead_letter_back(insurer):
    service = ClaimService()
    service.release(1)
    insurer.plan = [422]
    run(claim_id=1)
    assert service.accept(1, "KK-9")
    assert claim().status is ClaimStatus.ACCEPTED and letters() == []


def test_workers_that_die_do_not_go_on_for_ever(insurer):
    service = ClaimService()
    service.release(1)
    for _ in range(11):
        service.start(1)
    run(claim_id=1)
    assert insurer.requests == [] and claim().status is ClaimStatus.FAILED and len(letters()) == 1


def test_logs_name_the_job_and_not_the_insured(insurer, caplog):
    caplog.set_level(logging.INFO)
    ClaimService().release(1)
    insurer.plan = [503]
    run(claim_id=1)
    ours = [record for record in caplog.records if record.name == "apotheke.jobs"]
    assert [record.outcome for record in ours] == ["started", "retry", "started", "accepted"]
    assert {record.key for record in ours} == {"1"} and all(record.job_id for record in ours)
    assert "A123456780" not in str([vars(record) for record in caplog.records])
