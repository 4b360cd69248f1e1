"""Which rows the application's own call sets: each is given another value, and the call is made."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from skillrun.proof.drafts import MOST_GUESSES, Guess, put_guess, put_undone
from skillrun.proof.exploring.run import CALLER, Run
from skillrun.proof.exploring.stand import Stand
from skillrun.proof.history import Delivery
from skillrun.proof.rivals import Contents, read_contents
from skillrun.proof.schedule import Schedule
from skillrun.proof.undone import Undone

_NO_DRAFT = "no row was found that the application's own call sets: there is no draft to begin with"


class Drafting(Stand):
    """The state before the application's call, where the fixture is past it."""

    def read_before_call(self) -> Contents:
        """The rows as the setup left them."""
        self.setting.restore(first=True)
        return read_contents(self.store)

    def list_changed_by_call(self) -> frozenset[str]:
        """The tables that the call changes as the fixture stands."""
        before = self.read_before_call()
        self._call_undisturbed()
        after = read_contents(self.store)
        return frozenset(name for name in after if after[name] != before.get(name))

    def find_draft(self, guesses: Iterable[Guess]) -> tuple[Undone, ...]:
        """What the call sets back of the guessed values, all at once."""
        contents = self.read_before_call()
        found: list[Undone] = []
        for guess in itertools.islice(guesses, MOST_GUESSES):
            self.setting.restore(first=True)
            put_undone(self.store, found)
            tried = put_guess(self.store, guess, contents)
            if not tried or not self._call_undisturbed():
                continue
            after = read_contents(self.store)
            kept = [one for one in tried if one.is_done(after)]
            if all(one.is_done(after) for one in found):
                found = _replace_column(found, kept)
        return tuple(found)

    def _call_undisturbed(self) -> bool:
        """Whether the application's call publishes the job as it did at the beginning."""
        enqueue = self.setting.spec.enqueue
        if enqueue is None:
            return False
        run = Run(Schedule("publish"))
        made = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)], job=CALLER)
        return made.first("caller-raised") is None and _find_arguments(made) == self._arguments

    @property
    def _arguments(self) -> set[str]:
        return _find_arguments(self.caller) if self.caller is not None else set()

    def _undo_call(self, run: Run) -> None:
        """One that cannot be made here is said: such a schedule shows nothing."""
        undone = put_undone(self.store, self.draft)
        if not undone or len(undone) < len(self.draft):
            run.notes.append(_NO_DRAFT)


def _find_arguments(made: Delivery) -> set[str]:
    """What each message to the handler says that a call published."""
    return {str(event["message"].get("arguments")) for event in made.retries}


def _replace_column(found: list[Undone], kept: list[Undone]) -> list[Undone]:
    """A row's column has one value: the first one that was found for it."""
    for one in kept:
        known = any(one.table == other.table and one.column == other.column for other in found)
        if known:
            return found
    return [*found, *kept]
