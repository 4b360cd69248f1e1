"""Which rows the application's own call sets: each is given another value, and the call is made."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from skillrun.proof.before_call import MOST_GUESSES, Guess, put_guess, put_undone
from skillrun.proof.exploring.run import CALLER, Run
from skillrun.proof.exploring.stand import Stand
from skillrun.proof.history import Delivery
from skillrun.proof.rivals import Contents, read_contents
from skillrun.proof.schedule import Schedule
from skillrun.proof.undone import Undone

_NOT_UNDONE = (
    "no row was found that the application's own call sets: there is nothing to begin with"
)


class Undoing(Stand):
    """Finds the state before the application's call, where the fixture shows the one after it."""

    def read_before_call(self) -> Contents:
        """Puts the store back to what the setup left, and returns its rows."""
        self.workplace.restore(first=True)
        return read_contents(self.store)

    def list_changed_by_call(self) -> frozenset[str]:
        """The names of the tables that the application's call changes as the fixture stands."""
        before = self.read_before_call()
        self._call_undisturbed()
        after = read_contents(self.store)
        changed = set[str]()
        for table, rows in after.items():
            if rows != before.get(table):
                changed.add(table)
        return frozenset(changed)

    def find_undone(self, guesses: Iterable[Guess]) -> tuple[Undone, ...]:
        """The changed values that the application's call sets to what they were, all at once.

        Each guess is put into the rows together with the values that were found before, and the
        call is made. A guess counts where the call sets it right and all the earlier ones too.
        """
        contents = self.read_before_call()
        known: list[Undone] = []
        for guess in itertools.islice(guesses, MOST_GUESSES):
            self.workplace.restore(first=True)
            put_undone(self.store, known)
            tried = put_guess(self.store, guess, contents)
            if not tried or not self._call_undisturbed():
                continue
            after = read_contents(self.store)
            set_by_call = [undone for undone in tried if undone.is_done(after)]
            if all(undone.is_done(after) for undone in known):
                known = _add_unless_known(known, set_by_call)
        return tuple(known)

    def _call_undisturbed(self) -> bool:
        """Makes the application's call. Returns whether it published the same messages as at the
        beginning.
        """
        enqueue = self.workplace.spec.enqueue
        if enqueue is None:
            return False
        run = Run(Schedule("publish"))
        call = self._run_process(run, "call", [enqueue.call, dict(enqueue.args)], job=CALLER)
        if call.first("caller-raised") is not None:
            return False
        at_beginning = set[str]()
        if self.caller is not None:
            at_beginning = _find_arguments(self.caller)
        return _find_arguments(call) == at_beginning

    def _undo_call(self, run: Run) -> None:
        """Puts what is undone into the rows. Where that cannot be done, the run's notes say so: a
        schedule like that shows nothing.
        """
        undone = put_undone(self.store, self.learned.undone)
        if not undone or len(undone) < len(self.learned.undone):
            run.notes.append(_NOT_UNDONE)


def _find_arguments(call: Delivery) -> set[str]:
    """The arguments of each message to the handler that a call published."""
    return {str(event["message"].get("arguments")) for event in call.retries}


def _add_unless_known(known: list[Undone], new: list[Undone]) -> list[Undone]:
    """The known values with the new ones; the known ones alone where they have a value for one of
    these columns, since the first one that was found for a column stays.
    """
    columns = {(undone.table, undone.column) for undone in known}
    for undone in new:
        if (undone.table, undone.column) in columns:
            return known
    return [*known, *new]
