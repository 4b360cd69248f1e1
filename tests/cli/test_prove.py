"""`skillrun prove` as a process: verdicts and exit codes, consent, replay, list, the written test,
and interruption.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import helpers
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "proof"))

import fixtures_repos
from plain_job import JOBS, SPEC, plain_repo

TOUCHY = JOBS.replace("if db.execute", "if False and db.execute").replace(
    'f"order-{order_id}"', "str(time.time())"
)


def prove(
    repo: Path, *args: str | Path, code: int, **options: Any
) -> subprocess.CompletedProcess[str]:
    done = helpers.run_cli("prove", *args, cwd=repo, **options)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def document(repo: Path, *args: str | Path, code: int) -> dict[str, Any]:
    done = prove(repo, *args, "--json", code=code)
    assert done.stderr == ""
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.real
def test_the_shop_is_proved(tmp_path: Path) -> None:
    repo = fixtures_repos.example_shop(tmp_path / "repo")
    value = document(repo, "--trust", code=0)
    assert value["verdict"] == "proved"
    assert value["library"].startswith("celery 5")
    assert value["schedules"]["total"] > 100
    assert helpers.git(repo, "status", "--short") == ""


@pytest.mark.real
def test_a_handler_that_repeats_itself_is_refuted(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs=TOUCHY)
    shown = prove(repo, "--trust", "--schedule", "redeliver", code=1).stdout
    assert "send took place under another key" in shown
    assert "refuted: handle-order" in shown
    value = document(repo, "--schedule", "redeliver", code=1)  # --trust was kept for this content
    assert value["given"]["schedule"] == "redeliver"
    assert value["witnesses"][0]["replay"] == "skillrun prove --schedule redeliver"


@pytest.mark.real
def test_one_schedule_proves_nothing_in_the_document_either(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    value = document(repo, "--trust", "--schedule", "once", code=0)
    assert value["verdict"] == "holds"
    assert {one["verdict"] for one in value["properties"].values()} == {"holds"}


def test_a_written_test_cannot_say_what_is_set(tmp_path: Path) -> None:
    words = ("jobs:handle", "--pytest", "test_x.py", "--set", "retry.max_attempts=3")
    said = prove(tmp_path, *words, code=2).stderr
    assert "--set retry.max_attempts: a test without a spec cannot say it" in said


@pytest.mark.real
def test_nothing_runs_before_somebody_agrees(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    said = prove(repo, code=3).stderr
    assert "python schema.py" in said
    assert "jobs:handle   under fault injection" in said
    assert "--trust" in said
    prove(repo, "--trust", "--list", code=0)
    prove(repo, "--list", code=0)
    helpers.write_files(repo, {"jobs.py": JOBS + "\n# another\n"})
    prove(repo, "--list", code=3)


@pytest.mark.real
def test_the_list_names_boundaries_and_schedules(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    shown = prove(repo, "--trust", "--list", code=0).stdout
    assert "before:send#1" in shown
    assert "jobs.py:24" in shown
    assert "kill@after:send#1" in shown


@pytest.mark.real
def test_source_roots_are_found(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    (repo / "service" / "src").mkdir(parents=True)
    (repo / "jobs.py").rename(repo / "service" / "src" / "jobs.py")
    helpers.commit(repo)
    shown = prove(repo, "--trust", "--list", code=0).stdout
    assert "service/src/jobs.py:24" in shown


@pytest.mark.real
def test_a_regression_test_is_written_and_runs(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs=TOUCHY)
    shown = prove(
        repo, "--trust", "--schedule", "redeliver", "--pytest", "test_again.py", code=1
    ).stdout
    assert "written: test_again.py" in shown
    assert 'schedule="redeliver"' in (repo / "test_again.py").read_text()
    prove(repo, "--trust", "--pytest", "test_again.py", code=2)


MISUSES: dict[str, tuple[tuple[str, ...], str]] = {
    "schedule": (("--schedule", "kill@email"), "cannot read 'kill@email'"),
    "poison": (("--schedule", "poison=3"), "proof.poison has no payload 3"),
    "job": (("--schedule", "job=99"), "no such job: 99"),
    "error": (("--schedule", "raise=Nope@before:send#1"), "Nope is not in failures"),
    "caller": (("--schedule", "caller-kill@before:publish#1"), "needs enqueue in the spec"),
    "list": (("--list", "--schedule", "once"), "--list runs no schedule"),
    "folder": (("--pytest", "no/such/test_x.py"), "there is no such folder"),
    "set": (("--set", "novalue"), "no ="),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(name: str, tmp_path: Path) -> None:
    args, said = MISUSES[name]
    assert said in prove(plain_repo(tmp_path / "repo"), "--trust", *args, code=2).stderr


MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "no handler": ({"handler": None}, "the spec names no handler"),
    "unknown handler": ({"handler": "jobs:nope"}, "jobs.py has no nope"),
    "unknown module": ({"handler": "nope:handle"}, "there is no module nope"),
    "no example": ({"payload": {"type": "object"}}, "payload.examples is empty"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_blocks(name: str, tmp_path: Path) -> None:
    fields, said = MISSING[name]
    spec = {key: value for key, value in {**SPEC, **fields}.items() if value is not None}
    repo = plain_repo(tmp_path / "repo")
    helpers.write_files(repo, {".skillrun/jobs/handle-order.yaml": json.dumps(spec)})
    assert said in prove(repo, "--trust", code=3).stderr


def test_no_spec_and_no_repository(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "empty", {"a.py": ""})
    assert "there is no job spec" in prove(repo, code=3).stderr
    (tmp_path / "plain").mkdir()
    prove(tmp_path / "plain", code=4)


@pytest.mark.real
def test_a_handler_that_does_not_import_is_incomplete_in_its_own_words(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", was="import os", becomes="import os, no_such_module")
    value = document(repo, "--trust", code=3)
    assert value["verdict"] == "incomplete"
    assert (
        value["incomplete"][0]["message"]
        == "ModuleNotFoundError: No module named 'no_such_module' (jobs.py:2)"
    )
    assert value["incomplete"][0]["hint"]


# -- interrupted


def descendants(pid: int) -> dict[int, bytes]:
    """Process -> its environment, of all that came of one."""
    found: dict[int, bytes] = {}
    known = {pid}
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda p: int(p.name)):
        try:
            parent = int((path / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if parent in known:
                known.add(int(path.name))
                found[int(path.name)] = (path / "environ").read_bytes()
        except OSError:
            continue
    return found


def is_alive(pid: int, environment: bytes) -> bool:
    try:
        return bool(environment) and Path(f"/proc/{pid}/environ").read_bytes() == environment
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
@pytest.mark.real
def test_an_interrupted_proof_leaves_no_process_and_no_folder(
    number: signal.Signals, tmp_path: Path
) -> None:
    call = "send(order_id, key=f"
    repo = plain_repo(tmp_path / "repo", was=call, becomes=f"while True: pass\n            {call}")
    process = subprocess.Popen(
        [sys.executable, "-m", "skillrun", "prove", "--trust"],
        cwd=repo,
        env=helpers.clean_env(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started: dict[int, bytes] = {}
    deadline = time.monotonic() + 30
    while b"HOME=" not in b"".join(started.values()) or len(started) < 6:
        assert time.monotonic() < deadline
        assert process.poll() is None
        started |= descendants(process.pid)
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    homes = {
        Path(os.fsdecode(word[5:])).parent
        for environment in started.values()
        for word in environment.split(b"\0")
        if word.startswith(b"HOME=") and b"skillrun-" in word
    }
    assert process.returncode == 130
    assert "interrupted; the same command begins again" in said
    assert homes
    assert [folder for folder in homes if folder.exists()] == []
    assert [pid for pid, environment in started.items() if is_alive(pid, environment)] == []
