"""A job dies in its last attempt and its message is lost: the sweeps end it, too, or it stands open
for ever.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    DONE,
    KILLED,
    RETURNED,
    Told,
    against,
    commit,
    effect,
    fault,
    history,
    log,
    rules,
    spec,
)
from till import prove_till

from skillrun.contract.job import JobSpec
from skillrun.probe.facts import BootFacts
from skillrun.proof.families.sweeps import lose_last_attempt
from skillrun.proof.history import History
from skillrun.proof.judges import last_attempt
from skillrun.proof.judges.records import collect_templates
from skillrun.proof.reference import Reference
from skillrun.proof.schedule import EVERY, Fault, Schedule

LOST = f"raise={AWAY}@before:email#1 kill@before:email#1/2 lose sweep"
MET = fault("raise", "before:email#1", error=AWAY)
DIED = [fault("kill", "before:email#1"), KILLED]
OPEN = [[1, "open"]]


def of_lost(*later: list[Told], state: Any = OPEN, **more: Any) -> History:
    """An error, a death, and what came later."""
    return history(LOST, [MET], DIED, *later, state=state, **{"dead_letters": 0, **more})


def reference() -> Reference:
    once = history("once", [*effect(), *commit(), RETURNED, ACKED], state=[[1, "sent"]])
    return against(spec(), replace(once, dead_letters=0), payload={"id": 1})


def test_a_job_that_stands_open_for_ever_is_refuted() -> None:
    assert rules(last_attempt.judge, of_lost(), reference()) == ["dead-letter.missing"]
    found_nothing = [log("nothing is left to do", level="INFO"), RETURNED, ACKED]
    seen = of_lost(found_nothing)
    assert rules(last_attempt.judge, seen, reference()) == ["dead-letter.missing"]


@pytest.mark.parametrize(
    "seen",
    [
        of_lost([RETURNED, ACKED], dead_letters=1),
        of_lost(kept=1),
        of_lost(DONE),
        of_lost([log("order 1 stands open, and has no attempt left", level="ERROR")]),
        of_lost(pending=1),
        of_lost(hung="before:email#1"),
        of_lost(dead_letters=None),
        # It was done, or given up, before the death.
        history(LOST, [MET], DONE, state=OPEN, dead_letters=0),
        history(LOST, DONE, state=OPEN, dead_letters=0),
    ],
)
def test_one_that_is_done_or_recorded_or_told_is_not(seen: History) -> None:
    assert rules(last_attempt.judge, seen, reference()) == []


LOOKED = log("sweep looked: 0 lost orders", level="WARNING")


def test_what_shows_nothing_ends_no_job() -> None:
    seen, known = of_lost(), reference()
    without = replace(known, once=replace(known.once, state={}))
    assert rules(last_attempt.judge, replace(seen, state={}), without) == ["dead-letter.missing"]
    volatile = replace(known, volatile=frozenset(seen.state))
    assert rules(last_attempt.judge, seen, volatile) == ["dead-letter.missing"]
    # Its row was marked before its effect, which never took place.
    marked = of_lost([RETURNED, ACKED], state=[[1, "sent"]])
    assert rules(last_attempt.judge, marked, known) == ["dead-letter.missing"]


@pytest.mark.parametrize(("state", "expected"), [("sent", []), ("open", ["dead-letter.missing"])])
def test_a_job_without_effects_is_done_where_its_state_says_so(
    state: str, expected: list[str]
) -> None:
    once = history("once", [*commit(), RETURNED, ACKED], state=[[1, "sent"]], dead_letters=0)
    seen = of_lost([RETURNED, ACKED], state=[[1, state]])
    assert rules(last_attempt.judge, seen, replace(reference(), once=once)) == expected


@pytest.mark.parametrize(
    ("record", "usual", "expected"),
    [
        (LOOKED, LOOKED, ["dead-letter.missing"]),
        (LOOKED, None, ["dead-letter.missing"]),
        (log("one order has no attempt left", level="WARNING"), LOOKED, []),
        # It says the same of other orders, and names this one.
        (
            log("order 1 stands open", level="WARNING"),
            log("order 2 stands open", level="WARNING"),
            [],
        ),
        (
            log("order 2 stands open", level="WARNING"),
            log("order 2 stands open", level="WARNING"),
            ["dead-letter.missing"],
        ),
    ],
    ids=["said each time", "names no job", "said of it alone", "names it", "names another"],
)
def test_only_what_is_about_the_job_is_told(
    record: Told, usual: Told | None, expected: list[str]
) -> None:
    known = reference()
    if usual is not None:
        said = collect_templates(history("once", [usual]).deliveries)
        known = replace(known, said_by_sweeps=frozenset(said))
    assert rules(last_attempt.judge, of_lost([record]), known) == expected


# -- which schedules there are

SWEPT: dict[str, Any] = {"recovers": [{"call": "app.jobs:sweep", "every": "10m"}]}
EXHAUSTED = replace(
    history(f"raise={AWAY}@before:email#*/*", [MET], [MET], [MET]),
    schedule=Schedule("exhaustion", (Fault("raise", "before:email#*", EVERY, AWAY),)),
)


@pytest.mark.parametrize(
    ("made", "facts", "is_asked"),
    [
        (spec(**SWEPT), BootFacts(), True),
        (spec(), BootFacts(), False),
        (spec(dead_letter={"kind": "none"}, **SWEPT), BootFacts(), False),
        (spec(**SWEPT), BootFacts(ticks=True), False),
        (spec(**SWEPT), BootFacts(keeps_rows=True), False),
        (spec(**SWEPT), BootFacts(lossy=True), False),
    ],
    ids=["swept", "no sweep", "no record", "a poller", "rows", "each death loses it"],
)
def test_it_is_asked_of_swept_jobs_whose_message_a_death_alone_does_not_lose(
    made: JobSpec, facts: BootFacts, is_asked: bool
) -> None:
    planned = [str(one) for one in lose_last_attempt([EXHAUSTED, EXHAUSTED], facts, made)]
    raised = f"raise={AWAY}@before:email#1 raise={AWAY}@before:email#1/2"
    assert planned == [f"{raised} kill@before:email#1/3 lose sweep"] * is_asked


# -- a real job

LOGGER = "log = logging.getLogger(__name__)\n"
SWEEP = """

def sweep():
    with db.begin() as store:
        rows = store.execute("select id from orders where {} and due < ?", (time.time() - 60,))
        found = [row[0] for row in rows]
    for order_id in found:
        charge.delay(order_id=order_id)
"""
NOISY = f'{SWEEP}    log.warning("sweep looked: %s orders sent again", len(found))\n'
ALL_OPEN = "status = 'open' and tries > 0"
WITH_ATTEMPTS = f"{ALL_OPEN} and tries < 5"
DIES_LAST = (
    " ".join(f"raise=till.bank:Away@before:charge#1/{number}" for number in range(1, 5))
    + " kill@before:charge#1/5 lose sweep"
)


@pytest.mark.real
@pytest.mark.parametrize(
    ("sweep", "sought", "expected"),
    [
        (SWEEP, WITH_ATTEMPTS, ["dead-letter.missing"]),
        (NOISY, WITH_ATTEMPTS, ["dead-letter.missing"]),
        (SWEEP, ALL_OPEN, []),
    ],
)
def test_a_sweep_that_leaves_used_up_orders_alone_is_refuted(
    sweep: str, sought: str, expected: list[str], tmp_path: Path
) -> None:
    recovers = [{"call": "till.tasks:sweep", "every": "10m"}]
    edit = (LOGGER, LOGGER + sweep.format(sought))
    proof = prove_till(tmp_path / "repo", DIES_LAST, edit, recovers=recovers)
    assert [one.judgement.rule for one in proof.witnesses] == expected
    assert proof.incomplete == []
