"""A small shop whose receipts a clock starts, and which every stage passes: one for APScheduler and
the crontab, which add how the job is started, what is due, and how it tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cases
from framework_shop import case_of, edited_file

from skillrun.skills.job_worker.job_case import JobCase

_KEPT = ("shop/__init__.py", "shop/mailer.py", "shop/dead_jobs.py", "shop/schema.sql")
_TESTS = """
from shop import mailer, receipts

def test_happy(outbox):
    receipts.send_receipt(7, "a@example.com")
    assert outbox == ["receipt-7"]

def test_retryable(outbox, mail):
    mail.failures = [mailer.Unavailable("down")]
    receipts.send_receipt(7, "a@example.com")
    assert outbox == ["receipt-7"]

def test_terminal(outbox, mail):
    mail.failures = [mailer.BadAddress("bad")]
    receipts.send_receipt(7, "a@example.com")
    assert outbox == []
"""


class ClockedShop:
    """The files of one library's shop; its job is `shop.receipts:send_receipt`."""

    def __init__(self, schedule: str, own: Mapping[str, str]) -> None:
        kept = {path: cases.FILES[path] for path in _KEPT}
        self.files = {**kept, "tests/test_receipts.py": _TESTS, **own}
        self.spec: dict[str, Any] = {
            "handler": "shop.receipts:send_receipt",
            "trigger": {"type": "cron", "schedule": schedule, "timezone": "UTC"},
        }

    def build(
        self,
        root: Path,
        files: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> JobCase:
        """A case on a real repository: the shop's files and spec, with `files` and parts of the
        spec laid over them.
        """
        return case_of(root, {**self.files, **(files or {})}, {**self.spec, **(spec or {})})

    def edited(self, path: str, old: str, new: str) -> dict[str, str]:
        """One of its files with `old`, which must be in it, replaced."""
        return edited_file(self.files, path, old, new)
