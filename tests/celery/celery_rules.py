"""What the tests of Celery's static rules share: code that is right, and checks in pairs."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery_repo import findings, open_shop

from skillrun.core.verdict import Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = """\
from datetime import datetime, timedelta
from celery import shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from shop import mailer
from shop.celery import app
"""
PLAIN = "@app.task\ndef send_receipt(order_id):\n    mailer.send(order_id)\n"
LATE = PLAIN.replace("@app.task", "@app.task(acks_late=True)")
Check = Callable[..., None]


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    """`check_finds(rule, tasks, severity, "words of the message", line=..., spec=..., broker=...,
    module=text)`.
    """
    numbers = itertools.count()

    def check(
        rule: str,
        tasks: str,
        severity: Severity,
        words: str,
        *,
        line: str | None = None,
        spec: Any = None,
        **files: str,
    ) -> None:
        shop = open_shop(tmp_path / f"r{next(numbers)}", HEAD + textwrap.dedent(tasks), **files)
        found = findings(shop, rule, spec)
        assert found, f"{rule} found nothing"
        (finding,) = found
        assert finding.rule == f"celery.{rule}"
        assert finding.severity == severity, finding
        assert words in finding.message
        assert finding.path is not None
        module = shop.project.module(finding.path)
        assert module is not None
        if line is not None:
            assert module.line_text(finding.line or 0) == line

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    """The same code without the mistake."""
    numbers = itertools.count()

    def check(rule: str, tasks: str, *, spec: Any = None, **files: str) -> None:
        shop = open_shop(tmp_path / f"i{next(numbers)}", HEAD + textwrap.dedent(tasks), **files)
        assert findings(shop, rule, spec) == []

    return check


def orders(body: str, head: str = "") -> str:
    return (
        f"from datetime import timedelta\nfrom shop.tasks import send_receipt\n{head}\ndef"
        " settle(order_id):\n" + textwrap.indent(textwrap.dedent(body).strip("\n") + "\n", "    ")
    )


def task(body: str, options: str = "bind=True") -> str:
    text = textwrap.indent(textwrap.dedent(body).strip("\n") + "\n", "    ")
    return f"@app.task({options})\ndef send_receipt(self, order_id):\n{text}"
