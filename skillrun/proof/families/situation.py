"""What a plan follows from: the spec, and what the single run showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from functools import cached_property
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.families.boundaries import (
    find_boundaries,
    find_callback_boundaries,
    kill_points,
    switch_points,
)
from skillrun.proof.history import Event, History
from skillrun.proof.reference import name_items
from skillrun.proof.rivals import Rival

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobError, JobSpec


@dataclass(frozen=True)
class Situation:
    """One job, once it was seen to run without any fault."""

    spec: JobSpec
    once: History  # the single run
    facts: BootFacts
    jobs: tuple[int, ...] = ()  # distinct jobs that could be run
    called: tuple[int, ...] = ()  # distinct jobs that the application's own call publishes
    caller: tuple[Event, ...] = ()  # boundaries of the application's own publish
    caller_where_undone: tuple[Event, ...] = ()  # the same, where its work is still undone
    varied: int = 0  # how many varied payloads there are
    rivals: tuple[Rival, ...] = ()  # what others may commit to its rows
    given: tuple[str, ...] = ()  # effects that are called with a secret
    daily: bool = False  # each day's ticks were seen to be a job of their own
    due: time | None = None  # the one time of a day at which a tick was seen to work
    is_same_next_tick: bool = False  # the next tick of its clock was seen to be the same job

    @cached_property
    def boundaries(self) -> list[Event]:
        """Of the single run, in order."""
        return find_boundaries(self.once)

    @cached_property
    def steps(self) -> list[str]:
        """Where another delivery may get in between."""
        return switch_points(self.boundaries)

    @cached_property
    def kills(self) -> list[str]:
        """Where a death makes a difference."""
        return kill_points([*self.boundaries, *find_callback_boundaries(self.once)])

    @cached_property
    def polled(self) -> bool:
        """A callable that is started by a clock and finds its work by itself."""
        return ticks.is_polled(self.spec, self.facts)

    @property
    def is_other_by_day(self) -> bool:
        """The tick of another day is another job."""
        return self.facts.ticks and (self.daily or self._is_cron_job)

    @property
    def _is_cron_job(self) -> bool:
        """Whether its tick alone says which job it is."""
        trigger = self.spec.trigger
        return trigger is not None and trigger.type == "cron" and self.spec.enqueue is None

    @property
    def effects(self) -> tuple[Effect, ...]:
        return self.spec.effects or ()

    @cached_property
    def fallible(self) -> list[str]:
        """Names of what can fail: each call of each effect; in a job without effects its first
        write.
        """
        begun = [event for event in self.boundaries if event["when"] == "before"]
        calls = [event["name"] for event in begun if event["kind"] == "effect"]
        if calls:
            return calls
        writes = [e["name"] for e in begun if e["kind"] == "sql" and e["verb"] != "select"]
        return writes[:1]

    @cached_property
    def shared_calls(self) -> list[str]:
        """Names of the calls of effects during which another job of the same process goes on: those
        that are awaited in an event loop, the others in threads. One within an open transaction is
        left out: it may keep the other job waiting.
        """
        found: list[str] = []
        is_open: dict[str, bool] = {}  # by store
        for event in self.boundaries:
            store = str(event["store"])
            if event["kind"] == "sql" and event["when"] == "after":
                is_open[store] = bool(event["open"])
            elif event["kind"] in ("commit", "rollback"):
                is_open[store] = False
            is_call = event["kind"] == "effect" and event["when"] == "before"
            if is_call and self._lets_others_go_on(event) and not any(is_open.values()):
                found.append(str(event["name"]))
        return found

    def _lets_others_go_on(self, call: Event) -> bool:
        is_awaited = call["effect"] in self.facts.awaited
        if self.facts.shared == "loop":
            return is_awaited
        return self.facts.shared == "threads" and not is_awaited

    @cached_property
    def failing(self) -> list[str]:
        """As `fallible`; what fails for each item of a tick's work is marked as such."""
        if not self.facts.ticks:
            return self.fallible
        items = name_items(self.once)
        marked = []
        for name in self.fallible:
            if name in items:
                marked.append(f"{name}!")
            else:
                marked.append(name)
        return marked

    def can_raise(self, name: str, error: JobError) -> bool:
        """Whether an error comes out of what `name` stands for: an adapter's own exceptions come
        out of that adapter alone.

        One of the repository's that the adapter's module has no name for comes from elsewhere, too;
        a library's or a built-in one may come out of any.
        """
        effect = name.partition("#")[0]
        if error.effects is not None:
            return effect in error.effects
        if error.type in self.facts.foreign_errors.get(effect, ()):
            return False
        adapters = {one.name: one.call.partition(":")[0] for one in self.effects}
        home = error.type.partition(":")[0]
        mine = adapters.get(effect)
        return mine is None or home not in adapters.values() or home == mine
