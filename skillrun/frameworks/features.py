"""What sets a job library apart, as data: whoever asks knows no library by its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """Of one library. Patterns are regular expressions that match the whole name."""

    runs_in_place: bool = False  # a clock calls the handler: nothing is queued, nobody acknowledges
    own_dead_letters: bool = False  # it keeps what was given up, where a person can look at it
    rows_in_database: bool = False  # its messages are rows of the application's own database
    schedules_in_rows: bool = False  # its clock goes by rows, which a migration adds
    needs_redis: bool = False  # its driver puts real jobs into the proof's Redis
    # A task shows what it is when it is imported, however the code looks: its driver takes it then.
    tasks_are_objects: bool = False
    context_first: bool = False  # a handler's first argument is the worker's
    # Calls by which a handler asks for its next attempt, and which the policy reads.
    read_retries: tuple[str, ...] = ()
    # Programs whose command lines begin its worker, or name what the worker is started with.
    programs: tuple[str, ...] = ()
    # Errors by which a handler or the library itself says what is to become of the job: no effect
    # raises them.
    control: str = ""
    tables: str = ""  # that its own code writes around a delivery
    keys: str = ""  # the same in Redis: what becomes of a job, and its queues
