"""What the tests of every library's rules ask: the mistake is found, and its neighbour is not."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrun.core.verdict import Severity

Check = Callable[..., None]


def make_checks(
    library: str, head: str, open_shop: Callable[..., Any], findings: Callable[..., Any]
) -> tuple[Any, Any]:
    """The fixtures `check_finds` and `check_ignores` of a library, whose tasks begin with `head`.

    `check_finds(rule, tasks, severity, "words of the message", spec=..., FILE=text)`; of
    `check_ignores(rule, tasks, ...)` nothing is found.
    """

    @pytest.fixture
    def check_finds(tmp_path: Path) -> Check:
        numbers = itertools.count()

        def check(
            rule: str, tasks: str, severity: Severity, words: str, *, spec: Any = None, **files: Any
        ) -> None:
            text = head + textwrap.dedent(tasks)
            shop = open_shop(tmp_path / f"r{next(numbers)}", text, **files)
            (finding,) = findings(shop, rule, spec)
            assert (finding.rule, finding.severity) == (f"{library}.{rule}", severity)
            assert words in finding.message
            assert finding.path is not None
            assert finding.line

        return check

    @pytest.fixture
    def check_ignores(tmp_path: Path) -> Check:
        numbers = itertools.count()

        def check(rule: str, tasks: str, *, spec: Any = None, **files: Any) -> None:
            text = head + textwrap.dedent(tasks)
            shop = open_shop(tmp_path / f"i{next(numbers)}", text, **files)
            assert findings(shop, rule, spec) == []

        return check

    return check_finds, check_ignores
