"""A second job whose key the application's own call draws: the call is made once more."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from till import SPEC, till_repo

from skillrun.contract.job import JobSpec
from skillrun.contract.spec import load_spec
from skillrun.proof.assumptions import assumptions
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target
from skillrun.proof.second_job import list_call_arguments

# A form that is sent twice is one order.
DESK = """
    from till import db
    from till.tasks import charge


    def enqueue(form, item):
        with db.begin() as store:
            store.execute(
                "insert or ignore into orders (status, tries, due, form, item)"
                " values ('open', 0, 0, ?, ?)", (form, item)
            )
            row = store.execute("select id from orders where form = ?", (form,)).fetchone()
        charge.delay(order_id=row[0])


    def publish_open():
        with db.begin() as store:
            rows = store.execute("select id from orders where status = 'open' order by 1").fetchall()
        for (order_id,) in rows:
            charge.delay(order_id=order_id)
"""
TABLE = '"create table orders (id integer primary key, status text, tries integer, due real)"'
WITH_FORM = TABLE.replace("due real", "due real, form text unique, item text")
ROWS = "        store.execute(\"insert into orders values (7, 'open', 0, 0), (8, 'open', 0, 0)\")\n"
DRAWN = {
    "payload": {**SPEC["payload"], "examples": [{"order_id": 1}]},
    "enqueue": {"call": "till.desk:enqueue", "args": {"form": "form-1", "item": "tea"}},
    "recovers": [{"call": "till.desk:publish_open", "every": "10m"}],
}
AT_RANDOM_DESK = """
    import uuid

    from till import db
    from till.tasks import charge


    def enqueue():
        order_id = str(uuid.uuid4())
        with db.begin() as store:
            store.execute("insert into orders values (?, 'open', 0, 0)", (order_id,))
        charge.delay(order_id=order_id)
"""
AT_RANDOM = {
    "payload": {
        "type": "object",
        "required": ["order_id"],
        "properties": {"order_id": {"type": "string"}},
        "examples": [{"order_id": "5f0c3d0e-8a55-4a0f-9d7e-0d1f8a6f2b11"}],
    },
    "enqueue": {"call": "till.desk:enqueue", "args": {}},
}
ONE_KEY = ('key=f"order-{order_id}"', 'key="order"')
# By the application's own rules one person is charged once, whatever the orders say.
SKIPS = (
    "        if row[1] >= MOST or row[2] > time.time():",
    """        if store.execute("select 1 from orders where status = 'paid'").fetchone():
            return None
        if row[1] >= MOST or row[2] > time.time():""",
)

# One that goes by the item: the key of the spec is the order.
SKIPS_ITEM = (
    SKIPS[0],
    """        item = store.execute("select item from orders where id = ?", (order_id,)).fetchone()[0]
        paid = "select 1 from orders where status = 'paid' and item = ?"
        if store.execute(paid, (item,)).fetchone():
            return None
        if row[1] >= MOST or row[2] > time.time():""",
)
# So does one that leaves the older of two to the newer one.
SKIPS_OLDER = (
    SKIPS[0],
    """        newer = "select 1 from orders o join orders n on n.item = o.item and n.id > o.id"
        if store.execute(f"{newer} where o.id = ?", (order_id,)).fetchone():
            return None
        if row[1] >= MOST or row[2] > time.time():""",
)
SKIPS_NEWER = (SKIPS[0], SKIPS_OLDER[1].replace("n.id > o.id", "n.id < o.id"))
EACH_IS_AN_ORDER = {
    "insert or ignore into": "insert into",
    'select id from orders where form = ?", (form,)': 'select max(id) from orders"',
}


def proof_of_drawn(
    root: Path, only: str | None, *edits: tuple[str, str], each: bool = False
) -> tuple[Proof, Target]:
    """`each`: every call makes an order of its own, whatever form it is given."""
    desk, with_form = DESK, WITH_FORM
    if each:
        with_form = with_form.replace(" unique", "")
        for old, new in EACH_IS_AN_ORDER.items():
            assert desk.count(old) == 1, old
            desk = desk.replace(old, new)
    till_repo(root, *edits, **DRAWN)
    setup = root / "till/db.py"
    code = setup.read_text()
    assert (code.count(TABLE), code.count(ROWS)) == (1, 1)
    setup.write_text(code.replace(TABLE, with_form).replace(ROWS, ""))
    (root / "till/desk.py").write_text(textwrap.dedent(desk))
    spec = load_spec(root / ".skillrun/jobs/charge.yaml", root=root)
    target = Target(spec, root, "celery")
    return prove(target, only=only), target


@pytest.mark.real
def test_the_call_is_made_once_more_for_a_second_job(tmp_path: Path) -> None:
    proof, target = proof_of_drawn(tmp_path / "repo", "job=1")
    assert proof.incomplete == []
    assert proof.verdict == "proved"
    (tried,) = [one for one in proof.tried if str(one.schedule) == "job=1"]
    assert [call["key"] for call in tried.history.performed()] == ["'order-1'", "'order-2'"]
    assert any(
        "called once more, with form='form-2'" in said for said in assumptions(proof, target)
    )


@pytest.mark.real
def test_a_key_that_two_of_its_orders_share_is_found(tmp_path: Path) -> None:
    proof, _ = proof_of_drawn(tmp_path / "repo", "job=1", ONE_KEY)
    assert proof.verdict == "refuted"


@pytest.mark.real
def test_a_job_that_the_handler_leaves_out_is_no_second_one(tmp_path: Path) -> None:
    proof, _ = proof_of_drawn(tmp_path / "repo", "once", SKIPS)
    assert [one.rule for one in proof.incomplete] == ["distinct.none"]


@pytest.mark.real
@pytest.mark.parametrize("each", [True, False], ids=["each call", "each form"])
@pytest.mark.parametrize(
    "skips", [SKIPS_ITEM, SKIPS_OLDER, SKIPS_NEWER], ids=["paid", "old", "new"]
)
def test_another_item_hides_no_job_that_is_left_out(
    skips: tuple[str, str], each: bool, tmp_path: Path
) -> None:
    """By the spec each order is a job; the handler goes by the item."""
    proof, _ = proof_of_drawn(tmp_path / "repo", "once", skips, each=each)
    (found,) = proof.incomplete
    assert found.rule == "distinct.none"
    assert "of the call made again" in found.message


@pytest.mark.real
def test_the_same_arguments_are_a_second_job_where_each_call_makes_an_order(tmp_path: Path) -> None:
    proof, target = proof_of_drawn(tmp_path / "repo", "job=1", each=True)
    assert (proof.verdict, proof.incomplete) == ("proved", [])
    assert any("called once more, with the same" in said for said in assumptions(proof, target))


@pytest.mark.real
def test_every_worker_of_a_proof_makes_the_second_call(tmp_path: Path) -> None:
    proof, _ = proof_of_drawn(tmp_path / "repo", None)
    assert (proof.verdict, proof.incomplete) == ("proved", [])


def spec_of_call(arguments: dict[str, Any]) -> JobSpec:
    return JobSpec(version=1, job="job", enqueue={"call": "shop.desk:order", "args": arguments})


def test_the_same_arguments_come_first_then_each_has_another_value() -> None:
    found = list(list_call_arguments(spec_of_call({"form": "f-1", "pieces": 3, "gift": None})))
    assert found == [
        {"form": "f-1", "pieces": 3, "gift": None},
        {"form": "f-2", "pieces": 3, "gift": None},
        {"form": "f-1", "pieces": 4, "gift": None},
        {"form": "xf-1", "pieces": 3, "gift": None},
        {"form": "f-1", "pieces": 2, "gift": None},
    ]


def test_what_an_argument_holds_is_changed_value_by_value() -> None:
    found = list(list_call_arguments(spec_of_call({"order": {"form": "f-1", "pieces": 3}})))
    assert {"order": {"form": "f-2", "pieces": 3}} in found
    assert {"order": {"form": "f-1", "pieces": 4}} in found


def test_without_a_call_there_is_none_to_make() -> None:
    assert list(list_call_arguments(JobSpec(version=1, job="job"))) == []


@pytest.mark.real
def test_a_key_that_is_drawn_at_random_stays_that_of_its_call(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    till_repo(root, **AT_RANDOM)
    setup = root / "till/db.py"
    code = setup.read_text().replace("order_id integer primary key", "order_id text primary key")
    setup.write_text(code.replace("(id integer", "(id text").replace(ROWS, ""))
    (root / "till/desk.py").write_text(textwrap.dedent(AT_RANDOM_DESK))
    spec = load_spec(root / ".skillrun/jobs/charge.yaml", root=root)
    # 1 is the example with another id, 2 the example itself: neither has a row.
    proof = prove(Target(spec, root, "celery"), only="job=3")
    assert proof.incomplete == []
    assert proof.verdict == "proved"
