"""The stages identify and validate: whose word decides, and what stays unknown."""

from __future__ import annotations

import json
import sys

import fixtures_repos
import helpers
import pytest
from cases import GONE, build, examine, finding, has, rules

from skillrun.skills.job_worker.stages.validate import plan


def profile(**parts):
    value = {
        "stack": {"frontend": "none", "backend": "python", "language": ["python"]},
        "commands": {"lint": "none", "typecheck": "none", "test": "none", "build": "none"},
        "paths": {"frontend_root": "none", "backend_root": "."},
        "quality_bar": {"required_checks": []},
        "conventions": {"package_manager": "pip"},
    }
    return {"REPO_PROFILE.json": json.dumps({**value, **parts}, indent=2)}


def test_detection_with_evidence(tmp_path):
    result = examine("identify", build(tmp_path / "repo"))
    assert (result.status, result.grade, result.facts["by"]) == ("passed", "static", "survey")
    assert {"requirements.txt", "shop/celery.py", "Procfile"} <= {e.path for e in result.evidence}


def test_the_profile_wins_and_is_contradicted_aloud(tmp_path):
    result = examine(
        "identify",
        build(tmp_path / "a", profile(jobs={"framework": "celery", "app": "shop/celery.py:app"})),
    )
    assert (result.status, result.facts["by"]) == ("passed", "profile")
    result = examine(
        "identify",
        build(tmp_path / "b", profile(jobs={"framework": "celery", "app": "shop/other.py:app"})),
    )
    assert result.facts["app"] == "shop/other.py:app"
    contradiction = next(f for f in result.findings if f.path == "REPO_PROFILE.json")
    assert "shop/celery.py" in contradiction.message and contradiction.line


def test_a_framework_that_is_not_known_blocks(tmp_path):
    result = examine("identify", build(tmp_path / "repo", profile(jobs={"framework": "faktory"})))
    assert "identify.unsupported" in rules(result)
    assert "celery" in finding(result, "identify.unsupported").hint


def test_none_blocks_and_recommends_a_profile(tmp_path):
    files = {"app.py": "print('celery')\n", "README.md": "We do not use celery.\n"}
    result = examine("identify", build(tmp_path / "repo", files, alone=True))
    found = finding(result, "identify.none")
    assert (result.status, result.grade, found.recommends) == ("blocked", None, "personalize-repo")


def test_two_apps_of_one_framework_are_no_ambiguity_of_frameworks(tmp_path):
    root = fixtures_repos.two_apps(tmp_path / "repo")
    files = {
        p.relative_to(root).as_posix(): p.read_text()
        for p in root.rglob("*")
        if p.is_file() and ".git" not in p.parts
    }
    result = examine("identify", build(tmp_path / "copy", files, alone=True))
    assert result.facts["framework"] == "celery"


RQ_BESIDE = {
    "requirements.txt": "celery>=5\nrq\nredis\n",
    "Procfile": "worker: celery -A shop worker\nexports: rq worker exports\n",
    "shop/exports.py": """
        from redis import Redis
        from rq import Queue

        queue = Queue("exports", connection=Redis())


        def export(order_id): ...


        def later(order_id):
            queue.enqueue(export, order_id)
        """,
}


@pytest.mark.parametrize(
    ("handler", "framework", "by"),
    [
        ("shop.exports:send_receipt", "rq", "handler"),  # that is still to be written
        ("shop.tasks:send_receipt", "celery", "handler"),
        ("shop.elsewhere:send_receipt", None, "nothing"),
    ],
)
def test_the_module_of_the_handler_decides_between_two(tmp_path, handler, framework, by):
    case = build(tmp_path / "repo", RQ_BESIDE, {"handler": handler})
    result = examine("identify", case)
    assert (result.facts["framework"], result.facts["by"]) == (framework, by)
    assert has(result, "identify.ambiguous") is (framework is None)


def test_a_profile_wins_over_the_module_of_the_handler(tmp_path):
    case = build(
        tmp_path / "repo",
        {**RQ_BESIDE, **profile(jobs={"framework": "celery"})},
        {"handler": "shop.exports:send_receipt"},
    )
    assert examine("identify", case).facts["framework"] == "celery"


# Validations


def planned(root, files=None):
    chosen, findings = plan(build(root, files))
    return {v.kind: v.command for v in chosen}, findings


MAKEFILE = {"Makefile": "test:\n\tpytest -q\n\nlint:\n\truff check .\n"}


def test_declared_commands_are_found(tmp_path):
    chosen, findings = planned(tmp_path / "repo", MAKEFILE)
    assert chosen == {"test": "make test", "lint": "make lint"}
    assert findings == []


def test_one_command_for_two_purposes_is_run_once(tmp_path):
    no_tests = {"tests/test_tasks.py": GONE}
    chosen, findings = planned(
        tmp_path / "r", {**no_tests, "Makefile": "lint:\n\truff check .\n\tmypy app\n"}
    )
    assert chosen == {"lint": "make lint"}
    assert findings == []
    both = {**no_tests, "Makefile": "lint:\n\truff check .\ntypecheck:\n\tmypy app\n"}
    chosen, _ = planned(tmp_path / "s", both)
    assert chosen == {"lint": "make lint", "typecheck": "make typecheck"}


def test_the_profile_wins_over_what_is_declared(tmp_path):
    said = {"lint": "make lint", "typecheck": "none", "test": "pytest -x", "build": "none"}
    chosen, _ = planned(tmp_path / "repo", {**MAKEFILE, **profile(commands=said)})
    assert chosen == {"lint": "make lint", "test": "pytest -x"}


def test_none_where_a_command_is_declared_fails(tmp_path):
    chosen, findings = planned(tmp_path / "repo", {**MAKEFILE, **profile()})
    assert chosen == {}
    assert {(f.rule, f.severity) for f in findings} == {("validate.none-but-declared", "error")}
    assert "Makefile:1" in findings[-1].message


@pytest.mark.parametrize(
    ("required", "tests", "severity"),
    [([], False, "note"), (["test"], False, "blocker"), ([], True, "blocker")],
)
def test_unknown_is_recorded_and_never_guessed(tmp_path, required, tests, severity):
    said = {"lint": "none", "typecheck": "none", "test": "unknown", "build": "none"}
    files = {
        **profile(commands=said, quality_bar={"required_checks": required}),
        "requirements.txt": "celery\npytest\n",
    }
    if not tests:
        files["tests/test_tasks.py"] = GONE
    chosen, findings = planned(tmp_path / "repo", files)
    assert chosen == {}
    assert [(f.rule, f.severity) for f in findings] == [("validate.unknown", severity)]


def test_a_repository_with_tests_is_blocked_while_nobody_knows_how_they_run(tmp_path):
    said = {"lint": "none", "typecheck": "none", "test": "unknown", "build": "none"}
    result = examine("validate", build(tmp_path / "repo", profile(commands=said)))
    assert result.status == "blocked"
    found = finding(result, "validate.unknown")
    assert "the repository has tests (tests/test_tasks.py)" in found.message
    assert "-m pytest" in found.hint


def environment(root, *distributions):
    """A .venv of the repository as far as it is looked at without running anything."""
    packages = root / ".venv/lib/python3.11/site-packages"
    for name in distributions:
        (packages / f"{name}.dist-info").mkdir(parents=True)
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to(sys.executable)


def test_pytest_of_the_repository_is_a_test_command(tmp_path):
    root = tmp_path / "repo"
    case = build(root)
    environment(root, "pytest-8.3.0")
    chosen, findings = plan(case)
    assert [(v.kind, v.command) for v in chosen] == [("test", ".venv/bin/python -m pytest")]
    assert findings == []


def test_without_pytest_the_question_stays_open(tmp_path):
    root = tmp_path / "repo"
    case = build(root)
    environment(root, "pytest_xdist-3.6.1", "nose-1.3")
    result = examine("validate", case)
    assert rules(result) == ["validate.no-test-command"]
    assert result.status == "blocked"


@pytest.mark.real
def test_what_a_detection_writes_is_the_command_or_an_open_question(tmp_path):
    root = tmp_path / "repo"
    build(root)
    environment(root, "nose-1.3")
    helpers.run_cli("detect", "--write", cwd=root)
    assert json.loads((root / "REPO_PROFILE.json").read_text())["commands"]["test"] == "unknown"
    (root / ".venv/lib/python3.11/site-packages/pytest-8.3.0.dist-info").mkdir()
    helpers.run_cli("detect", "--write", cwd=root)
    written = json.loads((root / "REPO_PROFILE.json").read_text())["commands"]["test"]
    assert written == ".venv/bin/python -m pytest"


@pytest.mark.real
def test_the_repositorys_own_tests_are_run_when_nothing_declares_them(tmp_path):
    case = build(
        tmp_path / "repo", {"tests/test_tasks.py": "def test_sum():\n    assert 1 + 1 == 2\n"}
    )
    case.consent = lambda plan: True
    result = examine("validate", case)
    assert (result.status, result.grade) == ("passed", "executed")
    assert result.evidence[0].path.endswith("-m pytest")


def test_a_required_check_that_is_none_blocks(tmp_path):
    chosen, findings = planned(
        tmp_path / "repo", profile(quality_bar={"required_checks": ["lint"]})
    )
    assert chosen == {}
    assert [(f.rule, f.severity) for f in findings] == [("validate.required-missing", "blocker")]


def test_nothing_declared_is_not_applicable_and_said(tmp_path):
    result = examine("validate", build(tmp_path / "repo", {"tests/test_tasks.py": GONE}))
    assert (result.status, result.grade) == ("not_applicable", None)
    assert has(result, "validate.none")


def test_nothing_runs_without_consent(tmp_path):
    marker = {"Makefile": "test:\n\ttouch ran\n"}
    case = build(tmp_path / "repo", marker)
    result = examine("validate", case)
    assert rules(result) == ["validate.no-consent"]
    assert not (case.root / "ran").exists()
    assert "make test" in result.next[0].detail


def agreed(root, makefile):
    case = build(root, {"Makefile": makefile})
    case.consent = lambda plan: True
    return examine("validate", case)


def test_a_command_that_passes_is_executed_evidence(tmp_path):
    result = agreed(tmp_path / "repo", "test:\n\t@echo fine\n")
    assert (result.status, result.grade) == ("passed", "executed")
    assert result.evidence[0].detail["exit_code"] == 0


@pytest.mark.real
def test_a_command_that_fails_shows_its_last_line(tmp_path):
    result = agreed(tmp_path / "repo", "lint:\n\t@echo 'one error' && exit 3\n\ntest:\n\ttrue\n")
    assert rules(result) == ["validate.lint-failed"]
    assert finding(result, "validate.lint-failed").path == "Makefile"


@pytest.mark.real
def test_a_command_that_changes_tracked_files_fails(tmp_path):
    result = agreed(tmp_path / "repo", "lint:\n\t@echo x >> requirements.txt\n\ntest:\n\ttrue\n")
    assert finding(result, "validate.changed-files").path == "requirements.txt"
    assert result.status == "failed"
