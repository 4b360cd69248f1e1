"""A sweep that the branch brings along and that no spec names: the job is proved with it, too."""

from __future__ import annotations

import textwrap
from pathlib import Path

import helpers
import pytest
from looks import SHOP, SPEC, diff
from test_proved import job_of, shop_branch
from verifying import verify

from skillrun.wall.new_sweeps import list_new_sweeps

RULE = "verify.not-proved-with-sweep"
FILES = (
    "shop/__init__.py",
    "shop/celery.py",
    "shop/orders.py",
    "shop/tasks.py",
    "shop/receipts.py",
)
BASE = {name: (SHOP / name).read_text() for name in (*FILES, SPEC)}
SWEEP = """\
    from shop import db, tasks
    from shop.celery import app

    MISSING = "SELECT id, email FROM orders WHERE {where}"


    @app.task(name="shop.sweep_missing")
    def sweep_missing():
        with db.transaction() as connection:
            missing = connection.execute(MISSING).fetchall()
        for order_id, email in missing:
            tasks.send_receipt.apply_async(kwargs={{"order_id": order_id, "email": email}})
"""
ALL = "id NOT IN (SELECT order_id FROM receipts)"
# What was given up stands in dead_jobs, and what waits for a retry is younger than an hour.
OLD = (
    f"{ALL} AND settled_at < datetime('now', '-1 hour')"
    " AND id NOT IN (SELECT json_extract(payload, '$.order_id') FROM dead_jobs)"
)
BEAT = '    beat_schedule={"missing": {"task": "shop.sweep_missing", "schedule": 60.0}},\n)\n'


def with_sweep(where: str, *, is_scheduled: bool = True) -> dict[str, str]:
    celery = BASE["shop/celery.py"]
    if is_scheduled:
        celery = celery.rstrip().removesuffix(")") + BEAT
    sweep = textwrap.dedent(SWEEP).format(where=where)
    return {**BASE, "shop/celery.py": celery, "shop/sweep.py": sweep}


def names(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, int]]:
    found = diff(old, new)
    (spec,) = found.specs
    return [(sweep.call, sweep.period_s) for sweep in list_new_sweeps(found, spec)]


def test_a_sweep_that_no_spec_names_is_found() -> None:
    assert names(BASE, with_sweep(ALL)) == [("shop.sweep:sweep_missing", 60)]


def test_another_query_is_another_sweep() -> None:
    assert names(with_sweep(OLD), with_sweep(ALL)) == [("shop.sweep:sweep_missing", 60)]


def test_what_no_clock_calls_is_no_sweep() -> None:
    """Somebody calls it by hand, and looks."""
    assert names(BASE, with_sweep(ALL, is_scheduled=False)) == []


def test_a_sweep_that_was_there_or_is_named_is_not_tried() -> None:
    named = with_sweep(ALL)
    recovers = 'recovers: [{call: "shop.sweep:sweep_missing", every: 1m}]\nidempotency:'
    named[SPEC] = named[SPEC].replace("idempotency:", recovers, 1)
    assert names(BASE, named) == []
    assert names(with_sweep(ALL), {**with_sweep(ALL), "shop/__init__.py": "# words\n"}) == []


def test_who_publishes_for_another_is_found_through_it() -> None:
    helper = with_sweep(ALL)
    helper["shop/sweep.py"] = (
        helper["shop/sweep.py"]
        .replace("tasks.send_receipt.apply_async(kwargs=", "_publish(")
        .replace(
            '"email": email})',
            '"email": email})\n\n\ndef _publish(payload):\n'
            "    tasks.send_receipt.apply_async(kwargs=payload)",
        )
    )
    assert names(BASE, helper) == [("shop.sweep:sweep_missing", 60)]


def write(repo: Path, files: dict[str, str]) -> None:
    for name in ("shop/celery.py", "shop/sweep.py"):
        (repo / name).write_text(files[name])
    helpers.commit(repo, "Sweep")


@pytest.mark.real
def test_a_sweep_that_brings_back_what_was_given_up_fails_the_branch(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    write(repo, with_sweep(ALL))
    verified = verify(repo, "--ci", code=1)
    (finding,) = job_of(verified.document)["proof"]["findings"]
    assert (finding["rule"], finding["severity"]) == (RULE, "error")
    assert finding["path"] == "shop/sweep.py"


@pytest.mark.real
def test_a_sweep_that_leaves_alone_what_it_should_passes(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    write(repo, with_sweep(OLD))
    assert job_of(verify(repo, "--ci", code=0).document)["proof"]["findings"] == []
