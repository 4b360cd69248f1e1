"""A message that comes back when the receiver has forgotten the key: guarded, or named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import ACKED, DONE, KILLED, ONCE, RETURNED, effect, fault, history, reference, spec
from till import SPEC, prove_till

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.job import Effect, Failures, JobSpec, Sweep
from skillrun.contract.spec import load_spec
from skillrun.probe.facts import BootFacts
from skillrun.proof.families.deaths import come_back_at_other_ages, late_back
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.late_back import Age, find_age, find_kept_back
from skillrun.proof.judges.late_back import judge as judge_late_back
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.prove import prove
from skillrun.proof.reference import Reference
from skillrun.proof.result import Target

CRON = {"type": "cron", "schedule": "7 * * * *"}
LATE = "kill@after:charge#1 lose wait=95040 redeliver"
LONG = {"failures": {**SPEC["failures"], "acceptable_delay": "2d"}}
# A mark that is older than the receiver's window is for a person.
GUARD = (
    "        if row[1] >= MOST or",
    "        if row[1] and time.time() - row[2] > 23 * 3600:\n"
    "            return MOST, 0\n"
    "        if row[1] >= MOST or",
)


@pytest.mark.real
@pytest.mark.parametrize(("changed", "grade"), [(LONG, "money"), ({}, "minor")])
def test_a_second_charge_after_the_window_is_named(
    changed: dict[str, Any], grade: str, tmp_path: Path
) -> None:
    proof = prove_till(tmp_path / "repo", LATE, **changed)
    risks = [(r.judgement.rule, r.judgement.grade, r.judgement.effect) for r in proof.risks]
    assert (proof.verdict, risks) == ("proved", [("window-passed", grade, "charge")])


@pytest.mark.real
def test_a_mark_with_its_time_guards_it(tmp_path: Path) -> None:
    proof = prove_till(tmp_path / "repo", LATE, GUARD, **LONG)
    assert (proof.verdict, proof.risks, proof.incomplete) == ("proved", [], [])


IN_TWO_STEPS = (
    "kill@after:charge#1 kill@before:charge#1/2 lose wait=51840 redeliver wait=51840 redeliver"
)
# The time of the first attempt, which no later one changes.
GUARD_OF_FIRST = (
    "        if row[1] >= MOST or",
    "        store.execute('create table if not exists firsts (id integer primary key, at real)')\n"
    "        store.execute('insert or ignore into firsts values (?, ?)', (order_id, time.time()))\n"
    "        (at,) = store.execute('select at from firsts where id = ?', (order_id,)).fetchone()\n"
    "        if time.time() - at > 23 * 3600:\n"
    "            return MOST, 0\n"
    "        if row[1] >= MOST or",
)


@pytest.mark.real
@pytest.mark.parametrize(
    ("guard", "rules"),
    [(GUARD, ["window-passed"]), (GUARD_OF_FIRST, [])],
    ids=["of the last attempt", "of the first"],
)
def test_a_guard_that_goes_by_the_last_attempt_is_walked_past(
    guard: tuple[str, str], rules: list[str], tmp_path: Path
) -> None:
    proof = prove_till(tmp_path / "repo", IN_TWO_STEPS, guard, **LONG)
    assert [risk.judgement.rule for risk in proof.risks] == rules
    assert (proof.verdict, proof.incomplete) == ("proved", [])


# The hours of the age alone, as `timedelta.seconds` has them: after a day they begin at 0 again.
WRAPPED = (
    GUARD_OF_FIRST[0],
    GUARD_OF_FIRST[1].replace(
        "time.time() - at > 23 * 3600", "(time.time() - at) % 86400 > 23 * 3600"
    ),
)


@pytest.mark.real
def test_an_age_that_is_reckoned_without_its_days_is_money(tmp_path: Path) -> None:
    (effect,) = SPEC["effects"]
    proof = prove_till(tmp_path / "repo", None, WRAPPED, effects=[{**effect, "window": "24h"}])
    risks = {risk.judgement.rule: risk.judgement for risk in proof.risks}
    assert proof.verdict == "proved"
    assert risks["window-passed"].grade == "money"
    assert "the application itself keeps it back" in risks["window-passed"].message


KILLED_AFTER = [*effect(), fault("kill", "after:email#1"), KILLED]


def told(hours: float, again: list[Any], window: float | None = None) -> list[Judgement]:
    """Of a second delivery so many hours later."""
    one = Effect(
        name="email", call="app.mail:send", key_arg="key", guarantee="keyed", window=window
    )
    failures = Failures(acceptable_delay=7 * 86400.0)
    spec = JobSpec(version=1, job="job", effects=(one,), failures=failures)
    seen = history("kill@after:email#1 lose wait=95040 redeliver", KILLED_AFTER, again)
    later = replace(seen.deliveries[1], clock=hours * 3600)
    seen = replace(seen, deliveries=(seen.deliveries[0], later))
    found = judge_history(seen, Reference(spec, ONCE))
    return [judgement for judgement in found if judgement.verdict != Verdict.HINT]


def test_what_a_receiver_still_knows_is_no_second_effect() -> None:
    assert [one.grade for one in told(26, DONE)] == ["money"]
    assert told(23, DONE) == []
    assert told(26, DONE, window=30 * 86400.0) == []
    assert [one.grade for one in told(2, DONE, window=3600.0)] == ["money"]
    assert told(26, DONE[3:]) == []


@pytest.mark.parametrize(
    ("window", "plain", "grade"),
    [
        (86400.0, {"cents": "700"}, "money"),
        (86400.0, {"pages": "2"}, "minor"),  # a second mail
        (None, {"cents": "700"}, "minor"),  # nobody said when its receiver forgets
        (3 * 86400.0, {"cents": "700"}, "money"),
        (3.5 * 86400.0, {"cents": "700"}, "money"),  # Friday evening to Tuesday morning
        (3.6 * 86400.0, {"cents": "700"}, "minor"),
    ],
)
def test_a_second_payment_after_a_long_weekend_without_a_worker_is_money(
    window: float | None, plain: dict[str, str], grade: str
) -> None:
    one = Effect(
        name="email", call="app.mail:send", key_arg="key", guarantee="keyed", window=window
    )
    spec = JobSpec(version=1, job="job", effects=(one,))
    kind, done = KILLED_AFTER[1]
    paid = (kind, {**done, "plain": plain})
    first = [KILLED_AFTER[0], paid, *KILLED_AFTER[2:]]
    seen = history("kill@after:email#1 lose wait=95040 redeliver", first, [paid, RETURNED, ACKED])
    later = replace(seen.deliveries[1], clock=100 * 3600.0)
    seen = replace(seen, deliveries=(seen.deliveries[0], later))
    assert [risk.grade for risk in judge_late_back(seen, Reference(spec, ONCE))] == [grade]


def test_each_keyed_effect_comes_back_after_its_own_window() -> None:
    def plan(recovers: tuple[Sweep, ...] = (), **more: Any) -> list[str]:
        one = Effect(name="email", call="app.mail:send", key_arg="key", **more)
        spec = reference().spec.model_copy(update={"effects": (one,), "recovers": recovers})
        return [str(s) for s in late_back.plan(Situation(spec, ONCE, BootFacts()), ())]

    twice = "kill@after:email#1 kill@before:email#1/2 lose"
    assert plan(guarantee="keyed") == [
        "kill@after:email#1 lose wait=95040 redeliver",
        f"{twice} wait=51840 redeliver wait=51840 redeliver",
    ]
    assert plan(guarantee="keyed", window=3600.0) == [
        "kill@after:email#1 lose wait=3960 redeliver",
        f"{twice} wait=2160 redeliver wait=2160 redeliver",
    ]
    assert plan(guarantee="keyed", window=30 * 86400.0) == []  # whoever is away so long is missed
    assert plan(guarantee="at_least_once") == []
    sweep = Sweep(call="app.sweeps:rescue", every=600.0)
    assert plan(guarantee="keyed", recovers=(sweep,))[1] == (
        "kill@after:email#1 lose wait=95040 sweep"
    )


@pytest.mark.parametrize(
    ("more", "is_asked"),
    [
        ({"trigger": {"type": "poller", "every": "5s"}}, True),
        # A cron job that takes up what is left, and one whose day is its job.
        ({"trigger": CRON, "idempotency": {"strategy": "invariant"}}, True),
        ({"trigger": CRON}, False),
    ],
    ids=["poller", "takes up what is left", "each tick is a job"],
)
def test_the_next_tick_of_a_poller_may_come_late_as_well(
    more: dict[str, Any], is_asked: bool
) -> None:
    made = spec(**more)
    situation = Situation(made, ONCE, BootFacts(ticks=True))
    assert late_back.unless is not None
    assert (late_back.unless(situation) is None) is is_asked
    daily = replace(situation, daily=True)
    assert late_back.unless(daily) is not None


# What a dead one held is given back at the end of a tick: the next tick takes it up.
REAPED = (
    ("billing/poller.py", " or (status = 'sending' and lease_until <= :now)\norder", "\norder"),
    (
        "billing/poller.py",
        "                process(connection, claimed)\n    finally:",
        """                process(connection, claimed)
        with connection:
            connection.execute(
                "update invoices set status = 'pending' where status = 'sending' and lease_until <= ?"
                " and lease_until > ?",
                (time.time(), time.time() - OLDEST_S),
            )
    finally:""",
    ),
)
ALL_OLD = ("billing/poller.py", "LEASE_S = 300\n", "LEASE_S = 300\nOLDEST_S = 10**9\n")
ONLY_YOUNG = ("billing/poller.py", "LEASE_S = 300\n", "LEASE_S = 300\nOLDEST_S = 80000\n")
WINDOW = (".skillrun/jobs/send-invoice.yaml", "key_arg: key,", "key_arg: key, window: 24h,")
LATE_TICK = "kill@after:email#1 lose wait=95040 redeliver"
LEASED = "lease_until <= :now)\norder"
ONLY_NEW = LEASED.replace(":now)", ":now and lease_until > :now - 80000)")


@pytest.mark.real
@pytest.mark.parametrize(
    ("edits", "risks"),
    [
        ((), ["window-passed"]),
        ((("billing/poller.py", LEASED, ONLY_NEW),), []),
        ((*REAPED, ALL_OLD), ["window-passed"]),
        ((*REAPED, ONLY_YOUNG), []),
    ],
    ids=[
        "takes it up",
        "leaves what is old to a person",
        "gives it back to the next tick",
        "gives back what is young",
    ],
)
def test_a_poller_that_was_away_for_longer_than_the_window(
    edits: tuple[tuple[str, str, str], ...], risks: list[str], tmp_path: Path
) -> None:
    root = run.build("plain_poller", Mutant("L", "", edits), tmp_path / "shop")
    made = load_spec(root / ".skillrun/jobs/send-invoice.yaml", root=root)
    proof = prove(Target(made, root, None), only=LATE_TICK)
    found = {risk.judgement.rule: risk.judgement.message for risk in proof.risks}
    assert proof.witnesses == []
    assert list(found) == risks
    assert all("the next tick comes 26 h after a death" in said for said in found.values())
    (history_of_ticks,) = [one.history for one in proof.tried if str(one.schedule) == LATE_TICK]
    assert len(history_of_ticks.runs) >= 2
    assert history_of_ticks.runs[1].clock - history_of_ticks.runs[0].clock > 95000


@pytest.mark.real
def test_what_a_tick_gives_back_is_taken_up_by_the_next_one(tmp_path: Path) -> None:
    edits = (*REAPED, ALL_OLD, WINDOW)
    root = run.build("plain_poller", Mutant("R", "", edits), tmp_path / "shop")
    made = load_spec(root / ".skillrun/jobs/send-invoice.yaml", root=root)
    proof = prove(Target(made, root, None), only="kill@after:email#1")
    assert proof.witnesses == []
    (seen,) = [one.history for one in proof.tried if str(one.schedule) == "kill@after:email#1"]
    (first, second) = [one for one in seen.runs if one.performs("email")]
    assert second.clock - first.clock < 2 * 3600


REPEATED = [*effect(), RETURNED, ACKED]
KEPT_BACK = [RETURNED, ACKED]


def come_back(schedule: str, hours: float, second: list[Any]) -> History:
    """A death after the effect, and a second delivery so many hours later."""
    seen = history(schedule, KILLED_AFTER, second)
    later = replace(seen.deliveries[1], clock=seen.deliveries[0].clock + hours * 3600)
    return replace(seen, deliveries=(seen.deliveries[0], later))


def test_only_what_is_repeated_soon_is_kept_back_for_its_age() -> None:
    soon = come_back("kill@after:email#1", 0.1, REPEATED)
    late = come_back("kill@after:email#1 lose wait=83808 redeliver", 23.0, KEPT_BACK)
    later = come_back("kill@after:email#1 lose wait=95040 redeliver", 26.0, REPEATED)
    assert find_kept_back([soon, late, later]) == {"email": 23 * 3600.0}
    assert find_kept_back([late, later]) == {}  # a claim, or a row that says that it is done
    assert find_kept_back([soon, later]) == {}


def put_off(schedule: str, *hours: float) -> History:
    """A death after the effect; the last delivery repeats it, and those before put the job off."""
    requeued = ("settled", {"how": "requeued", "delay": 60.0})
    between = [[requeued] for _ in hours[1:]]
    seen = history(schedule, KILLED_AFTER, *between, REPEATED)
    first, *later = seen.deliveries
    moved = [
        replace(one, clock=first.clock + at * 3600) for one, at in zip(later, hours, strict=True)
    ]
    return replace(seen, deliveries=(first, *moved))


def test_a_job_that_is_put_off_and_then_repeated_is_not_kept_back() -> None:
    soon = come_back("kill@after:email#1", 0.1, REPEATED)
    late = put_off("kill@after:email#1 lose wait=95040 redeliver", 26.4, 27.0)
    assert find_age(late) == Age("email", 27 * 3600.0, is_repeated=True)
    assert find_kept_back([soon, late]) == {}


def test_what_a_lease_puts_off_is_repeated_soon() -> None:
    soon = put_off("kill@after:email#1", 0.1, 0.5)
    late = come_back("kill@after:email#1 lose wait=83808 redeliver", 23.0, KEPT_BACK)
    assert find_kept_back([soon, late]) == {"email": 23 * 3600.0}
    # A lease that outlasts the day is no guard by the age.
    longer = put_off("kill@after:email#1", 0.1, 25.0)
    assert find_kept_back([longer, late]) == {}


def test_the_grade_that_other_schedules_give_is_said_to_come_from_them() -> None:
    one = Effect(name="email", call="app.mail:send", key_arg="key", guarantee="keyed")
    later = come_back("kill@after:email#1 lose wait=95040 redeliver", 26.4, REPEATED)
    spec = JobSpec(version=1, job="job", effects=(one,))
    (known,) = judge_late_back(later, Reference(spec, ONCE, kept_back={"email": 23 * 3600.0}))
    (alone,) = judge_late_back(later, Reference(spec, ONCE))
    assert (known.grade, alone.grade) == ("money", "minor")
    assert "other schedules of the proof show that" in known.message
    assert "other schedules" not in alone.message


def test_other_ages_are_tried_where_they_show_which_clock_is_gone_by() -> None:
    def plan(hours: float, second: list[Any], window: float) -> list[str]:
        one = Effect(
            name="email", call="app.mail:send", key_arg="key", guarantee="keyed", window=window
        )
        spec = JobSpec(version=1, job="job", effects=(one,))
        seen = come_back("kill@after:email#1 lose wait=95040 redeliver", hours, second)
        return [str(schedule) for schedule in come_back_at_other_ages([seen], spec)]

    day = 86400.0
    assert plan(26.4, REPEATED, day) == ["kill@after:email#1 lose wait=83808 redeliver"]
    assert plan(26.4, KEPT_BACK, day) == ["kill@after:email#1 lose wait=173100 redeliver"]
    assert plan(1.1, KEPT_BACK, 3600.0) == ["kill@after:email#1 lose wait=86700 redeliver"]
    assert plan(79.2, KEPT_BACK, 3 * day) == []  # no hours of a day come to more
    assert plan(23.0, REPEATED, day) == []


@pytest.mark.parametrize(("accepted", "rules"), [(900.0, ["back-late"]), (4000.0, []), (None, [])])
def test_a_message_that_comes_back_too_late_to_be_of_use(
    accepted: float | None, rules: list[str]
) -> None:
    failures = Failures(acceptable_delay=accepted)
    spec = JobSpec(version=1, job="job", effects=reference().spec.effects, failures=failures)
    seen = history("kill-worker@after:email#1", KILLED_AFTER, DONE)
    seen = replace(seen, deliveries=(seen.deliveries[0], replace(seen.deliveries[1], clock=3601.0)))
    slow = Reference(spec, ONCE, {}, BootFacts(redelivery_s=3600.0))
    assert [one.rule for one in judge_late_back(seen, slow)] == rules
