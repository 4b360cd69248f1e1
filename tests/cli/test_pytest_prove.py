"""`pytest --prove` as a process: which jobs are proved, what the session tells, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "proof"))

from plain_job import JOBS, plain_repo

from skillrun.cli.proving_tests.said import FIELDS

FORGETFUL = JOBS.replace("if db.execute", "if False and db.execute").replace(
    'f"order-{order_id}"', "str(time.time())"
)
TESTS = """
    import os
    import unittest
    from unittest import mock

    os.environ.setdefault("APP_DB", "unused.db")

    import jobs


    class Cursor(mock.MagicMock):
        pass


    def handle(order_id):
        with mock.patch("jobs.sqlite3"), mock.patch("jobs.send"):
            jobs.handle(order_id)


    class TestHandle(unittest.TestCase):
        def test_it_sends(self):
            handle(7)


    def test_something_else():
        pass
"""
QUEUED = """
    from celery import shared_task


    @shared_task
    def greet(name):
        pass
"""
UNLIKE = """
    import time

    import requests
    from celery import Celery

    app = Celery("shop")


    def deliver(order_id, idempotency_key):
        requests.post("https://a.example/x", json={"id": order_id}, timeout=3)


    @app.task
    def tell(order_id: int):
        deliver(order_id, idempotency_key=str(time.time()))
    """
REPLAY = ("--prove-job", "jobs:handle", "--prove-schedule", "redeliver")


def run_pytest(root: Path, *args: str, code: int, **env: str) -> str:
    """With the plug-ins that a test is about, whatever else is installed here."""
    plugins = ["skillrun.cli.pytest_plugin", "no:cacheprovider", "anyio.pytest_plugin"]
    if "-n" in args:
        plugins.append("xdist.plugin")
    words = [word for plugin in plugins for word in ("-p", plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *args],
        cwd=root,
        env=helpers.clean_env(root.parent / "home", **env),
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def orders(root: Path, tests: str = TESTS, jobs: str = FORGETFUL) -> Path:
    """A job with a spec, and its test."""
    plain_repo(root, jobs=jobs)
    helpers.write_files(root, {"test_jobs.py": tests})
    helpers.commit(root, "Tests")
    return root


def greetings(root: Path, mark: str) -> Path:
    """A job without a spec, and a test with a mark."""
    test = (
        f"import pytest\nfrom tasks import greet\n\n\n{mark}\ndef test_greets():\n    greet('x')\n"
    )
    return helpers.build_tree(root, {"tasks.py": QUEUED, "test_tasks.py": test})


# -- what is proved, and how it ends


@pytest.mark.real
def test_a_refutation_fails_the_session_and_is_replayed(tmp_path: Path) -> None:
    """The replay runs no test, tells its story, and asks nobody: who runs pytest runs this code."""
    root = orders(tmp_path / "orders")
    said = run_pytest(root, *REPLAY, "--junit-xml", str(tmp_path / "x.xml"), code=1)
    assert "send took place under another key" in said
    assert "pytest --prove-job jobs:handle --prove-schedule redeliver" in said
    assert "refuted    jobs:handle" in said
    assert "1 failed, 2 deselected" in said
    assert 'name="skillrun_verdict" value="refuted"' in (tmp_path / "x.xml").read_text()
    # The answer of one session is nobody's answer for later.
    assert helpers.run_cli("prove", "--schedule", "once", cwd=root).returncode == 3
    assert helpers.git(root, "status", "--short") == ""


@pytest.mark.real
def test_a_schedule_that_holds_is_told_too(tmp_path: Path) -> None:
    root = orders(tmp_path / "orders", jobs=JOBS)
    said = run_pytest(root, *REPLAY, code=0)
    assert "1 passed, 2 deselected" in said
    assert "delivery 2" in said


@pytest.mark.real
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_job_is_proved_behind_its_tests(workers: tuple[str, ...], tmp_path: Path) -> None:
    root = orders(tmp_path / "orders")
    said = run_pytest(root, "--prove", *workers, "-v", code=1)
    assert "1 failed, 2 passed" in said
    assert "REFUTED" in said
    assert "refuted    jobs:handle" in said


@pytest.mark.real
def test_what_a_mark_says_is_no_guess(tmp_path: Path) -> None:
    """Beside a fixture of anyio, whose plug-in is there: a job is none of its tests."""
    mark = '@pytest.mark.job("greet", key="name", payload={"examples": [{"name": "x"}]})'
    root = greetings(tmp_path / "greetings", f"@pytest.mark.anyio\n{mark}")
    said = run_pytest(root, "--prove", "--strict-markers", "-rs", code=0)
    assert "tasks:greet" in said
    assert "payload.examples" not in said


@pytest.mark.real
def test_jobs_that_no_test_reaches_are_named(tmp_path: Path) -> None:
    """Else a green session would seem to speak of them."""
    root = greetings(tmp_path / "greetings", "")
    (root / "test_tasks.py").write_text("def test_nothing():\n    pass\n")
    said = run_pytest(root, "--prove", code=0)
    assert "no test" in said
    assert "tasks:greet" in said
    assert "1 passed" in said


@pytest.mark.real
def test_other_tests_of_the_session_are_no_reason_to_prove(tmp_path: Path) -> None:
    root = orders(tmp_path / "orders")
    said = run_pytest(root, "--prove", "-k", "something_else", code=0)
    assert "1 passed, 1 deselected" in said


# -- beside a baseline


@pytest.mark.real
def test_what_the_baseline_knows_fails_nothing(tmp_path: Path) -> None:
    """What is new does, and what is gone was paid off."""
    root = orders(tmp_path / "orders")
    kept = helpers.run_cli("baseline", "--trust", cwd=root)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "written: .skillrun/baseline.json" in kept.stdout
    file = root / ".skillrun/baseline.json"
    known = json.loads(file.read_text())
    said = run_pytest(root, "--prove", code=1)
    assert ".skillrun/baseline.json is not committed: that of HEAD counts" in said
    helpers.commit(root, "What is known to be wrong")
    said = run_pytest(root, "--prove", code=0)
    assert "1 xfailed" in said
    assert "no new causes; 1 known" in said
    assert f"known: {known['jobs'][0]['causes'][0]['effect'] or 'the job'}: " in said
    assert "known      jobs:handle" in said
    cause = known["jobs"][0]["causes"][0]
    whose, was = cause["effect"] or "the job", cause["cause"]
    cause["cause"] = "another one, which was mended"
    file.write_text(json.dumps(known))
    helpers.commit(root, "Other causes are known")
    said = run_pytest(root, "--prove", code=1)
    assert f"new: {whose}: {was}"[:100] in said
    assert f"paid off: {whose}: another one, which was mended" in said


@pytest.mark.real
def test_a_baseline_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    root = orders(tmp_path / "orders")
    (root / ".skillrun/baseline.json").write_text("{")
    helpers.commit(root, "Half of a baseline")
    said = run_pytest(root, "--prove", code=4)
    assert "ERROR: --prove: .skillrun/baseline.json: " in said


# -- what a person got wrong is one line


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        (
            "@pytest.mark.job('tasks:great')",
            "tasks:great: no job is called so (marked at test_tasks.py::test_greets);"
            " jobs here: tasks:greet",
        ),
        pytest.param(
            "@pytest.mark.job",
            "test_tasks.py::test_greets: the mark job takes a handler",
            marks=pytest.mark.real,
        ),
        pytest.param(
            "@pytest.mark.job('greet', keys=['name'])",
            "the mark job of greet has no keys",
            marks=pytest.mark.real,
        ),
        pytest.param(
            "@pytest.mark.job('greet', key='a')\n@pytest.mark.job('greet', key='b')",
            "two marks say different things of greet: idempotency",
            marks=pytest.mark.real,
        ),
    ],
)
@pytest.mark.parametrize(
    "workers",
    [pytest.param((), id="alone"), pytest.param(("-n", "1"), id="xdist", marks=pytest.mark.real)],
)
def test_a_mark_that_is_wrong(
    mark: str, line: str, workers: tuple[str, ...], tmp_path: Path
) -> None:
    root = greetings(tmp_path / "greetings", mark)
    said = run_pytest(root, "--prove", *workers, code=4)
    assert f"ERROR: {line}" in said


@pytest.mark.real
def test_what_a_spec_says_is_said_there(tmp_path: Path) -> None:
    marked = TESTS.replace(
        "    def test_something",
        '    @__import__("pytest").mark.job("jobs:handle", key="order_id")\n    def test_something',
    )
    said = run_pytest(orders(tmp_path / "orders", marked), "--prove", code=4)
    assert "the job has a spec: say it in .skillrun/jobs/" in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--prove-job", "nope"), "nope: no job is called so; jobs here: jobs:handle"),
        pytest.param(("--prove-schedule", "explode"), "explode", marks=pytest.mark.real),
    ],
)
def test_an_option_that_is_wrong(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    assert line in run_pytest(orders(tmp_path / "orders"), *words, code=4)


@pytest.mark.real
def test_a_folder_without_git(tmp_path: Path) -> None:
    root = helpers.write_files(tmp_path / "plain", {"test_x.py": "def test_x():\n    pass\n"})
    assert "a proof needs a git repository" in run_pytest(root, "--prove", code=4)


# -- what it costs, and whom it leaves alone


@pytest.mark.real
def test_without_the_option_one_module_is_imported(tmp_path: Path) -> None:
    test = """
        import json
        import sys


        def test_x(pytestconfig):
            print("LOADED", json.dumps(sorted(n for n in sys.modules if n.startswith("skillrun"))))
    """
    root = helpers.write_files(tmp_path / "plain", {"test_x.py": test})
    said = run_pytest(root, "-s", code=0)
    (loaded,) = [line for line in said.splitlines() if "LOADED" in line]
    names = json.loads(loaded.partition("LOADED")[2].rstrip("."))
    assert names == ["skillrun", "skillrun.cli", "skillrun.cli.pytest_plugin"]


@pytest.mark.real
def test_tests_that_skillrun_runs_prove_nothing_again(tmp_path: Path) -> None:
    root = orders(tmp_path / "orders")
    said = run_pytest(root, "--prove", code=0, SKILLRUN_NESTED="1")
    assert "2 passed" in said


@pytest.mark.real
def test_a_test_that_prove_writes_without_a_spec_runs_in_a_clone(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"jobs.py": UNLIKE})
    words = ("jobs:tell", "--schedule", "redeliver", "--pytest", "test_again.py", "--trust")
    written = helpers.run_cli("prove", *words, cwd=root)
    assert "written: test_again.py" in written.stdout, written.stdout + written.stderr
    helpers.commit(root, "A test")
    clone = tmp_path / "elsewhere" / "clone"
    helpers.git(root, "clone", "-q", str(root), str(clone))
    said = run_pytest(clone, "test_again.py", code=1)
    assert "refuted: jobs:tell" in said
    assert "another key" in said
    assert "1 skipped" in run_pytest(clone, "test_again.py", code=0, SKILLRUN_NESTED="1")
    helpers.write_files(clone, {"jobs.py": UNLIKE.replace("time.time()", "order_id")})
    assert "1 passed" in run_pytest(clone, "test_again.py", code=0)


def test_a_mark_may_say_every_field_of_a_spec() -> None:
    """But for those that the mark, or the place of a spec, says already; a test is Python's."""
    schema = json.loads((helpers.ROOT / "schemas/job-spec.v1.json").read_text())
    said_otherwise = {"version", "job", "handler", "waivers", "inputs", "language"}
    assert set(FIELDS) == set(schema["properties"]) - said_otherwise


@pytest.mark.real
def test_a_file_of_the_repository_shadows_none_of_ours(tmp_path: Path) -> None:
    root = orders(tmp_path / "orders")
    (root / "yaml.py").write_text("raise SystemExit('shadowed')\n")
    helpers.commit(root, "A module with a common name")
    assert os.path.exists(root / "yaml.py")  # noqa: PTH110
    run_pytest(root, *REPLAY, code=1)
