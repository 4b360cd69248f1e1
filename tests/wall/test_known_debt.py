"""A baseline of the base: what it knows fails no branch, what is new does, and none of it is a
proof.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import fixtures_repos
import helpers
import pytest
from jsonschema import Draft202012Validator
from test_proved import job_of, replace_in
from verifying import Verified, branch, verify

from skillrun.proof.baseline import BASELINE, KnownCause, write_baseline
from skillrun.repo.git import open_repo
from skillrun.wall.base import Base
from skillrun.wall.known_debt import DebtWatch, read_base_debt

HANDLER = "shop.tasks:send_receipt"
RECEIPTS, SPEC = "shop/receipts.py", ".skillrun/jobs/send-receipt.yaml"
TOLERANT = " ON CONFLICT (order_id) DO NOTHING"
KEY = 'return f"receipt-{order_id}"'
# The provider takes each attempt's email for another one.
RANDOM_KEY = 'return f"receipt-{order_id}-" + __import__("secrets").token_hex(4)'
STUMBLES = KnownCause(
    "dead-letter.unexpected",
    "",
    "a delivery fails with IntegrityError where it should find the work done",
)
OTHER_KEY = KnownCause(
    "effect.other-key",
    "email",
    "the key contains something that differs from run to run: a random value, or the time",
)


def baseline(*causes: KnownCause) -> str:
    return write_baseline({HANDLER: frozenset(causes)})


def indebted_shop(root: Path) -> Path:
    """A branch of the shop with a mistake, which its main branch has agreed to: two deliveries at
    once, and the second one stumbles over the row of the first.
    """
    repo = fixtures_repos.example_shop(root)
    replace_in(repo, RECEIPTS, TOLERANT, "")
    replace_in(repo, SPEC, "permanent: [", "permanent: [sqlite3:IntegrityError, ")
    (repo / BASELINE).write_text(baseline(STUMBLES))
    helpers.commit(repo, "What is known to be wrong")
    return branch(repo)


def last_line(verified: Verified) -> str:
    return verified.done.stdout.rstrip().splitlines()[-1]


@pytest.mark.real
def test_what_the_base_knows_fails_no_branch_and_is_no_proof(tmp_path: Path) -> None:
    repo = indebted_shop(tmp_path / "repo")
    (repo / "README.md").write_text("# Shop\n")
    helpers.commit(repo, "Words")
    verified = verify(repo, "--ci", code=0, formats=("json", "intoto"))
    job = job_of(verified.document)
    assert (job["outcome"], job["proof"]["verdict"]) == ("known", "refuted")
    assert len(job["baseline"]["known"]) == 1
    assert (job["baseline"]["new"], job["baseline"]["paid"]) == ([], [])
    (story,) = job["stories"]
    assert (story["rule"], story["grade"]) == (STUMBLES.rule, None)
    assert story["steps"][0]["number"] == 1
    assert any(step["fault"] or "IntegrityError" in step["text"] for step in story["steps"])
    assert story["replay"].startswith(f"skillrun prove --spec {SPEC} --schedule ")
    # The stages that cost something are not spared.
    statuses = {stage["id"]: stage["status"] for stage in job["stages"]}
    assert statuses["tests"] == "passed"
    assert statuses["dead-letter"] == "failed"
    # The outcome, what it rests on, and why what failed fails no branch: in this order.
    said = r"known: \d+ proved \(\d+ schedules\), .*1 failed; risks: .*; " + (
        r"no new causes, 1 known at the base  \("
    )
    assert re.match(said, last_line(verified)), last_line(verified)
    assert f"  known    {STUMBLES.text}" in verified.done.stdout
    statement = json.loads((verified.folder / "out.intoto").read_text())
    assert statement["predicate"]["result"] == "FAILED"
    schema = json.loads((helpers.ROOT / "schemas" / "verification.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(verified.document)) == []


@pytest.mark.real
def test_a_branch_cannot_agree_to_its_own_mistake(tmp_path: Path) -> None:
    """What is new fails it, though HEAD's baseline knows it; and that is found as well."""
    repo = indebted_shop(tmp_path / "repo")
    replace_in(repo, RECEIPTS, KEY, RANDOM_KEY)
    (repo / BASELINE).write_text(baseline(STUMBLES, OTHER_KEY))
    helpers.commit(repo, "Another key each time, which is known")
    verified = verify(repo, "--ci", code=1)
    job = job_of(verified.document)
    assert job["outcome"] == "partial"
    assert [cause["rule"] for cause in job["baseline"]["new"]] == [OTHER_KEY.rule]
    assert f"  new      {OTHER_KEY.text}" in verified.done.stdout
    assert "gaming.baseline" in verified.rules


@pytest.mark.real
def test_what_is_mended_is_paid_off(tmp_path: Path) -> None:
    repo = indebted_shop(tmp_path / "repo")
    replace_in(repo, RECEIPTS, " VALUES (?, ?)", f" VALUES (?, ?){TOLERANT}")
    helpers.commit(repo, "The second one finds the row")
    verified = verify(repo, "--ci", code=0)
    job = job_of(verified.document)
    assert (job["outcome"], job["proof"]["verdict"]) == ("success", "proved")
    assert len(job["baseline"]["paid"]) == 1
    assert "  paid off " in verified.done.stdout


# -- whose baseline counts


def test_that_of_the_base_counts_and_no_other(tmp_path: Path) -> None:
    repo = open_repo(indebted_shop(tmp_path / "repo"))
    base = repo.head
    assert read_base_debt(repo, Base(base)).note is not None  # HEAD is the base
    assert not read_base_debt(repo, Base(base)).baseline
    (repo.root / BASELINE).write_text(baseline(STUMBLES, OTHER_KEY))
    helpers.commit(repo.root, "More is known")
    now = open_repo(repo.root)
    assert read_base_debt(now, Base(base)).baseline == {HANDLER: {STUMBLES}}
    assert not read_base_debt(now, Base(None)).baseline


@pytest.mark.parametrize("text", ["{", '{"schema_version": 9, "jobs": []}'])
def test_one_that_cannot_be_read_forgives_nothing_and_says_so(tmp_path: Path, text: str) -> None:
    root = indebted_shop(tmp_path / "repo")
    (root / BASELINE).write_text(text)
    helpers.commit(root, "Half of it")
    broken = open_repo(root).head
    helpers.commit(root, "One more")
    debt = read_base_debt(open_repo(root), Base(broken))
    assert not debt.baseline
    assert "nothing in the base's baseline counts" in (debt.note or "")


def proof_of(*causes: KnownCause, handler: str = HANDLER) -> dict[str, object]:
    witnesses = []
    told = {"message": "", "expected": "", "seen": "", "schedule": "once", "replay": ""}
    for one in causes:
        cause = {"rule": one.rule, "effect": one.effect or None, "cause": one.cause}
        witnesses.append({**cause, **told, "events": []})
    return {"handler": handler, "witnesses": witnesses, "incomplete": [], "verdict": "refuted"}


@pytest.mark.parametrize(
    ("report", "is_agreed"),
    [
        (proof_of(STUMBLES), True),
        (proof_of(STUMBLES, OTHER_KEY), False),
        (proof_of(OTHER_KEY), False),
        (proof_of(STUMBLES, handler="shop.tasks:charge"), False),
        (proof_of(), False),
    ],
    ids=["known", "and a new one", "another", "of another job", "nothing"],
)
def test_only_what_is_known_of_this_job_is_agreed(
    report: dict[str, object], is_agreed: bool
) -> None:
    watch = DebtWatch({HANDLER: frozenset({STUMBLES})})
    assert watch.is_agreed(report) is is_agreed
