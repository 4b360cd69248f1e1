"""On a terminal, a real pseudo-terminal here: stages in colour, lines that fit, and a question that
waits for yes.
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import sys
import time
from pathlib import Path

import foreign_repos
import helpers
import pytest
import shops
from rows import real_but

termios = pytest.importorskip("termios")
fcntl = pytest.importorskip("fcntl")
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def at_terminal(
    repo: Path, *args: str, answer: str | None = None, columns: int = 80
) -> tuple[int, str]:
    """(exit code, all that was written to a terminal of so many columns); answers every
    question.
    """
    env = helpers.clean_env(
        repo.with_name("repo.home"), TERM="xterm-256color", COLUMNS=str(columns)
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(repo)
        os.execve(sys.executable, [sys.executable, "-m", "skillrun", *args], env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    seen, answered, deadline = b"", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if answer is not None and seen.count(b"[y/N]") > answered:
            os.write(terminal, answer.encode() + b"\n")
            answered += 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode("utf-8", "replace")


def plain(text: str) -> str:
    return SEQUENCE.sub("", text)


ANSWERS = {"y": 0, "yes": 0, "": 3, "no": 3}


@pytest.mark.real
@pytest.mark.parametrize("answer", real_but(ANSWERS, "no"))
def test_a_person_is_asked_before_anything_runs(answer: str, tmp_path: Path) -> None:
    code = ANSWERS[answer]
    repo = shops.shop(tmp_path / "repo", makefile="test:\n\techo run >> ../runs\n")
    ended, text = at_terminal(repo, shops.SKILL, answer=answer)
    assert ended == code, text
    assert "make test" in plain(text)
    assert plain(text).count("Run them? [y/N]") == 1
    assert "at commit" in plain(text)
    assert "-m pytest" in plain(text)
    assert repo.with_name("runs").exists() == (code == 0)
    given = shops.events(shops.ledger_of(repo), "consent.given")
    assert [event["data"]["how"] for event in given] == (["terminal"] if code == 0 else [])
    (row,) = shops.telemetry(shops.ledger_of(repo))
    assert row["actor_kind"] == "human"


@pytest.mark.real
def test_colours_and_lines_that_fit(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo", "1-idempotency-unknown", "2-permanent-error-retried")
    code, text = at_terminal(repo, shops.SKILL, columns=80)
    assert code == 3
    assert "\x1b[32m" in text
    assert "\x1b[31m" in text
    assert "\x1b[33m" in text
    lines = [line.rpartition("\r")[2] for line in plain(text).replace("\r\n", "\n").split("\n")]
    assert max(map(len, lines)) <= 80


@pytest.mark.real
def test_an_unchanged_run_is_shown_in_colour_too(finished_shop: Path) -> None:
    for args in (["status"], [shops.SKILL]):
        code, text = at_terminal(finished_shop, *args)
        assert code == 0
        assert "\x1b[32m" in text
    assert "cached" in plain(text)


@pytest.mark.real
def test_a_person_allows_a_working_tree_and_its_agents(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo", makefile="test:\n\techo run >> ../runs\n")
    code, text = at_terminal(repo, "trust", "--agents", answer="y")
    assert code == 0, text
    assert "make test" in plain(text)
    assert "agents may say --trust here" in plain(text)
    assert not repo.with_name("runs").exists()
    agent = {"CLAUDECODE": "1"}
    shops.run(repo, code=0, env=agent)
    helpers.git(repo, "checkout", "--quiet", "--orphan", "other")
    helpers.commit(repo, "From nowhere")
    shops.run(repo, "--trust", code=0, env=agent)


def test_a_person_who_says_no_has_allowed_nothing(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    code, text = at_terminal(repo, "trust", "--agents", "--agent-waivers", answer="n")
    assert code == 3, text
    assert not (repo.with_name("repo.home") / "state" / "consent").exists()


@pytest.mark.real
def test_a_person_attests_what_no_script_can(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", foreign_repos.BAKERY)
    evidence = "app/jobs/charge_order_job.rb"
    options = ("--attest", "idempotency=read it", "--evidence", f"idempotency={evidence}")
    code, text = at_terminal(repo, shops.SKILL, *options, columns=200)
    assert code == 3, text
    assert "attested: read it" in plain(text)
