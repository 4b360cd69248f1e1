"""The effective policy of a Celery task, from code and configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery_repo import open_shop, shop_of

from skillrun.frameworks.celery import FRAMEWORK as celery
from skillrun.frameworks.interface import Backoff, Policy

HEAD = """\
from datetime import timedelta
import random
from celery import shared_task
from celery.exceptions import MaxRetriesExceededError
from shop import mailer
from shop.celery import app
"""


def policy(root: Path, tasks: str, **files: str) -> Policy:
    return open_shop(root, HEAD + tasks, **files).policy


def test_no_retry_is_one_attempt(tmp_path: Path) -> None:
    found = policy(tmp_path / "r", "@app.task\ndef send_receipt(order_id): mailer.send(order_id)\n")
    assert (found.max_attempts, found.backoff, found.retried) == (1, Backoff("none"), ())
    assert (found.acks_late, found.reject_on_worker_lost, found.serializer) == (
        False,
        False,
        "json",
    )


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ("", 4, Backoff("fixed", 180.0)),
        ("default_retry_delay=5", 4, Backoff("fixed", 5.0)),
        ("max_retries=None", None, Backoff("fixed", 180.0)),
        ("max_retries=0", 1, Backoff("fixed", 180.0)),
        ("retry_backoff=True", 4, Backoff("exponential", 1.0, 2.0, 600.0, jitter=True)),
        (
            "retry_backoff=2, retry_backoff_max=60, retry_jitter=False",
            4,
            Backoff("exponential", 2.0, 2.0, 60.0),
        ),
        ("retry_backoff=0.5", 4, Backoff("exponential", 1.0, 2.0, 600.0, jitter=True)),
        ("retry_kwargs={'max_retries': 5, 'countdown': 7}", 6, Backoff("fixed", 7.0)),
        ("max_retries=2, retry_kwargs={'max_retries': None}", 3, Backoff("fixed", 180.0)),
        ("retry_kwargs=dict(max_retries=5)", 6, Backoff("fixed", 180.0)),
    ],
)
def test_autoretry(tmp_path: Path, options: str, attempts: int | None, backoff: Backoff) -> None:
    tasks = (
        f"@app.task(autoretry_for=(mailer.Unavailable, TimeoutError), {options})\ndef"
        " send_receipt(o): mailer.send(o)\n"
    )
    found = policy(tmp_path / "r", tasks)
    assert (found.max_attempts, found.backoff) == (attempts, backoff)
    assert found.retried == ("shop.mailer:Unavailable", "builtins:TimeoutError")
    assert not found.unknown


def retrying(call: str, options: str = "bind=True", before: str = "") -> str:
    return f"""
@app.task({options})
def send_receipt(self, order_id):
    try:
        mailer.send(order_id)
    except mailer.BadAddress:
        return
    except mailer.Unavailable as exc:
        {before or "pass"}
        {call}
"""


@pytest.mark.parametrize(
    ("call", "attempts", "backoff"),
    [
        ("raise self.retry(exc=exc)", 4, Backoff("fixed", 180.0)),
        ("self.retry(exc=exc, countdown=60 * 2)", 4, Backoff("fixed", 120.0)),
        (
            "raise self.retry(exc=exc, countdown=2 ** self.request.retries)",
            4,
            Backoff("exponential", 1.0, 2.0),
        ),
        (
            "raise self.retry(exc=exc, countdown=60 * (2 ** self.request.retries))",
            4,
            Backoff("exponential", 60.0, 2.0),
        ),
        (
            "raise self.retry(countdown=3 ** (self.request.retries + 1), max_retries=6)",
            7,
            Backoff("exponential", 3.0, 3.0),
        ),
        (
            "raise self.retry(countdown=min(2 ** self.request.retries * 5, 300))",
            4,
            Backoff("exponential", 5.0, 2.0, 300.0),
        ),
        (
            "raise self.retry(countdown=int(random.uniform(0, 2 ** self.request.retries)))",
            4,
            Backoff("exponential", 1.0, 2.0, jitter=True),
        ),
        (
            "raise self.retry(countdown=2 ** self.request.retries + random.random())",
            4,
            Backoff("exponential", 1.0, 2.0, jitter=True),
        ),
        (
            "raise self.retry(countdown=wait(self.request.retries))",
            4,
            Backoff("exponential", 10.0, 2.0, 600.0),
        ),
        ("raise send_receipt.retry(exc=exc, countdown=1)", 4, Backoff("fixed", 1.0)),
        (
            "raise self.retry(countdown=timedelta(minutes=1).total_seconds())",
            4,
            Backoff("fixed", 60.0),
        ),
    ],
)
def test_explicit_retry(tmp_path: Path, call: str, attempts: int, backoff: Backoff) -> None:
    helper = "def wait(n, cap=600):\n    return min(cap, 10 * 2 ** n)\n"
    found = policy(tmp_path / "r", helper + retrying(call))
    assert (found.max_attempts, found.backoff) == (attempts, backoff)
    assert found.retried == ("shop.mailer:Unavailable",)
    assert found.not_retried == ("shop.mailer:BadAddress",)
    assert not found.unknown


def test_a_linear_wait_is_unknown_with_its_place(tmp_path: Path) -> None:
    found = policy(
        tmp_path / "r",
        retrying("raise self.retry(exc=exc, countdown=60 * (self.request.retries + 1))"),
    )
    assert found.unknown["backoff"].line == HEAD.count("\n") + 10
    assert found.max_attempts == 4


def test_a_local_variable_holds_the_wait(tmp_path: Path) -> None:
    call, before = "raise self.retry(exc=exc, countdown=wait)", "wait = 2 ** self.request.retries"
    assert policy(tmp_path / "r", retrying(call, before=before)).backoff == Backoff(
        "exponential", 1.0, 2.0
    )


@pytest.mark.parametrize(
    "guard",
    ["if self.request.retries >= 5: return", "if self.request.retries > 4: raise"],
)
def test_a_guard_bounds_the_attempts(tmp_path: Path, guard: str) -> None:
    tasks = retrying("raise self.retry(exc=exc)", "bind=True, max_retries=None", guard)
    assert policy(tmp_path / "r", tasks).max_attempts == 6


def test_options_from_a_base_class_and_the_application(tmp_path: Path) -> None:
    tasks = """
class Base(app.Task):
    autoretry_for = (mailer.MailError,)
    dont_autoretry_for = (mailer.BadAddress,)
    max_retries = 7
    retry_backoff = True
    acks_late = False

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        log.error("failed")
        dead.record(exc)

@app.task(base=Base, max_retries=2)
def send_receipt(order_id): mailer.send(order_id)
"""
    settings = """
        from celery import Celery
        app = Celery("shop", broker="redis://localhost", task_acks_late=True)
        app.conf.task_reject_on_worker_lost = True
        app.conf.update({"task_time_limit": 60 * 5}, task_serializer="pickle")
        """
    found = policy(tmp_path / "r", tasks, celery=settings)
    assert found.max_attempts == 3
    assert found.retried == ("shop.mailer:MailError",)
    assert found.not_retried == ("shop.mailer:BadAddress",)
    assert not found.acks_late  # the class says so
    assert found.reject_on_worker_lost
    assert (found.time_limit_s, found.serializer, found.visibility_timeout_s) == (
        300.0,
        "pickle",
        3600.0,
    )
    assert found.dead_letter is not None
    assert found.dead_letter.text == "dead.record(exc)"
    assert found.sources["acks_late"] is not None
    assert found.sources["reject_on_worker_lost"].path == "shop/celery.py"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("app", "more", "late"),
    [
        ("app.config_from_object('shop.settings')", "task_acks_late = True\n", True),
        (
            "app.config_from_object('shop.settings:Production')",
            "class Base:\n    task_acks_late = True\nclass Production(Base): ...\n",
            True,
        ),
        (
            "from shop import settings\napp.config_from_object(settings)",
            "CELERY_ACKS_LATE = True\n",
            True,
        ),
        (
            "app.config_from_object('shop.settings', namespace='CELERY')",
            "CELERY_TASK_ACKS_LATE = True\n",
            True,
        ),
        (
            "app.config_from_object('shop.settings', namespace='CELERY')",
            "TASK_ACKS_LATE = True\n",
            False,
        ),
        ("app.conf['task_acks_late'] = True", "", True),
        ("app.conf.task_annotations = {'*': {'acks_late': True}}", "", True),
        ("app.conf.task_annotations = {'shop.tasks.send_receipt': {'acks_late': True}}", "", True),
        ("app.conf.task_annotations = {'shop.tasks.other': {'acks_late': True}}", "", False),
    ],
)
def test_places_of_configuration(tmp_path: Path, app: str, more: str, late: bool) -> None:
    celery_module = f"from celery import Celery\napp = Celery('shop')\n{app}\n"
    tasks = "@app.task\ndef send_receipt(order_id): ...\n"
    assert policy(tmp_path / "r", tasks, celery=celery_module, settings=more).acks_late is late


@pytest.mark.parametrize(
    "path",
    [
        *("ab_tests/conf", "speed_test/conf", "e2e/conf", "fixtures/conf", "x_tests/conf"),
        *("ab_tests", "test"),
    ],
)
def test_settings_that_only_sound_like_tests_are_read(tmp_path: Path, path: str) -> None:
    """A line that is moved to `shop/ab_tests/conf.py` counts there as well."""
    files = {f"shop/{path}.py": "from shop.celery import app\napp.conf.task_acks_late = True\n"}
    if "/" in path:
        files[f"shop/{path.partition('/')[0]}/__init__.py"] = ""
    tasks = "@app.task\ndef send_receipt(order_id): ...\n"
    assert policy(tmp_path / "r", tasks, **files).acks_late
    (tmp_path / "r").rename(tmp_path / "before")
    moved = {file.replace("shop/", "tests/"): text for file, text in files.items()}
    assert not policy(tmp_path / "r", tasks, **moved).acks_late


@pytest.mark.parametrize(
    ("path", "in_tests"), [("shop/fixtures/beat.json", False), ("tests/fixtures/beat.json", True)]
)
def test_rows_of_a_schedule_in_fixtures(tmp_path: Path, path: str, in_tests: bool) -> None:
    rows = (
        '[{"model": "django_celery_beat.periodictask",\n'
        '"fields": {"task": "shop.tasks.send_receipt"}}]\n'
    )
    shop = open_shop(tmp_path / "r", "@app.task\ndef send_receipt(o): ...\n", **{path: rows})
    sends = celery.find_sends(shop.project, shop.use, shop.handler)
    assert [(send.kind, send.in_tests) for send in sends] == [("schedule", in_tests)]


def test_django_settings(tmp_path: Path) -> None:
    celery_module = """
        import os
        from celery import Celery
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
        app = Celery("shop")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        """
    settings = """
        import os
        CELERY_BROKER_URL = os.environ.get("BROKER", "redis://localhost:6379/0")
        CELERY_TASK_ACKS_LATE = True
        CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60 * 60 * 12}
        """
    tasks = "@shared_task\ndef send_receipt(order_id): ...\n"
    found = policy(tmp_path / "r", tasks, celery=celery_module, settings=settings)
    assert found.acks_late
    assert found.visibility_timeout_s == 43200.0
    assert found.sources["visibility_timeout_s"].path == "shop/settings.py"  # type: ignore[union-attr]


def test_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    celery_module = (
        "import os\nfrom celery import Celery\napp = Celery('s')\napp.config_from_envvar('CONF')\n"
    )
    tasks = (
        "@app.task(acks_late=os.environ['LATE'], **options())\ndef send_receipt(order_id): ...\n"
    )
    found = policy(tmp_path / "r", "import os\n" + tasks, celery=celery_module)
    assert set(found.unknown) == {"acks_late", "options", "configuration", "visibility_timeout_s"}


@pytest.mark.parametrize(
    ("broker", "timeout"),
    [
        ("redis://h", 3600.0),
        ("rediss://h", 3600.0),
        ("sentinel://h", 3600.0),
        ("sqs://", 1800.0),
        ("amqp://h", None),
    ],
)
def test_visibility_timeout_by_broker(tmp_path: Path, broker: str, timeout: float | None) -> None:
    shop = open_shop(
        tmp_path / "r", HEAD + "@app.task\ndef send_receipt(order_id): ...\n", broker=broker
    )
    assert shop.policy.visibility_timeout_s == timeout


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        (
            retrying(
                "try: raise self.retry(exc=exc)\n        except MaxRetriesExceededError:"
                " dead.record(order_id)"
            ),
            "except MaxRetriesExceededError: dead.record(order_id)",
        ),
        (
            retrying(
                "raise self.retry(exc=exc)",
                before="if self.request.retries >= self.max_retries: dead.record(1); return",
            ),
            "if self.request.retries >= self.max_retries: dead.record(1); return",
        ),
        (
            retrying("raise self.retry(exc=exc)")
            + "\nsend_receipt.apply_async((1,), link_error=bury.s())\n",
            "send_receipt.apply_async((1,), link_error=bury.s())",
        ),
        (
            retrying("raise self.retry(exc=exc)")
            + "\nfrom celery.signals import task_failure\n"
            + "@task_failure.connect\ndef f(sender, **kw):\n    dead.record(1)\n",
            "dead.record(1)",
        ),
        (
            retrying("raise self.retry(exc=exc)")
            + "\nfrom celery.signals import task_failure\n"
            + "@task_failure.connect(sender=send_receipt)\ndef f(sender, **kw):\n   "
            " dead.record(2)\n",
            "dead.record(2)",
        ),
        (
            retrying("raise self.retry(exc=exc)")
            + "\nfrom celery.signals import task_failure\n"
            + "@task_failure.connect\ndef f(sender, **kw):\n    sender.app.request.tm.abort()\n"
            + "@task_failure.connect(sender=send_receipt)\ndef g(sender, **kw):\n   "
            " dead.record(4)\n",
            "dead.record(4)",
        ),
        (
            retrying("raise self.retry(exc=exc)")
            + "\nfrom celery.signals import task_failure\n@app.task\ndef other(): ...\n"
            + "@task_failure.connect(sender=other)\ndef f(sender, **kw):\n    dead.record(3)\n",
            None,
        ),
        (retrying("raise self.retry(exc=exc)", before="log.error('last: %s', dead.name())"), None),
    ],
)
def test_dead_letter(tmp_path: Path, tail: str, text: str | None) -> None:
    found = policy(tmp_path / "r", tail)
    assert (found.dead_letter.text if found.dead_letter else None) == text


CLASS_TASK = """
class SendReceipt(app.Task):
    name = "shop.send_receipt"
    max_retries = 1

    def run(self, order_id):
        try:
            mailer.send(order_id)
        except mailer.Unavailable as exc:
            self.retry(exc=exc, countdown=1)

send_receipt = app.register_task(SendReceipt())
"""


@pytest.mark.parametrize("handler", ["shop.tasks:SendReceipt", "shop.tasks:send_receipt"])
def test_a_class_as_task(tmp_path: Path, handler: str) -> None:
    shop = open_shop(
        tmp_path / "r",
        HEAD + CLASS_TASK,
        handler=handler,
        orders="from shop.tasks import send_receipt\nsend_receipt.delay(1)\n",
    )
    place = celery.find_registration(shop.project, shop.use, shop.handler)
    assert place is not None
    assert place.text == "send_receipt = app.register_task(SendReceipt())"
    assert (shop.policy.max_attempts, shop.policy.backoff) == (2, Backoff("fixed", 1.0))
    assert [w.place.path for w in celery.find_sends(shop.project, shop.use, shop.handler)] == [
        "shop/orders.py"
    ]


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ("@shared_task\ndef send_receipt(o): ...\n", "@shared_task"),
        ("@app.task(bind=True)\ndef send_receipt(self, o): ...\n", "@app.task(bind=True)"),
        (
            "def _send(o): ...\nsend_receipt = app.task(max_retries=1)(_send)\n",
            "send_receipt = app.task(max_retries=1)(_send)",
        ),
        (
            "def job(**kw):\n    return shared_task(**kw)\n@job(x=1)\ndef send_receipt(o): ...\n",
            "@job(x=1)",
        ),
        ("def send_receipt(o): ...\n", None),
        (
            "from huey import RedisHuey\nh = RedisHuey()\n@h.task()\ndef send_receipt(o): ...\n",
            None,
        ),
    ],
)
def test_registered(tmp_path: Path, tasks: str, text: str | None) -> None:
    shop = open_shop(tmp_path / "r", HEAD + tasks)
    place = celery.find_registration(shop.project, shop.use, shop.handler)
    assert (place.text if place else None) == text


def test_an_app_from_a_factory(tmp_path: Path) -> None:
    factory = """
        from celery import Celery

        def make_celery(flask_app):
            celery = Celery(flask_app.name, broker="redis://h")
            celery.conf.task_acks_late = True
            return celery

        app = make_celery(None)
        """
    shop = open_shop(tmp_path / "r", HEAD + "@app.task\ndef send_receipt(o): ...\n", celery=factory)
    assert celery.find_registration(shop.project, shop.use, shop.handler) is not None
    assert shop.policy.acks_late


WIRED = {
    "orders": (
        """
        from shop import tasks
        from shop.tasks import send_receipt as receipt
        from celery import chain

        def settle(order_id):
            receipt.delay(order_id)
            tasks.send_receipt.apply_async((order_id,), countdown=5)
            chain(receipt.s(order_id), receipt.si(1))()
            tasks.send_receipt(order_id)
        """
    ),
    "other": (
        """
        from shop.celery import app
        app.send_task("shop.tasks.send_receipt", args=[1])
        """
    ),
    "beat": (
        """
        from celery.schedules import crontab
        from shop.celery import app
        from shop.tasks import send_receipt

        app.conf.beat_schedule = {
            "nightly": {"task": "shop.tasks.send_receipt", "schedule": crontab(hour=3, minute=0)},
            "other": {"task": "shop.tasks.other", "schedule": 30.0},
        }

        @app.on_after_configure.connect
        def set_up(sender, **kwargs):
            sender.add_periodic_task(10.0, send_receipt.s(1))
        """
    ),
    "tests/test_tasks.py": "from shop.tasks import send_receipt\nsend_receipt.delay(1)\n",
}


def test_wiring(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "r", HEAD + "@app.task\ndef send_receipt(o): ...\n", **WIRED)
    found = celery.find_sends(shop.project, shop.use, shop.handler)
    assert [(w.kind, w.place.path, w.place.line, w.how, w.in_tests) for w in found] == [
        ("schedule", "shop/beat.py", 6, "beat_schedule['nightly']", False),
        ("schedule", "shop/beat.py", 12, "add_periodic_task(...)", False),
        ("enqueue", "shop/orders.py", 6, ".delay(...)", False),
        ("enqueue", "shop/orders.py", 7, ".apply_async(...)", False),
        ("enqueue", "shop/orders.py", 8, ".s(...)", False),
        ("enqueue", "shop/other.py", 2, "send_task('shop.tasks.send_receipt')", False),
        ("enqueue", "tests/test_tasks.py", 2, ".delay(...)", True),
    ]


def test_a_task_handed_on_as_a_value(tmp_path: Path) -> None:
    orders = (
        "from shop.tasks import send_receipt\nEVENTS = {'paid':"
        " send_receipt}\nEVENTS['paid'].delay(1)\n"
    )
    shop = open_shop(tmp_path / "r", HEAD + "@app.task\ndef send_receipt(o): ...\n", orders=orders)
    found = celery.find_sends(shop.project, shop.use, shop.handler)
    assert [(w.place.line, w.how) for w in found] == [(2, "handed on as a value")]


def test_the_bundled_shop(tmp_path: Path) -> None:
    import shutil

    import helpers

    from skillrun.core.resources import resource

    root = tmp_path / "r"
    shutil.copytree(resource("skills", "job-worker-orchestration", "examples", "celery-shop"), root)
    helpers.build_tree(root, {})
    found = shop_of(root).policy
    assert found.max_attempts == 5
    assert found.backoff == Backoff("exponential", 2.0, 2.0, 60.0, jitter=True)
    assert (found.acks_late, found.reject_on_worker_lost) == (True, True)
    assert found.dead_letter is not None
    assert not found.unknown
