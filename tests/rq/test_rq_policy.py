"""What an RQ job really does: attempts, waits, time limit, dead letter, callbacks, and who enqueues
it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rq_repo import open_shop

from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.rq import FRAMEWORK as rq

GIVEN_UP = """\
from shop import dead_jobs, mailer

def send_receipt(order_id):
    mailer.send(order_id)

def given_up(job, connection, exc_type, exc_value, traceback):
    if job.retries_left:
        return
    dead_jobs.record(job.args, repr(exc_value))
"""


def test_defaults(tmp_path: Path) -> None:
    policy = open_shop(tmp_path, "queue.enqueue(send_receipt, 7)\n").policy
    assert (policy.max_attempts, policy.backoff, policy.retried, policy.acks_late) == (
        1,
        Backoff("none"),
        (),
        False,
    )
    assert (policy.time_limit_s, policy.serializer, policy.dead_letter) == (180, "pickle", None)
    assert policy.sources["max_attempts"] is None
    assert policy.unknown == {}


@pytest.mark.parametrize(
    ("retry", "attempts", "waits"),
    [
        ("Retry(max=3)", 4, (0, 0, 0)),
        ("Retry(3, 10)", 4, (10, 10, 10)),
        ("Retry(max=3, interval=[10, 30, 60])", 4, (10, 30, 60)),
        (
            "Retry(max=4, interval=[10, 60])",
            5,
            (10, 10, 10, 60),
        ),  # get_retry_interval: the first is repeated
        ("Retry(max=2, interval=[10, 30, 60])", 3, (30, 60)),
        ("None", 1, ()),
    ],
)
def test_retry_counts_and_waits_as_rq_does(
    tmp_path: Path, retry: str, attempts: int, waits: tuple[float, ...]
) -> None:
    policy = open_shop(tmp_path, f"queue.enqueue(send_receipt, 7, retry={retry})\n").policy
    assert policy.max_attempts == attempts
    assert policy.backoff.delays(attempts - 1) == waits
    assert policy.retried == (("builtins:Exception",) if attempts > 1 else ())


RETRIES = {
    "module variable": "RETRY = Retry(max=2)\nqueue.enqueue(send_receipt, 7, retry=RETRY)\n",
    "local variable": (
        "def f():\n    again = Retry(max=2)\n    queue.enqueue(send_receipt, 7, retry=again)\n"
    ),
    "options": "OPTIONS = {'retry': Retry(max=2)}\nqueue.enqueue(send_receipt, 7, **OPTIONS)\n",
    "enqueue_call": "queue.enqueue_call(send_receipt, args=(7,), retry=Retry(max=2))\n",
    "prepared": (
        "queue.enqueue_many([Queue.prepare_data(send_receipt, (7,), retry=Retry(max=2))])\n"
    ),
    "wrapper": (
        "def later(f, *a):\n    queue.enqueue(f, *a, retry=Retry(max=2))\nlater(send_receipt, 7)\n"
    ),
    "through the module": "queue.enqueue(tasks.send_receipt, 7, retry=Retry(max=2))\n",
    "by name": "queue.enqueue('shop.tasks.send_receipt', 7, retry=Retry(max=2))\n",
    "several": (
        "queue.enqueue(send_receipt, 7)\nqueue.enqueue(send_receipt, 7, retry=Retry(max=2))\n"
    ),
}


@pytest.mark.parametrize("name", RETRIES)
def test_finds_the_retry(tmp_path: Path, name: str) -> None:
    policy = open_shop(tmp_path, RETRIES[name]).policy
    assert (policy.max_attempts, policy.unknown) == (3, {})
    assert "Retry(max=2)" in (policy.sources["max_attempts"] or policy.sources["backoff"]).text  # type: ignore[union-attr]


UNREAD = {
    "computed": "queue.enqueue(send_receipt, 7, retry=Retry(max=settings.TIMES))\n",
    "parameter": "def f(retry):\n    queue.enqueue(send_receipt, 7, retry=retry)\n",
    "options": "def f(**options):\n    queue.enqueue(send_receipt, 7, **options)\n",
    "value": "JOBS = {'receipt': send_receipt}\n",
}


@pytest.mark.parametrize("name", UNREAD)
def test_names_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    assert "max_attempts" in open_shop(tmp_path, UNREAD[name]).policy.unknown


def test_an_unreadable_interval_leaves_the_count_known(tmp_path: Path) -> None:
    policy = open_shop(
        tmp_path, "queue.enqueue(send_receipt, 7, retry=Retry(max=2, interval=waits()))\n"
    ).policy
    assert (policy.max_attempts, set(policy.unknown)) == (3, {"backoff"})


def test_the_decorator_counts_for_its_own_delay_only(tmp_path: Path) -> None:
    tasks = """
        from rq import Retry
        from rq.decorators import job
        from shop.queues import queue

        @job(queue, retry=Retry(max=2, interval=5), timeout="15m")
        def send_receipt(order_id): ...
        """
    delayed = open_shop(tmp_path / "delay", "send_receipt.delay(7)\n", tasks=tasks).policy
    assert (delayed.max_attempts, delayed.backoff, delayed.time_limit_s) == (
        3,
        Backoff("fixed", 5),
        900,
    )
    queued = open_shop(tmp_path / "queue", "queue.enqueue(send_receipt, 7)\n", tasks=tasks).policy
    assert (queued.max_attempts, queued.time_limit_s) == (1, 180)
    wrapped = "def later(f):\n    f.delay(7)\nlater(send_receipt)\n"
    assert open_shop(tmp_path / "wrapped", wrapped, tasks=tasks).policy.max_attempts == 3
    assert open_shop(tmp_path / "nowhere", tasks=tasks).policy.max_attempts == 3


def test_a_returned_retry_adds_up(tmp_path: Path) -> None:
    tasks = """
        from rq import Retry
        from shop import mailer

        def send_receipt(order_id):
            try:
                mailer.send(order_id)
            except mailer.Unavailable:
                return Retry(max=2, interval=[5, 10])
        """
    alone = open_shop(tmp_path / "alone", "queue.enqueue(send_receipt, 7)\n", tasks=tasks).policy
    assert (alone.max_attempts, alone.backoff.delays(2)) == (3, (5, 10))
    assert (alone.retried, alone.not_retried) == (("shop.mailer:Unavailable",), ())
    both = open_shop(
        tmp_path / "both", "queue.enqueue(send_receipt, 7, retry=Retry(max=1))\n", tasks=tasks
    ).policy
    assert both.max_attempts == 4


def test_what_the_handler_ends_itself_is_not_retried(tmp_path: Path) -> None:
    body = "    try:\n        mailer.send(1)\n    except mailer.BadAddress:\n        {}\n"
    body += "    except OSError:\n        raise\n"
    head = (
        "from rq import get_current_job\nfrom shop import mailer\n\ndef send_receipt(order_id):\n"
    )
    for number, ending in enumerate(
        ("return", "get_current_job().retries_left = 0\n        raise")
    ):
        shop = open_shop(
            tmp_path / str(number), RETRIES["several"], tasks=head + body.format(ending)
        )
        assert shop.policy.not_retried == ("shop.mailer:BadAddress",)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("job_timeout=30", 30), ("job_timeout='2h'", 7200), ("job_timeout=-1", None)],
)
def test_time_limit(tmp_path: Path, given: str, seconds: float | None) -> None:
    assert (
        open_shop(tmp_path, f"queue.enqueue(send_receipt, 7, {given})\n").policy.time_limit_s
        == seconds
    )


def test_defaults_of_the_queue(tmp_path: Path) -> None:
    queues = (
        "from rq import Queue\nqueue = Queue(connection=r(), default_timeout=600,"
        " serializer='json')\n"
    )
    queues += "old = Queue(serializer=queue.serializer)\n"
    policy = open_shop(tmp_path, "queue.enqueue(send_receipt, 7)\n", queues=queues).policy
    assert (policy.time_limit_s, policy.serializer) == (600, "json")


DEAD_LETTERS = {
    "callback": "queue.enqueue(send_receipt, 7, on_failure=Callback(tasks.given_up))\n",
    "plain function": "queue.enqueue(send_receipt, 7, on_failure=tasks.given_up)\n",
    "by name": "queue.enqueue(send_receipt, 7, on_failure=Callback('shop.tasks.given_up'))\n",
    "exception handler": (
        "from rq import Worker\nqueue.enqueue(send_receipt, 7)\n"
        "Worker([queue], exception_handlers=[tasks.given_up]).work()\n"
    ),
}


@pytest.mark.parametrize("name", DEAD_LETTERS)
def test_finds_the_dead_letter_and_the_hook(tmp_path: Path, name: str) -> None:
    shop = open_shop(tmp_path, DEAD_LETTERS[name], tasks=GIVEN_UP)
    assert shop.policy.dead_letter is not None
    assert "dead_jobs.record" in shop.policy.dead_letter.text
    hooks = rq.find_hooks(shop.project, shop.use, shop.handler)
    assert {event: hook.name for event, hook in hooks.items()} == {
        "failed": "given_up",
        "retried": "given_up",
    }


def test_a_callback_that_only_logs_is_no_dead_letter(tmp_path: Path) -> None:
    tasks = "import logging\nlog = logging.getLogger()\ndef send_receipt(o): ...\n"
    tasks += (
        "def given_up(job, connection, t, value, tb):\n    log.error('%s failed: %r', job.id,"
        " value)\n"
    )
    shop = open_shop(tmp_path, DEAD_LETTERS["callback"], tasks=tasks)
    assert shop.policy.dead_letter is None
    assert set(rq.find_hooks(shop.project, shop.use, shop.handler)) == {"failed"}


WIRED = {
    "enqueue": ("queue.enqueue(send_receipt, 7)\n", [("enqueue", ".enqueue(...)")]),
    "keyword": ("queue.enqueue(f=send_receipt, order_id=7)\n", [("enqueue", ".enqueue(...)")]),
    "in": ("queue.enqueue_in(wait, send_receipt, 7)\n", [("enqueue", ".enqueue_in(...)")]),
    "partial": (
        "on_commit(partial(queue.enqueue, send_receipt, 7))\n",
        [("enqueue", "partial(enqueue, ...)")],
    ),
    "django": (
        "import django_rq\ndjango_rq.enqueue(send_receipt, 7)\n",
        [("enqueue", ".enqueue(...)")],
    ),
    "cron": (
        "from rq import cron\ncron.register(send_receipt, 'q', interval=5)\n",
        [("schedule", "cron.register(...)")],
    ),
    "cron of the publisher": (
        (
            "from rq import cron\ndef later():\n    queue.enqueue(send_receipt, 7)\n\n"
            "cron.register(later, 'q', interval=5)\n"
        ),
        [("enqueue", ".enqueue(...)"), ("schedule", "cron.register(...) of later")],
    ),
    "cron of what calls the publisher": (
        (
            "from rq import cron\ndef later():\n    queue.enqueue(send_receipt, 7)\n\n"
            "def tick():\n    later()\n\ncron.register(tick, 'q', interval=5)\n"
        ),
        [("enqueue", ".enqueue(...)"), ("schedule", "cron.register(...) of tick")],
    ),
    "rq-scheduler": (
        "scheduler.cron('* * * * *', func=send_receipt)\n",
        [("schedule", ".cron(...)")],
    ),
    "repeat": (
        "queue.enqueue(send_receipt, 7, repeat=Repeat(times=3))\n",
        [("enqueue", ".enqueue(...)"), ("schedule", ".enqueue(...) with repeat")],
    ),
    "an argument": ("queue.enqueue(tasks.other, send_receipt)\n", []),
    "a callback": ("queue.enqueue(tasks.other, on_success=Callback(send_receipt))\n", []),
    "called": ("send_receipt(7)\n", []),
}


@pytest.mark.parametrize("name", WIRED)
def test_wiring(tmp_path: Path, name: str) -> None:
    enqueue, expected = WIRED[name]
    assert open_shop(tmp_path, enqueue).wiring == expected


def test_tests_are_told_apart(tmp_path: Path) -> None:
    test = (
        "from shop.queues import queue\nfrom shop.tasks import"
        " send_receipt\nqueue.enqueue(send_receipt, 7)\n"
    )
    shop = open_shop(tmp_path, **{"tests/test_x.py": test})
    assert [wiring.in_tests for wiring in rq.find_sends(shop.project, shop.use, shop.handler)] == [
        True
    ]


def test_whatever_can_be_imported_is_registered(tmp_path: Path) -> None:
    made = "def make():\n    def inner(): ...\n    return inner\n"
    shop = open_shop(tmp_path, made=made)
    place = rq.find_registration(shop.project, shop.use, shop.handler)
    assert place is not None
    assert place.text == "def send_receipt(order_id):"
    inner = shop.project.find("shop.made:make.inner")
    assert inner is not None
    assert rq.find_registration(shop.project, shop.use, inner) is None


DRAWN = """\
import random

def send_receipt(order_id): ...

def failed(job, connection, exc_type, exc_value, traceback):
    if job.retries_left:
        job.retry_intervals = WAITS
"""


@pytest.mark.parametrize(
    ("waits", "jitter"), [("[random.randint(1, wait) for wait in (2, 4)]", True), ("[2, 4]", False)]
)
def test_waits_that_the_callback_draws_are_jitter(tmp_path: Path, waits: str, jitter: bool) -> None:
    call = (
        "queue.enqueue(send_receipt, 7, retry=Retry(max=2, interval=[2, 4]),"
        " on_failure=Callback(tasks.failed))\n"
    )
    policy = open_shop(tmp_path, call, tasks=DRAWN.replace("WAITS", waits)).policy
    assert policy.backoff.jitter is jitter
    assert policy.backoff.delays(2) == (2, 4)
