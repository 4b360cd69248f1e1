"""How a job is written with Django's tasks, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
@task()
def ship(number: str, attempt: int = 1) -> None: ...          # ids, not objects: arguments are JSON
ship.enqueue(number)                    # DatabaseBackend: inside of the transaction that it belongs to
"""
    ),
    "retry": (
        """
# the library runs a task once: enqueue it again with the number of the attempt
except (Unavailable, TimeoutError) as error:
    if attempt >= ATTEMPTS: bury(number, error); raise
    wait = timedelta(seconds=min(2 * 2 ** (attempt - 1), 60))
    ship.using(run_after=timezone.now() + wait).enqueue(number, attempt=attempt + 1)      # and return
# a row whose worker dies stays RUNNING: let a cron job look for what was not done in time
"""
    ),
    "dead-letter": (
        """
# record it in the handler, at the last attempt and on a permanent error, then raise: its row is FAILED too
# or dead_letter: {kind: framework}: the FAILED rows, until prune_db_task_results deletes them
"""
    ),
    "observability": (
        """
log.info("ship started number=%s attempt=%s", number, attempt)                  # and succeeded, at its end
log.warning("ship failed number=%s, attempt %s, will retry: %r", number, attempt, error)
"""
    ),
    "tests": (
        "ship.call('A-1') runs it, with a failing adapter; TASKS with DummyBackend keeps what it"
        " enqueues"
    ),
}
