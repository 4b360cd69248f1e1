"""On a terminal a person is asked once whether skillrun is to write a job whose handler is missing;
nobody else is.
"""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest
import scaffolds
import shops
from scaffolds import HANDLER, STAND_IN, Shop

pytestmark = pytest.mark.real
QUESTION = "Write it now? [y/N]"


def at_terminal(
    shop: Shop, *args: str, answer: str, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """(exit code, all that was written to the terminal); the question about the job gets the
    answer, others a yes.
    """
    surroundings = shop.env(**{"TERM": "xterm", "COLUMNS": "160", **(env or {})})
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shop.root)
        os.execve(sys.executable, [sys.executable, str(STAND_IN), *args], surroundings)
    seen, answered, deadline = b"", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        if seen.count(b"[y/N]") > answered:
            last = seen.rindex(b"[y/N]")
            given = answer if seen[:last].endswith(b"Write it now? ") else "y"
            os.write(terminal, given.encode() + b"\n")
            answered += 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode("utf-8", "replace")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return scaffolds.shop(tmp_path)


def test_yes_writes_the_job(shop: Shop) -> None:
    code, text = at_terminal(shop, shops.SKILL, answer="y")
    assert code == 0, text
    assert text.count(QUESTION) == 1
    assert "skillrun can write this job: handler, store, tests, notes." in text
    assert "writing 2 files" in text
    assert (shop.root / HANDLER).read_text() == shop.write[HANDLER]
    assert len(shop.written) == 1


@pytest.mark.parametrize("answer", ("", "n", "later"))
def test_anything_else_does_not(shop: Shop, answer: str) -> None:
    before = shop.files()
    code, text = at_terminal(shop, shops.SKILL, answer=answer)
    assert code == 3
    assert text.count(QUESTION) == 1
    assert "then again: skillrun job-worker-orchestration" in text
    assert shop.files() == before


@pytest.mark.parametrize(
    ("args", "env"),
    (
        ((), {"CI": "true"}),
        ((), {"CLAUDECODE": "1"}),
        ((), {"SKILLRUN_ACTOR": "agent:mine"}),
        ((), {"TERM": "dumb"}),
        (("--json",), {}),
        (("--implement", "none"), {}),
    ),
)
def test_nobody_else_is_asked(shop: Shop, args: tuple[str, ...], env: dict[str, str]) -> None:
    code, text = at_terminal(shop, shops.SKILL, *args, answer="y", env=env)
    assert code == 3, text
    assert QUESTION not in text


def test_a_pipe_is_not_asked(shop: Shop) -> None:
    done = shop.skillrun(shops.SKILL)
    assert done.returncode == 3
    assert b"[y/N]" not in done.stdout + done.stderr


def test_not_while_something_is_in_the_way(tmp_path: Path) -> None:
    code, text = at_terminal(
        scaffolds.shop(tmp_path, "1-idempotency-unknown"), shops.SKILL, answer="y"
    )
    assert code == 3
    assert QUESTION not in text
