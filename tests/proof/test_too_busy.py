"""A machine on which a lock's holder does not get its turn in time says nothing about the
handler.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_job import plain_repo

from skillrun.contract.spec import load_spec
from skillrun.proof import processes
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace

WAS = "with closing(sqlite3.connect(DB)) as db, db:"
AT_ONCE = "copies=2 switch@before:insert-done#1"


@pytest.fixture
def explorer(tmp_path: Path) -> Iterator[Explorer]:
    claims = f'{WAS.replace("DB", "DB, timeout=1.2")}\n            db.execute("begin immediate")'
    root = plain_repo(tmp_path.resolve() / "shop", was=WAS, becomes=claims)
    spec = load_spec(root / ".skillrun" / "jobs" / "handle-order.yaml", root=root)
    with Workplace(spec, root, None, ()) as workplace:
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(dict(enumerate(spec.examples)))
        yield explorer


def raised(history: History) -> list[str]:
    return [str(run.raised["error"]) for run in history.runs if run.raised is not None]


@pytest.mark.real
def test_who_waits_is_seen_and_gets_the_lock(explorer: Explorer) -> None:
    history = explorer.run(parse_schedule(AT_ONCE))
    assert (raised(history), history.notes) == ([], ())


@pytest.mark.real
def test_where_nobody_sees_it_nothing_is_said(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "is_blocked", lambda *_: False)
    history = explorer.run(parse_schedule(AT_ONCE))
    assert raised(history) == ["sqlite3:OperationalError"]
    assert [note.partition(":")[0] for note in history.notes] == [
        "a lock was not given in time, though its holder would have gone on"
    ]


@pytest.mark.real
def test_a_machine_that_is_less_busy_the_next_time_decides(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = processes.is_blocked
    runs: list[int] = []
    restore = explorer.workplace.restore
    monkeypatch.setattr(
        explorer.workplace, "restore", lambda **given: (runs.append(1), restore(**given))[1]
    )
    monkeypatch.setattr(processes, "is_blocked", lambda *given: len(runs) > 1 and seen(*given))
    history = explorer.run(parse_schedule(AT_ONCE))
    assert (raised(history), history.notes, len(runs)) == ([], (), 2)


@pytest.mark.real
def test_who_holds_the_lock_goes_on_with_its_error_though_another_waits(explorer: Explorer) -> None:
    late = "stall@before:send#1 raise=ConnectionError@before:send#1 wait=2 redeliver"
    history = explorer.run(parse_schedule(late))
    first = min(history.runs, key=lambda run: run.number)
    assert first.raised is not None
    assert first.raised["error"] == "builtins:ConnectionError"
    # What was delivered meanwhile has waited for the lock, and has it then; so has the next tick.
    assert [run.raised for run in history.runs if run is not first] == [None, None]


@pytest.mark.real
def test_who_holds_the_lock_goes_on_at_its_time_though_another_waits(explorer: Explorer) -> None:
    """Its own clock has passed the wait too, not only the clock of who waits for it."""
    history = explorer.run(parse_schedule("stall@before:send#1 wait=3600 redeliver"))
    first = min(history.runs, key=lambda run: run.number)
    ends = [event["clock"] for event in first.events if event.kind == "end"]
    assert ends[0] - first.clock >= 3600
