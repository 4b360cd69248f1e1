"""Literals are read from several threads at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from skillrun.core.literals import read_literal

MESSAGE = "[('cents', '300'), ('voucher', 'V2'), ('lines', '[[1, 2], [3, [4, 5]]]')]"


@pytest.fixture
def turns() -> Iterator[None]:
    """Memory is tidied up between the nodes of a tree, and another thread gets its turn then."""

    def let_others_go_on(*_: object) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(let_others_go_on)
    gc.set_threshold(5)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(let_others_go_on)


def read_often(times: int) -> int:
    return sum(len(read_literal(MESSAGE)) for _ in range(times))


@pytest.mark.real
def test_several_threads_read_at_once(turns: None) -> None:
    """Python 3.11 counts the depth of all trees together, and says SystemError."""
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read_often, [500] * 4)) == [1_500] * 4


@pytest.mark.parametrize("text", ["order", "f()", "[1"])
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        read_literal(text)
