"""The effective policy of a Dramatiq actor, its senders and its hooks, from code and setup."""

from __future__ import annotations

from pathlib import Path

import pytest
from dramatiq_repo import BROKER, Shop, open_shop

from skillrun.frameworks.dramatiq import FRAMEWORK as dramatiq
from skillrun.frameworks.interface import Backoff, Policy

WEEK = 7 * 86400.0
BODY = "def send_receipt(order_id): mailer.send(order_id)\n"


def policy(root: Path, options: str, before: str = "", **files: str) -> Policy:
    return open_shop(root, f"{before}\n@dramatiq.actor({options})\n{BODY}", **files).policy


def exponential(base: float, cap: float) -> Backoff:
    return Backoff("exponential", base, 2.0, cap, jitter=True, spread=2.0)


def test_the_defaults(tmp_path: Path) -> None:
    found = open_shop(tmp_path / "r", f"@dramatiq.actor\n{BODY}").policy
    assert (found.max_attempts, found.backoff) == (21, exponential(15.0, WEEK))
    assert (found.retried, found.not_retried) == (("builtins:Exception",), ())
    assert (found.acks_late, found.reject_on_worker_lost, found.visibility_timeout_s) == (
        True,
        True,
        60.0,
    )
    assert (found.time_limit_s, found.serializer, found.dead_letter, found.unknown) == (
        600.0,
        "json",
        None,
        {},
    )
    assert (
        found.sources["max_attempts"]
        is found.sources["backoff"]
        is found.sources["time_limit_s"]
        is None
    )


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ("max_retries=3", 4, exponential(15.0, WEEK)),
        ("max_retries=0", 1, Backoff("none")),
        ("max_retries=None", None, exponential(15.0, WEEK)),
        ("max_retries=4, min_backoff=2000, max_backoff=60_000", 5, exponential(2.0, 60.0)),
        ("max_retries=4, max_backoff=86400000 * 30", 5, exponential(15.0, WEEK)),
        ("retry_when=lambda retries, e: retries < 3, max_retries=9", 4, exponential(15.0, WEEK)),
        (
            "retry_when=lambda n, e: isinstance(e, mailer.Unavailable)",
            None,
            exponential(15.0, WEEK),
        ),
    ],
)
def test_attempts_and_waits(
    tmp_path: Path, options: str, attempts: int | None, backoff: Backoff
) -> None:
    found = policy(tmp_path / "r", options)
    assert (found.max_attempts, found.backoff, found.unknown) == (attempts, backoff, {})


def test_the_longest_wait_is_twice_the_plain_one_below_the_cap(tmp_path: Path) -> None:
    found = policy(tmp_path / "r", "max_retries=4, min_backoff=2000, max_backoff=20000")
    assert found.backoff.delays(4) == (4.0, 8.0, 16.0, 20.0)


@pytest.mark.parametrize(
    ("body", "attempts", "retried", "spared"),
    [
        (
            "    return retries <= 2 and isinstance(exc, (OSError, mailer.Unavailable))",
            4,
            ("OSError", "Unavailable"),
            (),
        ),
        (
            "    return 5 > retries and not isinstance(exc, mailer.BadAddress)",
            6,
            ("Exception",),
            ("BadAddress",),
        ),
        (
            (
                "    if isinstance(exc, mailer.BadAddress) or retries >= 3:\n        return False\n"
                "    return True"
            ),
            4,
            ("Exception",),
            ("BadAddress",),
        ),
        ("    log.info(retries)\n    return isinstance(exc, OSError)", 21, ("OSError",), ()),
    ],
)
def test_a_function_decides(
    tmp_path: Path, body: str, attempts: int, retried: tuple[str, ...], spared: tuple[str, ...]
) -> None:
    found = policy(tmp_path / "r", "retry_when=wanted", f"def wanted(retries, exc):\n{body}\n")
    assert found.max_attempts == attempts
    assert tuple(name.rpartition(":")[2] for name in found.retried) == retried
    assert tuple(name.rpartition(":")[2] for name in found.not_retried) == spared


@pytest.mark.parametrize(
    "body", ["return allowed(retries, exc)", "return retries < limit()", "return decide[retries]"]
)
def test_a_function_that_cannot_be_read_is_unknown_with_its_place(
    tmp_path: Path, body: str
) -> None:
    found = policy(tmp_path / "r", "retry_when=wanted", f"def wanted(retries, exc):\n    {body}\n")
    assert found.unknown["max_attempts"].text == "@dramatiq.actor(retry_when=wanted)"
    assert ("retried" in found.unknown) == ("limit" not in body)


def test_throws_is_never_retried(tmp_path: Path) -> None:
    before = "FATAL = (mailer.BadAddress, ValueError)\n"
    found = policy(tmp_path / "r", "throws=FATAL, max_retries=2", before)
    assert found.not_retried == ("shop.mailer:BadAddress", "builtins:ValueError")


RETRIES = "from dramatiq.middleware import Retries, TimeLimit, default_middleware\n"
SETUPS = {
    "argument": ("middleware=[Retries(max_retries=2, min_backoff=1000)]", 3, 1.0, None),
    "without": ("middleware=[TimeLimit(time_limit=5000)]", 1, 0.0, 5.0),
    "a variable": ("middleware=KEPT", 5, 15.0, None),
    "not readable": ("middleware=[m() for m in default_middleware]", 21, 15.0, 600.0),
    "none": ("middleware=None", 21, 15.0, 600.0),
    "changed later": (")\nbroker.middleware = kept(broker.middleware", 21, 15.0, 600.0),
}


@pytest.mark.parametrize("name", SETUPS)
def test_middleware(tmp_path: Path, name: str) -> None:
    argument, attempts, base, limit = SETUPS[name]
    broker = (
        RETRIES
        + "KEPT = [Retries(max_retries=4)]\n"
        + BROKER.replace('url="redis://localhost"', argument)
    )
    found = policy(tmp_path / "r", "", broker=broker)
    assert (found.max_attempts, found.backoff.base_s, found.time_limit_s) == (attempts, base, limit)


def test_heartbeat_encoder_and_time_limit(tmp_path: Path) -> None:
    broker = (
        BROKER.replace("url=", "heartbeat_timeout=5000, url=")
        + "dramatiq.set_encoder(dramatiq.PickleEncoder())\n"
    )
    found = policy(tmp_path / "r", "time_limit=30_000", broker=broker)
    assert (found.visibility_timeout_s, found.serializer, found.time_limit_s) == (
        5.0,
        "pickle",
        30.0,
    )
    assert policy(tmp_path / "i", 'time_limit=float("inf")').time_limit_s is None
    rabbit = open_shop(tmp_path / "m", f"@dramatiq.actor\n{BODY}", kind="rabbitmq").policy
    assert rabbit.visibility_timeout_s is None
    own = policy(tmp_path / "o", "", broker=BROKER + "dramatiq.set_encoder(make_encoder())\n")
    assert "set_encoder" in own.unknown["serializer"].text


def test_what_the_environment_says_is_unknown_with_its_default(tmp_path: Path) -> None:
    found = policy(
        tmp_path / "r",
        "max_retries=int(os.getenv('R', '4')), min_backoff=WAIT",
        "import os\nWAIT = ask()\n",
    )
    assert (found.max_attempts, found.backoff.base_s) == (5, 15.0)
    assert found.unknown.keys() == {"max_attempts", "backoff", "backoff.base"}


def test_an_explicit_delay_makes_the_wait_depend_on_the_way(tmp_path: Path) -> None:
    body = "def send_receipt(order_id):\n    raise dramatiq.Retry('later', delay=900_000)\n"
    shop = open_shop(tmp_path / "r", f"@dramatiq.actor(max_retries=2, min_backoff=1000)\n{body}")
    assert shop.policy.backoff == Backoff("fixed", 900.0)
    assert "delay=900_000" in shop.policy.unknown["backoff"].text


DJANGO = """
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"heartbeat_timeout": 9000},
    "MIDDLEWARE": ["dramatiq.middleware.TimeLimit", %s],
}
"""


def test_django_names_the_middleware_in_a_setting(tmp_path: Path) -> None:
    with_retries = policy(
        tmp_path / "r",
        "",
        settings=DJANGO % '"dramatiq.middleware.Retries"',
        broker="broker = None\n",
    )
    assert (with_retries.max_attempts, with_retries.visibility_timeout_s) == (21, 9.0)
    without = policy(
        tmp_path / "w",
        "",
        settings=DJANGO % '"dramatiq.middleware.AgeLimit"',
        broker="broker = None\n",
    )
    assert without.max_attempts == 1


GENERIC = "class send_receipt(dramatiq.GenericActor):\n    class Meta:\n"
PARTIAL = "from functools import partial\njob = partial(dramatiq.actor, max_retries=3)\n"
FORMS = {
    "decorator": "from dramatiq import actor as job\n@job(max_retries=3)\n" + BODY,
    "partial": PARTIAL + "@job(queue_name='q')\n" + BODY,
    "call": (
        BODY.replace("send_receipt", "_send")
        + "send_receipt = dramatiq.actor(_send, max_retries=3)\n"
    ),
    "curried": (
        BODY.replace("send_receipt", "_send")
        + "send_receipt = dramatiq.actor(max_retries=3)(_send)\n"
    ),
    "object": (
        "class _S:\n    def __call__(self, order_id): ...\nsend_receipt = dramatiq.actor(_S(),"
        " max_retries=3)\n"
    ),
    "spread": "OPTIONS = {'max_retries': 3}\n@dramatiq.actor(**OPTIONS)\n" + BODY,
    "generic": GENERIC + "        max_retries = 3\n    def perform(self, o): ...\n",
    "async": "@dramatiq.actor(max_retries=3)\nasync def send_receipt(order_id): ...\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_an_actor(tmp_path: Path, name: str) -> None:
    shop = open_shop(
        tmp_path / "r",
        FORMS[name],
        orders="from shop.tasks import send_receipt\nsend_receipt.send(1)\n",
    )
    assert dramatiq.find_registration(shop.project, shop.use, shop.handler) is not None
    assert (shop.policy.max_attempts, shop.policy.unknown) == (4, {})
    assert [w.place.path for w in dramatiq.find_sends(shop.project, shop.use, shop.handler)] == [
        "shop/orders.py"
    ]


def test_a_wrapper_of_ours_registers_with_options_unknown(tmp_path: Path) -> None:
    base = (
        "import dramatiq\ndef job(**options):\n    return dramatiq.actor(store_results=True,"
        " **options)\n"
    )
    shop = open_shop(
        tmp_path / "r", "from shop.base import job\n@job(max_retries=3)\n" + BODY, base=base
    )
    assert dramatiq.find_registration(shop.project, shop.use, shop.handler) is not None
    assert shop.policy.unknown["options"].text == "@job(max_retries=3)"


@pytest.mark.parametrize(
    "tasks",
    [
        BODY,
        "@mailer.actor\n" + BODY,
        GENERIC + "        abstract = True\n",
    ],
)
def test_what_is_no_actor_is_not_registered(tmp_path: Path, tasks: str) -> None:
    shop = open_shop(tmp_path / "r", tasks)
    assert dramatiq.find_registration(shop.project, shop.use, shop.handler) is None


def wiring(shop: Shop) -> list[tuple[str, str, bool]]:
    return [
        (w.kind, w.how, w.in_tests)
        for w in dramatiq.find_sends(shop.project, shop.use, shop.handler)
    ]


TEXT = "'shop.tasks:send_receipt.send'"
WIRED = {
    "send_receipt.send(1)": ("enqueue", ".send(...)"),
    "t.send_receipt.send_with_options(args=(1,), delay=5)": ("enqueue", ".send_with_options(...)"),
    "broker.enqueue(send_receipt.message(1))": ("enqueue", ".message(...)"),
    "on_commit(partial(send_receipt.send, 1))": ("enqueue", ".send(...)"),
    "broker.get_actor('send_receipt').send(1)": ("enqueue", "get_actor('send_receipt')"),
    "Message(queue_name='q', actor_name='send_receipt')": ("enqueue", "Message('send_receipt')"),
    "scheduler.add_job(send_receipt.send, 'interval')": ("schedule", "add_job(...)"),
    f"scheduler.add_job({TEXT}, 'cron')": ("schedule", f"add_job({TEXT})"),
    "@scheduler.scheduled_job('cron')\ndef tick():\n    send_receipt.send(1)": (
        "schedule",
        "@scheduled_job",
    ),
    "JOBS = {'receipt': send_receipt}": ("enqueue", "handed on as a value"),
    "self.send_task(send_receipt, 1)": ("enqueue", "handed on as a value"),
}


@pytest.mark.parametrize("code", WIRED)
def test_wiring(tmp_path: Path, code: str) -> None:
    orders = f"from shop import tasks as t\nfrom shop.tasks import send_receipt\n{code}\n"
    shop = open_shop(tmp_path / "r", "@dramatiq.actor\n" + BODY, orders=orders)
    assert wiring(shop) == [(*WIRED[code], False)]


def test_wiring_in_tests_by_callbacks_and_by_cron(tmp_path: Path) -> None:
    tests = {"tests/test_x.py": "from shop.tasks import send_receipt\nsend_receipt.send(1)\n"}
    assert wiring(open_shop(tmp_path / "t", "@dramatiq.actor\n" + BODY, **tests)) == [
        ("enqueue", ".send(...)", True)
    ]
    other = "@dramatiq.actor(on_success='send_receipt')\ndef pay(): ...\n"
    assert wiring(open_shop(tmp_path / "c", "@dramatiq.actor\n" + BODY + other))[0][:2] == (
        "enqueue",
        "on_success='send_receipt'",
    )
    periodiq = "from periodiq import cron\n@dramatiq.actor(periodic=cron('0 3 * * *'))\n" + BODY
    assert wiring(open_shop(tmp_path / "p", periodiq))[0][0] == "schedule"
    crontab = "from dramatiq_crontab import cron\n@cron('0 3 * * *')\n@dramatiq.actor\n" + BODY
    assert wiring(open_shop(tmp_path / "d", crontab))[0][0] == "schedule"
    assert (
        wiring(open_shop(tmp_path / "n", "@dramatiq.actor\n" + BODY, orders="mailer.send(1)\n"))
        == []
    )


RECORD = "from shop import dead_jobs\n"
DEAD_JOBS = (
    "def record(job, why):\n    db.execute('INSERT INTO dead_jobs VALUES (?, ?)', (job, why))\n"
)
CALLBACK = "@dramatiq.actor\ndef buried(message, info):\n    dead_jobs.record(message, info)\n"
MIDDLEWARE = """
import logging
import dramatiq
from shop import dead_jobs
log = logging.getLogger(__name__)

class Watch(dramatiq.Middleware):
    def before_process_message(self, broker, message): log.info("start %s", message)
    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            log.info("done %s", message)
    def after_nack(self, broker, message): dead_jobs.record(message, "given up")
"""


def test_dead_letters_and_hooks(tmp_path: Path) -> None:
    by_name = RECORD + CALLBACK + "@dramatiq.actor(on_retry_exhausted='buried')\n" + BODY
    shop = open_shop(tmp_path / "n", by_name, dead_jobs=DEAD_JOBS)
    assert (
        shop.policy.dead_letter
        and shop.policy.dead_letter.text == "dead_jobs.record(message, info)"
    )
    assert dramatiq.find_hooks(shop.project, shop.use, shop.handler)["failed"].name == "buried"
    only_logs = by_name.replace("dead_jobs.record", "print")
    assert open_shop(tmp_path / "l", only_logs, dead_jobs=DEAD_JOBS).policy.dead_letter is None
    broker = BROKER + "from shop.watch import Watch\nbroker.add_middleware(Watch())\n"
    files = {"watch": MIDDLEWARE, "dead_jobs": DEAD_JOBS}
    watched = open_shop(tmp_path / "w", "@dramatiq.actor\n" + BODY, broker=broker, **files)
    assert watched.policy.dead_letter and watched.policy.dead_letter.path == "shop/watch.py"
    hooks = dramatiq.find_hooks(watched.project, watched.use, watched.handler)
    assert {event: hook.name for event, hook in hooks.items()} == {
        "started": "Watch.before_process_message",
        "failed": "Watch.after_nack",
        "succeeded": "Watch.after_process_message",
    }
    again = (
        "    def after_enqueue(self, broker, message, delay): log.info('again %s',"
        " message.options['retries'])\n"
    )
    said = open_shop(
        tmp_path / "a", "@dramatiq.actor\n" + BODY, broker=broker, watch=MIDDLEWARE + again
    )
    assert (
        dramatiq.find_hooks(said.project, said.use, said.handler)["retried"].name
        == "Watch.after_enqueue"
    )
    unused = open_shop(tmp_path / "u", "@dramatiq.actor\n" + BODY, **files)
    assert dramatiq.find_hooks(unused.project, unused.use, unused.handler) == {}
