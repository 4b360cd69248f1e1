"""The broker, a store or each worker fails: a job that is not done is not gone without a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from histories import (
    ACKED,
    DONE,
    ONCE,
    commit,
    effect,
    fault,
    history,
    raised,
    reference,
    retry,
)
from till import SPEC, prove_till

from skillrun.contract.job import (
    BackoffSpec,
    DeadLetter,
    Failures,
    JobError,
    JobSpec,
    Retry,
    Sweep,
    Trigger,
)
from skillrun.probe.facts import BootFacts
from skillrun.proof.cause import UNKNOWN, find_cause
from skillrun.proof.families.errors import statement_error, store_error
from skillrun.proof.families.outages import lose_letters, lose_retry
from skillrun.proof.families.situation import Situation
from skillrun.proof.families.sweeps import follow_with_tick
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference
from skillrun.proof.schedule import Fault, Schedule, parse_schedule

AWAY = "kombu.exceptions:OperationalError"
NO_RETRY = f"raise=till.bank:Away@before:charge#1 raise={AWAY}@before:publish#1"
FOR_EVER = "raise=till.bank:Away@before:charge#*/*"
NO_LETTER = f"{FOR_EVER} fail@before:commit#2/5"
DIES = "kill@before:charge#1/*"
AFTER_RETRY = f"{FOR_EVER} kill@after:publish#1"
COPIES = f"{FOR_EVER} waiting=3"

# Each takes one guard away.
FORGETS_REJECT = ("    except Reject as error:\n", "    except ZeroDivisionError as error:\n")
FORGETS_STORE = (
    "    except sqlite3.OperationalError as error:\n",
    "    except ZeroDivisionError as error:\n",
)
COUNTS_MESSAGES = (
    "    tries, early = began\n",
    "    tries, early = self.request.retries, 0\n",
)
COUNTS_COPIES = (" or row[2] > time.time()", "")
# Its record is written by what the library calls once a task has failed, and calls again at once.
GIVES_UP_LATER = (
    (
        "            give_up(order_id, repr(error))\n            raise\n        log",
        "            raise\n        log",
    ),
    (
        '@app.task(bind=True, name="till.charge", ',
        "class Recorded(app.Task):\n"
        "    def on_failure(self, exc, task_id, args, kwargs, einfo):\n"
        '        give_up(kwargs["order_id"], repr(exc))\n\n\n'
        '@app.task(bind=True, base=Recorded, name="till.charge", ',
    ),
)
# Nothing but the dead letter says that a job was given up.
BLIND = {"proof": {**SPEC["proof"], "state": {"orders": "select id from orders order by 1"}}}


# -- with a real handler


@pytest.mark.real
@pytest.mark.parametrize("only", [NO_RETRY, NO_LETTER, DIES, AFTER_RETRY, COPIES])
def test_a_careful_handler_survives(only: str, tmp_path: Path) -> None:
    proof = prove_till(tmp_path / "repo", only)
    assert (proof.verdict, proof.risks, proof.incomplete) == ("proved", [], [])


@pytest.mark.real
@pytest.mark.parametrize(
    ("only", "edit", "rule", "grade"),
    [
        (NO_RETRY, FORGETS_REJECT, "retry-lost", "stuck"),
        (NO_LETTER, FORGETS_STORE, "letter-lost", "stuck"),
        (DIES, COUNTS_MESSAGES, "crash-loop", "stuck"),
        (AFTER_RETRY, COUNTS_MESSAGES, "attempts-doubled", "minor"),
        (COPIES, COUNTS_COPIES, "copies-burn-attempts", "stuck"),
    ],
)
def test_a_guard_that_is_missing_is_a_risk(
    only: str, edit: tuple[str, str], rule: str, grade: str, tmp_path: Path
) -> None:
    proof = prove_till(tmp_path / "repo", only, edit)
    assert proof.verdict == "proved"
    assert [(r.judgement.rule, r.judgement.grade) for r in proof.risks] == [(rule, grade)]
    assert str(proof.risks[0].tried.schedule) == only


@pytest.mark.real
def test_a_callback_that_fails_each_time_is_called_is_acknowledged(tmp_path: Path) -> None:
    """The child of Celery's pool hands what comes out of `on_failure` to the request, which lets the
    message go.
    """
    once = f"{FOR_EVER} fail@before:commit#2/5"
    twice = f"{once} fail@before:commit#3/5"
    found: list[list[str]] = []
    for number, only in enumerate((once, twice)):
        proof = prove_till(tmp_path / f"repo{number}", only, *GIVES_UP_LATER)
        assert (proof.verdict, proof.incomplete) == ("proved", [])
        found.append([risk.judgement.rule for risk in proof.risks])
    assert found == [[], ["letter-lost"]]


@pytest.mark.real
@pytest.mark.parametrize(("only", "edit"), [(NO_RETRY, FORGETS_REJECT), (NO_LETTER, FORGETS_STORE)])
def test_a_promised_record_that_is_nowhere_is_a_lost_job(
    only: str, edit: tuple[str, str], tmp_path: Path
) -> None:
    proof = prove_till(tmp_path / "repo", only, edit, **BLIND)
    assert proof.verdict == "proved"
    assert [risk.judgement.grade for risk in proof.risks] == ["lost"]


# -- the judge, by histories of a few events


def told(text: str, *deliveries: Any, **more: Any) -> list[Judgement]:
    """What is said of a history, by a spec with these parts."""
    pending = more.pop("pending", 0)
    state = more.pop("state", [])
    letters = more.pop("dead_letters", None)
    spec = JobSpec(version=1, job="job", effects=reference().spec.effects, **more)
    seen = history(text, *deliveries, state=state, pending=pending, dead_letters=letters)
    found = judge_history(seen, Reference(spec, ONCE))
    return [one for one in found if one.verdict != Verdict.HINT]


LOSES = "raise=app.mail:Away@before:email#1 raise=ConnectionError@before:publish#1"
LOST = [fault("raise", "before:email#1"), fault("raise", "before:publish#1"), raised(), ACKED]


def test_who_lets_go_of_a_job_has_left_something_that_shows_it() -> None:
    (stuck,) = told(LOSES, LOST)
    assert (stuck.rule, stuck.grade) == ("retry-lost", "stuck")
    (lost,) = told(LOSES, LOST, state=ONCE.state["rows"])
    assert (lost.rule, lost.grade) == ("retry-lost", "lost")


def test_a_job_that_comes_again_or_is_swept_is_not_lost() -> None:
    assert told(LOSES, LOST, DONE, state=ONCE.state["rows"]) == []
    sweeps = (Sweep(call="app:sweep", every=60.0),)
    assert told(LOSES, LOST, recovers=sweeps) == []
    assert told(f"{LOSES} sweep", LOST, DONE, recovers=sweeps) == []


def test_a_sweep_that_comes_and_does_not_find_it_saves_nothing() -> None:
    sweeps = (Sweep(call="app:sweep", every=60.0),)
    (found,) = told(f"{LOSES} sweep", LOST, recovers=sweeps)
    assert found.rule == "retry-lost"


GIVEN_UP = [*effect(), fault("fail", "before:commit#1"), raised("sqlite3:OperationalError"), ACKED]


def test_a_store_that_fails_once_ends_no_job_whose_effect_took_place() -> None:
    letter = {"retry": POLICY, "dead_letter": DeadLetter(kind="table", where="dead")}
    (found,) = told("fail@before:commit#1", GIVEN_UP, dead_letters=1, state=[], **letter)
    assert (found.rule, found.grade, found.seen) == ("store-failed", "stuck", "1 attempt")
    again = [*GIVEN_UP[:-1], retry(), ACKED]
    done = ONCE.state["rows"]
    assert told("fail@before:commit#1", again, DONE, dead_letters=0, state=done, **letter) == []


def test_an_error_of_the_store_that_is_listed_as_transient_is_promised_a_retry() -> None:
    letter = {"retry": POLICY, "dead_letter": DeadLetter(kind="table", where="dead")}
    locked = (JobError(type="sqlite3:OperationalError"),)
    listed = Failures(transient=locked)
    (found,) = told(
        "fail@before:commit#1", GIVEN_UP, dead_letters=1, state=[], failures=listed, **letter
    )
    assert (found.verdict, found.rule) == (Verdict.REFUTED, "attempts.too-few")
    both = Failures(transient=locked, permanent=locked)
    (risk,) = told("fail@before:commit#1", GIVEN_UP, dead_letters=1, failures=both, **letter)
    assert risk.rule == "store-failed"


def test_who_gives_up_at_once_and_says_that_it_is_done_is_found_as_well() -> None:
    """A handler that buries the job itself returns; the sweep that comes later finds it buried."""
    letter = {"retry": POLICY, "dead_letter": DeadLetter(kind="table", where="dead")}
    buried = [*GIVEN_UP[:-2], ("returned", {}), ACKED]
    idle = [("returned", {}), ACKED]
    given = {**letter, "recovers": (Sweep(call="app:sweep", every=60.0),)}
    (found,) = told("fail@before:commit#1 sweep", buried, idle, dead_letters=1, state=[], **given)
    assert (found.rule, found.grade) == ("store-failed", "stuck")
    text = "fail@before:commit#1 sweep"
    assert told(text, buried, DONE, dead_letters=0, state=ONCE.state["rows"], **given) == []


def test_a_job_without_its_effect_is_not_done_whatever_the_handler_returned() -> None:
    swallowed = [*LOST[:2], ("returned", {}), ACKED]
    (found,) = told(LOSES, swallowed)
    assert found.rule == "retry-lost"


def test_a_broker_that_was_not_reached_shows_nothing() -> None:
    only_first = [fault("raise", "before:email#1"), raised(), ACKED]
    assert told(LOSES, only_first) == []


@pytest.mark.parametrize("kind", ["framework", "table"])
def test_a_promise_of_a_letter_is_not_one_that_the_store_is_there_for_it(kind: str) -> None:
    (risk,) = told(LOSES, LOST, state=[[1]], dead_letter=DeadLetter(kind=kind, where="dead"))
    assert (risk.verdict, risk.grade) == ("risk", "lost")
    assert find_cause(history(LOSES, LOST), risk) != UNKNOWN


KILLED = [fault("kill", "before:email#1"), ("died", {"signal": 9, "exit": None})]


def test_deaths_without_an_end_are_told_with_their_number() -> None:
    (found,) = told("kill@before:email#1/*", *[KILLED] * 21, pending=1)
    assert (found.rule, found.grade, found.seen) == ("crash-loop", "stuck", "21+")


FAILED = [fault("raise", "before:email#1"), raised(), retry(), ACKED]
EVERY = "raise=app.mail:Away@before:email#1/*"
POLICY = Retry(max_attempts=3, backoff=BackoffSpec(kind="exponential", base=20.0))


def test_one_death_is_no_loop() -> None:
    """It was acknowledged before: what becomes of it, the schedules of deaths say."""
    assert told("kill@before:email#1/*", KILLED) == []


@pytest.mark.parametrize(("deliveries", "risks"), [(3, ["copies-burn-attempts"]), (2, [])])
def test_attempts_that_are_over_within_seconds(deliveries: int, risks: list[str]) -> None:
    """One after the other within a second each; fewer than the declared ones are another matter."""
    found = told(f"{EVERY} waiting=3", *[FAILED] * deliveries, retry=POLICY)
    assert [one.rule for one in found] == risks


def test_a_policy_of_a_few_seconds_is_over_soon() -> None:
    fast = Retry(max_attempts=3, backoff=BackoffSpec(kind="fixed", base=1.0))
    assert told(f"{EVERY} waiting=3", *[FAILED] * 3, retry=fast) == []


@pytest.mark.parametrize(
    ("attempts", "verdict"), [(4, []), (5, ["risk"]), (6, ["risk"]), (7, ["refuted"])]
)
def test_one_death_explains_one_attempt_more(attempts: int, verdict: list[str]) -> None:
    """Twice as many are two messages that each count for themselves; more are not bounded so."""
    text = f"{EVERY} kill@after:publish#1"
    dies = [fault("raise", "before:email#1"), retry(), *KILLED]
    found = told(text, dies, *[FAILED] * (attempts - 1), retry=POLICY)
    assert [one.verdict for one in found] == verdict


# -- the families


def published(label: str = "job", *, to_handler: bool = True) -> tuple[str, dict[str, Any]]:
    name = "publish#1" if to_handler else f"publish-{label}#1"
    fields = {"kind": "publish", "name": name, "to_handler": to_handler, "label": label}
    return ("at", {"when": "before", **fields})


def test_the_retry_is_lost_where_a_delivery_publishes_one() -> None:
    text = "raise=app.mail:Away@before:email#1"
    tried = [fault("raise", "before:email#1"), published(), retry(), ACKED]
    (found,) = lose_retry([history(text, tried, DONE)], AWAY)
    assert str(found) == f"{text} raise={AWAY}@before:publish#1"
    assert parse_schedule(str(found)) == found
    # Where sweeps come after every error, it is the same attempt.
    assert list(lose_retry([history(f"{text} sweep", tried, DONE)], AWAY)) == [found]
    # A library that gives the message back has no retry to publish.
    assert list(lose_retry([history(text, [*tried[:1], ACKED], DONE)], AWAY)) == []


def test_a_store_that_stays_away_need_not_be_asked_twice() -> None:
    text = "raise=app.mail:Away@before:email#1/* fail@before:commit#1 fail@before:commit#2"
    once = [fault("raise", "before:email#1"), fault("fail", "before:commit#1"), raised(), ACKED]
    (found,) = told(text, once)
    assert (found.rule, found.grade) == ("letter-lost", "stuck")
    assert told(text, [fault("raise", "before:email#1"), *commit(1), raised(), ACKED]) == []


def test_a_letter_is_lost_where_something_is_written_after_the_last_error() -> None:
    text = "raise=app.mail:Away@before:email#1/*"
    last = [*effect(), *commit(1), fault("raise", "before:email#1"), *commit(2)]
    last += [published("dead", to_handler=False)]
    found = [str(one) for one in lose_letters([history(text, FAILED, last)], AWAY)]
    assert found == [
        f"{text} fail@before:commit#2/2 fail@before:commit#3/2",
        f"{text} raise={AWAY}@before:publish-dead#1/2",
    ]
    assert [parse_schedule(one).family for one in found] == ["letter-lost"] * 2


# -- the store at each statement

BEFORE = "fail@before:select-orders#1"
AFTER = "fail@before:update-orders#2"


@pytest.mark.real
@pytest.mark.parametrize("only", [BEFORE, AFTER])
def test_a_store_that_fails_once_is_a_transient_error(only: str, tmp_path: Path) -> None:
    proof = prove_till(tmp_path / "repo", only)
    assert (proof.verdict, proof.risks, proof.incomplete) == ("proved", [], [])


@pytest.mark.real
@pytest.mark.parametrize(
    ("only", "said"), [(BEFORE, "let go of: the"), (AFTER, "after charge had taken place")]
)
def test_what_was_charged_is_not_forgotten(only: str, said: str, tmp_path: Path) -> None:
    (risk,) = prove_till(tmp_path / "repo", only, FORGETS_STORE).risks
    assert (risk.judgement.rule, risk.judgement.grade) == ("store-failed", "stuck")
    assert said in risk.judgement.message


BROKEN = [("raised", {"error": "sqlite3:OperationalError", "bases": [], "control": False}), ACKED]
FAILS = [fault("fail", "before:update-orders#1"), *BROKEN]
AT_UPDATE = "fail@before:update-orders#1"


def test_a_store_error_is_judged_where_its_end_can_be_seen() -> None:
    assert [one.grade for one in told(AT_UPDATE, FAILS)] == ["stuck"]
    (charged,) = told(AT_UPDATE, [*effect(), *FAILS])
    assert "after email had taken place" in charged.message
    # Where nothing shows the job, a promised letter is missing.
    (gone,) = told(AT_UPDATE, FAILS, state=[[1]])
    assert gone.grade == "lost"
    assert told(AT_UPDATE, [*effect(), *FAILS], DONE, state=[[1]]) == []
    # Nobody counts the library's own letters here.
    assert told(AT_UPDATE, FAILS, dead_letter=DeadLetter(kind="framework")) == []


CLOCK = JobSpec(version=1, job="tick", trigger=Trigger(type="poller", every=900.0), effects=())
NEXT_TICK = f"{AT_UPDATE} wait=900 re-enqueue"


def sent(order_id: int) -> tuple[str, dict[str, Any]]:
    """A message to another job."""
    message = {"arguments": f"[{order_id}]"}
    return ("published", {"to_handler": False, "label": "pay", "message": message})


@pytest.mark.parametrize(
    ("last", "state", "grades"),
    [
        ([sent(7), ACKED], [[1]], []),
        ([ACKED], [[1]], ["lost"]),  # a mark keeps it from sending what the first one did not send
        ([sent(8), ACKED], [[1]], ["lost"]),  # another day's work
        ([sent(7), ACKED], [[2]], ["stuck"]),
        ([sent(7), *BROKEN], [[1]], []),
    ],
)
def test_the_next_tick_does_what_a_failed_one_left(
    last: list[Any], state: list[Any], grades: list[str]
) -> None:
    """Nobody publishes the message again, and nobody need: a clock does."""
    seen = history(NEXT_TICK, FAILS, last, state=state)
    found = judge_history(seen, Reference(CLOCK, history("once", [sent(7), ACKED])))
    assert [one.grade for one in found if one.rule == "store-failed"] == grades


def test_what_a_clock_publishes_comes_again_with_its_next_tick() -> None:
    planned = [Schedule("store-error", (Fault("fail", "before:commit#1"),)), Schedule("redeliver")]
    found = list(map(str, follow_with_tick(planned, CLOCK)))
    assert found == ["fail@before:commit#1 wait=900 re-enqueue", str(planned[1])]
    assert parse_schedule(found[0]).family == "store-error"


def test_each_statement_of_the_single_run_fails_once() -> None:
    def told_sql(when: str, verb: str) -> tuple[str, dict[str, Any]]:
        fields = {"kind": "sql", "name": f"{verb}-a#1", "verb": verb, "open": verb == "select"}
        return ("at", {"when": when, "store": "sqlite:a", **fields})

    steps = [told_sql(when, verb) for verb in ("select", "update") for when in ("before", "after")]
    situation = Situation(reference().spec, history("once", [*steps, *DONE]), BootFacts())
    commits = tuple(store_error.plan(situation, ()))
    statements = [str(one) for one in statement_error.plan(situation, commits)]
    assert "fail@before:update-a#1" in map(str, commits)
    assert statements == ["fail@before:select-a#1"]
