"""Each static rule of Celery on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import re
from pathlib import Path

from celery_repo import job_of
from celery_rules import ERROR, LATE, NOTE, PLAIN, WARNING, Check, orders, task

from skillrun.frameworks.celery import FRAMEWORK
from skillrun.frameworks.rulebook import read_rule

# Delivery


def test_visibility_timeout(check_finds: Check, check_ignores: Check) -> None:
    soon, late = (
        "send_receipt.apply_async((order_id,), countdown=60)",
        "send_receipt.apply_async((order_id,), countdown=7200)",
    )
    tomorrow = "send_receipt.apply_async((order_id,), eta=now() + timedelta(days=1))"
    rule, redis = "visibility-timeout", "redis://localhost"
    check_finds(rule, PLAIN, ERROR, "7200 s (2 h)", line=late, broker=redis, orders=orders(late))
    check_finds(rule, PLAIN, ERROR, "86400 s (1 d)", broker=redis, orders=orders(tomorrow))
    check_finds(
        rule,
        PLAIN,
        ERROR,
        "1800 s (30 min)",
        broker="sqs://",
        orders=orders(late.replace("7200", "1800")),
    )
    options = "autoretry_for=(OSError,), max_retries=12, retry_backoff=60, retry_backoff_max=7200"
    slow = f"@app.task({options})\ndef send_receipt(o): ...\n"
    check_finds(rule, slow, ERROR, "the longest wait before a retry is 7200 s", broker=redis)
    long = "@app.task(acks_late=True, time_limit=4000)\ndef send_receipt(o): ...\n"
    check_finds(rule, long, WARNING, "may run for 4000 s", broker=redis)
    check_ignores(rule, PLAIN, broker=redis, orders=orders(soon))
    check_ignores(rule, PLAIN, broker="amqp://localhost", orders=orders(late))
    check_ignores(rule, slow.replace("7200", "600"), broker=redis)
    check_ignores(rule, PLAIN, broker=redis, **{"tests/test_x.py": orders(late)})
    longer = "broker_transport_options={'visibility_timeout': 90000}"
    app = f"from celery import Celery\napp = Celery(broker='redis://h', {longer})\n"
    check_ignores(rule, PLAIN, celery=app, orders=orders(late))


def test_acks_late_worker_lost(check_finds: Check, check_ignores: Check) -> None:
    rule = "acks-late-worker-lost"
    check_finds(rule, LATE, WARNING, "the job is gone", line="@app.task(acks_late=True)")
    check_ignores(rule, PLAIN)
    check_ignores(
        rule, LATE.replace("acks_late=True", "acks_late=True, reject_on_worker_lost=True")
    )
    check_ignores(rule, LATE.replace("acks_late=True", "acks_late=True, retry_on_worker_lost=True"))
    check_ignores(
        rule,
        "import os\n"
        + LATE.replace("acks_late=True", "acks_late=True, reject_on_worker_lost=os.environ['R']"),
    )


def test_redelivery_loop(check_finds: Check, check_ignores: Check) -> None:
    rule, both = (
        "redelivery-loop",
        LATE.replace("acks_late=True", "acks_late=True, reject_on_worker_lost=True"),
    )
    check_finds(rule, both, WARNING, "does not count deliveries")
    check_ignores(rule, LATE)
    check_ignores(
        rule,
        both,
        celery="from celery import Celery\napp = Celery()\nq = {'x-delivery-limit': 3}\n",
    )
    counted = task(
        """
        if self.request.delivery_info.get("redelivered"):
            count(order_id)
        mailer.send(order_id)
        """,
        "bind=True, acks_late=True, reject_on_worker_lost=True",
    )
    check_ignores(rule, counted)


# Publishing

DJANGO = "from django.db import transaction\n"


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    rule = "publish-in-transaction"
    inside = "with transaction.atomic():\n    save(order_id)\n    send_receipt.delay(order_id)\n"
    check_finds(
        rule, PLAIN, ERROR, ".delay(...) inside a transaction", orders=orders(inside, DJANGO)
    )
    decorated = orders("send_receipt.apply_async((order_id,))", DJANGO).replace(
        "def settle", "@transaction.atomic\ndef settle"
    )
    check_finds(rule, PLAIN, ERROR, "inside a transaction", orders=decorated)
    session = "with Session.begin() as session:\n    send_receipt.delay(order_id)\n"
    check_finds(
        rule,
        PLAIN,
        WARNING,
        "inside a transaction",
        orders=orders(session, "from shop.db import Session"),
    )
    db = (
        "from sqlalchemy.orm import sessionmaker\nfrom sqlalchemy import create_engine\nSession ="
        " sessionmaker()\n"
    )
    db += "engine = create_engine('x')\n"
    names = "from shop.db import Session, engine"
    check_finds(rule, PLAIN, ERROR, "inside a transaction", orders=orders(session, names), db=db)
    inside_engine = session.replace("Session.begin", "engine.begin")
    check_finds(
        rule, PLAIN, ERROR, "inside a transaction", orders=orders(inside_engine, names), db=db
    )
    behind = "with Session.begin() as session:\n    session.add(1)\nsend_receipt.delay(order_id)\n"
    check_ignores(rule, PLAIN, orders=orders(behind, names), db=db)
    after = "with transaction.atomic():\n    save(order_id)\nsend_receipt.delay(order_id)\n"
    check_ignores(rule, PLAIN, orders=orders(after, DJANGO))
    committed = (
        "with transaction.atomic():\n    transaction.on_commit(lambda:"
        " send_receipt.delay(order_id))\n"
    )
    check_ignores(rule, PLAIN, orders=orders(committed, DJANGO))
    named = (
        "with transaction.atomic():\n"
        "    def later():\n        send_receipt.delay(order_id)\n"
        "    transaction.on_commit(later)\n"
    )
    check_ignores(rule, PLAIN, orders=orders(named, DJANGO))
    own = "with transaction.atomic():\n    send_receipt.delay_on_commit(order_id)\n"
    check_ignores(rule, PLAIN, orders=orders(own, DJANGO))
    check_ignores(rule, PLAIN, **{"tests/test_orders.py": orders(inside, DJANGO)})


def test_publish_in_atomic_requests(check_finds: Check, check_ignores: Check) -> None:
    settings = (
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n"
        "DATABASES = {'default': {'ATOMIC_REQUESTS': True}}\n"
    )
    view = orders("send_receipt.delay(order_id)")
    rule = "publish-in-transaction"
    check_finds(rule, PLAIN, WARNING, "ATOMIC_REQUESTS", settings=settings, views=view)
    page = "from shop.orders import settle\ndef page(request):\n    settle(7)\n"
    check_finds(rule, PLAIN, WARNING, "not certain", settings=settings, orders=view, views=page)
    check_ignores(rule, PLAIN, settings=settings, orders=view)
    check_ignores(rule, PLAIN, settings=settings.replace("True", "False"), views=view)


TWO = (
    "@app.task(bind=True)\ndef send_receipt(self, order_id, email, copy=False):\n   "
    " mailer.send(order_id)\n"
)


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    rule = "wrong-arguments"
    wrong = {
        "send_receipt.delay(order=order_id)": "the task takes no order",
        "send_receipt.delay(order_id)": "email is missing",
        "send_receipt.delay(1, 2, 3, 4)": "4 arguments for a task that takes 3",
        "send_receipt.delay(1, 2, email=3)": "email is given twice",
        "send_receipt.apply_async((1,), countdown=5)": "email is missing",
        "send_receipt.apply_async(kwargs={'order_id': 1, 'mail': 2})": "the task takes no mail",
        "transaction.on_commit(partial(send_receipt.delay, order_id))": "email is missing",
    }
    for call, words in wrong.items():
        head = "from functools import partial\n" + DJANGO
        check_finds(rule, TWO, ERROR, words, orders=orders(call, head), line=f"    {call}".strip())
    right = [
        *(
            "send_receipt.delay(1, 2)",
            "send_receipt.delay(1, email=2, copy=True)",
            "send_receipt.delay(*order_id)",
        ),
        *(
            "send_receipt.delay(**order_id)",
            "send_receipt.apply_async((1, 2))",
            "send_receipt.apply_async(order_id)",
        ),
        *(
            "send_receipt.apply_async(kwargs=dict(order_id=1, email=2))",
            "send_receipt.s(1).apply_async((2,))",
        ),
    ]
    for call in right:
        check_ignores(rule, TWO, orders=orders(call))
    bad = orders("send_receipt.delay(1)")
    check_ignores(rule, TWO.replace("bind=True", "bind=True, typing=False"), orders=bad)
    check_ignores(rule, TWO.replace("order_id, email, copy=False", "*args"), orders=bad)
    check_ignores(rule, TWO, **{"tests/test_orders.py": bad})


def test_always_eager(check_finds: Check, check_ignores: Check) -> None:
    rule, app = "always-eager", "from celery import Celery\napp = Celery('s')\n"
    check_finds(
        rule,
        PLAIN,
        WARNING,
        "inside its caller",
        celery=app + "app.conf.task_always_eager = True\n",
    )
    check_ignores(rule, PLAIN, celery=app + "app.conf.task_always_eager = False\n")
    check_ignores(rule, PLAIN, celery=app + "if TESTING:\n    app.conf.task_always_eager = True\n")
    check_ignores(
        rule,
        PLAIN,
        **{"tests/conftest.py": "from shop.celery import app\napp.conf.task_always_eager = True\n"},
    )


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    rule, other = "publish-unkeyed", "@app.task\ndef other(x): ...\n"
    check_finds(
        rule,
        other + task("other.delay(order_id)", "bind=True, acks_late=True"),
        WARNING,
        "other.delay(...)",
    )
    check_finds(
        rule,
        other + task("other.delay(order_id)", "bind=True, autoretry_for=(OSError,)"),
        WARNING,
        "other.delay",
    )
    check_ignores(rule, other + task("other.delay(order_id)"))
    keyed = "other.apply_async((order_id,), task_id=f'other-{order_id}')"
    check_ignores(rule, other + task(keyed, "bind=True, acks_late=True"))


MODELS = "from django.db import models\nclass Order(models.Model): ...\n"


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    rule, head = "object-argument", "from shop.models import Order\n"
    row = "order = Order.objects.get(pk=order_id)\nsend_receipt.delay({})\n"
    check_finds(
        rule,
        PLAIN,
        ERROR,
        "a row of shop.models.Order",
        models=MODELS,
        orders=orders(row.format("order"), head),
    )
    check_finds(
        rule,
        PLAIN,
        ERROR,
        "JSON cannot carry it",
        models=MODELS,
        orders=orders("o = Order()\nsend_receipt.delay(o)", head),
    )
    typed = (
        "from shop.models import Order\nfrom shop.tasks import send_receipt\n"
        "def settle(order: Order):\n    send_receipt.apply_async(args=[{}])\n"
    )
    check_finds(rule, PLAIN, ERROR, "a row of", models=MODELS, orders=typed.format("order"))
    pickled = PLAIN.replace("@app.task", "@app.task(serializer='pickle')")
    check_finds(
        rule, pickled, WARNING, "stale", models=MODELS, orders=orders(row.format("order"), head)
    )
    check_ignores(rule, PLAIN, models=MODELS, orders=orders(row.format("order.pk"), head))
    check_ignores(rule, PLAIN, models=MODELS, orders=typed.format("order.id"))
    check_ignores(rule, PLAIN, models=MODELS, orders=orders("send_receipt.delay(order_id)", head))


def test_pickle_serializer(check_finds: Check, check_ignores: Check) -> None:
    rule = "pickle-serializer"
    app = "from celery import Celery\napp = Celery()\napp.conf.task_serializer = 'pickle'\n"
    check_finds(
        rule, PLAIN, WARNING, "runs code", line="app.conf.task_serializer = 'pickle'", celery=app
    )
    check_ignores(rule, PLAIN)
    check_ignores(rule, PLAIN, celery=app.replace("pickle", "json"))


def test_task_name_missing(check_finds: Check, check_ignores: Check) -> None:
    check_finds("task-name-missing", PLAIN, NOTE, '"shop.tasks.send_receipt"', line="@app.task")
    check_ignores("task-name-missing", PLAIN.replace("@app.task", "@app.task(name='send-receipt')"))


def test_task_name_renamed(check_finds: Check, check_ignores: Check) -> None:
    rule, sent = "task-name-renamed", "from shop.celery import app\napp.send_task('{}')\n"
    check_finds(
        rule,
        PLAIN,
        WARNING,
        "'shop.jobs.send_receipt' is sent by name",
        orders=sent.format("shop.jobs.send_receipt"),
    )
    named = PLAIN.replace("@app.task", "@app.task(name='mail.receipt')")
    check_finds(
        rule, named, WARNING, "called 'mail.receipt'", orders=sent.format("shop.tasks.send_receipt")
    )
    check_ignores(rule, PLAIN, orders=sent.format("shop.tasks.send_receipt"))
    check_ignores(
        rule,
        PLAIN,
        orders=sent.format("shop.other.send_receipt"),
        other="def send_receipt(): ...\n",
    )


# Races


def test_lock_ttl(check_finds: Check, check_ignores: Check) -> None:
    rule, cache = "lock-ttl", "from django.core.cache import cache\n"
    lock = "if not cache.add(f'lock-{order_id}', 1, 60):\n    return\nmailer.send(order_id)\n"
    check_finds(
        rule,
        cache + task(lock, "bind=True, time_limit=300"),
        WARNING,
        "60 s (1 min) at most, the time limit",
    )
    retried = "bind=True, autoretry_for=(OSError,), max_retries=4, retry_backoff=60"
    check_finds(rule, cache + task(lock, retried), WARNING, "the time over all retries is 900 s")
    redis = "import redis\nclient = redis.Redis()\n"
    held = "if not client.set('k', 1, nx=True, ex=30):\n    return\nmailer.send(order_id)\n"
    check_finds(rule, redis + task(held, "bind=True, time_limit=300"), WARNING, "held for 30 s")
    check_ignores(rule, cache + task(lock, "bind=True, time_limit=30"))
    check_ignores(rule, cache + task(lock))
    check_ignores(rule, redis + task(held.replace("nx=True, ", ""), "bind=True, time_limit=300"))


def test_check_then_act_in_a_cache(check_finds: Check, check_ignores: Check) -> None:
    rule, cache = "check-then-act", "from django.core.cache import cache\n"
    racy = "if cache.get(order_id):\n    return\ncache.set(order_id, 1)\nmailer.send(order_id)\n"
    check_finds(rule, cache + task(racy), WARNING, "set follows get", line="cache.set(order_id, 1)")
    check_ignores(
        rule, cache + task("if not cache.add(order_id, 1):\n    return\nmailer.send(order_id)")
    )
    check_ignores(rule, cache + task("n = cache.get('config')\ncache.set(order_id, n)\n"))
    filled = (
        "if (found := cache.get('rates')) is None:\n    found = load()\n    cache.set('rates',"
        " found, 60)\n"
    )
    check_ignores(rule, cache + task(filled))


def test_check_then_act_behind_a_lease(check_finds: Check, check_ignores: Check) -> None:
    rule, head = "check-then-act", "import redis\nclient = redis.Redis()\n"
    take = "if not client.set(order_id, 'me', nx=True, px=9000):\n    {}\n"
    look, work = (
        "if client.get(order_id) == b'done':\n    return\n",
        "mailer.send(order_id)\nclient.set(order_id, 'done')\n",
    )
    asked = look.replace("\n    ", "\n        ").rstrip()
    check_ignores(rule, head + task(take.format(f"{asked}\n    raise TimeoutError") + work))
    check_finds(
        rule,
        head + task(look + work),
        WARNING,
        "set follows get",
        line="client.set(order_id, 'done')",
    )
    unasked = "client.set(order_id, 'me', nx=True, px=9000)\n"
    check_finds(
        rule,
        head + task(unasked + look + work),
        WARNING,
        "set follows get",
        line="client.set(order_id, 'done')",
    )


def test_check_then_act_in_sql(check_finds: Check, check_ignores: Check) -> None:
    rule = "check-then-act"
    racy = """
        if conn.execute("SELECT 1 FROM receipts WHERE order_id = ?", (order_id,)).fetchone():
            return
        conn.execute("INSERT INTO receipts (order_id) VALUES (?)", (order_id,))
        """
    open_table = {
        "schema.sql": "CREATE TABLE receipts (id INTEGER PRIMARY KEY, order_id INTEGER);\n"
    }
    check_finds(rule, task(racy), WARNING, "INSERT INTO receipts after a SELECT", **open_table)
    check_ignores(
        rule,
        task(racy),
        **{"schema.sql": "CREATE TABLE receipts (order_id INTEGER PRIMARY KEY);\n"},
    )
    check_ignores(
        rule,
        task(racy),
        **{
            "schema.sql": (
                "CREATE TABLE receipts (id INTEGER PRIMARY KEY, order_id INTEGER UNIQUE);\n"
            )
        },
    )
    check_ignores(rule, task(racy.replace("INSERT INTO", "INSERT OR IGNORE INTO")), **open_table)
    indexed = open_table["schema.sql"] + "CREATE UNIQUE INDEX one ON receipts (order_id);\n"
    check_ignores(rule, task(racy), **{"schema.sql": indexed})
    check_ignores(rule, task(racy))  # no schema seen: nothing is certain


def test_check_then_act_on_models(check_finds: Check, check_ignores: Check) -> None:
    rule, head = "check-then-act", "from shop.models import Receipt\n"
    model = (
        "from django.db import models\nclass Receipt(models.Model):\n    order ="
        " models.IntegerField({})\n"
    )
    racy = (
        "if Receipt.objects.filter(order=order_id).exists():\n   "
        " return\nReceipt.objects.create(order=order_id)\n"
    )
    check_finds(
        rule, head + task(racy), WARNING, "create on Receipt after looking", models=model.format("")
    )
    atomic = "Receipt.objects.get_or_create(order=order_id)\n"
    check_finds(
        rule, head + task(atomic), WARNING, "get_or_create on Receipt", models=model.format("")
    )
    check_ignores(rule, head + task(racy), models=model.format("unique=True"))
    check_ignores(rule, head + task(atomic), models=model.format("unique=True"))
    check_ignores(
        rule, head + task("Receipt.objects.create(order=order_id)"), models=model.format("")
    )


def test_select_for_update_outside_transaction(check_finds: Check, check_ignores: Check) -> None:
    rule, head = "select-for-update-outside-transaction", DJANGO + "from shop.models import Order\n"
    lock = "order = Order.objects.select_for_update().get(pk=order_id)\n"
    check_finds(rule, head + task(lock), ERROR, "outside transaction.atomic()", models=MODELS)
    raw = "from django.db import connection\n"
    sql = (
        "with connection.cursor() as cursor:\n    cursor.execute('SELECT 1 FROM orders FOR UPDATE"
        " SKIP LOCKED')\n"
    )
    check_finds(rule, raw + task(sql), WARNING, "FOR UPDATE outside")
    check_ignores(rule, head + task("with transaction.atomic():\n    " + lock), models=MODELS)
    decorated = head + task(lock).replace("def send", "@transaction.atomic\ndef send")
    own = "@contextmanager\ndef traced():\n    with transaction.atomic():\n        yield\n"
    check_ignores(rule, head + own + task("with traced():\n    " + lock), models=MODELS)
    check_ignores(rule, decorated, models=MODELS)


# Schedules


def beat(entry: str) -> str:
    imports = "from celery.schedules import crontab\nfrom shop.celery import app\n"
    return f"{imports}app.conf.beat_schedule = {{'tick': {entry}}}\n"


def test_period_overlap(check_finds: Check, check_ignores: Check) -> None:
    rule, entry = "period-overlap", "{{'task': 'shop.tasks.send_receipt', 'schedule': {}}}"
    limited = PLAIN.replace("@app.task", "@app.task(time_limit=600)")
    check_finds(
        rule,
        limited,
        WARNING,
        "starts every 300 s (5 min)",
        beat=beat(entry.format("crontab(minute='*/5')")),
    )
    check_finds(rule, limited, WARNING, "may run for 600 s", beat=beat(entry.format("60.0")))
    check_finds(
        rule,
        PLAIN,
        NOTE,
        "nothing bounds",
        beat=beat(entry.format("timedelta(seconds=30)")).replace(
            "from celery", "from datetime import timedelta\nfrom celery", 1
        ),
    )
    check_ignores(rule, limited, beat=beat(entry.format("crontab(minute=0)")))
    check_ignores(rule, PLAIN, beat=beat(entry.format("crontab(hour=3, minute=0)")))
    locked = "from django.core.cache import cache\n" + task(
        "if not cache.add('k', 1, 900):\n    return\n", "bind=True, time_limit=600"
    )
    check_ignores(rule, locked, beat=beat(entry.format("60.0")))


def test_crontab_minute(check_finds: Check, check_ignores: Check) -> None:
    rule, entry = "crontab-minute", "{{'task': 'shop.tasks.send_receipt', 'schedule': {}}}"
    check_finds(
        rule,
        PLAIN,
        WARNING,
        "crontab(hour=3) fires every minute",
        beat=beat(entry.format("crontab(hour=3)")),
    )
    check_ignores(rule, PLAIN, beat=beat(entry.format("crontab(hour=3, minute=0)")))
    check_ignores(rule, PLAIN, beat=beat(entry.format("crontab()")))
    check_ignores(rule, PLAIN, beat=beat(entry.format("crontab(30, hour=3)")))


# All of them


def test_every_rule_has_a_finding_and_an_ignored_look_alike() -> None:
    source = "\n\n\n".join(
        path.read_text("utf-8") for path in Path(__file__).parent.glob("test_celery_rules*.py")
    )
    for rule in FRAMEWORK.list_rules():
        slug = rule.id.removeprefix("celery.")
        body = re.search(
            rf"(?s)def test_\w+\(check_finds[^\n]*\n(?:(?!\ndef ).)*\"{slug}\".*?(?=\n\n\ndef |\Z)",
            source,
        )
        assert body, f"{rule.id} has no paired test"
        assert "check_ignores(" in body[0], f"{rule.id} has no ignored look-alike"


def test_rules_say_why_and_whence() -> None:
    ids = [rule.id for rule in FRAMEWORK.list_rules()]
    assert len(ids) == len(set(ids))
    for rule in FRAMEWORK.list_rules():
        assert rule.why.endswith(".")
        assert rule.source


def test_the_mended_shop_has_no_errors(tmp_path: Path) -> None:
    import shutil

    import helpers
    from celery_repo import shop_of

    from skillrun.core.resources import resource

    root = tmp_path / "r"
    shutil.copytree(resource("skills", "job-worker-orchestration", "examples", "celery-shop"), root)
    helpers.build_tree(root, {})
    job = job_of(shop_of(root))
    found = [
        finding for rule in FRAMEWORK.list_rules() for finding in read_rule(rule, job).findings
    ]
    assert [f for f in found if f.severity == ERROR] == []
    assert {f.rule for f in found} <= {"celery.redelivery-loop"}
