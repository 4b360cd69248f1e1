"""When a message that is a row is there: with the commit of the transaction that Django has open,
and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .recorder import Recorder


class Told:
    """Waits in a transaction of Django's, which forgets it where it is rolled back. Tells once."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell: Callable[[], None] | None = tell

    def __call__(self) -> None:
        tell, self.tell = self.tell, None
        if tell is not None:
            tell()


class Commits:
    """`db`: the module django.db."""

    def __init__(self, recorder: Recorder, db: Any) -> None:
        self.db = db
        recorder.ended = self.tell_before_django

    def wait_for_commit(self, using: str) -> Callable[[Callable[[], None]], None]:
        """What calls a function as soon as that database has what was written: at once outside of a
        transaction.
        """

        def when(tell: Callable[[], None]) -> None:
            if self.db.transaction.get_connection(using).in_atomic_block:
                self.db.transaction.on_commit(Told(tell), using=using)
            else:
                tell()

        return when

    def tell_before_django(self, connection: Any, what: str) -> None:
        """Before Django itself tells anybody: the process may die in between. It forgets what is
        rolled back.
        """
        for held in () if what != "commit" else self.db.connections.all(initialized_only=True):
            if held.connection is connection:
                for _, function, *_ in list(held.run_on_commit):
                    if isinstance(function, Told):
                        function()
