"""What a verification rests on besides the commit: skillrun's own files, the environments, and one
yes for all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

import skillrun
from skillrun.core.verdict import Severity
from skillrun.repo.git import open_repo
from skillrun.reports.watchers import Silent
from skillrun.validations.consent import Consent, Question
from skillrun.wall.checkout import find_environments
from skillrun.wall.surroundings import Surroundings
from skillrun.wall.verification import Gaming, Verification
from skillrun.wall.verify import Ask, verify

SITE = "lib/python3.11/site-packages"
ENVIRONMENT = {
    "pyvenv.cfg": "home = /usr/bin\n",
    "bin/python": "#!/bin/sh\n",
    f"{SITE}/celery.pth": "import celery\n",
    f"{SITE}/celery/app.py": "X = 1\n",
    f"{SITE}/celery/__pycache__/app.cpython-311.pyc": "1",
}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    helpers.write_files(tmp_path / "env", ENVIRONMENT)
    return tmp_path / "env"


def describe_changes(around: Surroundings) -> list[str]:
    found = list(around.find_changes())
    assert {finding.severity for finding in found} <= {Severity.ERROR}
    assert {finding.rule for finding in found} <= {"verify.not-the-commit"}
    return [finding.message for finding in found]


def set_back(path: Path, text: str) -> None:
    """As long as before, and as old."""
    seen = path.stat()
    path.write_text(text)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.mark.parametrize(
    ("path", "change"),
    (
        (f"{SITE}/x.pth", lambda path: path.write_text("import os; os._exit(0)\n")),
        (f"{SITE}/sitecustomize.py", lambda path: path.write_text("")),
        (f"{SITE}/celery.pth", lambda path: path.write_text("import other!\n")),
        (f"{SITE}/celery/app.py", lambda path: set_back(path, "X = 2\n")),
        (f"{SITE}/celery/fast.so", lambda path: path.write_text("")),
        (f"{SITE}/celery/app.py", lambda path: path.unlink()),
        ("bin/python", lambda path: path.write_text("#!/bin/sh\nexit 0\n")),
        ("bin/pytest", lambda path: path.write_text("#!/bin/sh\n")),
        ("pyvenv.cfg", lambda path: path.write_text("home = /tmp\n")),
    ),
)
def test_a_change_of_an_environment_is_named(
    path: str, change: Callable[[Path], Any], environment: Path
) -> None:
    around = Surroundings({".venv": environment})
    assert describe_changes(around) == []
    change(environment / path)
    (said,) = describe_changes(around)
    assert said.startswith(f".venv/{path} ")


@pytest.mark.real
def test_files_that_another_environment_shares_may_get_or_lose_a_link(environment: Path) -> None:
    """As where uv links them out of its cache."""
    app = environment / SITE / "celery/app.py"
    cached, other = environment.parent / "cached.py", environment.parent / "other.py"
    os.link(app, cached)
    around = Surroundings({".venv": environment})
    os.link(app, other)
    assert describe_changes(around) == []
    cached.unlink()
    other.unlink()
    assert describe_changes(around) == []
    os.link(app, other)
    set_back(app, "X = 2\n")
    assert describe_changes(around) == [
        f".venv/{SITE}/celery/app.py changed while this was verified"
    ]


def test_what_interpreters_and_installers_leave_is_no_change(environment: Path) -> None:
    around = Surroundings({".venv": environment})
    left = (
        f"{SITE}/pip.log",
        "share/doc.txt",
        f"{SITE}/celery/locale.json",
    )
    helpers.write_files(environment, dict.fromkeys(left, "x\n"))
    (environment / SITE / "celery.pth").write_text("import celery\n")  # installed again
    assert describe_changes(around) == []


@pytest.mark.real
def test_bytecode_that_came_meanwhile_is_removed(environment: Path) -> None:
    """A .pyc with the right time and size is run in its module's place. What was there stays."""
    folder = environment / SITE / "celery/__pycache__"
    (folder / "kept.cpython-311.pyc").write_text("1")
    around = Surroundings({".venv": environment})
    set_back(folder / "app.cpython-311.pyc", "2")
    (folder / "tasks.cpython-311.pyc").write_text("1")
    assert describe_changes(around) == []
    assert [path.name for path in folder.iterdir()] == ["kept.cpython-311.pyc"]


@pytest.mark.real
def test_bytecode_of_skillruns_own_is_removed() -> None:
    around = Surroundings({})
    planted = Path(skillrun.__file__).parent / "core/__pycache__/planted.cpython-311.pyc"
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(b"")
    try:
        assert list(around.find_changes()) == []
        assert not planted.exists()
    finally:
        planted.unlink(missing_ok=True)


@pytest.mark.real
@pytest.mark.parametrize("packages", ["lib/python3.11/site-packages", "lib/python3/dist-packages"])
def test_a_python_of_the_system_is_watched(packages: str, tmp_path: Path) -> None:
    """As in a container, where nobody makes an environment."""
    usr = tmp_path / "usr"
    helpers.write_files(usr, {"bin/python3": "", f"{packages}/celery/app.py": "X = 1\n"})
    found = find_environments(tmp_path / "repo", (str(usr / "bin/python3"),))
    assert usr in found.values()
    around = Surroundings({"usr": usr})
    set_back(usr / packages / "celery/app.py", "X = 2\n")
    assert describe_changes(around) == [
        f"usr/{packages}/celery/app.py changed while this was verified"
    ]


def test_without_a_look_nothing_is_a_success() -> None:
    unseen = Verification("c" * 40, "main", (), Gaming("b" * 40, "main"))
    assert [str(finding.severity) for finding in unseen.gaming.all_findings] == ["error"]
    assert unseen.exit_code != 0


# -- the whole verification


def own_copy(folder: Path) -> Path:
    """skillrun as somebody installed it where the tests can write."""
    for name in ("skillrun", "schemas", "skills", "ledger"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(helpers.ROOT / name, folder / name, ignore=ignored)
    shutil.copy(helpers.ROOT / "pyproject.toml", folder)
    return folder


def verify_with_copy(repo: Path, copy: Path) -> tuple[int, dict[str, Any], str]:
    out = repo.parent / "out.json"
    env = {**helpers.clean_env(repo.parent / "home"), "PYTHONPATH": str(copy)}
    command = [
        sys.executable,
        "-m",
        "skillrun",
        "verify",
        "--ci",
        "--format",
        "json",
        "--output",
        str(out),
    ]
    done = subprocess.run(
        command, cwd=repo, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(out.read_text()), done.stdout


def write_test(repo: Path, text: str) -> None:
    helpers.git(repo, "checkout", "--quiet", "-b", "feature")
    helpers.write_files(repo, {"tests/test_more.py": text})
    helpers.commit(repo, "Another test")


@pytest.mark.real
def test_a_test_that_takes_the_looks_away_is_found_out(tmp_path: Path) -> None:
    """Its branch deletes a test, too: the looks are made before anything of it runs."""
    copy, repo = own_copy(tmp_path / "own"), shops.shop(tmp_path / "repo")
    registry = copy / "skillrun" / "wall" / "gaming" / "registry.py"
    shown = repo / "tests" / "test_send_receipt.py"
    shown.write_text(shown.read_text().partition("\n\ndef test_two_orders")[0])
    write_test(
        repo,
        f"def test_more():\n    with open({str(registry)!r}, 'a') as file:\n       "
        " file.write('LOOKS = ()')\n",
    )
    code, document, text = verify_with_copy(repo, copy)
    assert code == 1
    assert "gaming.deleted-test" in {finding["rule"] for finding in document["gaming"]["findings"]}
    assert "skillrun/wall/gaming/registry.py changed" in text
    assert "[error: verify.own-code-changed]" in text


@pytest.mark.real
def test_a_copy_that_nobody_writes_to_is_fine(tmp_path: Path) -> None:
    copy, repo = own_copy(tmp_path / "own"), shops.shop(tmp_path / "repo")
    write_test(repo, "def test_more():\n    pass\n")
    code, document, _ = verify_with_copy(repo, copy)
    assert (code, document["outcome"]) == (0, "success")


class Person(Silent):
    """Somebody at a terminal."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.questions: list[Question] = []

    def may_run(self, question: Question) -> str | None:
        self.questions.append(question)
        return self.answer


@pytest.fixture
def two_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in helpers.clean_env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    repo = shops.shop(tmp_path / "repo")
    second = (repo / shops.SPEC).read_text().replace("job: send-receipt", "job: second")
    helpers.write_files(repo, {".skillrun/jobs/z-second.yaml": second.encode()})
    helpers.commit(repo, "Second")
    write_test(repo, "def test_more():\n    pass\n")
    return repo


@pytest.mark.real
def test_a_person_is_asked_once_for_all_of_it(two_jobs: Path) -> None:
    person = Person("terminal")
    found = verify(Ask(two_jobs), person)
    assert [job.outcome for job in found.jobs] == ["success", "success"]
    assert found.tests is not None
    assert found.tests.head is not None
    (question,) = person.questions
    assert {"make lint", "python -m pytest"} <= {
        line for plan in question.plans for line in plan.commands
    }
    assert "skillrun-verify-" not in str(question)


@pytest.mark.real
def test_a_no_is_a_no_for_all_of_it(two_jobs: Path) -> None:
    person = Person(None)
    found = verify(Ask(two_jobs), person)
    assert len(person.questions) == 1
    assert found.outcome == "blocked"
    assert found.tests is not None
    assert found.tests.missing is not None


@pytest.mark.real
def test_who_has_agreed_to_this_head_is_not_asked(two_jobs: Path) -> None:
    Consent(open_repo(two_jobs)).give("terminal")
    person = Person(None)
    assert verify(Ask(two_jobs), person).outcome == "success"
    assert person.questions == []


@pytest.mark.real
def test_what_one_job_leaves_in_the_environment_is_found_out(tmp_path: Path) -> None:
    """The validations of the first job would decide what the proofs and counts after it see."""
    script = (
        "import pathlib\npathlib.Path('.venv/lib/python3.11/site-packages/x.pth').write_text('')\n"
    )
    repo = shops.shop(
        tmp_path / "repo", makefile=f"lint:\n\t{sys.executable} spoil.py\n\ntest:\n\ttrue\n"
    )
    helpers.write_files(repo / ".venv", {f"{SITE}/a.py": "", "pyvenv.cfg": ""})
    write_test(repo, "def test_more():\n    pass\n")
    helpers.write_files(repo, {"spoil.py": script})
    helpers.commit(repo, "Lint")
    done = helpers.run_cli("verify", "--ci", cwd=repo, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f".venv/{SITE}/x.pth came into being while this was verified" in done.stdout
    assert "[error: verify.not-the-commit]" in done.stdout
