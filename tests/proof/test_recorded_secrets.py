"""What is written of a job that was given up tells the job, and no secret of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from histories import RETURNED, history, reference
from plain_job import JOBS, SPEC, plain_repo, target_of

from skillrun.proof.attempt import try_prove
from skillrun.proof.judges.leaks import judge_records

TABLES = (
    "create table cards (order_id integer primary key, card_token text);"
    "create table dead (order_id integer primary key, noted text);"
    "insert into cards values (7, 'tok_4f9a1c77')"
)
REFUSED = "raise=jobs:Refused@before:send#1"


def handler(noted: str) -> str:
    """The small job, which gives up at a refusal and notes something of the order."""
    above, _, _ = JOBS.partition('        log.info("handle started')
    above = above.replace(
        "    class Away(", "    class Refused(Exception):\n        pass\n\n\n    class Away("
    )
    return f"""{above}        with closing(sqlite3.connect(DB)) as db, db:
            if db.execute("select 1 from done where order_id = ?", (order_id,)).fetchone():
                return
            sql = "select card_token from cards where order_id = ?"
            (token,) = db.execute(sql, (order_id,)).fetchone()
            try:
                send(order_id, key=f"order-{{order_id}}")
            except Refused as error:
                db.execute("insert or ignore into dead values (?, ?)", (order_id, {noted}))
                db.commit()
                raise
            db.execute("insert into done values (?) on conflict do nothing", (order_id,))
"""


@pytest.mark.real
@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        ('f"{token}: {error!r}"', [("secret-recorded", "leak")]),
        ('f"{order_id}: {error!r}"', []),
        ('f"...{token[-4:]}"', []),
    ],
    ids=["the token", "the order", "its last digits"],
)
def test_a_dead_letter_with_a_secret_of_the_rows_is_named(
    tmp_path: Path, noted: str, expected: list[tuple[str, str]]
) -> None:
    failures = {"transient": [], "permanent": ["jobs:Refused"], "acceptable_delay": "1h"}
    proof = {**SPEC["proof"], "dead_letters": "select count(*) from dead"}
    changed = {
        "failures": failures,
        "proof": proof,
        "dead_letter": {"kind": "table", "where": "dead"},
    }
    repo = plain_repo(tmp_path / "repo", jobs=handler(noted), changed=changed)
    schema = repo / "schema.py"
    more = f"with sqlite3.connect(os.environ['APP_DB']) as db:\n    db.executescript({TABLES!r})\n"
    schema.write_text(schema.read_text() + more)
    proved = try_prove(target_of(repo), only=REFUSED)
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proved.risks]
    assert risks == expected, [one.message for one in proved.incomplete]


def test_nothing_is_named_where_nothing_was_recorded() -> None:
    assert not list(judge_records(history("once", [RETURNED]), reference()))
