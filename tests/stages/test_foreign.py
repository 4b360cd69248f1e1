"""A job in another language than Python: its own names, nothing of Python's said, and an end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cases
import foreign_repos
import helpers
import pytest
import shops
from bundled import bundled_skill
from rows import real_but

from skillrun.contract.languages import LANGUAGES
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker import guide
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.named import find_tests
from skillrun.skills.job_worker.stages import retry
from skillrun.validations.consent import Consent

READ = ("idempotency", "handler", "retry", "dead-letter", "observability", "tests")
REPOS = {"Ruby": foreign_repos.BAKERY, "TypeScript": foreign_repos.MAILS}
EVIDENCE = {"Ruby": "app/jobs/charge_order_job.rb", "TypeScript": "src/jobs/mail.ts"}
SPECS = {
    "Ruby": ".skillrun/jobs/charge-order.yaml",
    "TypeScript": ".skillrun/jobs/welcome.yaml",
}
AGENT = {"CLAUDECODE": "1"}


def attest(language: str, *stages: str) -> list[str]:
    """The options that attest these stages."""
    options = []
    for stage in stages:
        options += ["--attest", f"{stage}=looked", "--evidence", f"{stage}={EVIDENCE[language]}"]
    return options


def build(root: Path, written_in: str, /, **changes: str) -> Path:
    """The repository, with parts of its spec replaced: `handler="Other"`."""
    files: dict[str, Any] = dict(REPOS[written_in])
    lines = []
    for line in files[SPECS[written_in]].splitlines():
        name = line.strip().partition(":")[0]
        if name in changes:
            line = f"        {name}: {changes[name]}"
        lines.append(line)
    files[SPECS[written_in]] = "\n".join(lines) + "\n"
    return helpers.build_tree(root, files)


def allow_scripts(repo: Path) -> None:
    """A person has said `skillrun trust --scripts`: what the tests start has no terminal."""
    store = repo.with_name(f"{repo.name}.home") / "state" / "consent"
    Consent(open_repo(repo), store=store).allow_scripts()


def open_case(root: Path) -> JobCase:
    """The case of a repository without a spec."""
    return JobCase(bundled_skill(), None, open_repo(root), Tree(root))


def profile(repo: Path, test: str) -> None:
    """Writes what a profile says of the command that runs the tests."""
    commands = {"lint": "none", "typecheck": "none", "test": test, "build": "none"}
    written = {
        "stack": {"frontend": "none", "backend": "none", "language": ["ruby"]},
        "commands": commands,
        "paths": {"frontend_root": "none", "backend_root": "app"},
        "quality_bar": {"required_checks": []},
        "conventions": {"package_manager": "bundler"},
    }
    (repo / "REPO_PROFILE.json").write_text(json.dumps(written))


def errors(done: Any) -> str:
    return " ".join(done.stderr.split())


@pytest.mark.real
@pytest.mark.parametrize("language", real_but(REPOS, "Ruby"))
def test_every_stage_that_would_read_code_asks_for_somebodys_word(
    tmp_path: Path, language: str
) -> None:
    report = shops.report(build(tmp_path / "repo", language), code=3)
    status = shops.stages(report)
    assert {status[name] for name in READ} == {"blocked"}
    assert (status["identify"], status["contract"]) == ("passed", "passed")
    assert shops.stages(report, "grade")["contract"] == "declared"
    assert {f"{name}.unattested" for name in READ} <= shops.rules(report)
    said = " ".join(action["detail"] for action in report["next"])
    for word in ("package.module", "import path", ".py", "fault injection", "--waive"):
        assert word not in said


@pytest.mark.real
@pytest.mark.parametrize("language", real_but(REPOS, "Ruby"))
def test_the_work_order_names_files_of_the_language_and_promises_no_proof(
    tmp_path: Path, language: str
) -> None:
    repo = build(tmp_path / "repo", language)
    shops.report(repo, code=3)
    said = helpers.run_cli("next", cwd=repo).stdout
    assert f"where: handler: {EVIDENCE[language]}:" in said
    for word in (".py", "fault injection", "in a copy"):
        assert word not in said


@pytest.mark.real
def test_an_agents_word_leaves_idempotency_blocked(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "Ruby")
    refused = helpers.run_cli(
        "job-worker-orchestration", *attest("Ruby", "idempotency"), cwd=repo, env=AGENT
    )
    assert refused.returncode == 4
    assert "is an agent, and its word alone is no evidence" in errors(refused)
    others = attest("Ruby", *READ[1:])
    status = shops.stages(shops.report(repo, *others, code=3, env=AGENT))
    assert status["idempotency"] == "blocked"
    assert {status[name] for name in READ[1:]} == {"passed"}


NO_PERSON = {
    "nobody that is known": {},
    "a claim": {"SKILLRUN_ACTOR": "human:me"},
    "CI": {"CI": "true"},
}


@pytest.mark.parametrize("caller", real_but(NO_PERSON, "nobody that is known"))
def test_a_word_without_a_terminal_is_no_persons(tmp_path: Path, caller: str) -> None:
    """An agent that skillrun does not know was taken for a person."""
    repo = build(tmp_path / "repo", "Ruby")
    words = ("job-worker-orchestration", *attest("Ruby", "idempotency"))
    refused = helpers.run_cli(*words, cwd=repo, env=NO_PERSON[caller])
    assert refused.returncode == 4
    assert "only a person can, and there is no terminal" in errors(refused)
    assert "skillrun trust --scripts" in errors(refused)
    assert not shops.ledger_of(repo).exists()


@pytest.mark.real
def test_scripts_attest_where_a_person_allowed_it_and_agents_do_not(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "Ruby")
    allow_scripts(repo)
    options = attest("Ruby", "idempotency")
    refused = helpers.run_cli("job-worker-orchestration", *options, cwd=repo, env=AGENT)
    assert refused.returncode == 4
    status = shops.stages(shops.report(repo, *options, code=3))
    assert status["idempotency"] == "passed"


@pytest.mark.real
def test_ci_says_in_one_line_that_its_scripts_attest(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "Ruby")
    ci = {"CI": "true"}
    said = helpers.run_cli("trust", "--scripts", cwd=repo, env=ci)
    assert "CI and scripts may attest here" in said.stdout
    report = shops.report(repo, *attest("Ruby", "idempotency"), code=3, env=ci)
    assert shops.stages(report)["idempotency"] == "passed"


@pytest.mark.real
@pytest.mark.parametrize("written", ["nothing", "unknown"])
def test_tests_that_nobody_can_run_are_no_success(tmp_path: Path, written: str) -> None:
    """A public Java service with tests ended with success, and none of them had run: only the files
    that pytest would collect were taken for tests.
    """
    repo = build(tmp_path / "repo", "Ruby")
    if written == "unknown":
        profile(repo, "unknown")
    allow_scripts(repo)
    report = shops.report(repo, *attest("Ruby", *READ), code=3)
    assert shops.stages(report)["validate"] == "blocked"
    (stage,) = [one for one in report["stages"] if one["id"] == "validate"]
    said = " ".join(one["message"] for one in stage["findings"])
    assert "the repository has tests (spec/jobs/charge_order_job_spec.rb)" in said


def test_what_lies_beside_the_tests_is_no_test(tmp_path: Path) -> None:
    beside = ("spec/rails_helper.rb", "spec/factories/order.rb", "test/application_test_case.rb")
    tests = ("spec/order_spec.rb", "test/order_test.rb", "test/test_order.rb")
    repo = helpers.build_tree(tmp_path / "repo", dict.fromkeys((*beside, *tests), "x = 1\n"))
    tree = Tree(repo)
    with tree.recording() as asked:
        assert find_tests(tree, LANGUAGES["ruby"]) == list(tests)
    # A test that comes later makes the stage stale.
    assert list(asked)


@pytest.mark.real
def test_a_run_that_somebody_attests_ends(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "Ruby")
    profile(repo, "none")
    allow_scripts(repo)
    report = shops.report(repo, *attest("Ruby", *READ), code=0)
    assert report["outcome"] == "success"
    grades = shops.stages(report, "grade")
    assert {grades[name] for name in READ} == {"declared"}
    (repo / EVIDENCE["Ruby"]).write_text("class ChargeOrderJob\nend\n")
    again = shops.report(repo, code=3)
    assert "declared.evidence-changed" in shops.rules(again)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm here")
def test_the_repositorys_own_commands_run(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "TypeScript")
    allow_scripts(repo)
    report = shops.report(repo, "--trust", *attest("TypeScript", *READ), code=0)
    assert report["outcome"] == "success"
    assert shops.stages(report, "grade")["validate"] == "executed"


@pytest.mark.real
@pytest.mark.parametrize("said", ["unknown", "{strategy: keyed}"])
def test_idempotency_that_is_not_defined_is_never_attested_away(tmp_path: Path, said: str) -> None:
    repo = build(tmp_path / "repo", "Ruby", idempotency=said)
    allow_scripts(repo)
    report = shops.report(repo, *attest("Ruby", *READ), code=3)
    assert shops.stages(report)["idempotency"] == "blocked"


@pytest.mark.real
def test_a_handler_that_no_file_has_is_named_with_its_line(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", "Ruby", handler="RefundOrderJob")
    allow_scripts(repo)
    report = shops.report(repo, *attest("Ruby", *READ), code=3)
    assert "handler.not-in-language" in shops.rules(report)
    (stage,) = [one for one in report["stages"] if one["id"] == "handler"]
    assert "no Ruby file of this repository has RefundOrderJob" in stage["findings"][0]["message"]


def test_a_proof_says_what_it_cannot_do(tmp_path: Path) -> None:
    done = helpers.run_cli("prove", cwd=build(tmp_path / "repo", "Ruby"))
    assert done.returncode == 3
    assert "a proof runs Python, and ChargeOrderJob is Ruby" in errors(done)


def test_names_of_another_language_need_to_say_so(tmp_path: Path) -> None:
    """A Python spec is as strict as before."""
    repo = build(tmp_path / "repo", "Ruby", language="python")
    assert helpers.run_cli("spec", "check", SPECS["Ruby"], cwd=repo).returncode == 4
    text = (repo / SPECS["Ruby"]).read_text().replace("language: python\n", "")
    (repo / SPECS["Ruby"]).write_text(text)
    said = errors(helpers.run_cli("spec", "check", SPECS["Ruby"], cwd=repo))
    assert "handler: ChargeOrderJob is not an import path" in said
    assert "if it is not Python, say so, e.g. language: ruby" in said
    assert "Net::ReadTimeout is not an exception" in said


@pytest.mark.real
def test_without_a_spec_the_first_command_has_the_languages_names(tmp_path: Path) -> None:
    files = dict(REPOS["Ruby"])
    del files[SPECS["Ruby"]]
    report = shops.report(helpers.build_tree(tmp_path / "repo", files), code=3)
    said = " ".join(action["detail"] for action in report["next"])
    assert "--set language=ruby --set handler='ChargeOrderJob'" in said
    assert "package.module" not in said


TRIES = {
    "Ruby": "Sidekiq tries ChargeOrderJob 6 times",
    "TypeScript": "BullMQ tries src/jobs/mail.ts#sendWelcome 5 times",
}


@pytest.mark.parametrize("language", real_but(REPOS, "Ruby"))
def test_without_a_spec_the_options_are_told_and_no_proof_is_promised(
    tmp_path: Path, language: str
) -> None:
    """Its work order promised fault injection, and called `retry: 5` not defined."""
    files = dict(REPOS[language])
    del files[SPECS[language]]
    case = open_case(helpers.build_tree(tmp_path / "repo", files))
    (found,) = retry.examine(case).findings
    assert f"the retry policy is not defined; read: {TRIES[language]}" == found.message
    assert found.path is not None
    for stage in READ:
        assert guide.list_checked(case, stage) == ()


def test_a_library_that_is_only_recognised_is_promised_no_proof(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "dbos\n",
        "app.py": "from dbos import DBOS\n\n\n@DBOS.workflow()\ndef send(order_id):\n    pass\n",
    }
    case = open_case(helpers.build_tree(tmp_path / "repo", files))
    assert case.use is not None and case.use.id == "dbos"
    assert guide.list_checked(case, "idempotency") == ()
    assert guide.list_checked(case, "contract")


def test_a_python_job_is_promised_its_proof_before_there_is_a_spec(tmp_path: Path) -> None:
    case = open_case(helpers.build_tree(tmp_path / "repo", dict(cases.FILES)))
    checked = " ".join(guide.list_checked(case, "idempotency"))
    assert "by fault injection" in checked
