"""How many tests passed and failed, by the lines with which a test runner ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# One pattern for what passed and one for what failed, as each runner writes them.
_RUNNERS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    # node --test and TAP: "# pass 1", "ℹ fail 0"
    (re.compile(r"^[#ℹ]\s+pass\s+(\d+)$", re.M), re.compile(r"^[#ℹ]\s+fail\s+(\d+)$", re.M)),
    # Mocha: "  1 passing (5ms)", "  1 failing"
    (re.compile(r"^\s+(\d+) passing\b", re.M), re.compile(r"^\s+(\d+) failing\b", re.M)),
    # Bun: " 1 pass", " 0 fail"
    (re.compile(r"^\s*(\d+) pass$", re.M), re.compile(r"^\s*(\d+) fail$", re.M)),
)
# Jest: "Tests:       1 failed, 2 passed, 3 total"; Vitest: "     Tests  1 failed | 2 passed (3)"
_TESTS = re.compile(r"^\s*Tests:?\s+(.*\d+ (?:passed|failed).*)$", re.M)
_OF_TESTS = re.compile(r"(\d+) (passed|failed)")
# RSpec: "1 example, 0 failures"; Minitest: "1 runs, 2 assertions, 0 failures, 0 errors, 0 skips"
_RSPEC = re.compile(
    r"^(\d+) examples?, (\d+) failures?(?:, (\d+) pending)?(?:, (\d+) errors? occurred.*)?$", re.M
)
_MINITEST = re.compile(
    r"^(\d+) (?:runs|tests), \d+ assertions, (\d+) failures, (\d+) errors, (\d+) skips", re.M
)


@dataclass(frozen=True)
class TestCount:
    """How many tests passed, and how many failed."""

    # Pytest takes no class of this name for tests of its own.
    __test__ = False

    passed: int
    failed: int


def count_tests(output: str) -> TestCount | None:
    """What the last of the closing lines says; None where no known one is there."""
    text = _COLOUR.sub("", output)
    for passed, failed in _RUNNERS:
        found = passed.findall(text)
        lost = failed.findall(text)
        if found or lost:
            return TestCount(int((found or ["0"])[-1]), int((lost or ["0"])[-1]))
    lines = _TESTS.findall(text)
    if lines:
        counts = {word: int(number) for number, word in _OF_TESTS.findall(lines[-1])}
        return TestCount(counts.get("passed", 0), counts.get("failed", 0))
    return _count_ruby(text)


def _count_ruby(text: str) -> TestCount | None:
    """By the last line of RSpec or Minitest."""
    for closing in reversed(list(_RSPEC.finditer(text))):
        examples, failures, pending, errors = (int(part or 0) for part in closing.groups())
        return TestCount(examples - failures - pending, failures + errors)
    for closing in reversed(list(_MINITEST.finditer(text))):
        runs, failures, errors, skips = map(int, closing.groups())
        return TestCount(runs - failures - errors - skips, failures + errors)
    return None
