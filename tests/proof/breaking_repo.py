"""A job without any job library, its tests, and what becomes of them when its handler is broken."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers

sys.path.insert(0, str(helpers.ROOT / "tests" / "stages"))

import cases

from skillrun.core.verdict import StageResult
from skillrun.skills.job_worker.job_case import JobCase

CODE = {
    "shop/__init__.py": "",
    "shop/mailer.py": """
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...

        def send(order_id, email, *, idempotency_key):
            raise AssertionError("a test reached the real mailer")
        """,
    "shop/tasks.py": '''
        from shop import mailer

        def send_receipt(order_id, email):
            """Emails one receipt."""
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            return "sent"
        ''',
    "shop/running.py": """
        from shop import mailer

        def run(task, *args, attempts=3):
            for _ in range(attempts):
                try:
                    return task(*args)
                except mailer.Unavailable:
                    continue
                except Exception:
                    break
            return "dead"
        """,
    "tests/conftest.py": """
        import pytest
        from shop import mailer

        class Mail:
            def __init__(self):
                self.calls, self.outbox, self.failures = 0, [], []
            def send(self, order_id, email, *, idempotency_key):
                self.calls += 1
                if self.failures:
                    raise self.failures.pop(0)
                self.outbox.append(idempotency_key)

        @pytest.fixture
        def mail(monkeypatch):
            mail = Mail()
            monkeypatch.setattr(mailer, "send", mail.send)
            return mail
        """,
}
HEAD = (
    "from shop import mailer\nfrom shop.running import run\nfrom shop.tasks import send_receipt\n\n"
)
HAPPY = """
def test_happy(mail):
    assert run(send_receipt, 7, "a") == "sent"
    assert mail.outbox == ["receipt-7"]
"""
RETRYABLE = """
def test_retryable(mail):
    mail.failures = [mailer.Unavailable("down")]
    assert run(send_receipt, 7, "a") == "sent"
    assert mail.calls == 2
"""
TERMINAL = """
def test_terminal(mail):
    mail.failures = [mailer.BadAddress("a")] * 9
    assert run(send_receipt, 7, "a") == "dead"
    assert mail.calls == 1
"""


def case(
    root: Path,
    *tests: str,
    files: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> JobCase:
    """The job with these tests, ready to be run."""
    every = {**CODE, "tests/test_tasks.py": HEAD + "".join(tests), **(files or {})}
    made = cases.build(root, every, changes, alone=True)
    made.clean, made.consent = True, lambda plan: True
    return made


def tried(root: Path, *tests: str, **more: Any) -> StageResult:
    """What the stage tests says of it."""
    return cases.examine("tests", case(root, *tests, **more))


def breaks(result: StageResult) -> dict[str, str]:
    """Break -> what became of it."""
    found: dict[str, str] = result.facts["breaks"]
    return found


def rule(result: StageResult, name: str) -> Any:
    return cases.finding(result, name)


rules = cases.rules
