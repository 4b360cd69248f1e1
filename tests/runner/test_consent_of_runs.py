"""Consent: asked once for a working tree and its commit, kept outside; and what validations do is
told.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

COUNTING = "lint:\n\ttrue\n\ntest:\n\techo run >> ../runs\n"


def runs(repo: Path) -> int:
    path = repo.with_name("runs")
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A shop that has not been looked at."""
    return shops.shop(tmp_path / "repo", makefile=COUNTING)


@pytest.fixture
def tested(finished_shop: Path) -> Path:
    """A shop of which the validations alone are still to be run."""
    (finished_shop / "Makefile").write_text(COUNTING)
    helpers.commit(finished_shop, "Count the runs")
    return finished_shop


@pytest.mark.real
def test_nothing_runs_without_consent(repo: Path) -> None:
    out = shops.run(repo, code=3)
    assert "make lint; make test" in out
    assert "-m pytest" in out
    assert runs(repo) == 0
    shops.run(repo, code=3)
    assert runs(repo) == 0


@pytest.mark.real
def test_trust_once_whatever_is_edited_and_committed_here(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    assert runs(repo) == 1
    (repo / "Makefile").write_text(COUNTING + "\n# More.\n")
    shops.run(repo, code=0)
    assert runs(repo) == 2
    helpers.commit(repo, "More")
    (repo / "README.md").write_text("Another.\n")
    shops.run(repo, code=0)
    assert runs(repo) == 3
    (given,) = shops.events(shops.ledger_of(repo), "consent.given")
    assert given["data"]["how"] == "--trust"
    assert given["data"]["commands"][0].endswith("-m pytest")
    assert given["data"]["commands"][1:] == ["make lint", "make test"]


@pytest.mark.real
def test_what_runs_is_shown_each_time(repo: Path) -> None:
    assert "runs: make lint; make test" in shops.run(repo, "--trust", code=0)
    (repo / "README.md").write_text("Another.\n")
    assert "runs: make lint; make test" in shops.run(repo, code=0)


@pytest.mark.real
def test_a_hostile_fork_runs_nothing_after_a_pull(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    fork = repo.with_name("fork")
    helpers.git(repo.parent, "clone", "--quiet", str(repo), str(fork))
    (fork / "Makefile").write_text("test:\n\ttouch ../stolen\n")
    tests = fork / "tests" / "test_send_receipt.py"
    tests.write_text(tests.read_text() + "\nopen('../stolen', 'w').close()\n")
    helpers.commit(fork, "Faster tests")
    helpers.git(repo, "pull", "--quiet", "--ff-only", str(fork))
    report = shops.report(repo, code=3)
    assert {"tests.no-consent", "validate.no-consent"} <= shops.rules(report)
    assert not repo.with_name("stolen").exists()
    shops.run(fork, code=3, env={"HOME": str(repo.with_name("repo.home"))})
    assert not repo.with_name("stolen").exists()


@pytest.mark.real
def test_the_interpreter_that_a_spec_names_is_not_started_unasked(tmp_path: Path) -> None:
    """Not by a run, and not by a command that only reads."""
    repo = shops.shop(tmp_path / "repo", proof=True)
    evil = repo / "tools" / "python"
    evil.parent.mkdir()
    evil.write_text("#!/bin/sh\ntouch ../stolen\n")
    evil.chmod(0o755)
    spec = (repo / shops.SPEC).read_text()
    (repo / shops.SPEC).write_text(spec.replace("\nproof:\n", "\nproof:\n  python: tools/python\n"))
    helpers.commit(repo, "An interpreter")
    shops.run(repo, code=3)
    for command in ("status", "next", "why retry", "doctor"):
        helpers.run_cli(*command.split(), cwd=repo)
    helpers.run_cli("prove", cwd=repo)
    assert not repo.with_name("stolen").exists()


AGENT = {"CLAUDECODE": "1"}


@pytest.mark.real
@pytest.mark.parametrize("more", [{}, {"SKILLRUN_ACTOR": "human:me"}, {"CI": "true"}])
def test_an_agents_trust_counts_for_nothing_unless_a_person_allowed_it(
    repo: Path, more: dict[str, str]
) -> None:
    done = helpers.run_cli(shops.SKILL, "--trust", cwd=repo, env={**AGENT, **more})
    assert done.returncode == 3
    assert runs(repo) == 0
    assert "claude-code is an agent" in done.stderr
    assert "skillrun trust --agents" in done.stderr
    assert done.stderr.count("--trust does not count") <= 2  # the tests, the validations


@pytest.mark.real
def test_an_agent_cannot_allow_itself_anything(repo: Path) -> None:
    for options in (("--agents",), ("--agent-waivers",), ()):
        assert helpers.run_cli("trust", *options, cwd=repo, env=AGENT).returncode == 4
    # Nobody is there to be asked.
    assert helpers.run_cli("trust", "--agents", cwd=repo).returncode == 4
    done = helpers.run_cli(shops.SKILL, "--trust", cwd=repo, env=AGENT)
    assert done.returncode == 3


@pytest.mark.real
def test_in_ci_it_is_meant(repo: Path) -> None:
    shops.run(repo, "--trust", code=0, env={"CI": "true"})
    assert runs(repo) == 1


@pytest.mark.real
def test_an_agent_goes_on_where_a_person_has_consented(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    (repo / "README.md").write_text("Another.\n")
    helpers.commit(repo, "The agent's")
    shops.run(repo, code=0, env=AGENT)
    assert runs(repo) == 2


@pytest.mark.real
def test_the_answer_is_kept_outside_the_repository(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    kept = list((repo.with_name("repo.home") / "state" / "consent").iterdir())
    assert len(kept) == 1
    assert not [path for path in repo.rglob("*") if "consent" in path.name]


def test_a_repository_cannot_bring_its_own_consent(repo: Path) -> None:
    done = helpers.run_cli(
        shops.SKILL, cwd=repo, env={"SKILLRUN_STATE_DIR": str(repo / ".skillrun" / "state")}
    )
    assert done.returncode == 3
    assert "lies in the repository" in done.stderr


@pytest.mark.real
def test_a_validation_that_fails_is_told_and_run_again(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo run >> ../runs; echo it broke; exit 7\n")
    report = shops.report(tested, "--trust", code=1)
    (finding,) = [
        f for s in report["stages"] for f in s["findings"] if f["rule"] == "validate.test-failed"
    ]
    assert "make test" in finding["message"]
    assert finding["path"] == "Makefile"
    *_, evidence = shops.select(
        shops.ledger_of(tested), "select * from evidence where path = 'make test' order by n"
    )
    assert '"exit_code":2' in evidence["detail"]
    assert "it broke" in evidence["detail"]
    shops.run(tested, code=1)
    assert runs(tested) == 2


@pytest.mark.real
def test_what_passed_is_not_run_again(tested: Path) -> None:
    for _ in range(3):
        shops.run(tested, "--trust", code=0)
    assert runs(tested) == 1


@pytest.mark.real
def test_a_validation_that_changes_tracked_files(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo >> shop/orders.py; touch new.txt\n")
    report = shops.report(tested, "--trust", code=1)
    changed = [
        f["path"]
        for s in report["stages"]
        for f in s["findings"]
        if f["rule"] == "validate.changed-files"
    ]
    assert changed == ["shop/orders.py"]


@pytest.mark.real
def test_a_validation_that_writes_only_ignored_files(tested: Path) -> None:
    (tested / ".gitignore").write_text("build/\n.skillrun/ledger.db*\n")
    (tested / "Makefile").write_text("test:\n\tmkdir -p build; date > build/out\n")
    shops.run(tested, "--trust", code=0)


@pytest.mark.real
def test_secrets_in_the_output_are_masked(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo password=hunter2hunter2; exit 1\n")
    out = shops.run(tested, "--trust", code=1)
    assert "hunter2" not in out
    assert b"hunter2hunter2" not in shops.ledger_of(tested).read_bytes()
