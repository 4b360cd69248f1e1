"""The looks at how workers are started, what runs beside a job, and what is thrown away."""

from __future__ import annotations

import pytest
from looks import SHOP, SPEC, SPEC_TEXT, everything, found, severities

CELERY = (SHOP / "shop/celery.py").read_text()
TASKS = (SHOP / "shop/tasks.py").read_text()
SCHEMA = (SHOP / "shop/schema.py").read_text()
MAILER = (SHOP / "shop/mailer.py").read_text()
LINE = "worker: SHOP_DB=/data/shop.db celery -A shop worker --loglevel INFO -Q celery,mail\n"
COMPOSE = """
    services:
      worker:
        command: celery -A shop worker --prefetch-multiplier 1
        environment:
          SHOP_DB: /data/shop.db
          SHOP_OUTBOX: /data/outbox
    """
BASE = {
    SPEC: SPEC_TEXT,
    "Procfile": LINE,
    "compose.yml": COMPOSE,
    "shop/__init__.py": "",
    "shop/celery.py": CELERY,
    "shop/tasks.py": TASKS,
    "shop/schema.py": SCHEMA,
    "shop/mailer.py": MAILER,
    "shop/db.py": (SHOP / "shop/db.py").read_text(),
}


def changed(path: str, old: str, new: str) -> dict[str, str]:
    assert old in BASE[path]
    return {**BASE, path: BASE[path].replace(old, new)}


def started(line: str) -> dict[str, str]:
    return {**BASE, "Procfile": line}


WORKERS = {
    "purge": started(LINE.replace("worker --", "worker --purge --")),
    "discard": started(LINE.replace("\n", " --discard\n")),
    "purge before": started(
        LINE.replace("celery -A shop w", "celery -A shop purge -f && celery -A shop w")
    ),
    "flush": started(LINE + "release: redis-cli -u $REDIS_URL flushdb\n"),
    "a variable is gone": started(LINE.replace("SHOP_DB=/data/shop.db ", "")),
    "a variable is empty": started(LINE.replace("/data/shop.db", "")),
    "a variable is unset": started(LINE.replace("celery -A", "env -u SHOP_OUTBOX celery -A")),
    "a variable of compose is gone": changed(
        "compose.yml", "          SHOP_DB: /data/shop.db\n", ""
    ),
    "a queue is lost": {
        **BASE,
        "Procfile": LINE.replace("celery,mail", "mail"),
        "compose.yml": COMPOSE.replace("worker --", "worker -Q mail --"),
    },
    "acks": started(LINE.replace("\n", " -- task.acks_late=false\n")),
    "visibility": changed(
        "shop/celery.py", '"visibility_timeout": 3600', '"visibility_timeout": 30'
    ),
    "no visibility": changed("shop/celery.py", '        "visibility_timeout": 3600,\n', ""),
    "acks late": changed("shop/celery.py", "task_acks_late=True", "task_acks_late=False"),
    "acks late where a variable does not say otherwise": changed(
        "shop/celery.py",
        "task_acks_late=True",
        'task_acks_late=os.environ.get("SHOP_PROFILE", "safe") != "fast"',
    ),
    "a pool that no parent watches": started(LINE.replace("\n", " --pool threads -c 16\n")),
    "a database of each machine": started(
        LINE.replace("SHOP_DB=/data/shop.db", "SHOP_DB=/var/lib/shop-$(hostname).db")
    ),
    "a database that a restart takes away": started(
        LINE.replace("SHOP_DB=/data/shop.db", "export SHOP_DB=/var/tmp/shop.db;")
    ),
    "a broker that evicts": {
        **BASE,
        "deploy/compose.yml": "services:\n  redis:\n    image: redis:7\n    command: "
        '["redis-server", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]\n',
    },
    "a queue that drops its head": {
        **BASE,
        "compose.prod.yml": "services:\n  mq:\n    command: rabbitmqctl set_policy q '.*' "
        """'{"max-length": 100, "overflow": "drop-head"}'\n""",
    },
    "a limit below the mailer's time-out": changed(
        "shop/tasks.py", "    max_retries=4,", "    soft_time_limit=8,\n    max_retries=4,"
    ),
    "a limit of all tasks below it": changed(
        "shop/celery.py",
        "    task_acks_late=True,",
        "    task_acks_late=True,\n    task_time_limit=10,",
    ),
    "purge in code": changed(
        "shop/celery.py",
        "app = Celery(",
        "def reset():\n    app.control.purge()\n\n\napp = Celery(",
    ),
}
HONEST = {
    "more processes": started(LINE.replace("\n", " --concurrency 4\n")),
    "another level": started(LINE.replace("INFO", "DEBUG")),
    "two workers": started(
        LINE.replace("celery,mail", "celery")
        + LINE.replace("celery,mail", "mail").replace("worker:", "mail:")
    ),
    "the variable is elsewhere": {
        **started(LINE.replace("SHOP_DB=/data/shop.db ", "")),
        ".env": "SHOP_DB=/data/shop.db\n",
    },
    "a further variable": started(LINE.replace("SHOP_DB", "SHOP_OUTBOX=/data/out SHOP_DB")),
    "a constant": {
        **BASE,
        "shop/celery.py": CELERY.replace(
            '"visibility_timeout": 3600', '"visibility_timeout": HOUR'
        ).replace("app = Celery(", "HOUR = 60 * 60\n\napp = Celery("),
    },
    "a limit above the mailer's time-out": changed(
        "shop/tasks.py", "    max_retries=4,", "    soft_time_limit=60,\n    max_retries=4,"
    ),
    "a broker that refuses when it is full": {
        **BASE,
        "deploy/compose.yml": "services:\n  redis:\n    image: redis:7\n    command: "
        '["redis-server", "--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]\n',
    },
    "a comment": started(f"# never celery purge here\n{LINE}"),
    "a new service": started(LINE + "web: gunicorn shop.web\n"),
}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_that_loses_messages_is_an_error(name: str) -> None:
    assert "error" in severities(found("weaker-worker", BASE, WORKERS[name]))


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_start_is_no_finding(name: str) -> None:
    assert everything(BASE, HONEST[name]) == []


ORDERS = (SHOP / "shop/orders.py").read_text()
ENDING = {
    "sent": {"shop/orders.py": ORDERS.replace("headers=headers)", "headers=headers, expires=300)")},
    "by its task": {
        "shop/tasks.py": TASKS.replace("    max_retries=4,", "    expires=60,\n    max_retries=4,")
    },
    "by its queue": {
        "shop/celery.py": CELERY.replace(
            "broker_transport_options={", 'broker_transport_options={"x-message-ttl": 60_000,', 1
        )
    },
}


@pytest.mark.parametrize("name", ENDING)
def test_a_job_that_ends_before_it_is_delivered_is_an_error(name: str) -> None:
    base = {**BASE, "shop/orders.py": ORDERS}
    assert severities(found("weaker-worker", base, {**base, **ENDING[name]})) == ["error"]
    assert found("weaker-worker", {**base, **ENDING[name]}, {**base, **ENDING[name]}) == []


@pytest.mark.real
@pytest.mark.parametrize(
    "text",
    [
        ORDERS + "\n\ndef visit(response):\n    response.set_cookie('seen', expires=60)\n",
        ORDERS + "\n\ndef clean():\n    tasks.clean.apply_async(expires=60)\n",
        ORDERS.replace("headers=headers)", "headers=headers, expires=None)"),
    ],
)
def test_what_else_expires_is_no_finding(text: str) -> None:
    base = {**BASE, "shop/orders.py": ORDERS}
    assert everything(base, {**base, "shop/orders.py": text}) == []


def test_a_time_limit_that_is_gone_is_an_error_and_a_tighter_one_is_none() -> None:
    def limit(seconds: str) -> dict[str, str]:
        return changed("shop/tasks.py", "    max_retries=4,", f"    {seconds}\n    max_retries=4,")

    base = limit("time_limit=120,")
    assert severities(found("weaker-worker", base, limit(""))) == ["error"]
    assert found("weaker-worker", base, limit("time_limit=30,")) == []
    assert severities(found("weaker-worker", base, limit("time_limit=9,"))) == ["error"]


def test_prefetch_is_for_the_reviewer() -> None:
    new = changed("compose.yml", "--prefetch-multiplier 1", "--prefetch-multiplier 64")
    assert severities(found("weaker-worker", BASE, new)) == ["warning"]


SIGNAL = TASKS.replace(
    "from celery.signals import task_failure",
    "from celery.signals import task_failure, task_postrun",
)
MAILS = """

@task_postrun.connect(sender=send_receipt)
def thank(sender, kwargs=None, **_):
    mailer.send(kwargs["order_id"], kwargs["email"], idempotency_key="thanks")
"""
NAMED = (
    MAILS.replace("@task_postrun.connect(sender=send_receipt)\n", "")
    + "\n\ntask_postrun.connect(thank)\n"
)
HOOK = TASKS.replace(
    "    def on_failure(",
    "    def on_success(self, retval, task_id, args, kwargs):\n"
    '        mailer.send(1, kwargs["email"], idempotency_key="x")\n\n    def on_failure(',
)
QUIET = """

@task_postrun.connect(sender=send_receipt)
def tell(sender, task_id=None, **_):
    log.info("done %s", task_id)
"""
ALERT = """

@task_postrun.connect
def tell(sender, **_):
    requests.post("https://chat.example.com", json={})
"""


@pytest.mark.parametrize("text", [SIGNAL + MAILS, SIGNAL + NAMED, HOOK])
def test_a_receiver_that_mails_is_an_error(text: str) -> None:
    new = {**BASE, "shop/tasks.py": text}
    assert severities(found("beside-the-job", BASE, new)) == ["error"]


@pytest.mark.real
def test_one_that_logs_is_none_and_one_that_alerts_is_for_the_reviewer() -> None:
    assert everything(BASE, {**BASE, "shop/tasks.py": SIGNAL + QUIET}) == []
    alert = {**BASE, "shop/tasks.py": "import requests\n" + SIGNAL + ALERT}
    assert severities(found("beside-the-job", BASE, alert)) == ["warning"]


LOSING = {
    "commits that are not on disk": changed(
        "shop/db.py", "    try:\n", '    connection.execute("PRAGMA synchronous = OFF")\n    try:\n'
    ),
    "a journal in memory": changed(
        "shop/db.py",
        "    try:\n",
        '    connection.execute("PRAGMA journal_mode=memory")\n    try:\n',
    ),
    "the old ones of others, in each job": {
        **BASE,
        "shop/tasks.py": TASKS.replace(
            "    key = receipts",
            "    db.sweep(\"DELETE FROM dead_jobs WHERE failed_at < datetime('now', '-3 days')\")\n"
            "    key = receipts",
        ),
    },
    "dropped at deploy": {**BASE, "deploy.sql": "DROP TABLE IF EXISTS receipts;\n"},
    "trimmed": changed(
        "shop/schema.py",
        '    UNIQUE (job, payload)\n);\n"""',
        "    UNIQUE (job, payload)\n);\nCREATE TRIGGER IF NOT EXISTS trim AFTER INSERT ON receipts BEGIN\n"
        '    DELETE FROM receipts WHERE order_id < 1000;\nEND;\n"""',
    ),
    "emptied": changed(
        "shop/schema.py",
        "def create() -> None:",
        'RESET = "DELETE FROM dead_jobs"\n\n\ndef create() -> None:',
    ),
    "only so many are kept": changed(
        "shop/schema.py",
        "def create() -> None:",
        'TRIM = "DELETE FROM dead_jobs WHERE rowid <= (SELECT max(rowid) FROM dead_jobs) - 100"\n\n\n'
        "def create() -> None:",
    ),
    "only the newest are kept": changed(
        "shop/schema.py",
        "def create() -> None:",
        'TRIM = "delete from receipts where order_id not in '
        '(select order_id from receipts order by sent_at desc limit 50)"\n\n\ndef create() -> None:',
    ),
    "a migration": {
        **BASE,
        "migrations/2.py": 'from alembic import op\n\n\ndef upgrade():\n    op.drop_table("receipts")\n',
    },
}
KEEPING = {
    "a job's own dead letter": changed(
        "shop/db.py",
        "from contextlib",
        "DONE = \"DELETE FROM dead_jobs WHERE job = 'send-receipt' AND order_id = ?\"\nfrom contextlib",
    ),
    "a journal beside the database": changed(
        "shop/db.py",
        "    try:\n",
        '    connection.execute("PRAGMA journal_mode = WAL")\n    try:\n',
    ),
    "another table": {**BASE, "deploy.sql": "DROP TABLE IF EXISTS carts;\n"},
    "a way back": {
        **BASE,
        "migrations/2.py": 'from alembic import op\n\n\ndef upgrade():\n    op.create_table("notes")\n\n\n'
        'def downgrade():\n    op.drop_table("receipts")\n',
    },
    "an age": changed(
        "shop/schema.py",
        "def create() -> None:",
        "TRIM = \"DELETE FROM receipts WHERE sent_at < date('now', '-1 year')\"\n\n\n"
        "def create() -> None:",
    ),
    "an index": {**BASE, "deploy.sql": "CREATE INDEX sent ON receipts (sent_at);\n"},
}


@pytest.mark.parametrize("name", LOSING)
def test_records_that_are_thrown_away_are_an_error(name: str) -> None:
    assert "error" in severities(found("lost-records", BASE, LOSING[name]))


@pytest.mark.real
@pytest.mark.parametrize("name", KEEPING)
def test_what_keeps_the_records_is_no_finding(name: str) -> None:
    assert everything(BASE, KEEPING[name]) == []


ENV = {**BASE, "config/production.env": "SHOP_DB=/data/shop.db\nSHOP_API=https://a.example\n"}
READ = {"shop/places.py": "import os\n\nNAMES = ('SHOP_DB', 'SHOP_API')\n"}


def placed(line: str) -> dict[str, str]:
    return {**ENV, **READ, "config/production.env": line}


@pytest.mark.parametrize(
    ("was", "now", "severity"),
    [
        ("SHOP_DB=/data/shop.db", "SHOP_DB=/app/data/shop.db", ["error"]),
        ("SHOP_DB=redis://redis:6379/0", "SHOP_DB=redis://redis:6379/1", ["error"]),
        ("SHOP_DB=postgresql://a:b@db/shop", "SHOP_DB=postgresql://c:d@db/shop", []),
        ("SHOP_DB=redis://redis:6379/0", "SHOP_DB=rediss://redis:6379/0", []),
        ("SHOP_API=https://a.example", "SHOP_API=https://b.example", []),
        ("OTHER=/data", "OTHER=/else", []),
    ],
)
def test_a_store_that_is_another_place_is_an_error(was: str, now: str, severity: list[str]) -> None:
    """Nothing of what the base's jobs have recorded lies there."""
    assert severities(found("weaker-worker", placed(was), placed(now))) == severity


HUEY = "ExecStart=/srv/venv/bin/huey_consumer shop.tasks.huey -w 4 -k thread\n"
CLOCKS = [
    ("shop.service", HUEY, HUEY.replace("thread", "thread -n -C")),
    ("Procfile", "worker: rq worker mail --with-scheduler\n", "worker: rq worker mail\n"),
    ("Procfile", f"{LINE}beat: celery -A shop beat\n", LINE),
    ("Procfile", "worker: celery -A shop worker -B\n", "worker: celery -A shop worker\n"),
    (
        "worker.py",
        "from rq import Worker\n\nWorker(['mail']).work(with_scheduler=True)\n",
        "from rq import Worker\n\nWorker(['mail']).work()\n",
    ),
]


@pytest.mark.parametrize(("path", "old", "new"), CLOCKS)
def test_a_clock_that_nobody_starts_any_more_is_an_error(path: str, old: str, new: str) -> None:
    base = {**BASE, "Procfile": "", path: old}
    assert "error" in severities(found("weaker-worker", base, {**base, path: new}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("worker: celery -A shop worker -B\n", f"{LINE}beat: celery -A shop beat\n"),
        ("worker: rq worker mail\n", "worker: rq worker mail --with-scheduler\n"),
        (
            "worker: huey_consumer shop.huey -n\n",
            "worker: huey_consumer shop.huey\n",
        ),
        (
            "worker: huey_consumer shop.huey\n",
            "worker: huey_consumer shop.huey -n\nclock: huey_consumer shop.huey -w 1\n",
        ),
    ],
)
def test_a_clock_that_another_one_starts_is_no_error(old: str, new: str) -> None:
    base = {**BASE, "Procfile": old}
    assert "error" not in severities(found("weaker-worker", base, {**base, "Procfile": new}))
