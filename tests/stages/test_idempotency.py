"""The stage idempotency: what blocks it, what fails it, and what it must leave alone."""

from __future__ import annotations

import textwrap

import pytest
from cases import GONE, build, examine, finding, has, rules

from skillrun.stages.registry import NEVER_WAIVED

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
VOLATILE = "idempotency.volatile-key"


def with_task(root, body, imports="import os", **files):
    text = "\n".join(
        [
            textwrap.dedent(imports).strip(),
            "from shop import mailer",
            "from shop.celery import app",
            "",
            "",
            '@app.task(bind=True, name="shop.send_receipt")',
            "def send_receipt(self, order_id, email):",
            textwrap.indent(textwrap.dedent(body).strip(), "    "),
            "",
        ]
    )
    more = {f"shop/{name}.py": source for name, source in files.items()}
    return examine("idempotency", build(root, {"shop/tasks.py": text, **more}))


DECIDED = {
    "missing": ({"idempotency": GONE}, "idempotency.undefined"),
    "unknown": ({"idempotency": {"strategy": "unknown"}}, "idempotency.undefined"),
    "the word unknown": ({"idempotency": "unknown"}, "idempotency.undefined"),
    "no key": ({"idempotency.key": GONE}, "idempotency.no-key"),
    "field not in the payload": ({"idempotency.key": ["orderid"]}, "idempotency.key-not-in-payload"),
    "no boundary": ({"idempotency.dedupe": GONE}, "idempotency.no-boundary"),
    "window without a store": ({"idempotency.dedupe": {"window": "7d"}}, "idempotency.no-boundary"),
    "invariant without statement": ({"idempotency": {"strategy": "invariant"}}, "idempotency.no-statement"),
    "invariant without guard": (
        {"idempotency": {"strategy": "invariant", "invariant": {"statement": "sent is only ever set to true"}}},
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
    assert "idempotency" in NEVER_WAIVED


def test_an_invariant_passes_on_its_word_and_says_so(tmp_path):
    invariant = {"statement": "a paid order stays paid", "guarded_by": "update ... where paid is null"}
    changes = {"idempotency": {"strategy": "invariant", "invariant": invariant}, "effects": []}
    result = examine("idempotency", build(tmp_path / "repo", changes=changes))
    assert (result.status, result.grade) == ("passed", "declared")
    assert has(result, "idempotency.guard-not-judged")


def test_key_fields_may_be_nested(tmp_path):
    properties = {"order": {"type": "object", "properties": {"order_id": {"type": "integer"}}}}
    changes = {
        "payload": {"type": "object", "properties": properties, "examples": [{"order": {"order_id": 7}}]},
        "idempotency.key": ["order.order_id"],
    }
    assert "idempotency.key-not-in-payload" not in rules(examine("idempotency", build(tmp_path / "a", changes=changes)))
    changes["idempotency.key"] = ["order.number"]
    assert "idempotency.key-not-in-payload" in rules(examine("idempotency", build(tmp_path / "b", changes=changes)))


def test_a_misspelled_key_is_not_looked_for_in_the_store(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"idempotency.key": ["ordr_id"]}))
    assert [f.rule for f in result.findings if f.severity in ("blocker", "error")] == ["idempotency.key-not-in-payload"]


def test_a_key_field_that_may_be_missing_is_said(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"payload.required": ["email"]}))
    assert finding(result, "idempotency.key-not-required").severity == "warning"


def test_a_key_field_that_sounds_per_delivery_is_said(tmp_path):
    changes = {"payload.properties.message_id": {"type": "string"}, "idempotency.key": ["message_id"]}
    result = examine("idempotency", build(tmp_path / "repo", changes=changes))
    assert has(result, "idempotency.key-per-delivery")


NULLABLE = {
    "sql": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT UNIQUE);\n"},
    "sql index": {
        "shop/schema.sql": "CREATE TABLE receipts (order_id INT);\nCREATE UNIQUE INDEX x ON receipts (order_id);\n"
    },
    "sqlalchemy": {"shop/schema.sql": GONE, "shop/m.py": SQLALCHEMY.format(column="unique=True, nullable=True")},
    "django": {"shop/schema.sql": GONE, "shop/m.py": DJANGO.format(column="unique=True, null=True")},
    "mapped": {"shop/schema.sql": GONE, "shop/m.py": MAPPED.format(kind="int | None")},
}
NOT_NULLABLE = {
    "not null": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT NOT NULL UNIQUE, email TEXT);\n"},
    "primary key": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT PRIMARY KEY);\n"},
    "primary key of the table": {"shop/schema.sql": "CREATE TABLE receipts (order_id INT, PRIMARY KEY (order_id));\n"},
    "nulls not distinct": {
        "shop/schema.sql": "CREATE TABLE receipts (order_id INT, UNIQUE NULLS NOT DISTINCT (order_id));\n"
    },
    "sqlalchemy": {"shop/schema.sql": GONE, "shop/m.py": SQLALCHEMY.format(column="unique=True")},
    "django": {"shop/schema.sql": GONE, "shop/m.py": DJANGO.format(column="unique=True")},
    "mapped": {"shop/schema.sql": GONE, "shop/m.py": MAPPED.format(kind="int")},
}


@pytest.mark.parametrize("files", NULLABLE.values(), ids=NULLABLE)
def test_a_key_column_that_may_be_null_is_said(tmp_path, files):
    found = finding(examine("idempotency", build(tmp_path / "repo", files)), "idempotency.key-nullable")
    assert found.severity == "warning" and "order_id" in found.message


@pytest.mark.parametrize("files", NOT_NULLABLE.values(), ids=NOT_NULLABLE)
def test_a_key_column_that_is_never_null_is_left_alone(tmp_path, files):
    assert not has(examine("idempotency", build(tmp_path / "repo", files)), "idempotency.key-nullable")


def test_a_constraint_narrower_than_the_key_is_said(tmp_path):
    both = {"idempotency.key": ["order_id", "email"]}
    found = finding(examine("idempotency", build(tmp_path / "a", changes=both)), "idempotency.store-narrower")
    assert found.severity == "warning" and "two different jobs" in found.message
    wide = {"shop/schema.sql": "CREATE TABLE receipts (order_id INT, email TEXT, UNIQUE (order_id, email));\n"}
    assert not has(examine("idempotency", build(tmp_path / "b", wide, both)), "idempotency.store-narrower")


# Keys made of what changes

BUILT = {
    "uuid": ("mailer.send(order_id, email, idempotency_key=str(uuid.uuid4()))", "import uuid"),
    "uuid from": ("mailer.send(order_id, email, idempotency_key=uuid4().hex)", "from uuid import uuid4"),
    "f-string over a local": (
        """
        now = datetime.now()
        stamp = now.isoformat()
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}-{stamp}")
        """,
        "from datetime import datetime",
    ),
    "hashlib over uuid": (
        "mailer.send(order_id, email, idempotency_key=hashlib.sha256(uuid.uuid4().bytes).hexdigest())",
        "import hashlib, uuid",
    ),
    "hash()": ("mailer.send(order_id, email, idempotency_key=str(hash((order_id, email))))", "import os"),
    "message id": ("mailer.send(order_id, email, idempotency_key=self.request.id)", "import os"),
    "message id by way of request": (
        """
        request = self.request
        mailer.send(order_id, email, idempotency_key=request.id)
        """,
        "import os",
    ),
    "attempt": ('mailer.send(order_id, email, idempotency_key=f"{order_id}-{self.request.retries}")', "import os"),
    "format": ("mailer.send(order_id, email, idempotency_key='{}-{}'.format(order_id, time.time()))", "import time"),
    "percent": ("mailer.send(order_id, email, idempotency_key='%s-%s' % (order_id, time.time()))", "import time"),
    "join": ("mailer.send(order_id, email, idempotency_key='-'.join([email, str(time.time_ns())]))", "import time"),
    "augmented": (
        """
        key = f"receipt-{order_id}"
        key += str(random.random())
        mailer.send(order_id, email, idempotency_key=key)
        """,
        "import random",
    ),
    "annotated": (
        """
        key: str = secrets.token_hex()
        mailer.send(order_id, email, idempotency_key=key)
        """,
        "import secrets",
    ),
    "walrus": ("mailer.send(order_id, email, idempotency_key=(key := os.urandom(8)))", "import os"),
    "condition": ("mailer.send(order_id, email, idempotency_key=email or str(uuid.uuid4()))", "import uuid"),
    "dict unpacked": (
        """
        options = {"idempotency_key": str(uuid.uuid4())}
        mailer.send(order_id, email, **options)
        """,
        "import uuid",
    ),
    "dict() unpacked": ("mailer.send(order_id, email, **dict(idempotency_key=str(uuid.uuid4())))", "import uuid"),
    "constant of the module": (
        "mailer.send(order_id, email, idempotency_key=f'{RUN}-{order_id}')",
        "import uuid\nRUN = uuid.uuid4()",
    ),
    "today without argument": (
        "mailer.send(order_id, email, idempotency_key=f'{order_id}-{time.strftime(\"%Y%m%d%H\")}')",
        "import time",
    ),
}


@pytest.mark.parametrize(("body", "imports"), BUILT.values(), ids=BUILT)
def test_finds_a_volatile_key(tmp_path, body, imports):
    result = with_task(tmp_path / "repo", body, imports)
    found = finding(result, VOLATILE)
    assert result.status == "failed"
    assert found.path == "shop/tasks.py" and found.line and found.hint


def test_finds_it_in_a_helper_of_another_module(tmp_path):
    body = "mailer.send(order_id, email, idempotency_key=keys.make(order_id))"
    keys = "import uuid\n\ndef make(order_id):\n    suffix = uuid.uuid4()\n    return f'{order_id}-{suffix}'\n"
    found = finding(with_task(tmp_path / "repo", body, "from shop import keys", keys=keys), VOLATILE)
    assert (found.path, found.line) == ("shop/keys.py", 4)


def test_finds_it_in_a_method_of_another_class(tmp_path):
    body = "mailer.send(order_id, email, idempotency_key=Keys.make(order_id))"
    keys = "import uuid\n\nclass Keys:\n    @staticmethod\n    def make(order_id):\n        return str(uuid.uuid4())\n"
    assert has(with_task(tmp_path / "repo", body, "from shop.keys import Keys", keys=keys), VOLATILE)


def test_finds_it_through_a_parameter(tmp_path):
    imports = """
        import uuid

        def deliver(order_id, email, key):
            mailer.send(order_id, email, idempotency_key=key)
        """
    assert has(with_task(tmp_path / "repo", "deliver(order_id, email, uuid.uuid4())", imports), VOLATILE)
    result = with_task(tmp_path / "other", "deliver(order_id, email, f'receipt-{order_id}')", imports)
    assert not has(result, VOLATILE)


def test_finds_it_passed_by_position(tmp_path):
    mailer = "def send(order_id, email, idempotency_key): ...\nclass Unavailable(Exception): ...\n"
    body = "mailer.send(order_id, email, self.request.id)"
    assert has(with_task(tmp_path / "a", body, mailer=mailer), VOLATILE)
    stable = with_task(tmp_path / "b", "mailer.send(self.request.id, email, order_id)", mailer=mailer)
    assert not has(stable, VOLATILE)


CLASS_TASK = """
    import uuid

    from celery import Task

    from shop import mailer
    from shop.celery import app


    class SendReceipt(Task):
        name = "shop.send_receipt"

        def run(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=self.key(order_id))

        def key(self, order_id):
            return {key}


    send_receipt = app.register_task(SendReceipt())
    """


def test_class_based_tasks_are_read(tmp_path):
    files = {"shop/tasks.py": CLASS_TASK.format(key="str(uuid.uuid4())")}
    assert has(examine("idempotency", build(tmp_path / "a", files)), VOLATILE)
    files = {"shop/tasks.py": CLASS_TASK.format(key="f'receipt-{order_id}'")}
    result = examine("idempotency", build(tmp_path / "b", files))
    assert rules(result) == []


STABLE = {
    "f-string of fields": ('mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")', "import os"),
    "hash of fields": (
        "mailer.send(order_id, email, idempotency_key=hashlib.sha256(str(order_id).encode()).hexdigest())",
        "import hashlib",
    ),
    "uuid5": (
        "mailer.send(order_id, email, idempotency_key=str(uuid.uuid5(uuid.NAMESPACE_URL, str(order_id))))",
        "import uuid",
    ),
    "the id is only logged": (
        """
        print(self.request.id, time.time())
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """,
        "import time",
    ),
    "another kind of key": (
        """
        api_key = secrets.token_hex()
        monkey = time.time()
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """,
        "import secrets, time",
    ),
    "a date of the payload": (
        "mailer.send(order_id, email, idempotency_key=time.strftime('%Y', time.gmtime(order_id)))",
        "import time",
    ),
    "dict unpacked": (
        """
        options = {"idempotency_key": f"receipt-{order_id}", "at": time.time()}
        mailer.send(order_id, email, **options)
        """,
        "import time",
    ),
    "somebody else's now": (
        """
        def now():
            return order_id
        mailer.send(order_id, email, idempotency_key=now())
        """,
        "import os",
    ),
}


@pytest.mark.parametrize(("body", "imports"), STABLE.values(), ids=STABLE)
def test_leaves_a_stable_key_alone(tmp_path, body, imports):
    result = with_task(tmp_path / "repo", body, imports)
    assert rules(result) == []


NOT_FROM_FIELDS = {
    "constant": "mailer.send(order_id, email, idempotency_key='receipt')",
    "constant of the module": "mailer.send(order_id, email, idempotency_key=f'{PREFIX}-1')",
    "another field": "mailer.send(order_id, email, idempotency_key=f'receipt-{email}')",
    "a helper that ignores its argument": "mailer.send(order_id, email, idempotency_key=fixed(order_id))",
    "a local": "key = 'a' + email.lower()\nmailer.send(order_id, email, idempotency_key=key)",
}
FROM_FIELDS = {
    "an object found by it": "order = find(order_id)\nmailer.send(1, email, idempotency_key=f'receipt-{order.id}')",
    "a helper": "mailer.send(order_id, email, idempotency_key=made(order_id))",
    "an attribute of that name": "job = find(email)\nmailer.send(1, email, idempotency_key=job.order_id)",
    "an attribute that cannot be told": "job = find(email)\nmailer.send(1, email, idempotency_key=job.number)",
    "a loop": "for number in find(email):\n    mailer.send(1, email, idempotency_key=number)",
    "a word of a mapping": "job = dict(order_id=order_id)\nmailer.send(1, email, idempotency_key=job['order_id'])",
    "joined": "mailer.send(1, email, idempotency_key=':'.join(['receipt', str(order_id)]))",
    "a list": "parts = []\nparts.append(order_id)\nmailer.send(1, 2, idempotency_key=':'.join(parts))",
    "a digest": "d = hashlib.sha256()\nd.update(str(order_id))\nmailer.send(1, 2, idempotency_key=d.hexdigest())",
}
KEY_HELPERS = """
    import hashlib
    from shop.orders import find
    PREFIX = "receipt"
    def fixed(order_id):
        return PREFIX
    def made(order_id):
        return f"{PREFIX}-{order_id}"
    """


@pytest.mark.parametrize("body", NOT_FROM_FIELDS.values(), ids=NOT_FROM_FIELDS)
def test_a_key_without_a_key_field_fails(tmp_path, body):
    found = finding(with_task(tmp_path / "repo", body, KEY_HELPERS), "idempotency.key-not-from-fields")
    assert found.severity == "error" and found.path == "shop/tasks.py" and "order_id" in found.message


@pytest.mark.parametrize("body", FROM_FIELDS.values(), ids=FROM_FIELDS)
def test_a_key_that_may_hold_its_fields_is_left_alone(tmp_path, body):
    assert rules(with_task(tmp_path / "repo", body, KEY_HELPERS)) == []


def test_every_key_field_must_be_in_the_key(tmp_path):
    def of(root, key):
        files = {"shop/tasks.py": ONE_PAYLOAD.replace("KEY", key)}
        return rules(examine("idempotency", build(root, files, {"idempotency.key": ["order_id", "email"]})))

    rule = "idempotency.key-not-from-fields"
    assert rule not in of(tmp_path / "a", "f\"{payload['order_id']}-{payload.get('email')}\"")
    assert rule not in of(tmp_path / "b", "digest(payload)")
    assert rule not in of(tmp_path / "c", "f\"{payload['order_id']}\"")  # what a mapping holds is not certain
    assert rule in of(tmp_path / "d", "'receipt'")
    both = {"idempotency.key": ["order_id", "email"]}
    assert rule in rules(examine("idempotency", build(tmp_path / "e", changes=both)))


ONE_PAYLOAD = """
    from shop import mailer
    from shop.celery import app

    @app.task(bind=True)
    def send_receipt(self, payload):
        mailer.send(1, 2, idempotency_key=KEY)
    """


def adapter(root, body, changes=None):
    lines = [
        "import requests, smtplib, time, uuid",
        "class Unavailable(Exception): ...",
        "class BadAddress(Exception): ...",
    ]
    head = "def send(order_id, email, *, idempotency_key):"
    text = "\n".join([*lines, head, textwrap.indent(textwrap.dedent(body).strip(), "    "), STORE]) + "\n"
    return examine("idempotency", build(root, {"shop/mailer.py": text}, changes))


STORE = "    db.execute('INSERT INTO receipts VALUES (1) ON CONFLICT DO NOTHING')"
IGNORED = {
    "never used": "requests.post('https://m', json={'to': email})",
    "thrown away": "del idempotency_key\nrequests.post('https://m')",
}
USED = {
    "a header": "requests.post('https://m', headers={'Idempotency-Key': idempotency_key})",
    "in a text": "text = f'X-Key: {idempotency_key}'\nrequests.post('https://m', data=text)",
    "all locals": "requests.post('https://m', json=locals())",
}
MADE_INSIDE = {
    "header": "requests.post('https://m', headers={'Idempotency-Key': str(uuid.uuid4()), 'X': idempotency_key})",
    "set": "h = {'X': idempotency_key}\nh['Idempotency-Key'] = str(time.time())\nrequests.post('https://m', headers=h)",
}


@pytest.mark.parametrize("body", IGNORED.values(), ids=IGNORED)
def test_an_adapter_that_ignores_its_key_fails(tmp_path, body):
    found = finding(adapter(tmp_path / "repo", body), "idempotency.key-ignored")
    assert (found.severity, found.path, found.line) == ("error", "shop/mailer.py", 4)


@pytest.mark.parametrize("body", USED.values(), ids=USED)
def test_an_adapter_that_uses_its_key_is_left_alone(tmp_path, body):
    assert rules(adapter(tmp_path / "repo", body)) == []


def test_an_adapter_without_a_body_is_left_alone(tmp_path):
    assert not has(with_task(tmp_path / "repo", SENT, mailer=SILENT), "idempotency.key-ignored")


@pytest.mark.parametrize("body", MADE_INSIDE.values(), ids=MADE_INSIDE)
def test_a_key_made_anew_inside_the_adapter_fails(tmp_path, body):
    assert finding(adapter(tmp_path / "repo", body), VOLATILE).path == "shop/mailer.py"


REMOTE = {"http": "requests.post('https://m')", "smtp": "smtplib.SMTP('m').send_message(email)"}
LOCAL = {"a row": "db.execute('INSERT INTO outbox VALUES (1)')", "a question": "requests.get('https://m')"}


@pytest.mark.parametrize("body", REMOTE.values(), ids=REMOTE)
def test_a_remote_call_is_not_transactional(tmp_path, body):
    result = adapter(tmp_path / "repo", body, {"effects.0.guarantee": "transactional"})
    assert finding(result, "idempotency.not-transactional").path == "shop/mailer.py"


@pytest.mark.parametrize("body", LOCAL.values(), ids=LOCAL)
def test_a_row_may_be_transactional(tmp_path, body):
    assert rules(adapter(tmp_path / "repo", body, {"effects.0.guarantee": "transactional"})) == []


def test_a_missing_table_is_code_to_be_written(tmp_path):
    case = build(tmp_path / "repo", changes={"idempotency.dedupe.store": "table deliveries"})
    assert [action.action for action in examine("idempotency", case).next] == ["edit-code"]


def test_a_key_that_is_not_passed_fails(tmp_path):
    result = with_task(tmp_path / "repo", "mailer.send(order_id, email)")
    assert finding(result, "idempotency.key-not-passed").path == "shop/tasks.py"


def test_unpacked_arguments_are_no_alarm_and_no_silence(tmp_path):
    result = with_task(tmp_path / "repo", "mailer.send(**os.environ)")
    assert rules(result) == []
    assert finding(result, "idempotency.key-not-read").severity == "note"
    assert result.grade == "declared"


# The store

NOT_UNIQUE = {"shop/schema.sql": "CREATE TABLE receipts (\n  order_id INT, -- UNIQUE\n  email TEXT\n);\n"}


def test_a_store_without_unique_fails_at_the_table(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", NOT_UNIQUE))
    found = finding(result, "idempotency.store-not-unique")
    assert (result.status, found.path, found.line) == ("failed", "shop/schema.sql", 1)


def test_one_unique_key_column_is_taken_for_the_key_and_that_is_said(tmp_path):
    column = {"shop/schema.sql": "CREATE TABLE receipts (id INT PRIMARY KEY, dedupe_key TEXT NOT NULL UNIQUE);\n"}
    result = examine("idempotency", build(tmp_path / "repo", column))
    assert "not verified" in finding(result, "idempotency.key-column").message
    assert not has(result, "idempotency.store-not-unique")


SILENT = "class Unavailable(Exception): ...\ndef send(order_id, email, *, idempotency_key): ...\n"
SENT = "mailer.send(order_id, email, idempotency_key=f'r-{order_id}')\n"
MODELS = """
    from sqlalchemy import Table
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
    class Base(DeclarativeBase): ...
    class Sent(Base):
        __tablename__ = "receipts"
        order_id = mapped_column(unique=True)
    class Other(Base):
        __tablename__ = "others"
    """
WRITTEN = {
    "sql": "db.execute('INSERT OR IGNORE INTO receipts VALUES (?)', (order_id,))",
    "sql in a helper": "mark(order_id)",
    "sql of a constant": "db.execute(MARK, (order_id,))",
    "sql with the table's name put in": "db.execute(f'INSERT INTO {TABLE} VALUES (?) ON CONFLICT DO NOTHING')",
    "update": "db.execute('UPDATE receipts SET sent = 1 WHERE order_id = ?', (order_id,))",
    "class": "session.merge(models.Sent(order_id=order_id))",
    "statement": "session.execute(insert(Sent).values(order_id=order_id).on_conflict_do_nothing())",
    "manager": "Sent.objects.get_or_create(order_id=order_id)",
    "by name": "db['receipts'].upsert({'order_id': order_id})",
}
HELPERS = """
    from shop import models
    from shop.models import Other, Sent
    TABLE = "receipts"
    MARK = f"INSERT INTO {TABLE} VALUES (?) ON CONFLICT DO NOTHING"
    def mark(order_id):
        db.execute("insert into public.receipts values (?) on conflict do nothing", (order_id,))
    """
NOT_WRITTEN = {
    "nothing": "pass",
    "only read": "db.execute('SELECT 1 FROM receipts WHERE order_id = ?', (order_id,))",
    "a table alike": "db.execute('INSERT INTO receipts_old VALUES (?)', (order_id,))",
    "another class": "session.add(Other(order_id=order_id))",
    "a helper that nobody calls": "print(TABLE)",
    "only deleted": "db.execute('DELETE FROM receipts')",
}
HIDDEN = {
    "parameter": "email.store.save(order_id)",
    "what the task holds": "self.store.mark_done(order_id)",
    "sql of a variable": "db.execute(order_id)",
    "a table of a variable": "db.execute(f'INSERT INTO {email} VALUES (1)')",
}


def stored(root, body):
    return with_task(root, SENT + body, HELPERS, mailer=SILENT, models=MODELS)


@pytest.mark.parametrize("body", WRITTEN.values(), ids=WRITTEN)
def test_a_written_store_is_left_alone(tmp_path, body):
    result = stored(tmp_path / "repo", body)
    assert (rules(result), result.grade) == ([], "static")
    assert not has(result, "idempotency.store-not-used") and not has(result, "idempotency.store-not-checked")


@pytest.mark.parametrize("body", NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_a_store_that_is_never_written_fails(tmp_path, body):
    found = finding(stored(tmp_path / "repo", body), "idempotency.store-not-written")
    assert found.severity == "error" and (found.path, bool(found.line)) == ("shop/tasks.py", True)


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_followed_is_a_warning(tmp_path, body):
    result = stored(tmp_path / "repo", body)
    found = finding(result, "idempotency.store-not-used")
    assert (found.severity, result.status, result.grade) == ("warning", "passed", "declared")
    assert "not followed: shop/tasks.py:" in found.message


def test_a_row_that_no_second_delivery_looks_at_is_said(tmp_path):
    insert = "db.execute('INSERT INTO receipts VALUES (?)', (order_id,))"
    assert finding(stored(tmp_path / "a", insert), "idempotency.store-not-checked").severity == "warning"
    read = "if db.execute('SELECT 1 FROM receipts'): return\n"
    caught = f"try:\n    {insert}\nexcept IntegrityError:\n    return"
    for number, body in enumerate((read + insert, caught)):
        assert not has(stored(tmp_path / str(number), body), "idempotency.store-not-checked")


def test_an_orm_class_counts_as_use_of_its_table(tmp_path):
    models = """
        from sqlalchemy.orm import DeclarativeBase, mapped_column
        class Base(DeclarativeBase): ...
        class Sent(Base):
            __tablename__ = "receipts"
            order_id = mapped_column(unique=True)
        """
    body = "mailer.send(order_id, email, idempotency_key=f'r-{order_id}')\nSent(order_id=order_id)"
    result = with_task(tmp_path / "repo", body, "from shop.models import Sent", models=models)
    assert not has(result, "idempotency.store-not-used")


def test_other_stores_are_not_judged_in_silence(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"idempotency.dedupe.store": "dynamodb jobs"}))
    assert rules(result) == []
    assert finding(result, "idempotency.store-not-judged").severity == "note"
    assert result.grade == "declared"


def test_the_receiver_as_store_needs_a_keyed_effect(tmp_path):
    changes = {"idempotency.dedupe": {"store": "receiver"}}
    result = examine("idempotency", build(tmp_path / "a", changes=changes))
    assert (rules(result), result.grade) == ([], "declared")
    changes |= {"effects.0.guarantee": "at_least_once", "effects.0.reason": "twice is fine"}
    assert "idempotency.no-receiver" in rules(examine("idempotency", build(tmp_path / "b", changes=changes)))


REDIS = "import redis\nclient = redis.Redis()"
SEND = "mailer.send(order_id, email, idempotency_key=f'receipt-{order_id}')"


def redis_case(root, claim):
    text = "\n".join(
        [
            REDIS,
            "from shop import mailer",
            "from shop.celery import app",
            "@app.task(bind=True)",
            "def send_receipt(self, order_id, email):",
            f"    if not {claim}:",
            "        return",
            f"    {SEND}",
        ]
    )
    changes = {"idempotency.dedupe": {"store": "redis key receipt:{order_id}", "window": "7d"}}
    return examine("idempotency", build(root, {"shop/tasks.py": text + "\n"}, changes))


def test_redis_set_nx_is_compared_with_the_window(tmp_path):
    assert rules(redis_case(tmp_path / "a", "client.set(f'r:{order_id}', 1, nx=True, ex=7 * 86400)")) == []
    assert rules(redis_case(tmp_path / "b", "client.setnx(f'r:{order_id}', 1)")) == []
    short = redis_case(tmp_path / "c", "client.set(f'r:{order_id}', 1, nx=True, ex=60)")
    assert "the key is kept for 1m" in finding(short, "idempotency.window-too-short").message
    differs = redis_case(tmp_path / "d", "client.set(f'r:{order_id}', 1, nx=True, ex=86400)")
    assert "the spec promises 7d" in finding(differs, "idempotency.window-differs").message


def test_redis_without_an_atomic_step_is_not_judged(tmp_path):
    result = redis_case(tmp_path / "a", "client.set(f'r:{order_id}', 1)")
    assert has(result, "idempotency.store-not-judged")
    assert result.grade == "declared"
    result = redis_case(tmp_path / "b", "client.set(f'r:{order_id}', 1, nx=True, ex=settings.TTL)")
    assert "could not be read" in finding(result, "idempotency.store-not-judged").message


# Windows


def test_windows_are_compared_with_the_horizon_and_the_numbers_are_shown(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo"))
    notes = [f.message for f in result.findings if f.rule == "idempotency.window"]
    horizon = "backoff 30s (5 attempts) + acceptable delay 15m + redelivery 0s = 15m30s"
    assert notes == [
        f"dedupe.window 7d outlasts the retry horizon: {horizon}",
        f"window of effect email 1d outlasts the retry horizon: {horizon}",
    ]


@pytest.mark.parametrize(
    ("path", "name"), [("idempotency.dedupe.window", "dedupe.window"), ("effects.0.window", "window of effect email")]
)
def test_a_window_shorter_than_the_horizon_fails(tmp_path, path, name):
    result = examine("idempotency", build(tmp_path / "a", changes={path: "15m"}))
    message = finding(result, "idempotency.window-too-short").message
    assert message.startswith(f"{name} 15m is shorter than the retry horizon: backoff 30s")
    assert rules(examine("idempotency", build(tmp_path / "b", changes={path: "16m"}))) == []


def test_the_longer_of_code_and_spec_counts(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, autoretry_for=(TimeoutError,), max_retries=10, default_retry_delay=3600)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine("idempotency", build(tmp_path / "repo", {"shop/tasks.py": tasks}, {"effects.0.window": "2h"}))
    assert "idempotency.window-too-short" in rules(result)


def test_no_window_outlasts_a_retry_without_end(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, autoretry_for=(TimeoutError,), max_retries=None)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine("idempotency", build(tmp_path / "repo", {"shop/tasks.py": tasks}))
    assert "cannot outlast a retry without end" in finding(result, "idempotency.window-too-short").message


def test_redelivery_counts_where_messages_are_acknowledged_late(tmp_path):
    tasks = """
        from shop import mailer
        from shop.celery import app

        @app.task(bind=True, acks_late=True)
        def send_receipt(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """
    result = examine("idempotency", build(tmp_path / "repo", {"shop/tasks.py": tasks}))
    said = finding(result, "idempotency.window").message
    assert "redelivery 5h (attempts x visibility timeout)" in said


def test_redelivery_is_unknown_until_the_handler_exists(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"handler": GONE}))
    assert "redelivery unknown until the handler exists" in finding(result, "idempotency.window").message


def test_a_receiver_without_a_window_is_said(tmp_path):
    result = examine("idempotency", build(tmp_path / "repo", changes={"effects.0.window": GONE}))
    assert finding(result, "idempotency.no-receiver-window").severity == "note"
