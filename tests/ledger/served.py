"""What the tests of `skillrun ledger serve` share: the real command on a free port, and questions
to it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exported
import helpers
import ledgers

from skillrun.ledger.store import Ledger

SCRIPT = "<script>document.title='hacked'</script>"
IMAGE = "<img src=x onerror=\"document.title='hacked'\">"


@dataclass(frozen=True)
class Served:
    """A running server."""

    port: int
    process: subprocess.Popen[str]

    def ask(
        self, path: str, method: str = "GET", host: str | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers; redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Host": host or f"127.0.0.1:{self.port}"})
            answer = connection.getresponse()
            return (
                answer.status,
                answer.read().decode(),
                {k.lower(): v for k, v in answer.getheaders()},
            )

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The rows of a table or a query."""
        status, body, _ = self.ask(path)
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found


def command(ledger: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", "skillrun", "ledger", "serve", "--ledger", str(ledger), *args]


@contextlib.contextmanager
def served(ledger: Path, folder: Path | None = None) -> Iterator[Served]:
    """The command at work on a free port, in a folder."""
    process = subprocess.Popen(
        command(ledger, "--port", "0"),
        cwd=folder or ledger.parent,
        env=helpers.clean_env(ledger.parent / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    try:
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ ", line)
        assert found, line + (process.communicate()[1] if process.poll() is not None else "")
        yield Served(int(found[1]), process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def filled(path: Path) -> list[str]:
    """An honest run, one with two invocations, and one whose names are attacks."""
    attacks = {
        "job": "javascript:alert(1)",
        "repo": "javascript:alert(2)//http://x",
        "agent": IMAGE + "\u202e",
    }
    with Ledger.open(path) as ledger:
        honest, plain = exported.fill(ledger), ledgers.fill_run(ledger)
        hostile = exported.fill(ledger, skill=SCRIPT, actor=SCRIPT, actor_kind="agent", **attacks)
    return [honest, plain, hostile]
