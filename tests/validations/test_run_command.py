"""A repository's command runs in bounded time and memory, and its result can be recorded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skillrun.validations.environment import command_env
from skillrun.validations.run import run_command, run_validations

EMPTY = hashlib.sha256(b"").hexdigest()


def test_output_of_both_streams_is_merged_and_hashed(tmp_path: Path) -> None:
    result = run_command("echo out; echo err >&2", cwd=tmp_path)
    assert (result.exit_code, result.ok, result.started, result.error) == (0, True, True, None)
    assert result.tail == "out\nerr\n"
    assert (result.output_sha256, result.output_size) == (
        hashlib.sha256(b"out\nerr\n").hexdigest(),
        8,
    )
    assert (result.signal, result.timed_out, result.words) == (None, False, "exit 0")


@pytest.mark.parametrize(
    ("command", "exit_code", "signal_number", "words"),
    [
        ("exit 3", 3, None, "exit 3"),
        ("true && false", 1, None, "exit 1"),
        ("kill -SEGV $$", None, 11, "ended by SIGSEGV"),
        ("sh -c 'kill -9 $$'; exit $?", 137, None, "exit 137 (SIGKILL)"),
        ("exit 255", 255, None, "exit 255"),
    ],
)
def test_how_it_ended(
    tmp_path: Path, command: str, exit_code: int | None, signal_number: int | None, words: str
) -> None:
    result = run_command(command, cwd=tmp_path)
    assert (result.exit_code, result.signal, result.words) == (exit_code, signal_number, words)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    result = run_command("no-such-program --x", cwd=tmp_path)
    assert result.exit_code == 127
    assert result.error is not None
    assert "was not found" in result.error
    assert "no-such-program" in result.error


def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "lint.sh").write_text("exit 0\n")
    result = run_command("./lint.sh", cwd=tmp_path)
    assert result.exit_code == 126
    assert "could not be executed" in str(result.error)


def test_a_missing_folder_starts_nothing(tmp_path: Path) -> None:
    result = run_command("echo x", cwd=tmp_path / "gone")
    assert (result.started, result.exit_code, result.output_sha256) == (False, None, EMPTY)
    assert result.error == f"not started: there is no folder {tmp_path / 'gone'}"


def test_a_nul_byte_starts_nothing(tmp_path: Path) -> None:
    result = run_command("echo \0", cwd=tmp_path)
    assert not result.started
    assert "null" in str(result.error)


def test_input_is_empty_and_there_is_no_terminal(tmp_path: Path) -> None:
    result = run_command(
        "cat; (: < /dev/tty) 2>/dev/null && echo terminal || echo none", cwd=tmp_path, timeout_s=20
    )
    assert result.tail == "none\n"


@pytest.mark.real
def test_the_time_limit_ends_a_command_and_its_children_that_ignore_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrun.validations.run.GRACE_S", 0.5)
    command = "trap '' TERM; (trap '' TERM; sleep 51.3) & echo begun; sleep 51.3; sleep 51.3"
    begin = time.monotonic()
    result = run_command(command, cwd=tmp_path, timeout_s=0.4)
    assert time.monotonic() - begin < 20
    assert (result.timed_out, result.ok, result.exit_code) == (True, False, None)
    assert result.words == "ended at its time limit of 0.4 s"
    assert result.tail == "begun\n"


def test_a_clean_end_after_sigterm_is_no_success(tmp_path: Path) -> None:
    result = run_command(
        "trap 'exit 0' TERM; while :; do sleep 0.05; done", cwd=tmp_path, timeout_s=0.3
    )
    assert (result.timed_out, result.ok, result.exit_code) == (True, False, None)


def test_output_that_is_no_utf_8_and_steers_a_terminal_is_shown_safely(tmp_path: Path) -> None:
    result = run_command(
        r"printf '\377\033[31mred\033[0m \033]0;title\007 \342\200\256x \007\n'", cwd=tmp_path
    )
    assert result.tail == "\\xffred  \\u202ex \\x07\n"


def test_secrets_do_not_reach_the_tail(tmp_path: Path) -> None:
    command = r"""echo 'DB_PASSWORD=hunter2'; printf 'token=\033[32mabcdef123\033[0m\n'; echo postgres://u:secret@h/d"""
    tail = run_command(command, cwd=tmp_path).tail
    assert tail == "DB_PASSWORD=[masked]\ntoken=[masked]\npostgres://[masked]@h/d\n"


@pytest.mark.parametrize("fill", range(0, 12_000, 1_999))
def test_a_secret_on_the_border_of_the_tail_does_not_show_by_half(
    tmp_path: Path, fill: int
) -> None:
    script = tmp_path / "say.py"
    script.write_text(
        "print('x' * 9000); print('password=' + 'hunter2-' * 250); print(('y' * 79 + chr(10)) * 40"
        f" + 'z' * {fill})"
    )
    tail = run_command(f"{sys.executable} say.py", cwd=tmp_path, tail_bytes=4_000).tail
    assert "hunter" not in tail
    assert len(tail) <= 4_000
    assert tail.endswith("\n")


def test_only_whole_last_lines_are_kept(tmp_path: Path) -> None:
    result = run_command("seq 100000", cwd=tmp_path, tail_bytes=100)
    lines = result.tail.removeprefix("…").split()
    assert lines == [str(number) for number in range(100_001 - len(lines), 100_001)]
    assert (
        result.output_sha256
        == hashlib.sha256("".join(f"{n}\n" for n in range(1, 100_001)).encode()).hexdigest()
    )


MEASURE = """
import resource, sys
from pathlib import Path
from skillrun.validations.run import run_command
run_command("echo warm", cwd=Path("."))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = run_command(sys.argv[1], cwd=Path("."), on_line=lambda line: None)
print(result.output_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss counts bytes there")
@pytest.mark.parametrize(
    "command", ["yes | head -c 200000000", "head -c 200000000 /dev/zero"], ids=["lines", "one line"]
)
def test_gigabytes_would_not_fill_the_memory(tmp_path: Path, command: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", MEASURE, command]
    run = subprocess.run(
        arguments, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    size, grown_kib = map(int, run.stdout.split())
    assert size == 200_000_000
    assert grown_kib < 8_000


@pytest.mark.real
def test_lines_are_shown_while_it_runs(tmp_path: Path) -> None:
    seen: list[str] = []
    run_command(
        "echo token=abcdef1; sleep 0.3; echo two; sleep 0.3; printf three",
        cwd=tmp_path,
        on_line=seen.append,
    )
    assert seen == ["token=[masked]", "two"]


@pytest.mark.real
def test_two_threads_do_not_take_each_others_children(tmp_path: Path) -> None:
    def run(number: int) -> tuple[int | None, str, int]:
        result = run_command(
            f"(sleep 0.1; exit 9) & setsid sleep 47.3 & sleep 0.2; echo {number}; exit {number}",
            cwd=tmp_path,
        )
        return result.exit_code, result.tail, result.survivors

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(1, 9)))
    survivors = 1 if sys.platform.startswith("linux") else -1
    assert results == [(number, f"{number}\n", survivors) for number in range(1, 9)]


def test_no_file_descriptor_is_left_open_or_handed_down(tmp_path: Path) -> None:
    folder = Path("/dev/fd")
    before = len(list(folder.iterdir()))
    inside = run_command("ls /dev/fd | wc -l", cwd=tmp_path)
    run_command("exit 1", cwd=tmp_path / "gone")
    assert len(list(folder.iterdir())) == before
    assert int(inside.tail) <= 4  # 0, 1, 2 and the listing's own


def test_commands_run_one_after_the_other_also_after_a_failure(tmp_path: Path) -> None:
    begun: list[str] = []
    commands = {"lint": "exit 1", "test": "echo ok"}
    results = dict(
        run_validations(
            commands,
            tmp_path,
            30,
            on_start=lambda name, command: begun.append(f"{name}: {command}"),
        )
    )
    assert begun == ["lint: exit 1", "test: echo ok"]
    assert [(name, result.exit_code) for name, result in results.items()] == [
        ("lint", 1),
        ("test", 0),
    ]


def test_the_environment_is_the_users_without_what_would_mislead(tmp_path: Path) -> None:
    base = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/me",
        "GIT_DIR": "/x",
        "MAKEFLAGS": "n",
        "SKILLRUN_LEDGER": "/l",
    }
    assert command_env(tmp_path, {**base, "GIT_AUTHOR_NAME": "A"}) == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/me",
        "GIT_AUTHOR_NAME": "A",
    }


def test_a_venv_of_the_repository_leads_the_path(tmp_path: Path) -> None:
    for name in ("venv", ".venv"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").symlink_to(sys.executable)
    tool = tmp_path / ".venv" / "bin" / "my-linter"
    tool.write_text("#!/bin/sh\necho from the venv $VIRTUAL_ENV\n")
    tool.chmod(0o755)
    assert run_command("my-linter", cwd=tmp_path).tail == f"from the venv {tmp_path / '.venv'}\n"


def test_the_signals_that_python_ignores_are_as_usual_again(tmp_path: Path) -> None:
    result = run_command("yes 2>&1 | head -n 1; trap", cwd=tmp_path, timeout_s=30)
    assert result.tail == "y\n"
