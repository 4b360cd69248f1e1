"""Runs the integration test that a scaffold wrote: with a real Redis, without one, and over a
broken handler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helpers
from samples import Combination

from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.services.redis import RedisServer

NOWHERE = "redis://127.0.0.1:1/0"  # a port where nobody listens
NO_POSTGRESQL = "postgresql://127.0.0.1:1/shop"
BREAKS = {"no effect": ("mailer.send(", "dict("), "no memory": ("if not first:", "if False:")}
"""What a handler of the samples does not do any more, once that text is exchanged."""


@contextmanager
def broker_url(framework: str) -> Iterator[str]:
    """A real Redis, or PostgreSQL, on a Unix socket, as the URL that a framework takes."""
    if framework == "procrastinate":
        with tempfile.TemporaryDirectory() as folder, PostgresServer(Path(folder)) as database:
            yield database.url
        return
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        yield f"redis+socket://{server.socket}" if framework == "celery" else server.url


@contextmanager
def database(combination: Combination, folder: Path) -> Iterator[dict[str, str]]:
    """What a repository's environment says of its database: where that is no file, a server of its
    own runs.
    """
    if (combination.framework, combination.store) != ("procrastinate", "django"):
        yield {}
        return
    with PostgresServer(folder / "postgres") as server:
        yield {f"DB_{name.upper()}": value for name, value in server.parts.items()}


def test_file(repo: Path) -> Path:
    """The one integration test of a repository."""
    (found,) = {
        *repo.glob("**/test_send_receipt_integration.py"),
        *repo.glob("**/test_send_receipt_worker.py"),
    }
    return found.relative_to(repo)


test_file.__test__ = False  # type: ignore[attr-defined]


def outcome(repo: Path, url: str) -> str:
    """passed | skipped | failed, and the reason or the output behind it."""
    path = test_file(repo)
    command = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(path)]
    if (repo / "manage.py").exists():
        command = ["manage.py", "test", "-v", "2", ".".join(path.with_suffix("").parts)]
    env = helpers.clean_env(
        repo.parent / "home", PYTHONDONTWRITEBYTECODE="1", PATH=os.environ["PATH"]
    )
    env |= dict.fromkeys(("REDIS_URL", "QUEUE_URL"), url)
    done = subprocess.run(
        [sys.executable, *command], cwd=repo, env=env, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    if done.returncode:
        return f"failed: {said[-1500:]}"
    reason = next((line for line in said.splitlines() if "cannot be reached" in line), None)
    return f"skipped: {reason}" if reason else "passed"


def wrong_over_broker(repo: Path, framework: str) -> list[str]:
    """What is wrong with the integration test: it passes, is skipped with a line that says why, and
    can fail.
    """
    tasks = repo / "shop" / "tasks.py"
    text = tasks.read_text()
    nowhere = NO_POSTGRESQL if framework == "procrastinate" else NOWHERE
    expected = [("no broker", nowhere, text, "skipped")]
    with broker_url(framework) as url:
        expected.append(("a broker", url, text, "passed"))
        for name, (old, new) in BREAKS.items():
            expected += [(name, url, text.replace(old, new), "failed")] if old in text else []
        seen = []
        for name, where, code, wanted in expected:
            tasks.write_text(code)
            seen.append((name, wanted, outcome(repo, where)))
    tasks.write_text(text)
    return [
        f"{name}: not {wanted}, but {got}"
        for name, wanted, got in seen
        if not got.startswith(wanted)
    ]
