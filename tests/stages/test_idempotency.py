"""The stage idempotency: what blocks it, what fails it, and what it must leave alone."""

from __future__ import annotations

import pytest
from cases import GONE, build, examine, finding, has, rules

from skillrun.skills.job_worker.skill import SKILL

SQLALCHEMY = """
    class Receipt(Base):
        __tablename__ = "receipts"
        id = Column(Integer, primary_key=True)
        order_id = Column(Integer, {column})
    """
DJANGO = """
    class Receipt(models.Model):
        order_id = models.IntegerField({column})
        class Meta:
            db_table = "receipts"
    """
MAPPED = """
    class Receipt(Base):
        __tablename__ = "receipts"
        order_id: Mapped[{kind}] = mapped_column(unique=True)
    """


DECIDED = {
    "missing": ({"idempotency": GONE}, "idempotency.undefined"),
    "unknown": ({"idempotency": {"strategy": "unknown"}}, "idempotency.undefined"),
    "the word unknown": ({"idempotency": "unknown"}, "idempotency.undefined"),
    "no key": ({"idempotency.key": GONE}, "idempotency.no-key"),
    "field not in the payload": (
        {"idempotency.key": ["orderid"]},
        "idempotency.key-not-in-payload",
    ),
    "no boundary": ({"idempotency.dedupe": GONE}, "idempotency.no-boundary"),
    "window without a store": ({"idempotency.dedupe": {"window": "7d"}}, "idempotency.no-boundary"),
    "invariant without statement": (
        {"idempotency": {"strategy": "invariant"}},
        "idempotency.no-statement",
    ),
    "invariant without guard": (
        {
            "idempotency": {
                "strategy": "invariant",
                "invariant": {"statement": "sent is only ever set to true"},
            }
        },
        "idempotency.no-guard",
    ),
    "keyed effect without key_arg": ({"effects.0.key_arg": GONE}, "idempotency.no-key-arg"),
    "no such table": ({"idempotency.dedupe.store": "table deliveries"}, "idempotency.no-table"),
}


@pytest.mark.parametrize(("changes", "rule"), DECIDED.values(), ids=DECIDED)
def test_blocks_while_undecided(tmp_path, changes, rule):
    result = examine("idempotency", build(tmp_path / "repo", changes=changes))
    assert result.status == "blocked"
    found = finding(result, rule)
    assert found.path == ".skillrun/jobs/send-receipt.yaml"
    assert found.line and found.hint


def test_an_undecided_strategy_asks_its_question(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"idempotency": "unknown"}))
    assert [action.action for action in result.next] == ["decide", "edit-spec"]


def test_it_can_never_be_waived():
    assert "idempotency" in SKILL.never_waived


def test_an_invariant_passes_on_its_word_and_says_so(tmp_path):
    invariant = {
        "statement": "a paid order stays paid",
        "guarded_by": "update ... where paid is null",
    }
    changes = {"idempotency": {"strategy": "invariant", "invariant": invariant}, "effects": []}
    result = examine("idempotency", build(tmp_path / "repo", changes=changes))
    assert (result.status, result.grade) == ("passed", "declared")
    assert has(result, "idempotency.guard-not-judged")


def test_key_fields_may_be_nested(tmp_path):
    properties = {"order": {"type": "object", "properties": {"order_id": {"type": "integer"}}}}
    changes = {
        "payload": {
            "type": "object",
            "properties": properties,
            "examples": [{"order": {"order_id": 7}}],
        },
        "idempotency.key": ["order.order_id"],
    }
    assert "idempotency.key-not-in-payload" not in rules(
        examine("idempotency", build(tmp_path / "a", changes=changes))
    )
    changes["idempotency.key"] = ["order.number"]
    assert "idempotency.key-not-in-payload" in rules(
        examine("idempotency", build(tmp_path / "b", changes=changes))
    )


def test_a_misspelled_key_is_not_looked_for_in_the_store(tmp_path):
    result = examine(
        "idempotency", build(tmp_path / "repo", changes={"idempotency.key": ["ordr_id"]})
    )
    assert [f.rule for f in result.findings if f.severity in ("blocker", "error")] == [
        "idempotency.key-not-in-payload"
    ]


def test_a_key_field_that_may_be_missing_is_said(tmp_path):
    result = examine(
        "idempotency", build(tmp_path / "repo", changes={"payload.required": ["email"]})
    )
    assert finding(result, "idempotency.key-not-required").severity == "warning"


def test_a_key_field_that_sounds_per_delivery_is_said(tmp_path):
    changes = {
        "payload.properties.message_id": {"type": "string"},
        "idempotency.key": ["message_id"],
    }
    result = examine("idempotency", build(tmp_path / "repo", changes=changes))
    assert has(result, "idempotency.key-per-delivery")


NULLABLE = {
    "sql": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT UNIQUE);\n"},
    "sql index": {
        "shop/schema.sql": (
            "CREATE TABLE receipts (order_id INT);\nCREATE UNIQUE INDEX x ON receipts (order_id);\n"
        )
    },
    "sqlalchemy": {
        "shop/schema.sql": GONE,
        "shop/m.py": SQLALCHEMY.format(column="unique=True, nullable=True"),
    },
    "django": {
        "shop/schema.sql": GONE,
        "shop/m.py": DJANGO.format(column="unique=True, null=True"),
    },
    "mapped": {"shop/schema.sql": GONE, "shop/m.py": MAPPED.format(kind="int | None")},
}
NOT_NULLABLE = {
    "not null": {
        "shop/schema.sql": "CREATE TABLE receipts (order_id INT NOT NULL UNIQUE, email TEXT);\n"
    },
    "primary key": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT PRIMARY KEY);\n"},
    "primary key of the table": {
        "shop/schema.sql": "CREATE TABLE receipts (order_id INT, PRIMARY KEY (order_id));\n"
    },
    "nulls not distinct": {
        "shop/schema.sql": (
            "CREATE TABLE receipts (order_id INT, UNIQUE NULLS NOT DISTINCT (order_id));\n"
        )
    },
    "sqlalchemy": {"shop/schema.sql": GONE, "shop/m.py": SQLALCHEMY.format(column="unique=True")},
    "django": {"shop/schema.sql": GONE, "shop/m.py": DJANGO.format(column="unique=True")},
    "mapped": {"shop/schema.sql": GONE, "shop/m.py": MAPPED.format(kind="int")},
}


@pytest.mark.parametrize("files", NULLABLE.values(), ids=NULLABLE)
def test_a_key_column_that_may_be_null_is_said(tmp_path, files):
    found = finding(
        examine("idempotency", build(tmp_path / "repo", files)), "idempotency.key-nullable"
    )
    assert found.severity == "warning" and "order_id" in found.message


@pytest.mark.parametrize("files", NOT_NULLABLE.values(), ids=NOT_NULLABLE)
def test_a_key_column_that_is_never_null_is_left_alone(tmp_path, files):
    assert not has(
        examine("idempotency", build(tmp_path / "repo", files)), "idempotency.key-nullable"
    )


@pytest.mark.real
def test_a_constraint_narrower_than_the_key_is_said(tmp_path):
    both = {"idempotency.key": ["order_id", "email"]}
    found = finding(
        examine("idempotency", build(tmp_path / "a", changes=both)), "idempotency.store-narrower"
    )
    assert found.severity == "warning" and "two different jobs" in found.message
    wide = {
        "shop/schema.sql": (
            "CREATE TABLE receipts (order_id INT, email TEXT, UNIQUE (order_id, email));\n"
        )
    }
    assert not has(
        examine("idempotency", build(tmp_path / "b", wide, both)), "idempotency.store-narrower"
    )
