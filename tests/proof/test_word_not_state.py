"""Tables and files that only coordinate need not end as after a single run."""

from __future__ import annotations

from pathlib import Path

import pytest
from word_job import SPEC, Edit, prove_with, rules

from skillrun.core.errors import Blocked

pytestmark = pytest.mark.real

# A lease that nobody gives back, and a cache that each delivery adds to.
LEASE: Edit = (
    "store/tasks.py",
    "    try:\n        parcels.send",
    "    take_lease(order_id)\n    try:\n        parcels.send",
)
TAKE: Edit = (
    "store/tasks.py",
    "def give_up(",
    """
import os
from pathlib import Path

def take_lease(order_id):
    with db.connect() as connection:
        taken = connection.execute("select count(*) from leases").fetchone()[0]
        connection.execute("insert or replace into leases values (?, ?)", (order_id, f"token {taken}"))
    cache = Path(os.environ["STORE_DB"]).parent / "cache"
    cache.mkdir(exist_ok=True)
    with open(cache / "orders.txt", "a") as file:
        file.write(f"{order_id}\\n")

def give_up(""",
)
TABLE: Edit = (SPEC, "  setup: python", "  not_state: [leases]\n  setup: python")
FILE: Edit = (SPEC, "  database:", '  scratch_files: ["cache/*"]\n  database:')


def test_a_lease_and_a_cache_keep_a_job_from_being_proved(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, LEASE, TAKE)
    assert (proof.verdict, rules(proof)) == ("incomplete", {"state.unread", "effect.undeclared"})


def test_said_to_coordinate_they_do_not_and_the_verdict_says_so(tmp_path: Path) -> None:
    proof = prove_with(tmp_path, LEASE, TAKE, TABLE, FILE)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_the_job_itself_is_judged_as_before(tmp_path: Path) -> None:
    random_key: Edit = (
        "store/tasks.py",
        'idempotency_key=f"order:{order_id}"',
        'idempotency_key=f"order:{order_id}:{self.request.retries}"',
    )
    proof = prove_with(tmp_path, LEASE, TAKE, TABLE, FILE, random_key)
    assert proof.verdict == "refuted"


def test_another_table_is_asked_for_as_before(tmp_path: Path) -> None:
    other: Edit = (SPEC, "  setup: python", "  not_state: [locks]\n  setup: python")
    proof = prove_with(tmp_path, LEASE, TAKE, other, FILE)
    assert (proof.verdict, rules(proof)) == ("incomplete", {"state.unread"})


def test_a_setup_that_is_cut_off_is_told_how_to_get_longer(tmp_path: Path) -> None:
    short: Edit = (SPEC, "  setup: python -m store.db", "  setup: sleep 60\n  setup_timeout: 500ms")
    with pytest.raises(Blocked, match=r"time limit of 0\.5 s") as refusal:
        prove_with(tmp_path, short)
    assert "proof.setup_timeout" in (refusal.value.hint or "")
