"""Odd moments: a first invocation that is still at work, a folder that is not UTF-8, a full disk
behind stdout.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import helpers
import pytest
from shops import SKILL, asked, events, ledger_of, report, run, shop

SLOW = "lint:\n\ttrue\n\ntest:\n\tsleep 60\n"


@pytest.mark.real
def test_status_shows_the_stages_of_an_invocation_at_work_and_of_one_that_died(
    tmp_path: Path,
) -> None:
    repo = shop(tmp_path / "shop", makefile=SLOW)
    command = [sys.executable, "-m", "skillrun", "run", SKILL, "--trust"]
    env = helpers.clean_env(tmp_path / "shop.home")
    with subprocess.Popen(command, cwd=repo, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            seen = _wait_for_stages(repo, 8)
        finally:
            process.send_signal(signal.SIGKILL)
    assert [stage["status"] for stage in seen["stages"]] == ["passed"] * 8
    dead = asked(repo, "status", code=1)
    assert dead["open_invocations"] == 1
    assert "resumes" in dead["next"][0]["detail"]


def _wait_for_stages(repo: Path, count: int) -> dict[str, list[dict[str, str]]]:
    for _ in range(200):
        done = helpers.run_cli("status", "--json", cwd=repo)
        if done.returncode == 1 and done.stdout.count('"step"') >= count:
            import json

            value: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
            return value
        time.sleep(0.1)
    raise AssertionError("the stages were not committed")


@pytest.mark.skipif(
    sys.platform == "darwin", reason="its file system refuses names that are not UTF-8"
)
@pytest.mark.real
def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    built = shop(tmp_path / "shop")
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.move(built, odd)
    assert report(odd, "--trust", code=0)["outcome"] == "success"
    assert asked(odd, "status")["outcome"] == "success"
    assert "\udce9" not in run(odd, code=0)


@pytest.mark.real
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line(finished_shop: Path) -> None:
    env = helpers.clean_env(finished_shop.with_name("repo.home"))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "skillrun", "run", SKILL, "--trust", "--json"],
            cwd=finished_shop,
            env=env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the output cannot be written" in done.stderr


@pytest.mark.real
def test_tests_that_nothing_runs_are_an_open_question(finished_shop: Path) -> None:
    repo = finished_shop
    (repo / "Makefile").unlink()
    (repo / "REPO_PROFILE.json").write_text('{"commands": {"test": "unknown"}}', encoding="utf-8")
    value = report(repo, "--trust", code=3)
    validate = value["stages"][-1]
    assert [f["rule"] for f in validate["findings"] if f["severity"] == "blocker"] == [
        "validate.unknown"
    ]
    (repo / "REPO_PROFILE.json").write_text(
        '{"commands": {"test": "python -m pytest -q tests"}}', encoding="utf-8"
    )
    assert report(repo, "--trust", code=0)["outcome"] == "success"


@pytest.mark.real
def test_a_failed_validation_names_what_failed(finished_shop: Path) -> None:
    failing = (
        "test:\n\t@echo 'collected 2 items'\n\t@echo 'FAILED tests/test_a.py::test_b - assert 1 =="
        " 2'\n\t@exit 1\n"
    )
    (finished_shop / "Makefile").write_text(failing, encoding="utf-8")
    value = report(finished_shop, "--trust", code=1)
    (finding,) = [f for f in value["stages"][-1]["findings"] if f["rule"] == "validate.test-failed"]
    assert "FAILED tests/test_a.py::test_b" in finding["message"]
    assert "make: ***" not in finding["message"]


@pytest.mark.real
def test_a_validation_that_lacks_a_library_asks_for_its_environment(finished_shop: Path) -> None:
    missing = "test:\n\t@python -c 'import not_there_anywhere'\n"
    (finished_shop / "Makefile").write_text(missing, encoding="utf-8")
    value = report(finished_shop, "--trust", code=1)
    (finding,) = [f for f in value["stages"][-1]["findings"] if f["rule"] == "validate.test-failed"]
    assert "activate the environment that has it" in finding["hint"]


def test_a_misspelled_command_is_recognised(tmp_path: Path) -> None:
    done = helpers.run_cli("statsu", cwd=shop(tmp_path / "shop"))
    assert done.returncode == 4
    assert "did you mean: skillrun status" in done.stderr


@pytest.mark.real
def test_an_interrupt_says_so_leaves_no_process_and_resumes(tmp_path: Path) -> None:
    repo = shop(tmp_path / "shop", makefile=SLOW.replace("60", "61.5"))
    env = helpers.clean_env(tmp_path / "shop.home")
    command = [sys.executable, "-m", "skillrun", "run", SKILL, "--trust"]
    process = subprocess.Popen(
        command, cwd=repo, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    _wait_for_stages(repo, 8)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip() == "skillrun: interrupted; the same command resumes"
    assert subprocess.run(["pgrep", "-f", "sleep 61.5"], stdout=subprocess.DEVNULL).returncode == 1
    (repo / "Makefile").write_text("test:\n\ttrue\n", encoding="utf-8")
    assert report(repo, "--trust", code=0)["outcome"] == "success"


def test_an_interrupt_while_a_string_is_executed_ends_with_the_designed_code(
    tmp_path: Path,
) -> None:
    """CPython remembers a Ctrl-C inside `exec("...")`, as in a dataclass; `python -m` would die of
    it at its end.
    """
    (tmp_path / "told.py").write_text(
        "from skillrun import __main__\n"
        "from skillrun.cli import app\n"
        "def interrupted(_):\n"
        "    exec('raise KeyboardInterrupt')\n"
        "app.invoke = interrupted\n"
        "__main__.main(['status'])\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "told"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        130,
        "skillrun: interrupted; the same command resumes\n",
    )


@pytest.mark.real
def test_after_an_interrupt_nothing_is_told_as_it_was_before(tmp_path: Path) -> None:
    """A handler that was written since is not asked for again."""
    repo = shop(tmp_path / "shop", makefile=SLOW.replace("60", "62.5"))
    tasks = repo / "shop/tasks.py"
    written = tasks.read_text()
    tasks.write_text(written.replace("def send_receipt(", "def send_nothing("))
    assert report(repo, "--trust", code=3)["outcome"] == "blocked"
    assert "handler" in stages_of(asked(repo, "next", code=3)["orders"])
    tasks.write_text(written)
    before = len(events(ledger_of(repo), "stage.finished"))
    command = [sys.executable, "-m", "skillrun", "run", SKILL, "--trust"]
    env = helpers.clean_env(tmp_path / "shop.home")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=repo, env=env, stdout=quiet, stderr=quiet) as process:
        for _ in range(300):
            if len(events(ledger_of(repo), "stage.finished")) >= before + 8:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    stands = asked(repo, "status", code=1)
    handler = next(stage for stage in stands["stages"] if stage["id"] == "handler")
    assert (handler["status"], handler["stale"]) == ("passed", False)
    assert stands["next"][0]["action"] == "run"
    assert "handler" not in stages_of(stands["next"])


def stages_of(items: list[dict[str, str]]) -> list[str]:
    return [item["stage"] for item in items]
