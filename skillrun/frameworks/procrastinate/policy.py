"""The effective policy of a task: what its strategy and its own code say together.

A job is acknowledged when it has ended (procrastinate/worker.py `_persist_job_status`); that it
comes back after a death is up to the repository's own code (`recovery.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.reading import import_path
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.frameworks.procrastinate.attempts import Bound, raised
from skillrun.frameworks.procrastinate.deadletter import find_record
from skillrun.frameworks.procrastinate.recovery import HEARTBEAT_S, find_recoveries
from skillrun.frameworks.procrastinate.retries import ANY, Strategy, read_strategy
from skillrun.frameworks.procrastinate.tasks import read_task
from skillrun.repo.python import is_known
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    key = ("procrastinate.policy", use.app, handler.dotted)
    return project.remember(key, lambda: _Reader(project, use, handler).read())


@dataclass
class _Reader:
    project: Project
    use: FrameworkUse
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        task = read_task(self.project, self.use, self.handler)
        strategy = read_strategy(self.project, task)
        recovery = next(iter(find_recoveries(self.project, self.use)), None)
        record = find_record(self.project, task)
        dead_letter, recovered_at, wait_s = None, None, None
        if record is not None:
            dead_letter = record.place
        if recovery is not None:
            recovered_at = recovery.place
            wait_s = recovery.wait_s or HEARTBEAT_S
        self.sources |= dict.fromkeys(("max_attempts", "backoff", "retried"), strategy.place)
        self.sources["dead_letter"] = dead_letter
        self.sources["reject_on_worker_lost"] = recovered_at
        attempts = self._count_attempts(strategy)
        # A single attempt is followed by no wait, whatever the strategy says of one.
        backoff = Backoff("none")
        if attempts != 1:
            backoff = self._read_backoff(strategy)
        return Policy(
            max_attempts=attempts,
            backoff=backoff,
            retried=self._list_retried(strategy),
            not_retried=self._list_spared(strategy),
            acks_late=True,
            reject_on_worker_lost=recovery is not None,
            visibility_timeout_s=wait_s,
            dead_letter=dead_letter,
            sources=self.sources,
            unknown=self.unknown,
        )

    def _count_attempts(self, strategy: Strategy) -> int | None:
        """The strategy's bound, or the handler's own where every clause of it stops raising
        before.
        """
        most = None
        if is_known(strategy.retries):
            most = strategy.retries
        else:
            self._note_unread("max_attempts", strategy)
        bounds = raised(self.project, self.handler)
        own = _find_own_bound(bounds)
        if own is not None and strategy.tries_again and (most is None or own < most):
            self.sources["max_attempts"] = bounds[-1].place
            self.unknown.pop("max_attempts", None)
            return own + 1
        if most is None:
            if any(bound.unread for bound in bounds):
                self._note_unread("max_attempts", strategy)
            return None
        return int(most) + 1

    def _read_backoff(self, strategy: Strategy) -> Backoff:
        read = strategy.backoff()
        if read is None:
            self._note_unread("backoff", strategy)
        return read or Backoff("none")

    def _list_retried(self, strategy: Strategy) -> tuple[str, ...]:
        if not strategy.tries_again:
            return ()
        if strategy.exceptions is None:
            self._note_unread("retried", strategy)
        return tuple(import_path(self.project, name) for name in strategy.exceptions or ())

    def _list_spared(self, strategy: Strategy) -> tuple[str, ...]:
        """Exceptions that a clause of the handler takes and does not raise again."""
        # In the order of the clauses, each once.
        names: dict[str, None] = {}
        for clause in clauses(self.project, self.handler):
            if not clause.reraises:
                names |= dict.fromkeys(clause.exceptions)
        if not strategy.tries_again:
            return ()
        return tuple(import_path(self.project, name) for name in names if name not in ANY)

    def _note_unread(self, name: str, strategy: Strategy) -> None:
        self.unknown[name] = strategy.place or Place(self.handler.path, self.handler.line)


def _find_own_bound(bounds: Sequence[Bound]) -> int | None:
    """The last attempt that any of them lets through to another, where each says one."""
    lasts = [bound.last for bound in bounds if bound.last is not None]
    if not lasts or len(lasts) != len(bounds):
        return None
    return max(lasts)
