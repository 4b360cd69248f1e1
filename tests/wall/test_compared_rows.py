"""The base's job and HEAD's over other rows than the example's: what only these tell apart."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof"))
import helpers
import word_job
from histories import ACKED, RETURNED, effect, history, raised, retry
from looks import SPEC, SPEC_TEXT, diff

from skillrun.contract.spec import load_spec
from skillrun.core.errors import Blocked
from skillrun.proof.history import History, Swept
from skillrun.proof.observe import choose_rows, observe_worlds
from skillrun.proof.result import Target
from skillrun.proof.schedule import LATE_SWEEP
from skillrun.proof.worlds import FEWER_ROWS, MORE_ROWS
from skillrun.wall.compared_rows import judge_rows
from skillrun.wall.verification import Job, NotCompared, Proof

Worlds = dict[str, list[History]]


def run(args: str = "to='a'", times: int = 1, letters: int = 0) -> History:
    events = []
    for number in range(1, times + 1):
        for kind, fields in effect(key=f"'{number}'"):
            events.append((kind, {**fields, "args": args}))
    return history("once", [*events, RETURNED, ACKED], dead_letters=letters)


FAILS = history("once", [*effect(), raised(), retry(), ACKED], [*effect(), RETURNED, ACKED])


def judge(before: Worlds, *after: Worlds, spec_text: str = SPEC_TEXT) -> tuple[str, list[str]]:
    """`after`: what HEAD does, each time that it is asked."""
    old = {SPEC: spec_text, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {**old, "shop/mailer.py": "A = 2\n"})
    (spec,) = branch.specs
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    asked = iter(after)
    judged = judge_rows(job, spec, branch, lambda _: before, lambda _: next(asked))
    assert judged.proof is not None
    return judged.outcome, [finding.message for finding in judged.proof.findings]


PLAIN: Worlds = {"": [run()], "many": [run(times=300)], "longer:t.iban": [run("to='aaaa'")]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"many": [run(times=200)]},
            "with 1050 more rows in each table the calls of email are `200`",
        ),
        (
            {"longer:t.iban": [run("to='aa'")]},
            "with a longer text in `t.iban` email is called with `to='aa'`, and at the base `to='aaaa'`",
        ),
        ({"many": [FAILS]}, "the job comes to the end `tried again`, and at the base `done`"),
    ],
)
def test_what_the_base_does_with_any_rows_head_does_too(changes: Worlds, said: str) -> None:
    head = {**PLAIN, **changes}
    outcome, told = judge(PLAIN, head, head)
    assert outcome == "partial"
    assert said in told[0]


def test_a_list_that_is_full_is_found() -> None:
    before = {"": [run(letters=1)], "given-up": [run(letters=1051)]}
    head = {**before, "given-up": [run(letters=1050)]}
    outcome, told = judge(before, head, head)
    assert outcome == "partial"
    assert told == [
        "with the rows of 1050 other jobs that were given up the dead letters are `1050`, and at the"
        " base `1051`"
    ]


def test_the_same_with_any_rows_is_no_finding() -> None:
    assert judge(PLAIN, PLAIN) == ("success", [])


def test_what_is_otherwise_with_the_examples_own_rows_is_not_told_again() -> None:
    """A signature that is another one, a text that is meant: the other comparison says it."""
    head = {name: [run("address='a'", len(runs[0].performed()))] for name, runs in PLAIN.items()}
    assert judge(PLAIN, head) == ("success", [])


def test_rows_that_the_base_itself_does_not_survive_say_nothing() -> None:
    before = {**PLAIN, "many": [FAILS]}
    assert judge(before, {**PLAIN, "many": [run(times=2)]}) == ("success", [])


def test_what_one_run_does_by_chance_is_no_finding() -> None:
    assert judge(PLAIN, {**PLAIN, "many": [run(times=299)]}, PLAIN) == ("success", [])


def list_not_compared(before: Worlds, after: Worlds) -> list[tuple[str, str]]:
    recovers = "recovers: [{call: 'shop.sweeps:requeue', every: 15m}]\n"
    old = {SPEC: SPEC_TEXT + recovers, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {**old, "shop/mailer.py": "A = 2\n"})
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    judged = judge_rows(job, branch.specs[0], branch, lambda _: before, lambda _: after)
    return [(one.what, one.why) for one in judged.not_compared]


@pytest.mark.real
def test_what_was_not_compared_is_said_and_nothing_where_all_was() -> None:
    whole: Worlds = {"": [run(), swept(2)], "many": [run(times=300), swept(1052)]}
    assert list_not_compared(whole, whole) == []
    (once, sweep), unended = whole["many"], "did not end within a delivery's time"
    hung = dataclasses.replace(sweep, hung="before:select#1")
    what = "what its sweeps find with 1050 more rows in each table"
    assert list_not_compared({**whole, "many": [once, hung]}, whole) == [
        (what, f"the base's {unended}")
    ]
    assert list_not_compared(whole, {**whole, "many": [once, hung]}) == [
        (what, f"HEAD's {unended}")
    ]
    assert list_not_compared({**whole, "many": [FAILS, sweep]}, whole) == [
        (
            "what it does with 1050 more rows in each table",
            "the base itself comes to another end there",
        )
    ]
    (found,) = list_not_compared({"": whole[""]}, {"": whole[""]})
    assert found[0] == "what it does with other rows"
    ((what, _),) = list_not_compared(PLAIN, PLAIN)
    assert what == "what its sweeps find"


def test_other_numbers_of_rows_are_said_and_the_fewer_are_compared() -> None:
    """HEAD's sweep does more for each row, so that it was run over fewer."""
    before: Worlds = {
        "": [run(), swept(2)],
        "many/131": [swept(133)],
        "many": [run(times=300), swept(1052)],
    }
    after = {**before, "many": [run(times=300)], "many/525": [swept(527)]}
    assert list_not_compared(before, after) == [
        (
            "what it does with 1050 more rows in each table",
            "HEAD's was not run over them: it has none, or does more for each",
        )
    ]
    starved = {**after, "many/131": [swept(100, is_found=False)]}
    outcome, told = judge(before, starved, starved)
    assert outcome == "partial"
    assert told[0].startswith("with 131 more rows in each table the job comes to the end")


def test_a_side_that_cannot_be_run_is_said_by_the_other_comparison() -> None:
    old = {SPEC: SPEC_TEXT, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {**old, "shop/mailer.py": "A = 2\n"})
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))

    def fail(_: object) -> Worlds:
        raise Blocked("no interpreter")

    judged = judge_rows(job, branch.specs[0], branch, fail, fail)
    assert judged.not_compared == (NotCompared("what it does with other rows", "no interpreter"),)
    assert dataclasses.replace(judged, not_compared=()) == job


# -- sweeps


def swept(jobs: int, *, is_found: bool = True) -> History:
    """The job died, and a sweep that published so many jobs brings it back or not."""
    first = [("began", {}), ("died", {})]
    again = [[*effect(), RETURNED, ACKED]] if is_found else []
    made = history("kill@before:email#1 lose", first, *again)
    schedule = dataclasses.replace(made.schedule, moves=(LATE_SWEEP,))
    swept = (Swept("shop.sweeps:requeue", jobs),)
    return dataclasses.replace(made, schedule=schedule, swept=swept)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            swept(100, is_found=False),
            "the job comes to the end `failed`, and at the base `tried again`",
        ),
        (swept(2), "`shop.sweeps:requeue` finds 2 jobs, and at the base 1052"),
        (swept(100), None),
        (swept(3000), None),
    ],
    ids=("starved", "none of the others", "a page", "a larger page"),
)
def test_a_sweep_finds_what_the_bases_finds(head: History, said: str | None) -> None:
    before = {"": [swept(2)], "many": [swept(1052)]}
    after = {"": [swept(2)], "many": [head]}
    outcome, told = judge(before, after, after)
    if said is None:
        assert (outcome, told) == ("success", [])
    else:
        assert outcome == "partial"
        assert told == [f"with 1050 more rows in each table {said}"]


def test_a_sweep_that_brings_back_what_is_done_is_found() -> None:
    before = {"": [swept(1)], "done": [swept(1)]}
    after = {"": [swept(1)], "done": [swept(1051)]}
    assert judge(before, after, after)[0] == "partial"


def test_a_job_that_the_bases_sweep_brings_back_days_later_is_brought_back() -> None:
    """Over the example's own rows: who skips what is older than a day leaves it for ever."""
    base: Worlds = {"": [run(), swept(1)], "many": [run()]}
    late: Worlds = {"": [run(), swept(0, is_found=False)], "many": [run()]}
    outcome, told = judge(base, late, late)
    assert outcome == "partial"
    assert told == [
        "with the example's own rows, where its worker died and a sweep comes days later, the job"
        " comes to the end `failed`, and at the base `tried again`"
    ]
    assert judge(late, base) == ("success", [])
    assert judge(late, late) == ("success", [])
    assert judge(base, late, base) == ("success", [])


SWEEPS = """
from store import db
from store.tasks import ship

def requeue():
    with db.connect() as connection:
        for order_id, state in connection.execute("select id, state from orders order by id"):
            if state == "new":
                ship.delay(order_id=order_id)
"""
HANDLER = "        handler: store.tasks:ship\n"
RECOVERS = "        recovers: [{call: 'store.sweeps:requeue', every: 15m}]\n"


SENDING = """
from store import db, parcels

def requeue():
    with db.connect() as connection:
        rows = connection.execute("select id from orders where state = 'new' order by id").fetchall()
        for (order_id,) in rows[:SIZE]:
            parcels.send(order_id, idempotency_key=f"order:{order_id}")
            connection.execute("update orders set state = 'sent' where id = ?", (order_id,))
"""


def observe(root: Path, *, order: str = "order by id", sweeps: str = SWEEPS) -> Worlds:
    """What the shop's job and its sweep do in each world."""
    text = word_job.FILES[word_job.SPEC]
    assert HANDLER in text
    files = {
        **word_job.FILES,
        "store/sweeps.py": sweeps.replace("order by id", order),
        word_job.SPEC: text.replace(HANDLER, HANDLER + RECOVERS),
    }
    repo = helpers.build_tree(root, files)
    return observe_worlds(Target(load_spec(repo / word_job.SPEC), repo, "celery"))


@pytest.mark.real
def test_a_sweep_that_others_hold_up_is_found(tmp_path: Path) -> None:
    """The newest come first, a hundred at a time: who waits behind them waits for ever, and each of
    them may be done long ago.
    """
    base = observe(tmp_path / "base", order="order by id")
    assert set(base) >= {"", "many", "done"}
    asked = {str(one.schedule) for one in base["many"]}
    assert any("sweep-a-day-later" in text for text in asked)
    starved = observe(tmp_path / "head", order="order by id desc limit 100")
    outcome, told = judge(base, starved, starved)
    assert outcome == "partial"
    assert "the job comes to the end" in told[0]
    paged = observe(tmp_path / "paged", order="order by id limit 100")
    assert judge(base, paged, paged) == ("success", [])


@pytest.mark.real
def test_how_much_a_sweep_sends_at_a_time_is_its_own(tmp_path: Path) -> None:
    base = observe(tmp_path / "base", sweeps=SENDING.replace("SIZE", "20"))
    larger = observe(tmp_path / "larger", sweeps=SENDING.replace("SIZE", "40"))
    assert any("sweep-a-day-later" in str(one.schedule) for one in base["many"])
    text = word_job.FILES[word_job.SPEC]
    assert judge(base, larger, larger, spec_text=text) == ("success", [])
    again = SENDING.replace("SIZE", "20").replace("= 'new'", "<> 'other'")
    done = observe(tmp_path / "done", sweeps=again)
    outcome, told = judge(base, done, done, spec_text=text)
    assert outcome == "partial"
    assert "were done `store.sweeps:requeue` finds" in told[0]


# Marks each order, one statement after the other, before it publishes the next message.
DOES_MUCH = """
from store import db
from store.tasks import ship

def requeue():
    with db.connect() as connection:
        rows = connection.execute("select id, state from orders order by id").fetchall()
        for order_id, state in rows:
            for _ in range(15):
                connection.execute("update orders set state = state where id = ?", (order_id,))
            if state == "new":
                ship.delay(order_id=order_id)
"""


def test_a_sweep_that_does_much_for_each_row_gets_fewer() -> None:
    few = FEWER_ROWS
    assert choose_rows(15, 15) == choose_rows(15, 15 + 8 * few) == MORE_ROWS
    assert choose_rows(15, 15 + 15 * few) == MORE_ROWS // 2
    assert choose_rows(15, 15 + 30 * few) == MORE_ROWS // 4
    assert choose_rows(15, 15 + 500 * few) == FEWER_ROWS


@pytest.mark.real
def test_a_sweep_that_does_much_for_each_row_is_compared(tmp_path: Path) -> None:
    base = observe(tmp_path / "base", sweeps=DOES_MUCH)
    sizes = {world for world in base if world.startswith("many/")}
    assert sizes == {"many/131", "many/262"}
    for world in sizes:
        assert all(one.hung is None for one in base[world])
    starved = observe(tmp_path / "head", sweeps=DOES_MUCH, order="order by id desc limit 100")
    outcome, told = judge(base, starved, starved)
    assert outcome == "partial"
    assert "with 131 more rows in each table the job comes to the end" in told[0]


@pytest.mark.real
def test_a_sweep_that_leaves_alone_what_is_old_is_found(tmp_path: Path) -> None:
    base = observe(tmp_path / "base")
    began = f"import db\nimport time\n\nBEGAN = {int(time.time())}\n"
    old = SWEEPS.replace("import db\n", began, 1)
    for days, outcome in ((3, "partial"), (60, "success")):
        limit = f'if state == "new" and time.time() - BEGAN < {days} * 86_400:'
        head = observe(tmp_path / str(days), sweeps=old.replace('if state == "new":', limit))
        assert judge(base, head, head)[0] == outcome


REQUEST = """
from store import db
from store.tasks import ship

def request(order_id):
    with db.connect() as connection:
        weight = connection.execute("select weight from orders where id = ?", (order_id,)).fetchone()[0]
        connection.execute("insert or ignore into dues values (?, ?)", (order_id, GRAMS))
    ship.delay(order_id=order_id)
"""
COLUMN = "state text not null default 'new'"
DUES = "create table if not exists dues (order_id integer primary key, grams integer);"
GRAMS_OF = (
    'db.connect().execute("select grams from dues where order_id = ?", (order_id,)).fetchone()[0]'
)


def observe_request(root: Path, grams: str) -> Worlds:
    """The application's call writes down what the job sends later."""
    files = dict(word_job.FILES)
    changes = (
        ("store/db.py", COLUMN, f"{COLUMN}, weight integer not null default 9800"),
        (
            "store/db.py",
            "create table if not exists leases",
            f"{DUES} create table if not exists leases",
        ),
        ("store/parcels.py", "send(order_id, ", "send(order_id, grams, "),
        ("store/tasks.py", "parcels.send(order_id, ", f"parcels.send(order_id, {GRAMS_OF}, "),
        (
            word_job.SPEC,
            HANDLER,
            f"{HANDLER}        enqueue: {{call: store.sales:request, args: {{order_id: 7}}}}\n",
        ),
    )
    for file, old, new in changes:
        assert files[file].count(old) == 1, old
        files[file] = files[file].replace(old, new)
    files["store/sales.py"] = REQUEST.replace("GRAMS", grams)
    repo = helpers.build_tree(root, files)
    return observe_worlds(Target(load_spec(repo / word_job.SPEC), repo, "celery"))


@pytest.mark.real
def test_what_the_applications_call_makes_of_other_rows_is_compared(tmp_path: Path) -> None:
    """Half of the weight, twice: 9800 comes out right, and an odd number does not."""
    base = observe_request(tmp_path / "base", "weight")
    assert judge(base, base, spec_text=word_job.FILES[word_job.SPEC]) == ("success", [])
    head = observe_request(tmp_path / "head", "weight // 2 * 2")
    outcome, told = judge(base, head, head, spec_text=word_job.FILES[word_job.SPEC])
    assert outcome == "partial"
    assert "with 1931 cents in `orders.weight` parcel is called with" in told[0]
