"""A glob says what `fnmatch` says of it, also where it needs no regular expression for that."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from skillrun.frameworks.known.entry import glob_of

NAMES = (
    "celery",
    "celery.Celery",
    "Celery",
    "xcelery",
    "",
    "a*b",
    "a[b]",
    "a[b",
    "acb",
    "a\nb",
    "a?b",
)
PATTERNS = (
    *("celery", "celery*", "celery.*", "*celery", "*", "", "**", "a*b", "a[*]b", "a[b]", "a[b"),
    *("a?b", "a[b]*", "[ac]elery", "*.Celery*", "a\n*"),
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_says_what_fnmatch_says(pattern: str) -> None:
    glob = glob_of(pattern)
    assert {name for name in NAMES if glob.matches_name(name)} == {
        name for name in NAMES if fnmatchcase(name, pattern)
    }
