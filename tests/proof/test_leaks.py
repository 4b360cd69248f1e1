"""A log that tells a secret of the job is a risk; what tells the job is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import DONE, history, log, reference
from plain_job import JOBS, SPEC, plain_repo, proof_of
from rows import real_but

from skillrun.core.verdict import RiskGrade
from skillrun.proof.judges.leaks import judge_logs
from skillrun.proof.secrets import find_addresses, find_secrets

CARD = "tok_4f9aa71c03d2"
STARTED = 'log.info("handle started order_id=%s", order_id)'
FINISHED = 'log.info("handle finished order_id=%s", order_id)'
EXAMPLES = [{"order_id": 7, "card_token": CARD}]
TELLING = {
    "the payload as a whole": (STARTED, 'log.info("handle started %s", locals())'),
    "in its own place": (
        FINISHED,
        'log.info("handle finished order_id=%s card=%s", order_id, card_token)',
    ),
    "as a field": (
        STARTED,
        'log.info("handle started order_id=%s", order_id, extra={"card": card_token})',
    ),
}
SILENT = {
    "the key alone": (STARTED, STARTED),
    "the last four": (
        STARTED,
        'log.info("handle started order_id=%s card=...%s", order_id, card_token[-4:])',
    ),
}


BLOTTED = f"""
    class Blotter(logging.Formatter):
        def format(self, record):
            return super().format(record).replace("{CARD}", "[blotted]")


    handler = logging.StreamHandler()
    handler.setFormatter(Blotter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
"""
OWN_LOGGER = "    log = logging.getLogger(__name__)\n"


def proof_with_card(tmp_path: Path, was: str, becomes: str, code: str = JOBS) -> Any:
    payload = {
        **SPEC["payload"],
        "properties": {"order_id": {"type": "integer"}, "card_token": {"type": "string"}},
        "examples": EXAMPLES,
    }
    jobs = code.replace("def handle(order_id):", "def handle(order_id, card_token):")
    root = plain_repo(
        tmp_path / "repo", jobs=jobs, changed={"payload": payload}, was=was, becomes=becomes
    )
    return proof_of(root)


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(TELLING, "in its own place"))
def test_a_record_that_tells_a_secret_is_a_leak(tmp_path: Path, name: str) -> None:
    (risk,) = proof_with_card(tmp_path, *TELLING[name]).risks
    assert (risk.judgement.rule, risk.judgement.grade) == ("secret-logged", RiskGrade.LEAK)
    assert "card_token" in risk.judgement.message
    assert CARD not in risk.judgement.message


@pytest.mark.parametrize(("was", "becomes"), SILENT.values(), ids=SILENT)
@pytest.mark.real
def test_what_tells_the_job_alone_is_no_leak(tmp_path: Path, was: str, becomes: str) -> None:
    assert proof_with_card(tmp_path, was, becomes).risks == []


@pytest.mark.real
def test_what_a_formatter_blots_out_is_no_leak(tmp_path: Path) -> None:
    code = JOBS.replace(OWN_LOGGER, OWN_LOGGER + BLOTTED)
    assert proof_with_card(tmp_path, *TELLING["the payload as a whole"], code=code).risks == []


def test_secrets_of_rows_and_payloads_but_for_what_tells_the_job() -> None:
    row = {
        "id": 1,
        "api_token": "abcdefgh12345",
        "email": "ada@example.com",
        "claim_token": "c" * 20,
    }
    payload = {"order": {"password": "hunter2hunter2"}, "token": "t0k3nt0k3nt0k3n"}
    found = find_secrets([payload], {"users": {(1,): row}}, keys=["order.token"])
    assert found == {"abcdefgh12345": "users.api_token", "hunter2hunter2": "password"}


@pytest.mark.parametrize(
    ("value", "is_one"),
    [("whsec_1", True), ("hunter2", True), ("s-1", False), ("secret", False), ("12345", False)],
)
def test_a_short_secret_is_one_where_no_text_has_it_by_chance(value: str, is_one: bool) -> None:
    row = {"id": 1, "signing_secret": value}
    assert bool(find_secrets([], {"customers": {(1,): row}}, keys=[])) == is_one


def test_what_leads_to_a_person_is_an_address() -> None:
    row = {"id": 1, "owner": "ada@example.com", "mobile": "+49 170 1234567", "version": "12345678"}
    found = find_addresses([{"to": "bob@example.com"}], {"pets": {(1,): row}}, keys=["to"])
    assert found == {"ada@example.com": "pets.owner", "+49 170 1234567": "pets.mobile"}


def test_a_record_that_tells_an_address_is_a_minor_risk() -> None:
    addresses = {"ada@example.com": "customers.email"}
    seen = history("once", [log("sent invoice 7 to ada@example.com"), *DONE])
    told = [
        (one.rule, one.grade) for one in judge_logs(seen, replace(reference(), addresses=addresses))
    ]
    assert told == [("address-logged", RiskGrade.MINOR)]
