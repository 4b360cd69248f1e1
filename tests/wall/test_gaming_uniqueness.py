"""What tells the jobs of a table apart, and what keeps messages and locks: branches by people who
knew the documentation alone.
"""

from __future__ import annotations

import pytest
from looks import SHOP, SPEC, SPEC_TEXT, everything, found, severities, spec

SCHEMA = "shop/schema.py"
TEXT = (SHOP / SCHEMA).read_text()
BASE = {SPEC: SPEC_TEXT, SCHEMA: TEXT}
MAPPED = """from sqlalchemy import Column, MetaData, String, Table

dead_jobs = Table(
    "dead_jobs", MetaData(), Column("subject", String, primary_key=True), Column("reason", String)
)
"""
LOST = {
    "other columns": TEXT.replace("UNIQUE (job, payload)", "UNIQUE (job, reason)"),
    "none": TEXT.replace(",\n    UNIQUE (job, payload)", ""),
    "made for a demo alone": TEXT.replace(",\n    UNIQUE (job, payload)", "")
    + "if DEMO:\n    run('CREATE UNIQUE INDEX one ON dead_jobs (job, payload)')\n",
}
KEPT = {
    "an index in its place": TEXT.replace(",\n    UNIQUE (job, payload)", "")
    + "run('CREATE UNIQUE INDEX one ON dead_jobs (payload, job)')\n",
    "a further column": TEXT.replace("reason TEXT", "host TEXT,\n    reason TEXT"),
    "a further index": TEXT + "run('CREATE UNIQUE INDEX two ON dead_jobs (job, order_id)')\n",
}


@pytest.mark.parametrize("name", LOST)
def test_two_jobs_that_may_share_a_record_are_an_error(name: str) -> None:
    assert LOST[name] != TEXT
    assert "error" in severities(found("lost-records", BASE, {**BASE, SCHEMA: LOST[name]}))


@pytest.mark.parametrize("name", KEPT)
def test_a_table_that_tells_them_apart_otherwise_is_none(name: str) -> None:
    assert found("lost-records", BASE, {**BASE, SCHEMA: KEPT[name]}) == []


def test_a_mapped_key_is_read() -> None:
    base = {**BASE, SCHEMA: MAPPED}
    head = {**BASE, SCHEMA: MAPPED.replace(", primary_key=True", "")}
    assert "error" in severities(found("lost-records", base, head))


KEYS = "shop/receipts.py"
MADE = (SHOP / KEYS).read_text()
PLAIN = 'return f"receipt-{order_id}"'
MAKING = {SPEC: SPEC_TEXT, KEYS: MADE, "shop/tasks.py": (SHOP / "shop/tasks.py").read_text()}


def make_key(line: str) -> dict[str, str]:
    assert PLAIN in MADE
    return {**MAKING, KEYS: f"import hashlib\nimport zlib\n\n{MADE.replace(PLAIN, line)}"}


@pytest.mark.parametrize(
    "line",
    [
        'return f"receipt-{zlib.adler32(str(order_id).encode()):08x}"',
        'return f"receipt-{hash(order_id)}"',
        "digest = hashlib.sha256(str(order_id).encode()).hexdigest()[:6]\n    return digest",
    ],
)
def test_a_key_in_which_two_jobs_may_meet_is_an_error(line: str) -> None:
    assert "error" in severities(found("altered-adapter", MAKING, make_key(line)))


@pytest.mark.parametrize(
    "line",
    [
        'return f"shop-receipt-{order_id}"',
        "return hashlib.sha256(str(order_id).encode()).hexdigest()",
        "return hashlib.sha256(str(order_id).encode()).hexdigest()[:32]",
    ],
)
def test_another_key_for_each_job_is_none(line: str) -> None:
    assert "error" not in severities(found("altered-adapter", MAKING, make_key(line)))


def test_a_first_profile_without_tests_is_an_error_where_there_are_some() -> None:
    base = {SPEC: SPEC_TEXT, "tests/test_a.py": "def test_a():\n    assert 1\n"}
    profile = {"REPO_PROFILE.json": '{"commands": {"test": "none"}}'}
    assert severities(found("weaker-validation", base, {**base, **profile})) == ["error"]
    assert found("weaker-validation", {SPEC: SPEC_TEXT}, {SPEC: SPEC_TEXT, **profile}) == []


def test_messages_that_no_broker_writes_down_are_an_error() -> None:
    base = {SPEC: SPEC_TEXT, "shop/celery.py": "app.conf.update(task_serializer='json')\n"}
    for line in ("task_default_delivery_mode='transient'", "task_publish_retry=False"):
        head = {**base, "shop/celery.py": f"app.conf.update(task_serializer='json', {line})\n"}
        assert severities(found("weaker-worker", base, head)) == ["error"]
    head = {**base, "shop/celery.py": "app.conf.update(task_default_delivery_mode='persistent')\n"}
    assert found("weaker-worker", base, head) == []


def test_a_lock_that_is_waited_for_without_end_is_an_error() -> None:
    options = "connect(options='-c lock_timeout=45s')\n"
    base = {SPEC: SPEC_TEXT, "shop/db.py": options}
    head = {**base, "shop/db.py": "connect(application_name='shop')\n"}
    (finding,) = found("weaker-worker", base, head)
    assert "lock_timeout was 45 s and is gone" in finding.message
    longer = {**base, "shop/db.py": options.replace("45s", "60s")}
    assert found("weaker-worker", base, longer) == []


def test_a_library_error_that_the_code_tried_again_is_not_given_up() -> None:
    code = "from sqlalchemy.exc import OperationalError\n\nAGAIN = (OperationalError,)\n"
    base = {SPEC: SPEC_TEXT, "shop/tasks.py": code}
    listed = ["shop.mailer:BadAddress", "shop.receipts:InvalidOrder"]
    failures = {
        "transient": ["shop.mailer:Unavailable", "TimeoutError"],
        "permanent": [*listed, "sqlalchemy.exc:OperationalError"],
        "acceptable_delay": "15m",
    }
    head = {**base, SPEC: spec(failures=failures)}
    assert "error" in severities(everything(base, head))
    new = {
        **base,
        SPEC: spec(failures={**failures, "permanent": [*listed, "json:JSONDecodeError"]}),
    }
    assert "error" not in severities(everything(base, new))


def test_a_difference_that_reviewers_are_not_shown_is_an_error() -> None:
    base = {SPEC: SPEC_TEXT, "shop/tasks.py": "one = 1\n"}
    change = {**base, "shop/tasks.py": "one = 2\n"}
    for line in ("shop/tasks.py -diff", "shop/** linguist-generated", "*.py binary"):
        findings = found("weaker-gate", base, {**change, ".gitattributes": f"{line}\n"})
        assert severities(findings) == ["error"]
    for line in ("*.png binary", "uv.lock linguist-generated", "*.py text eol=lf"):
        assert found("weaker-gate", base, {**change, ".gitattributes": f"{line}\n"}) == []
