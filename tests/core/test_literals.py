"""Literals are read from several threads at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from skillrun.core.literals import read_literal

MESSAGE = "[('cents', '300'), ('voucher', 'V2'), ('lines', '[[1, 2], [3, [4, 5]]]')]"


def read_often(times: int) -> int:
    return sum(len(read_literal(MESSAGE)) for _ in range(times))


def test_several_threads_read_at_once() -> None:
    """Python 3.11 counts the depth of all trees together, and says SystemError."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(read_often, [2_000] * 4)) == [6_000] * 4
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("text", ["order", "f()", "[1"])
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        read_literal(text)
