"""A proof that HEAD's spec asks for, or that the base has, is not lost by a branch without an
error.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import fixtures_repos
import helpers
import pytest
import shops
from jsonschema import Draft202012Validator
from verifying import Verified, branch, verify

from skillrun.skills.job_worker.proving.answers import PROMISES_OF_STAGE
from skillrun.wall.diff import Diff, File
from skillrun.wall.proved import judge_proof
from skillrun.wall.verification import BaseProof, Job

pytestmark = pytest.mark.real

SPEC = shops.SPEC
RECEIPTS = "shop/receipts.py"
MARKED = '        connection.execute("DELETE FROM dead_jobs'
ATTACHED = """\
        connection.commit()
        connection.execute("ATTACH 'side.db' AS side")
        connection.execute("CREATE TABLE IF NOT EXISTS side.seen (order_id INTEGER)")
        connection.execute("INSERT INTO side.seen VALUES (1)")
"""


def shop_branch(root: Path) -> Path:
    """The shop, whose job its base proves, on a branch."""
    return branch(fixtures_repos.example_shop(root))


def replace_in(repo: Path, name: str, old: str, new: str) -> None:
    text = (repo / name).read_text()
    assert old in text
    (repo / name).write_text(text.replace(old, new))


def job_of(document: dict[str, Any]) -> dict[str, Any]:
    (job,) = document["jobs"]
    found: dict[str, Any] = job
    return found


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """A branch that attaches a database which no query sees, verified once."""
    repo = shop_branch(tmp_path_factory.mktemp("lost") / "repo")
    replace_in(repo, RECEIPTS, MARKED, ATTACHED + MARKED)
    helpers.commit(repo, "Tidy up")
    return verify(repo, "--ci", code=1, formats=("json", "sarif", "junit", "intoto"))


def test_a_statement_that_switches_the_proof_off_fails_the_branch(lost: Verified) -> None:
    job = job_of(lost.document)
    (finding,) = job["proof"]["findings"]
    assert (finding["rule"], finding["severity"]) == ("verify.less-proved", "error")
    assert "undeclared store: ATTACH of side.db" in finding["message"]
    assert (job["outcome"], job["proof"]["verdict"]) == ("partial", "incomplete")
    base = job["proof"]["base"]
    assert (base["verdict"], base["why"]) == ("proved", None)
    assert set(base["proved"]) == {"idempotency", "retry", "dead-letter", "observability"}
    schema = json.loads((helpers.ROOT / "schemas" / "verification.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(lost.document)) == []


def test_every_format_names_the_lost_proof(lost: Verified) -> None:
    sarif = json.loads((lost.folder / "out.sarif").read_text())
    (result,) = [
        found for found in sarif["runs"][0]["results"] if found["ruleId"] == "verify.less-proved"
    ]
    assert result["level"] == "error"
    junit = ElementTree.parse(lost.folder / "out.junit").getroot()
    assert junit.find(".//testcase[@name='proof']/failure") is not None
    statement = json.loads((lost.folder / "out.intoto").read_text())["predicate"]
    assert (statement["result"], "send-receipt/proof" in statement["failedTests"]) == (
        "FAILED",
        True,
    )
    assert "[error: verify.less-proved]" in lost.done.stdout
    assert "the base at " in lost.done.stdout


IN_MEMORY = """\
        connection.commit()
        connection.execute("ATTACH ':memory:' AS side")
        connection.execute("CREATE TABLE side.seen (order_id INTEGER)")
        connection.execute("INSERT INTO side.seen VALUES (?)", (order_id,))
"""
SENDING = "    mailer.send(order_id, email, idempotency_key=key)\n"
BY_NAME = """\
    getattr(__import__("os"), "sys" + "tem")("true")
"""


@pytest.mark.parametrize(
    ("path", "was", "above", "why"),
    [
        (RECEIPTS, MARKED, IN_MEMORY, "the table seen is written but no query"),
        ("shop/tasks.py", SENDING, BY_NAME, "a proof starts no process"),
    ],
    ids=("in-memory", "by-name"),
)
def test_what_no_reader_follows_switches_no_proof_off(
    tmp_path: Path, path: str, was: str, above: str, why: str
) -> None:
    """A database in memory, and a call by `getattr`: what runs is watched, whatever it is called
    by.
    """
    repo = shop_branch(tmp_path / "repo")
    replace_in(repo, path, was, above + was)
    helpers.commit(repo, "Tidy up")
    job = job_of(verify(repo, "--ci", code=1).document)
    (finding,) = job["proof"]["findings"]
    assert (finding["rule"], finding["severity"]) == ("verify.less-proved", "error")
    assert why in finding["message"]
    assert (job["outcome"], job["proof"]["base"]["verdict"]) == ("partial", "proved")


def test_a_proof_that_never_gave_an_answer_fails_as_well(tmp_path: Path) -> None:
    """The base is as incomplete as HEAD: the spec asks all the same."""
    repo = fixtures_repos.example_shop(tmp_path / "repo")
    replace_in(repo, RECEIPTS, MARKED, ATTACHED + MARKED)
    helpers.commit(repo, "A side table")
    (repo / "README.md").write_text("# Shop\n")
    helpers.commit(branch(repo), "Words")
    proof = job_of(verify(repo, "--ci", code=1).document)["proof"]
    assert [finding["rule"] for finding in proof["findings"]] == ["verify.not-proved"]
    assert proof["base"]["verdict"] == "incomplete"
    assert "is not proved here either" in proof["findings"][0]["message"]


def test_a_rewritten_handler_that_is_proved_passes_and_the_base_is_not_run(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    replace_in(repo, "shop/tasks.py", "    key = receipts.idempotency_key(order_id)\n", "")
    replace_in(
        repo,
        "shop/tasks.py",
        "key)\n    receipts.mark",
        "receipts.idempotency_key(order_id))\n    receipts.mark",
    )
    helpers.commit(repo, "One line less")
    proof = job_of(verify(repo, "--ci", code=0).document)["proof"]
    assert proof == {"verdict": "proved", "base": None, "findings": []}


def test_without_consent_nothing_is_proved_and_that_is_said(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    (finding,) = job_of(verify(repo, code=3).document)["proof"]["findings"]
    assert finding["rule"] == "verify.not-proved"
    assert "nobody has allowed it yet" in finding["message"]


PLANTS = "test:\n\ttest ! -e ../state/planted\n\tmkdir -p ../state\n\ttouch ../state/planted\n"


def test_what_a_job_leaves_in_the_state_folder_is_gone_for_the_next(tmp_path: Path) -> None:
    """A validation of the first job could leave a kept proof of the second."""
    repo = shops.shop(tmp_path / "repo", makefile=PLANTS)
    spec = (repo / SPEC).read_text()
    (repo / ".skillrun/jobs/second.yaml").write_text(
        spec.replace("job: send-receipt", "job: second")
    )
    helpers.commit(branch(repo), "Another job of the same handler")
    jobs = verify(repo, "--ci", code=0).document["jobs"]
    assert [job["outcome"] for job in jobs] == ["success", "success"]


def read_only(name: str, call: str) -> str:
    return (
        f"version: 1\njob: {name}\nhandler: shop.{name}:run\neffects: [{{name: mail, call:"
        f" '{call}'}}]\n"
    )


@pytest.mark.parametrize(
    ("call", "found"), [("shop.mailer:send", True), ("shop.other:send", False)]
)
def test_a_job_under_another_name_does_not_leave_its_proof_behind(call: str, found: bool) -> None:
    """The handler, the job and the spec have other names now, so that nothing is compared."""
    old = read_only("send", "shop.mailer:send") + "proof: {state: {sent: select a from sent}}\n"
    gone = File("send.yaml", "send.yaml", old, None)
    new = File("mail.yaml", "mail.yaml", None, read_only("mail", call))
    job = judge_proof(
        Job("mail.yaml", "a" * 64, "mail", "success"), new, Diff((), (gone, new)), None
    )
    assert (job.outcome, "verify.less-proved" in {f.rule for f in job.findings()}) == (
        ("partial", True) if found else ("success", False)
    )


ASKING = read_only("send", "shop.mailer:send") + "proof: {state: {sent: select a from sent}}\n"


def stage(id: str, grade: str, *rules: str) -> dict[str, Any]:
    found = {"severity": "warning", "message": "why", "path": None, "line": None, "hint": None}
    return {
        "id": id,
        "status": "passed",
        "grade": grade,
        "findings": [{"rule": rule, **found} for rule in rules],
    }


@pytest.mark.parametrize(
    ("before", "rules"), [(("idempotency", "retry"), ["verify.less-proved"]), ((), [])]
)
def test_a_proof_that_speaks_of_fewer_stages_than_the_base_fails(
    before: tuple[str, ...], rules: list[str]
) -> None:
    """The verdict is still proved, and what is tried again is not seen any more."""
    file = File("send.yaml", "send.yaml", ASKING, ASKING)
    report = {
        "stages": [stage("idempotency", "proved"), stage("retry", "static", "proof.not-shown")]
    }
    job = Job("send.yaml", "a" * 64, "send", "success", report)
    base = BaseProof("c" * 40, "proved", before)
    judged = judge_proof(job, file, Diff((), (file,)), lambda _: base)
    assert judged.proof is not None
    assert [finding.rule for finding in judged.proof.findings] == rules


@pytest.mark.parametrize(("risks", "rules"), [((), ["verify.new-risk"]), (("late-skipped",), [])])
def test_a_branch_that_drops_what_is_old_fails(risks: tuple[str, ...], rules: list[str]) -> None:
    file = File("send.yaml", "send.yaml", ASKING, ASKING)
    proved = [stage(id, "proved") for id in PROMISES_OF_STAGE]
    dropping = stage("observability", "static", "risk.late-skipped")
    job = Job("send.yaml", "a" * 64, "send", "success", {"stages": [*proved, dropping]})
    had = tuple(f"risk.{name}" for name in risks)
    base = BaseProof("c" * 40, "proved", PROMISES_OF_STAGE, risks=had)
    judged = judge_proof(job, file, Diff((), (file,)), lambda _: base)
    assert judged.proof is not None
    assert [finding.rule for finding in judged.proof.findings] == rules
