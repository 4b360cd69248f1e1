"""Who gives back the job of a worker that died: with Procrastinate the application's own code
alone.

Runs in the zygote, beside the driver.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Iterator
from typing import Any

from procrastinate.tasks import Task

from ...probe.modules import whose_text
from .driver_storage import KEPT

LOST = "its status stays `doing`: no periodic task of the application's calls get_stalled_jobs and retry_job"
_AGAIN = (
    "the job of a worker that dies stays `doing`, with its lock, until {what} gives it back: after {wait:g} s here; "
    "retry_job counts that as an attempt, and only an exception is held against the bound"
)
HEARTBEAT_S = 30.0  # without one for so long a worker counts as dead
# Seconds between two calls of what gives jobs back and is no periodic task.
_ELSEWHERE_S = 60.0
_GIVES_BACK = ("get_stalled_jobs", "retry_job", "retry_job_by_id", "retry_job_by_id_async")
# Functions that call functions which call those.
_DEEP = 3
# Of a schedule whose waits differ, e.g. over a week-end.
_TICKS = 8


class Recovery:
    """What of an application gives stalled jobs back, and when it comes."""

    def __init__(self, app: Any, task: Any, root: str) -> None:
        periodics = app.periodic_registry.periodic_tasks.values()
        others = [one for one in periodics if one.task is not task]
        # Periodic tasks, which a worker runs.
        self.periodics = [one for one in others if _gives_back(one)]
        # The module that does, where no periodic task comes to it.
        self.elsewhere = ""
        if not self.periodics:
            near = inspect.unwrap(task.func).__code__.co_filename
            self.elsewhere = next(whose_text(_is_script, root, near), "")

    @property
    def is_there(self) -> bool:
        """Whether anything gives a job back."""
        return bool(self.periodics) or bool(self.elsewhere)

    @property
    def name(self) -> str:
        """Who does, for a person."""
        if self.periodics:
            return str(self.periodics[0].task.name)
        return self.elsewhere

    @property
    def is_bounded(self) -> bool:
        """Whether it looks at how often a job was tried."""
        if self.elsewhere:
            return False
        return all(_mentions_word(one.task.func, "attempts") for one in self.periodics)

    def delay_s(self) -> float:
        """After a death: the heartbeat's time, and what is left of the period, at most."""
        if self.periodics:
            return HEARTBEAT_S + min(map(_period_s, self.periodics))
        return HEARTBEAT_S + _ELSEWHERE_S

    def describe(self) -> str:
        """What becomes of the job of a worker that dies."""
        if not self.is_there:
            return f"the job of a worker that dies is lost: {LOST}"
        what = self.name
        if self.elsewhere:
            what = f"{self.elsewhere}, which is taken to be run,"
        return _AGAIN.format(what=what, wait=self.delay_s())


def make_tick(periodic: Any) -> dict[str, Any]:
    """A tick of a periodic task, as the deferrer makes it."""
    task = periodic.task
    given = periodic.configure_kwargs.get("task_kwargs") or {}
    message: dict[str, Any] = dict.fromkeys(KEPT)
    message.update(id=1, queue_name=task.queue, task_name=task.name, priority=0, attempts=0)
    message["args"] = {**given, "timestamp": int(time.time())}
    return message


def _gives_back(periodic: Any) -> bool:
    return any(_mentions_word(periodic.task.func, word) for word in _GIVES_BACK)


def _is_script(text: bytes) -> bool:
    """Code that a person, or cron, starts: a periodic task that no worker imports never runs."""
    if b"retry_job" not in text or b".periodic(" in text:
        return False
    return b"get_stalled_jobs" in text or b"doing" in text


def _mentions_word(function: Any, word: str, deep: int = _DEEP) -> bool:
    """Whether its code has the word, or that of a function or task which it names."""
    function = inspect.unwrap(function.func if isinstance(function, Task) else function)
    if not inspect.isfunction(function):
        return False
    names = _names_in(function.__code__)
    if word in names:
        return True
    if deep == 0:
        return False
    for value in _find_named(function, names):
        is_called = inspect.isfunction(value) or isinstance(value, Task)
        if is_called and _mentions_word(value, word, deep - 1):
            return True
    return False


def _find_named(function: Any, names: set[str]) -> Iterator[Any]:
    """What a function's names lead to in its module, and what they lead to in modules there."""
    for held in map(function.__globals__.get, names):
        yield held
        if inspect.ismodule(held):
            for name in names:
                yield getattr(held, name, None)


def _names_in(code: Any) -> set[str]:
    names = set(code.co_names)
    for const in code.co_consts:
        if hasattr(const, "co_names"):
            names |= _names_in(const)
    return names


def _period_s(periodic: Any) -> float:
    """The longest wait between its next ticks, in seconds."""
    ticks = [time.time()]
    for _ in range(_TICKS):
        ticks.append(periodic.croniter.get_next(ret_type=float, start_time=ticks[-1]))
    return float(max(later - tick for tick, later in itertools.pairwise(ticks[1:])))
