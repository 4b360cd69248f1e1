"""Words of the spec on a real job, one schedule each: an honest handler is proved, its neighbour
refuted.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from word_job import SPEC, Edit, prove_with, rules

pytestmark = pytest.mark.real


# -- an error that means success

THERE: Edit = (
    SPEC,
    "permanent: [ValueError]",
    'permanent: [ValueError], success: [{type: "store.parcels:Refused", kwargs: {status: 409}}]',
)
TAKEN: Edit = (
    "store/tasks.py",
    "    except ValueError as error:\n",
    "    except parcels.Refused as error:\n"
    "        if error.status != 409:\n"
    "            raise\n"
    "    except ValueError as error:\n",
)
ANSWERED = "raise=store.parcels:Refused@after:parcel#1"


def test_a_conflict_that_means_success_ends_the_job(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, THERE, TAKEN, only=ANSWERED)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_a_conflict_that_fails_the_job_is_refuted(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, THERE, only=ANSWERED)
    assert "attempts.success-failed" in rules(proof)


# -- waits

LINEAR: Edit = (SPEC, "{kind: fixed, base: 10s}", "{kind: linear, base: 60s}")
NEVER_PASSES = "raise=store.parcels:Down@before:parcel#*/*"


def test_linear_waits_are_proved(tmp_path: Path) -> None:
    grows: Edit = (
        "store/tasks.py",
        "countdown=10)",
        "countdown=60 * (self.request.retries + 1))",
    )
    proof = prove_with(tmp_path, LINEAR, grows, only=NEVER_PASSES)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_waits_that_double_are_not_linear(tmp_path: Path) -> None:
    doubles: Edit = (
        "store/tasks.py",
        "countdown=10)",
        "countdown=60 * 4**self.request.retries)",
    )
    proof = prove_with(tmp_path, LINEAR, doubles, only=NEVER_PASSES)
    assert "delays.too-long" in rules(proof)


# -- a message that kills its worker each time

BOUND: Edit = (SPEC, "proof:\n", "worker: {deliveries: 3}\nproof:\n")
COUNTED: Edit = (
    "store/tasks.py",
    "    try:\n        parcels.send",
    "    with db.connect() as connection:\n"
    '        connection.execute("insert into leases (token) values (?)", (str(order_id),))\n'
    '        count = "select count(*) from leases where token = ?"\n'
    "        seen = connection.execute(count, (str(order_id),)).fetchone()[0]\n"
    "    if seen > 3:\n"
    '        give_up(order_id, "it killed three workers")\n'
    "        return\n"
    "    try:\n        parcels.send",
)
ASIDE: Edit = (SPEC, "  setup: python", "  not_state: [leases]\n  setup: python")
KILLS = "kill@before:parcel#1/*"


def test_a_message_that_kills_its_worker_ends_where_deliveries_are_counted(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, BOUND, COUNTED, ASIDE, only=KILLS)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_where_nobody_counts_them_it_is_refuted(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, BOUND, only=KILLS)
    assert "attempts.deaths" in rules(proof)


# -- convergent

CONVERGENT: Edit = (
    SPEC,
    "key_arg: idempotency_key, guarantee: keyed",
    "key_arg: idempotency_key, guarantee: convergent",
)
KILLED = "kill@after:parcel#1"


def test_what_is_written_again_alike_is_proved(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, CONVERGENT, only=KILLED)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_what_is_written_elsewhere_each_time_is_refuted(tmp_path: Path) -> None:
    random_key: Edit = (
        "store/tasks.py",
        'idempotency_key=f"order:{order_id}"',
        "idempotency_key=f\"order:{order_id}:{self.request.delivery_info.get('redelivered')}\"",
    )
    proof = prove_with(tmp_path, CONVERGENT, random_key, only=KILLED)
    assert "effect.not-convergent" in rules(proof)


# -- dead letters: the query may count in several places, or rows of the business table

COUNT = "dead_letters: select count(*) from dead_jobs"
RECORD = 'connection.execute("insert or ignore into dead_jobs values (?)", (order_id,))'
MARK = "connection.execute(\"update orders set state = 'failed' where id = ?\", (order_id,))"
FAILED: Edit = (SPEC, COUNT, "dead_letters: select count(*) from orders where state = 'failed'")
TWO_PLACES: Edit = (
    SPEC,
    COUNT,
    "dead_letters: select (select count(*) from dead_jobs) + (select count(*) from leases)",
)


@pytest.mark.parametrize(
    "edits",
    [
        (FAILED, ("store/tasks.py", RECORD, MARK)),
        (TWO_PLACES, ("store/tasks.py", "into dead_jobs values (?)", "into leases values (?, 1)")),
        (TWO_PLACES,),
    ],
)
def test_a_dead_letter_may_be_in_any_place_that_is_counted(
    edits: tuple[Edit, ...], tmp_path: Path
) -> None:
    proof = prove_with(tmp_path, *edits, only=NEVER_PASSES)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_one_that_is_in_two_of_them_is_there_twice(tmp_path: Path) -> None:
    both = f"{RECORD}\n        {RECORD.replace('dead_jobs values (?)', 'leases values (?, 1)')}"
    proof = prove_with(tmp_path, TWO_PLACES, ("store/tasks.py", RECORD, both), only=NEVER_PASSES)
    assert "dead-letter.repeated" in rules(proof)


def test_a_row_that_nobody_marks_is_no_dead_letter(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, FAILED, ("store/tasks.py", RECORD, "pass"), only=NEVER_PASSES)
    assert "dead-letter.missing" in rules(proof)


# -- errors

ELSEWHERE: Edit = (
    "store/db.py",
    "import sqlite3\n",
    "import sqlite3\nfrom store.parcels import Down\n",
)
BY_ANOTHER_PATH: Edit = (SPEC, '"store.parcels:Down"', '"store.db:Down"')
AGAIN: Edit = (
    "store/tasks.py",
    "max_retries=2)",
    'max_retries=2, autoretry_for=(LookupError,), retry_kwargs={"countdown": 10})',
)
WRAPPED: Edit = (
    "store/tasks.py",
    "raise self.retry(exc=error, countdown=10)",
    'raise LookupError("no parcel service") from error',
)


def test_an_error_that_is_listed_by_another_path_of_its_class_is_listed(tmp_path: Path) -> None:
    """`requests:Timeout` is the class that `requests.exceptions` defines."""
    edits = (ELSEWHERE, BY_ANOTHER_PATH, AGAIN, WRAPPED)
    proof = prove_with(tmp_path, *edits, only="raise=store.db:Down@before:parcel#1")
    assert (proof.verdict, rules(proof)) == ("proved", set())
