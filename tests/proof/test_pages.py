"""Memory that is copied ahead of a delivery: which pages those are, and that nothing else comes of
it.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hooked
import pytest

from skillrun.probe import pages

SIZE = mmap.PAGESIZE

pytestmark = pytest.mark.skipif(
    not pages.list_own_memory(), reason="this kernel does not tell which pages are shared"
)


class Memory:
    """Private memory, each page with its number in it."""

    def __init__(self, count: int) -> None:
        self.held = mmap.mmap(-1, count * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for number in range(count):
            self.held[number * SIZE] = number % 256
        there = ctypes.c_char.from_buffer(self.held)
        self.start = ctypes.addressof(there)
        del there

    def at(self, number: int, count: int = 1) -> pages.Range:
        return self.start + number * SIZE, count * SIZE

    def owned(self) -> list[int]:
        """The numbers of the pages that this process has of its own."""
        end = self.start + len(self.held)
        own = [
            at for begin, size in pages.list_own_memory() for at in range(begin, begin + size, SIZE)
        ]
        return [(at - self.start) // SIZE for at in own if self.start <= at < end]

    def contents(self) -> list[int]:
        return [self.held[at] for at in range(0, len(self.held), SIZE)]


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` gives in a forked process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as answer:
        return json.load(answer)


def can_copy() -> bool:
    """Linux 6.13 and later."""
    memory = Memory(1)

    return bool(in_child(pages.Ahead([memory.at(0)]).copy_memory))


needs_copying = pytest.mark.skipif(not can_copy(), reason="this kernel copies no pages on request")


def test_a_child_owns_what_it_wrote() -> None:
    memory = Memory(16)

    def work() -> list[int]:
        for number in (3, 4, 10):
            memory.held[number * SIZE] = 99
        return memory.owned()

    assert in_child(work) == [3, 4, 10]


@needs_copying
def test_what_is_copied_is_owned_and_says_the_same() -> None:
    memory = Memory(16)
    ahead = pages.Ahead([memory.at(3, 2), memory.at(10)])

    def work() -> list[list[int]]:
        ahead.copy_memory()
        return [memory.owned(), memory.contents()]

    assert in_child(work) == [[3, 4, 10], list(range(16))]


@needs_copying
def test_more_ranges_than_one_call_takes_are_all_copied() -> None:
    memory = Memory(2200)
    odd = list(range(1, 2200, 2))
    ahead = pages.Ahead(memory.at(number) for number in odd)

    def work() -> list[int]:
        ahead.copy_memory()
        return memory.owned()

    assert len(odd) > 1024
    assert in_child(work) == odd


@needs_copying
def test_what_is_no_memory_any_more_is_passed_over() -> None:
    first, gone, last = Memory(4), Memory(4), Memory(4)
    ahead = pages.Ahead([first.at(1), gone.at(1), gone.at(3), last.at(1)])

    def work() -> list[list[int]]:
        gone.held.close()
        ahead.copy_memory()
        return [first.owned(), last.owned()]

    assert in_child(work) == [[1], [1]]


def test_memory_that_this_process_does_not_have_is_left_out() -> None:
    memory = Memory(2)
    ahead = pages.Ahead([memory.at(0), (SIZE, SIZE)])
    assert [(one.address, one.bytes) for one in ahead.ranges] == [memory.at(0)]


FAULTS = """
import logging, resource
MANY = [object() for _ in range(200_000)]
log = logging.getLogger("jobs")
def main(payload):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for one in MANY:
        pass
    log.info("%d faults", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@needs_copying
@pytest.mark.real
def test_the_third_delivery_meets_the_faults_of_the_second_no_more(tmp_path: Path) -> None:
    """The first one imports what is read ahead from then on, so its pages are not the usual ones."""
    history = hooked.history(tmp_path, FAULTS, "redeliver redeliver")
    said = [event["text"] for event in history.events if event.kind == "log"]
    _, second, third = (int(text.split()[0]) for text in said)
    assert second > 500
    assert third < second / 10
