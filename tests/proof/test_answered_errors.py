"""An error that the real call would not raise is answered: a status, and what fails silently."""

from __future__ import annotations

import smtplib
from pathlib import Path

import pytest

from skillrun.probe.answers import answer_in_place
from tests.proof.plain_job import JOBS, plain_repo, proof_of


def test_what_fails_silently_says_how_many_were_sent() -> None:
    def send(fail_silently: bool) -> int: ...

    away, wrong = smtplib.SMTPServerDisconnected("closed"), ValueError("no address")
    assert answer_in_place(send, away, {"fail_silently": True}) == 0
    assert answer_in_place(send, away, {"fail_silently": False}) is None
    assert answer_in_place(send, wrong, {"fail_silently": True}) is None


SENDING = 'send(order_id, key=f"order-{order_id}")'
POST = """httpx.post(
                "https://partner/orders",
                json={"order": order_id},
                headers={"Idempotency-Key": f"order-{order_id}"},
            )"""
AGAIN = f"""
            while {POST}.is_error:
                log.warning("the partner is busy order_id=%s", order_id)
""".strip()
STATUS = "httpx:HTTPStatusError"
BY_HTTP = {
    "effects": [
        {"name": "send", "call": "httpx:post", "key_arg": "headers", "guarantee": "keyed"},
    ],
    "failures": {"transient": [{"type": STATUS, "args": [503]}], "permanent": []},
}


@pytest.mark.parametrize(
    ("posting", "verdict"),
    [pytest.param(AGAIN, "proved", marks=pytest.mark.real), (POST, "refuted")],
)
def test_a_status_is_answered_and_not_raised(tmp_path: Path, posting: str, verdict: str) -> None:
    """httpx.post raises for no status: whoever does not ask for it takes a 503 for done."""
    jobs = JOBS.replace("import logging", "import logging\n    import httpx")
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=BY_HTTP, was=SENDING, becomes=posting)
    proof = proof_of(repo, f"raise={STATUS}@before:send#1")
    assert proof.verdict == verdict, proof


@pytest.mark.parametrize(("posting", "verdict"), [(AGAIN, "proved"), (POST, "refuted")])
@pytest.mark.real
def test_a_status_is_tried_that_the_spec_does_not_name(
    tmp_path: Path, posting: str, verdict: str
) -> None:
    """Every partner answers with 503 at times, whatever errors a spec lists."""
    changed = {"effects": BY_HTTP["effects"]}
    jobs = JOBS.replace("import logging", "import logging\n    import httpx")
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=changed, was=SENDING, becomes=posting)
    proof = proof_of(repo, "fail@before:send#1")
    assert proof.verdict == verdict, proof
