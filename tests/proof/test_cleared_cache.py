"""What a cache in a table of the database holds may be gone at any time."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_job import JOBS, plain_repo, target_of

from skillrun.proof.attempt import try_prove

CACHE = "create table app_cache (cache_key text primary key, value text, expires text)"
# As Django's database cache speaks: one statement looks, another one writes.
REMEMBERED = """
def remembered(db, name, new):
    sql = "select cache_key, value, expires from app_cache where cache_key = ?"
    row = db.execute(sql, (name,)).fetchone()
    if row is not None:
        return row[1]
    sql = "insert into app_cache (cache_key, value, expires) values (?, ?, '9999')"
    db.execute(sql, (name, new))
    db.commit()
    return new
"""
DRAWN = "uuid.uuid4().hex"
MADE = 'f"order-{order_id}"'
FAILURES = {"transient": ["jobs:Away"], "permanent": [], "acceptable_delay": "1h"}
RETRY = {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "1m"}}


@pytest.mark.real
@pytest.mark.parametrize(
    ("key", "expected"), [(DRAWN, [("store-emptied", "money")]), (MADE, [])], ids=["drawn", "made"]
)
def test_a_key_that_a_cache_alone_remembers_between_two_attempts(
    tmp_path: Path, key: str, expected: list[tuple[str, str]]
) -> None:
    head, _, body = JOBS.partition("    def handle(")
    head = head.replace("import time", "import time\n    import uuid")
    between = "".join(f"    {line}\n" for line in REMEMBERED.strip().splitlines())
    jobs = f"{head}{between}\n\n    def handle({body}".replace(
        'key=f"order-{order_id}"', f'key=remembered(db, f"key-{{order_id}}", {key})'
    )
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed={"failures": FAILURES, "retry": RETRY})
    schema = repo / "schema.py"
    schema.write_text(
        schema.read_text() + f'sqlite3.connect(os.environ["APP_DB"]).execute("{CACHE}")\n'
    )
    lost_answer = "raise=jobs:Away@after:send#1 redis-empty=1 re-enqueue"
    proof = try_prove(target_of(repo), only=lost_answer)
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    assert risks == expected, [one.message for one in proof.incomplete]
    for risk in proof.risks:
        assert "the cache has lost" in risk.judgement.message
