"""The last attempt at an effect is answered when its lock is over and the job was given up: what
took place must be told somewhere.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
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

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.job import JobSpec
from skillrun.contract.spec import load_spec
from skillrun.probe.facts import BootFacts
from skillrun.proof import ticks
from skillrun.proof.families import errors, registry
from skillrun.proof.families.together import outlast_lock
from skillrun.proof.history import History
from skillrun.proof.judges import outlasted
from skillrun.proof.orders import Orders
from skillrun.proof.prove import prove
from skillrun.proof.reference import Reference
from skillrun.proof.result import Target
from skillrun.proof.schedule import EVERY, Fault, Schedule, parse_schedule

ONCE_AWAY = f"raise={AWAY}@before:email#1"
LATE = f"{ONCE_AWAY} stall@after:email#1/2 wait=3600 redeliver"
IN_TIME = history(ONCE_AWAY, [], [*effect(), *commit(), RETURNED, ACKED], state=[[1, "sent"]])
GIVEN_UP = [[1, "given up"]]


def of_late(*told: Told, state: Any = GIVEN_UP, **more: Any) -> History:
    """Two deliveries, of which the second stands still with its answer."""
    pause = fault("pause", "after:email#1")
    answered = [*effect(), pause, *told, RETURNED, ACKED]
    return history(LATE, [], answered, state=state, **{"dead_letters": 1, **more})


UNHEARD = history(f"{ONCE_AWAY} kill@after:email#1/2", [], effect(), state=GIVEN_UP, dead_letters=1)


def reference() -> Reference:
    return against(spec(), replace(IN_TIME, dead_letters=0), unanswered=UNHEARD)


def test_an_answer_that_is_dropped_without_a_word_is_a_risk() -> None:
    assert rules(outlasted.judge, of_late(), reference()) == ["success-dropped"]
    quiet = log("email was known", level="INFO")
    assert rules(outlasted.judge, of_late(quiet), reference()) == ["success-dropped"]


@pytest.mark.parametrize(
    "seen",
    [
        of_late(log("email went out after all", level="ERROR")),
        of_late(state=[[1, "sent"]]),
        of_late(state=[[1, "sent"], [2, "given up"]]),
        of_late(state=[[1, "given up, though receipt 7 says that it was sent"]]),
        of_late(dead_letters=0),
        of_late(pending=1),
        of_late(hung="after:email#1"),
    ],
)
def test_where_it_is_told_or_nobody_has_given_the_job_up_nothing_is_said(seen: History) -> None:
    assert rules(outlasted.judge, seen, reference()) == []


def test_without_the_same_answer_in_time_there_is_no_comparison() -> None:
    failed = replace(IN_TIME, dead_letters=0, pending=1)
    assert rules(outlasted.judge, of_late(), replace(reference(), once=failed)) == []


def test_without_an_attempt_that_ends_as_a_dead_letter_unheard_there_is_no_comparison() -> None:
    other_end = replace(reference(), unanswered=replace(UNHEARD, dead_letters=0))
    assert rules(outlasted.judge, of_late(), other_end) == []


# -- which schedules there are

SWEPT = {"recovers": [{"call": "app.jobs:sweep", "every": "10m"}]}
MET = fault("raise", "before:email#1", error=AWAY)
EXHAUSTED = replace(
    history(f"raise={AWAY}@before:email#*/*", [MET], [MET], [MET]),
    schedule=Schedule("exhaustion", (Fault("raise", "before:email#*", EVERY, AWAY),)),
)
POLLED = BootFacts(ticks=True)


@pytest.mark.parametrize(
    ("made", "facts", "moves"),
    [
        (spec(trigger={"type": "poller", "every": "5s"}), POLLED, ["wait=3600 redeliver"]),
        (spec(**SWEPT), BootFacts(), ["wait=3600 sweep"]),
        (spec(), BootFacts(redelivery_s=3600.0), ["wait=3600 redeliver"]),
        (spec(), BootFacts(), []),
        (spec(dead_letter={"kind": "none"}, **SWEPT), BootFacts(), []),
    ],
)
def test_it_is_asked_where_somebody_comes_meanwhile(
    made: JobSpec, facts: BootFacts, moves: list[str]
) -> None:
    planned = [str(one) for one in outlast_lock([EXHAUSTED, EXHAUSTED], facts, made)]
    raised = f"raise={AWAY}@before:email#1 raise={AWAY}@before:email#1/2"
    assert planned == [f"{raised} stall@after:email#1/3 {move}" for move in moves]


# -- a real job

AWAYS = " ".join(f"raise=till.bank:Away@before:charge#1/{number}" for number in range(1, 5))
OUTLASTS = f"{AWAYS} stall@after:charge#1/5 wait=3600 redeliver"
PAID = "update orders set status = 'paid' where id = ?"
STILL_OPEN = (PAID, f"{PAID} and status = 'open'")
TELLS = ('    log.info("charge succeeded', '    log.error("charge succeeded')


@pytest.mark.real
def test_who_writes_the_answer_only_while_the_row_is_open_drops_it(tmp_path: Path) -> None:
    proof = prove_till(tmp_path / "repo", OUTLASTS, STILL_OPEN)
    (found,) = proof.risks
    assert (found.judgement.rule, found.judgement.grade) == ("success-dropped", "money")
    assert proof.verdict == "proved"


@pytest.mark.real
@pytest.mark.parametrize("edits", [(), (STILL_OPEN, TELLS)], ids=["writes", "tells"])
def test_who_writes_it_anyway_or_tells_it_is_at_no_risk(
    edits: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    proof = prove_till(tmp_path / "repo", OUTLASTS, *edits)
    assert [one.judgement.rule for one in proof.risks] == []
    assert (proof.verdict, proof.incomplete) == ("proved", [])


# Who finds no attempt left charges once more, under a key of its own.
CHARGES_ANEW = (
    """        give_up(order_id, "no attempt is left")
        return
""",
    """        bank.charge(order_id, key=f"order-{order_id}-last")
        with db.begin() as store:
            store.execute("update orders set status = 'paid' where id = ?", (order_id,))
        return
""",
)


@pytest.mark.real
def test_who_charges_once_more_meanwhile_under_another_key_is_refuted(tmp_path: Path) -> None:
    proof = prove_till(tmp_path / "repo", OUTLASTS, CHARGES_ANEW)
    assert proof.verdict == "refuted"
    assert {one.judgement.effect for one in proof.witnesses} == {"charge"}


# -- a poller

POLLER = "billing/poller.py"
SENT = 'update invoices set status = \'sent\' where id = ?", (row["id"],)'
HELD = 'update invoices set status = \'sent\' where id = ? and attempts = ?", (row["id"], row["attempts"])'
OF_POLLER = (
    (
        POLLER,
        '    if "@" not in row["email"]:\n',
        '    if row["attempts"] > MAX_ATTEMPTS:\n'
        '        give_up(connection, row, "the last attempt has no end")\n        return\n'
        '    if "@" not in row["email"]:\n',
    ),
    # Whole seconds, at both ends.
    (POLLER, "BASE_S, CAP_S = 120, 600", "BASE_S, CAP_S = 10, 20"),
    (POLLER, 'DUE, {"now": time.time()}', 'DUE, {"now": int(time.time())}'),
    (POLLER, '"id": id_, "now": time.time()', '"id": id_, "now": int(time.time())'),
    (POLLER, "(time.time() + wait,", "(int(time.time()) + wait,"),
    (".skillrun/jobs/send-invoice.yaml", "every: 60s", "every: 5s"),
    (
        ".skillrun/jobs/send-invoice.yaml",
        "base: 2m, factor: 2, cap: 10m",
        "base: 10s, factor: 2, cap: 20s",
    ),
)


def test_no_look_before_a_wait_is_over_comes_within_its_rounding() -> None:
    """A second passes after each delivery, and the row may count whole ones: a look that finds the
    row due now and then makes other deliveries of one schedule's faults.
    """
    made = spec(
        trigger={"type": "poller", "every": "5s"},
        retry={"max_attempts": 3, "backoff": {"kind": "exponential", "base": "10s", "factor": 2}},
    )
    looks = ticks.list_looks(made, Schedule("exhaustion"), tries=1)
    assert [look for look in looks if 7 < look < 12] == []
    assert min(look for look in looks if look > 5) == 7


@pytest.mark.real
@pytest.mark.parametrize("edits", [((POLLER, SENT, HELD),), ()], ids=["while it is held", "anyway"])
def test_a_poller_that_writes_the_answer_only_while_it_holds_the_row_drops_it(
    edits: tuple[tuple[str, str, str], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (errors.exhaustion,))
    root = run.build("plain_poller", Mutant("L", "", (*OF_POLLER, *edits)), tmp_path / "shop")
    proof = prove(
        Target(load_spec(root / ".skillrun/jobs/send-invoice.yaml", root=root), root, None)
    )
    assert any(one.schedule.family == "late-success" for one in proof.tried)
    found = [one.judgement.rule for one in proof.risks if one.judgement.rule == "success-dropped"]
    assert found == ["success-dropped"] * bool(edits)
    assert proof.witnesses == []


@pytest.mark.parametrize(
    ("text", "jitter"),
    [
        (LATE, None),
        (f"{ONCE_AWAY} {ONCE_AWAY}/2 stall@after:email#1/3 wait=3600 redeliver", "high"),
    ],
    ids=["one error", "errors in turn"],
)
def test_errors_in_turn_come_at_the_longest_waits_that_their_numbers_were_seen_with(
    text: str, jitter: str | None
) -> None:
    assert Orders(None).of_delivery(parse_schedule(text), 1).get("jitter") == jitter
