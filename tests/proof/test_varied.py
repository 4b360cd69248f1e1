"""Distinct keys in, distinct keys out: payloads are varied in the key fields, and rows are copied
for them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from plain_job import SPEC, plain_repo, proof_of, target_of
from rows import real_but

from skillrun.contract.job import JobSpec
from skillrun.core.errors import Misuse
from skillrun.proof.assumptions import assumptions
from skillrun.proof.clones import clone_rows
from skillrun.proof.observe import look
from skillrun.proof.report import plan_report, proof_report
from skillrun.proof.result import Proof
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.services.find import find_postgres
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.state import SqliteStore
from skillrun.proof.varied import VARIED, varied_payloads

ALL = "varied=1-50"


def spec_of(example: dict[str, Any], **schema: Any) -> JobSpec:
    fields = {
        "idempotency": {"strategy": "keyed", "key": list(example)},
        "payload": {"type": "object", "examples": [example], **schema},
    }
    return JobSpec.model_validate({"version": 1, "job": "sample", **fields})


# -- payloads

KINDS: dict[str, Any] = {
    "number": 7,
    "text": "welcome",
    "reference": "A-0007",
    "day": "2024-01-31",
    "month": "2026-12",
    "time": "2024-01-31T08:00:00Z",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "email": "ann@example.org",
    "reference with a year": "ORD-2024-00017",
    "day within": "digest-2024-01-31/berlin",
    "last day of all": "9999-12-31",
    "last day of all within": "contract-9999-12-31-A7",
}


@pytest.mark.parametrize("name", KINDS)
def test_fifty_payloads_are_derived_and_are_the_same_each_time(name: str) -> None:
    spec = spec_of({"field": KINDS[name]})
    found = varied_payloads(spec)
    assert found == varied_payloads(spec)
    values = [payload["field"] for payload in found.values()]
    assert len(values) == len(set(values)) == 50
    assert KINDS[name] not in values
    assert list(found) == list(range(VARIED, VARIED + 50))


@pytest.mark.parametrize("modulus", [10, 100, 1000, 16, 256, 1024, 65536])
def test_numbers_meet_each_usual_remainder_twice(modulus: int) -> None:
    values = [payload["field"] for payload in varied_payloads(spec_of({"field": 7})).values()]
    assert len({value % modulus for value in values if value % modulus != 7}) < len(values) - 1


@pytest.mark.parametrize(
    ("example", "pattern", "are_there"),
    [
        ("K-1001", r"^K-\d{4,20}$", True),
        ("K-1001", r"^K-\d{4}$", False),
        ("2026-K-1001", "", False),  # one of its numbers is a year
    ],
)
def test_long_ids_differ_in_their_last_digit_alone(
    example: str, pattern: str, are_there: bool
) -> None:
    """A key that is cut to fifteen of their digits takes two of them for one."""
    schema = {"properties": {"field": {"type": "string", "pattern": pattern}}}
    found = varied_payloads(spec_of({"field": example}, **schema)).values()
    long = [payload["field"] for payload in found if len(payload["field"]) >= 18]
    assert bool(long) == are_there
    if are_there:
        assert len({value[:-1] for value in long}) < len(set(long))


@pytest.mark.parametrize(
    ("example", "borders"),
    [("2026-12", {"2026-02", "2026-04", "2028-02"}), ("2024-01-05", {"2028-02-29", "2028-03-31"})],
)
def test_the_borders_of_the_calendar_are_among_them(example: str, borders: set[str]) -> None:
    found = varied_payloads(spec_of({"field": example}))
    assert borders <= {payload["field"] for payload in found.values()}


@pytest.mark.parametrize(
    ("example", "others"),
    [
        ("ORD-2024-00017", {"ORA-2024-00017", "ARD-2024-00017", "ORD-2025-00017"}),
        ("INV-2024-A17", {"INV-2024-B17", "INV-2024-C17", "INV-2026-A17"}),
        ("2024-01-31T08:00:00Z", {"2024-01-31T09:00:00Z", "2024-01-31T08:01:00Z"}),
        ("2024-01-31-00017", {"2028-02-29-00017", "2024-01-31-00018"}),
        ("digest-2024-01-31", {"digesa-2024-01-31", "digest-2028-02-29"}),
    ],
)
def test_each_part_of_a_text_differs_by_itself(example: str, others: set[str]) -> None:
    found = varied_payloads(spec_of({"field": example}))
    assert others <= {payload["field"] for payload in found.values()}


# What a key leaves out of a text -> what is left of it.
CUTS: dict[str, Any] = {
    "last section": lambda text: text.rsplit("-", 1)[1],
    "first section": lambda text: text.split("-", 1)[0],
    "without its first section": lambda text: text.split("-", 1)[1],
    "without its last section": lambda text: text.rsplit("-", 1)[0],
    "digits": lambda text: "".join(filter(str.isdigit, text)),
    "without the first letter": lambda text: text[1:],
    "without the last letter": lambda text: text[:-1],
}


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ["uuid", "reference with a year", "INV-2024-A17", "eu-west-abc"])
def test_two_of_them_are_the_same_where_a_part_is_left_out(name: str, cut: str, most: int) -> None:
    """Also where two further key fields leave a third of the fifty to each."""
    example = {"field": KINDS.get(name, name)}
    example.update({f"field{number}": "x" for number in range(1, most)})
    if cut == "digits" and not any(map(str.isdigit, example["field"])):
        return
    found = varied_payloads(spec_of(example)).values()
    changed = [payload["field"] for payload in found if payload["field"] != example["field"]]
    keys = [CUTS[cut](text) for text in changed]
    assert len(set(keys)) < len(keys)


def test_letters_keep_their_case_so_that_a_pattern_takes_them() -> None:
    schema = {"properties": {"field": {"type": "string", "pattern": r"^[A-Z]{3}-\d+$"}}}
    found = varied_payloads(spec_of({"field": "ORD-7"}, **schema)).values()
    assert "ORA-7" in [payload["field"] for payload in found]


def test_a_schema_is_satisfied_and_an_enum_is_its_other_values() -> None:
    limits = {"properties": {"field": {"type": "integer", "minimum": 5, "maximum": 9}}}
    values = [p["field"] for p in varied_payloads(spec_of({"field": 7}, **limits)).values()]
    assert values == [8, 9]
    kinds = {"properties": {"field": {"enum": ["a", "b", "c"]}}}
    assert [p["field"] for p in varied_payloads(spec_of({"field": "b"}, **kinds)).values()] == [
        "a",
        "c",
    ]


def test_each_key_field_is_varied_by_itself() -> None:
    found = varied_payloads(spec_of({"order_id": 7, "kind": "paid"})).values()
    assert len(found) == 50
    assert sum(payload["order_id"] == 7 for payload in found) == 25
    assert sum(payload["kind"] == "paid" for payload in found) == 25


# -- rows

ORDERS = """
    create table orders (id integer primary key, email text, uuid text unique, status text);
    create table order_lines (id integer primary key, order_id integer, what text);
    create table others (id integer primary key, note text);
    insert into orders values (7, 'ann@example.org', '123e4567-e89b-12d3-a456-426614174000', 'paid');
    insert into order_lines values (1, 7, 'shoe'), (2, 7, 'hat'), (3, 8, 'coat');
    insert into others values (7, 'nothing of it');
"""


def test_rows_of_the_example_are_copied_with_what_is_unique_made_new(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "app.db") as db:
        db.executescript(ORDERS)
    spec = spec_of({"order_id": 7})
    copied = clone_rows(SqliteStore(tmp_path / "app.db"), spec, {VARIED: {"order_id": 17}})
    orders = db.execute("select * from orders where id = 17").fetchall()
    assert [(row[0], row[1], row[3]) for row in orders] == [(17, "ann@example.org", "paid")]
    assert orders[0][2] != "123e4567-e89b-12d3-a456-426614174000"
    lines = db.execute("select order_id, what from order_lines where order_id = 17").fetchall()
    assert lines == [(17, "shoe"), (17, "hat")]
    assert db.execute("select count(*) from others").fetchone() == (1,)
    assert {"ann@example.org", "paid", "shoe", "hat"} <= set(copied[VARIED])
    db.close()


@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
@pytest.mark.real
def test_rows_of_postgresql_are_copied_too(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "pg") as server:
        for statement in POSTGRES.strip().split(";\n"):
            server.query(statement)
        copied = clone_rows(server, spec_of({"order_id": 7}), {VARIED: {"order_id": 17}})
        orders = server.query(
            "select id, email, token::text, paid_at::text from orders where id = 17"
        )
        lines = server.query(
            "select order_id, what from order_lines where order_id = 17 order by 2"
        )
        assert server.query("show session_replication_role") == [["origin"]]
    (order,) = [list(row) for row in orders]
    assert order[:2] == [17, "ann@example.org"]
    assert order[2] != TOKEN
    assert order[3].startswith("2024-01-31")
    assert [list(row) for row in lines] == [[17, "hat"], [17, "shoe"]]
    assert {"ann@example.org", "shoe", "hat"} <= set(copied[VARIED])


TOKEN = "123e4567-e89b-12d3-a456-426614174000"
POSTGRES = f"""
create table orders (id serial primary key, email text not null, token uuid unique, paid_at timestamptz);
create table order_lines (id bigint generated always as identity primary key,
    order_id integer not null references orders, what text, unique (order_id, what));
insert into orders values (7, 'ann@example.org', '{TOKEN}', '2024-01-31');
insert into order_lines (order_id, what) values (7, 'shoe'), (7, 'hat')
"""


# -- verdicts

EXAMPLES = {
    "payload": {
        "type": "object",
        "required": ["order_id"],
        "properties": {"order_id": {"type": "integer"}},
        "examples": [{"order_id": 7}, {"order_id": 8}],
    }
}
KEY = 'key=f"order-{order_id}"'


def varied(tmp_path: Path, key: str, **more: Any) -> Proof:
    repo = plain_repo(
        tmp_path / "repo", changed={**EXAMPLES, **more}, was=KEY, becomes=f"key={key}"
    )
    return proof_of(repo, only=ALL)


COARSE = {
    "last-digit": 'f"receipt-{order_id % 10}"',
    "two-digits": 'f"receipt-{order_id % 100}"',
    "first-letter": 'f"receipt-{str(order_id)[0]}"',
    "bits": 'f"receipt-{order_id & 0xFFFF}"',
    "rounded": 'f"receipt-{order_id // 5}"',
    "digits": 'f"receipt-{order_id % 10_000_000}"',
    "hashed": "__import__('hashlib').sha256(str(order_id % 100).encode()).hexdigest()",
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(COARSE, "last-digit"))
def test_a_key_that_two_jobs_share_is_refuted_with_both(name: str, tmp_path: Path) -> None:
    proof = varied(tmp_path, COARSE[name])
    assert proof.verdict == "refuted"
    (witness,) = proof.witnesses
    assert (witness.judgement.rule, witness.again) == ("effect.key-of-two-jobs", 3)
    assert witness.judgement.message.count("'order_id':") == 2
    assert len(witness.tried.history.runs) <= 3  # the example, and the two that share it


TEXT_SETUP = """python -c "import os, sqlite3
sqlite3.connect(os.environ['APP_DB']).execute('create table done (order_id text primary key)')
" """


def varied_text(tmp_path: Path, example: str, key: str) -> Proof:
    payload = {
        "type": "object",
        "required": ["order_id"],
        "properties": {"order_id": {"type": "string"}},
        "examples": [{"order_id": example}],
    }
    return varied(tmp_path, key, payload=payload, proof={**SPEC["proof"], "setup": TEXT_SETUP})


UUID = KINDS["uuid"]
# A key that leaves a part of the id out.
COARSE_TEXTS = {
    "without-year": ("ORD-2024-00017", 'order_id.rsplit("-", 1)[1]'),
    "without-letter": ("INV-2024-A17", 'order_id.rsplit("-", 1)[1]'),
    "digits": ("INV-2024-A17", '"".join(filter(str.isdigit, order_id))'),
    "last-section": (UUID, 'order_id.rsplit("-", 1)[1]'),
    "first-section": (UUID, 'order_id.split("-")[0]'),
    "without-shop": ("eu-west/0007", 'order_id.split("/")[1]'),
    "day": ("2024-01-31T08:00:00Z", "order_id[:10]"),
    "day-and-shop": ("2024-01-31/berlin", "order_id[:10]"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(COARSE_TEXTS, "without-year"))
def test_a_key_that_leaves_out_a_part_of_a_text_is_refuted(name: str, tmp_path: Path) -> None:
    proof = varied_text(tmp_path, *COARSE_TEXTS[name])
    assert proof.verdict == "refuted"
    assert {witness.judgement.rule for witness in proof.witnesses} == {"effect.key-of-two-jobs"}


FINE_TEXTS = {
    "whole": ("ORD-2024-00017", KEY.removeprefix("key=")),
    "small": ("ORD-2024-00017", "order_id.lower()"),
    "packed": (UUID, 'order_id.replace("-", "")'),
    "moment": ("2024-01-31T08:00:00Z", "order_id[:19]"),
}


@pytest.mark.parametrize("name", FINE_TEXTS)
@pytest.mark.real
def test_a_key_of_its_own_for_each_text_is_proved(name: str, tmp_path: Path) -> None:
    proof = varied_text(tmp_path, *FINE_TEXTS[name])
    assert proof.verdict == "proved", [judgement.message for judgement in proof.incomplete]


FINE = {
    "as-it-was": 'f"order-{order_id}"',
    "hashed": "__import__('hashlib').sha256(str(order_id).encode()).hexdigest()",
    "padded": 'f"{order_id:012d}"',
}


@pytest.mark.parametrize("name", FINE)
@pytest.mark.real
def test_a_key_of_its_own_for_each_job_is_proved(name: str, tmp_path: Path) -> None:
    proof = varied(tmp_path, FINE[name])
    assert proof.verdict == "proved", [judgement.message for judgement in proof.incomplete]


@pytest.mark.real
def test_the_whole_proof_has_it_and_its_witness_is_a_schedule(tmp_path: Path) -> None:
    repo = plain_repo(
        tmp_path / "repo", changed=EXAMPLES, was=KEY, becomes='key=f"r-{order_id % 10}"'
    )
    proof = proof_of(repo, only=None)
    (witness,) = proof.witnesses
    again = proof_of(repo, only=str(witness.tried.schedule))
    assert [found.judgement.rule for found in again.witnesses] == ["effect.key-of-two-jobs"]
    assert ALL in map(str, look(target_of(repo)).plan.schedules)


# -- jobs that leave no mark

MARK = '            db.execute("insert into done values (?) on conflict do nothing", (order_id,))\n'
UNMARKED = {
    "remainder": "if order_id % 11:",
    "half": "if order_id % 2:",
    "some": "if order_id not in {17, 4711}:",
    "the-examples": "if order_id in (7, 8):",
    "hashed": "if __import__('zlib').crc32(str(order_id).encode()) % 5:",
    "large": "if order_id < 1_000_000:",
}


def mark_where(tmp_path: Path, condition: str) -> Proof:
    becomes = f"            {condition}\n    {MARK}"
    return proof_of(plain_repo(tmp_path / "repo", changed=EXAMPLES, was=MARK, becomes=becomes), ALL)


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(UNMARKED, "remainder"))
def test_a_mark_that_some_jobs_do_not_leave_is_not_proved(name: str, tmp_path: Path) -> None:
    """The examples leave theirs, so that every other schedule is as it should be."""
    proof = mark_where(tmp_path, UNMARKED[name])
    assert proof.verdict == "incomplete"
    (problem,) = proof.incomplete
    assert problem.rule == "state.mark-skipped"
    assert "leave nothing in done, where it leaves [7]" in problem.message


MARKED = {
    "for-all": "if order_id > 0:",
    # What is replaced by the next job is no mark of each.
    "last-one": "if not db.execute('delete from done').rowcount < 0:",
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(MARKED, "for-all"))
def test_a_mark_of_every_job_or_of_the_last_alone_is_proved(name: str, tmp_path: Path) -> None:
    proof = mark_where(tmp_path, MARKED[name])
    assert proof.verdict == "proved", [judgement.message for judgement in proof.incomplete]


NUMBERED = """python -c "import os, sqlite3
db = sqlite3.connect(os.environ['APP_DB'])
db.execute('create table done (number integer primary key, order_id integer unique, at text)')
db.commit()
" """


@pytest.mark.real
def test_the_number_of_a_row_is_no_key(tmp_path: Path) -> None:
    """The first row has the number 1, and so has the example."""
    examples = {"payload": {**EXAMPLES["payload"], "examples": [{"order_id": 1}]}}
    into = (
        "insert into done (order_id, at) values (?, strftime('%f', 'now')) on conflict do nothing"
    )
    for columns, condition, verdict in (
        ("number, order_id", "True", "proved"),
        ("number", "True", "proved"),
        ("number, order_id", "order_id % 3", "incomplete"),
    ):
        proof = {
            **SPEC["proof"],
            "setup": NUMBERED,
            "state": {"done": f"select {columns} from done"},
        }
        becomes = (
            f'            if {condition}:\n                db.execute("{into}", (order_id,))\n'
        )
        changed = {**examples, "proof": proof}
        repo = plain_repo(
            tmp_path / f"{len(columns)}-{verdict}", changed=changed, was=MARK, becomes=becomes
        )
        found = proof_of(repo, only=ALL)
        assert found.verdict == verdict, [one.message for one in found.incomplete]


@pytest.mark.real
def test_the_number_of_a_row_is_no_key_where_numbers_are_left_out(tmp_path: Path) -> None:
    """Rows are numbered 1, 14, 27 ...: one of them is 66 by chance, and so is a varied payload."""
    examples = {"payload": {**EXAMPLES["payload"], "examples": [{"order_id": 1}]}}
    proof = {**SPEC["proof"], "setup": NUMBERED, "state": {"done": "select number from done"}}
    into = (
        "insert into done select coalesce(max(number) + 13, 1), ?, strftime('%f', 'now') from done"
        " where true on conflict do nothing"
    )
    becomes = f'            db.execute("{into}", (order_id,))\n'
    repo = plain_repo(tmp_path, changed={**examples, "proof": proof}, was=MARK, becomes=becomes)
    found = proof_of(repo, only=ALL)
    assert found.varied is not None
    rows = found.varied.history.state["done"]
    assert [66] in rows and [67] not in rows
    assert found.verdict == "proved", [one.message for one in found.incomplete]


@pytest.mark.real
def test_a_row_that_stood_there_keeps_its_status_and_is_no_mark(tmp_path: Path) -> None:
    """The rows of the payloads are copied from the example's, with the status that it had."""
    setup = SETUP.replace("ROWS", "(7, 8)").replace("token text", "token text, sent integer")
    setup = setup.replace("values (?, ?, ?)", "values (?, ?, 0, ?)")
    proof = {**SPEC["proof"], "setup": setup}
    proof["state"] = {"orders": "select id, sent from orders order by 1"}
    update = 'db.execute("update orders set sent = 1 where id = ?", (order_id,))'
    for condition, verdict in (("True", "proved"), ("order_id % 3", "incomplete")):
        becomes = f"            if {condition}:\n                {update}\n{MARK}"
        changed = {**EXAMPLES, "proof": proof}
        repo = plain_repo(tmp_path / verdict, changed=changed, was=MARK, becomes=becomes)
        found = proof_of(repo, only=ALL)
        assert found.verdict == verdict, [one.message for one in found.incomplete]


VERSIONED = """
    import logging
    import os
    import sqlite3
    from contextlib import closing

    log = logging.getLogger(__name__)


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def handle(order_id, version):
        log.info("handle started order_id=%s version=%s", order_id, version)
        with closing(sqlite3.connect(os.environ["APP_DB"])) as db, db:
            found = db.execute("select version from done where order_id = ?", (order_id,)).fetchone()
            if found and found[0] == version:
                return
            send(order_id, key=f"order-{order_id}-{version}")
            db.execute("insert or replace into done values (?, ?)", (order_id, version))
        log.info("handle finished order_id=%s version=%s", order_id, version)
"""


@pytest.mark.real
def test_a_row_that_the_next_version_replaces_is_no_mark_of_each(tmp_path: Path) -> None:
    """That another order's row holds the same version by chance makes it no row of this job."""
    payload = {
        "type": "object",
        "required": ["order_id", "version"],
        "properties": {"order_id": {"type": "integer"}, "version": {"type": "integer"}},
        "examples": [{"order_id": 7, "version": 2}, {"order_id": 8, "version": 6}],
    }
    setup = """python -c "import os, sqlite3
db = sqlite3.connect(os.environ['APP_DB'])
db.execute('create table done (order_id integer primary key, version integer)')
db.execute('insert into done values (99, 3), (98, 1), (97, 1000)')
db.commit()
" """
    changed = {
        "payload": payload,
        "idempotency": {**SPEC["idempotency"], "key": ["order_id", "version"]},
        "proof": {**SPEC["proof"], "setup": setup},
    }
    found = proof_of(plain_repo(tmp_path / "repo", jobs=VERSIONED, changed=changed), only=ALL)
    assert "state.mark-skipped" not in [one.rule for one in found.incomplete]


# -- keys that come out of rows

READS = """
            row = db.execute("select {column} from orders where id = ?", (order_id,)).fetchone()
            if row is None:
                return
            send(order_id, key={key})
"""
SEND = '            send(order_id, key=f"order-{order_id}")\n'
SETUP = """python -c "import os, sqlite3
db = sqlite3.connect(os.environ['APP_DB'])
db.execute('create table done (order_id integer primary key)')
db.execute('create table orders (id integer primary key, token text, batch text)')
for number in ROWS: db.execute('insert into orders values (?, ?, ?)', (number, f't{number}', f'b{number}'))
db.commit()
" """


def with_rows(
    tmp_path: Path, column: str, key: str, rows: tuple[int, ...] = (7, 8)
) -> tuple[Proof, list[str]]:
    """The proof, and what it takes for granted."""
    proof = {**SPEC["proof"], "setup": SETUP.replace("ROWS", repr(rows))}
    becomes = READS.format(column=column, key=key).lstrip("\n")
    changed = {**EXAMPLES, "proof": proof}
    repo = plain_repo(tmp_path / "repo", changed=changed, was=SEND, becomes=becomes)
    found = proof_of(repo, only=ALL)
    return found, list(assumptions(found, target_of(repo)))


@pytest.mark.real
def test_rows_are_copied_so_that_payloads_reach_the_effect(tmp_path: Path) -> None:
    proof, said = with_rows(tmp_path, "token", 'f"r-{order_id % 10}"')
    assert proof.verdict == "refuted"
    assert not any("payloads with other key fields" in line for line in said)


COPIED = {
    "made-new": ("token", "row[0]"),
    "copied": ("batch", "row[0]"),
    "copied-in-words": ("batch", "f'batch {row[0]} of {order_id % 2}'"),
    "copied-and-hashed": ("batch", "__import__('hashlib').sha256(row[0].encode()).hexdigest()"),
}


@pytest.mark.parametrize("name", COPIED)
@pytest.mark.real
def test_what_the_copying_made_equal_is_not_held_against_a_job(name: str, tmp_path: Path) -> None:
    column, key = COPIED[name]
    proof, _ = with_rows(tmp_path, column, key)
    assert proof.verdict == "proved", [w.judgement.message for w in proof.witnesses]


@pytest.mark.real
def test_few_that_reach_the_effect_are_said(tmp_path: Path) -> None:
    was = SEND
    becomes = f"            if order_id > 9:\n                return\n{SEND}"
    repo = plain_repo(tmp_path / "repo", changed=EXAMPLES, was=was, becomes=becomes)
    said = assumptions(proof_of(repo, only=ALL), target_of(repo))
    words = "payloads with other key fields reached send: that its keys differ was hardly tried"
    assert [text for text in said if "key fields" in text] == [f"only 4 of 50 {words}"]


# a value of the key field from which no other is derived
FIXED: dict[str, tuple[Any, dict[str, Any]]] = {
    "list": ([7], {"type": "array"}),
    "object": ({"id": 7}, {"type": "object"}),
    "missing": (None, {}),
    "one-of-one": (7, {"enum": [7]}),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(FIXED, "list"))
def test_a_key_field_that_has_no_other_values_is_said(name: str, tmp_path: Path) -> None:
    value, schema = FIXED[name]
    example = {"order_id": 7} if value is None else {"order_id": 7, "batch": value}
    fields = {"order_id": {"type": "integer"}, "batch": schema}
    payload = {"type": "object", "properties": fields, "examples": [example]}
    changed = {"payload": payload, "idempotency": {**SPEC["idempotency"], "key": ["batch"]}}
    takes = "def handle(order_id, batch=None):"
    repo = plain_repo(
        tmp_path / "repo", changed=changed, was="def handle(order_id):", becomes=takes
    )
    target = target_of(repo)
    proof = look(target)
    proof.verdict = "proved"
    assert "varied" in proof.plan.skipped
    words = "only 0 payloads with other key fields could be derived: "
    assert [said for said in assumptions(proof, target) if said.startswith(words)] != []


@pytest.mark.real
def test_the_report_counts_them_as_the_list_does(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", changed=EXAMPLES)
    proof, target = proof_of(repo, only=ALL), target_of(repo)
    assert proof_report(proof, target)["schedules"]["families"]["varied"] == 1
    assert plan_report(look(target), target)["families"]["varied"] == 1


# -- the words


def test_a_schedule_of_them_reads_as_it_is_written() -> None:
    for text, numbers in ((ALL, tuple(range(1, 51))), ("varied=3,17", (3, 17)), ("varied=4", (4,))):
        made = parse_schedule(text)
        assert (str(made), made.family, made.varied) == (text, "varied", numbers)


def test_a_payload_that_is_not_there_is_said(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", changed=EXAMPLES)
    with pytest.raises(Misuse, match="no such payload: varied=51"):
        proof_of(repo, only="varied=51")
