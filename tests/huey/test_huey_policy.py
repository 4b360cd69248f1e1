"""What a Huey task really does: its policy, who publishes it, what hears of it, where its records
go.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from huey_repo import APP, Shop, findings, open_shop

from skillrun.frameworks.huey import FRAMEWORK as huey
from skillrun.frameworks.interface import Backoff, find_wiring

HEAD = (
    "from huey import CancelExecution, RetryTask, crontab\nfrom shop import mailer\nfrom shop.app"
    " import huey\n"
)
CONTEXT = "@huey.task(retries=3, retry_delay=5, context=True)\ndef send_receipt(order_id, task):\n"
NONE = Backoff("none")


def shop_of(root: Path, tasks: str, **files: str) -> Shop:
    return open_shop(root, HEAD + tasks, **files)


def task(options: str = "", body: str = "mailer.send(order_id)") -> str:
    return f"@huey.task({options})\ndef send_receipt(order_id):\n    {body}\n"


def body(text: str) -> str:
    return CONTEXT + textwrap.indent(textwrap.dedent(text).strip("\n") + "\n", "    ")


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ("", 1, NONE),
        ("retries=3", 4, NONE),
        ("3, 10", 4, Backoff("fixed", 10.0)),
        ("retries=3, retry_delay=2, retry_backoff=2", 4, Backoff("exponential", 2.0, 2.0)),
        ("retries=3, retry_delay=2, retry_backoff=1", 4, Backoff("fixed", 2.0)),
        ("retries=2, retry_backoff=2", 3, NONE),
        ("**OPTIONS", 6, Backoff("fixed", 60.0)),
    ],
)
def test_options(tmp_path: Path, options: str, attempts: int, backoff: Backoff) -> None:
    found = shop_of(
        tmp_path / "r", "OPTIONS = {'retries': 5, 'retry_delay': 60}\n" + task(options)
    ).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (attempts, backoff, {})
    assert found.retried == (() if attempts == 1 else ("builtins:Exception",))
    assert (found.acks_late, found.visibility_timeout_s, found.serializer) == (
        False,
        None,
        "pickle",
    )


def test_a_default_has_no_source_and_a_value_has_its_line(tmp_path: Path) -> None:
    assert shop_of(tmp_path / "a", task()).policy.sources["max_attempts"] is None
    place = shop_of(tmp_path / "b", task("retries=2, timeout=30")).policy.sources["max_attempts"]
    assert place is not None
    assert place.text == "@huey.task(retries=2, timeout=30)"
    assert shop_of(tmp_path / "c", task("retries=2, timeout=30")).policy.time_limit_s == 30.0


def test_what_is_computed_is_unknown(tmp_path: Path) -> None:
    found = shop_of(tmp_path / "a", "import os\n" + task("retries=int(os.environ['N'])")).policy
    assert set(found.unknown) == {"max_attempts"}
    found = shop_of(tmp_path / "b", task("retries=2, retry_delay=wait()")).policy
    assert (found.max_attempts, set(found.unknown)) == (3, {"backoff"})


FORMS = {
    "called": "def _send(order_id): ...\nsend_receipt = huey.task(retries=2)(_send)\n",
    "under a lock": (
        "@huey.task(retries=2)\n@huey.lock_task('x')\ndef send_receipt(order_id): ...\n"
    ),
    "in Django": (
        "from huey.contrib.djhuey import db_task\n@db_task(retries=2)\ndef send_receipt(order_id):"
        " ...\n"
    ),
    "own decorator": (
        "def task(retries=1):\n    def deco(fn):\n        return huey.task(retries=retries)(fn)\n  "
        "  return deco\n@task(retries=2)\ndef send_receipt(order_id): ...\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_task(tmp_path: Path, form: str) -> None:
    shop = shop_of(tmp_path / "r", FORMS[form])
    assert shop.policy.max_attempts == 3
    assert huey.find_registration(shop.project, shop.use, shop.handler) is not None
    assert ("options" in shop.policy.unknown) == (form == "own decorator")


@pytest.mark.parametrize(
    "text", ["def send_receipt(order_id): ...\n", "@huey.task\ndef send_receipt(order_id): ...\n"]
)
def test_what_is_no_task(tmp_path: Path, text: str) -> None:
    shop = shop_of(tmp_path / "r", text)
    assert huey.find_registration(shop.project, shop.use, shop.handler) is None


BY_HAND = {
    "task.retry_delay *= 4": Backoff("exponential", 20.0, 4.0),
    "task.retry_delay = min(task.retry_delay * 2, 60)": Backoff("exponential", 10.0, 2.0, 60.0),
    "task.retry_delay = min(task.retry_delay * 2, most())": None,
    "task.retry_delay = wait(order_id)": None,
}


@pytest.mark.parametrize("line", BY_HAND)
def test_a_delay_that_the_task_changes(tmp_path: Path, line: str) -> None:
    text = body(f"try:\n    mailer.send(order_id)\nexcept OSError:\n    {line}\n    raise")
    found = shop_of(tmp_path / "r", text).policy
    expected = BY_HAND[line]
    assert ("backoff" in found.unknown) == (expected is None)
    assert expected is None or found.backoff == expected


ENDLESS = {
    "raise RetryTask(delay=60)": (None, False),
    "raise CancelExecution(retry=True)": (None, False),
    "if task.retries:\n        raise RetryTask(delay=60)": (None, False),
    "if young(order_id):\n        raise RetryTask(delay=60)": (4, True),
    "raise CancelExecution(retry=False)": (4, False),
}


@pytest.mark.parametrize("end", ENDLESS)
def test_a_retry_that_uses_up_none(tmp_path: Path, end: str) -> None:
    text = body(f"try:\n    mailer.send(order_id)\nexcept OSError:\n    {end}\nelse:\n    pass")
    found = shop_of(tmp_path / "r", text).policy
    assert (found.max_attempts, "max_attempts" in found.unknown) == ENDLESS[end]


def test_what_publishers_ask_for_counts(tmp_path: Path) -> None:
    orders = (
        "from shop.tasks import send_receipt\n\ndef settle(o):\n    send_receipt(o, retries=7)\n"
    )
    found = shop_of(tmp_path / "r", task("retries=2"), orders=orders).policy
    assert found.max_attempts == 8
    assert found.sources["max_attempts"] is not None
    assert found.sources["max_attempts"].path == "shop/orders.py"


PUBLISHING = {
    "send_receipt(1)": "call",
    "send_receipt.schedule((1,), delay=60)": ".schedule(...)",
    "huey.enqueue(send_receipt.s(1))": ".s(...)",
    "send_receipt.map([1, 2])": ".map(...)",
    "other.s().then(send_receipt)": ".then(...)",
    "transaction.on_commit(partial(send_receipt, 1))": ".partial(...)",
}


@pytest.mark.parametrize("line", PUBLISHING)
def test_wiring(tmp_path: Path, line: str) -> None:
    orders = (
        "from functools import partial\nfrom shop.tasks import send_receipt\n\ndef settle(o):\n   "
        f" {line}\n"
    )
    shop = shop_of(tmp_path / "r", task(), orders=orders)
    (found,) = huey.find_sends(shop.project, shop.use, shop.handler)
    assert (found.kind, found.how, found.place.path, found.place.line) == (
        "enqueue",
        PUBLISHING[line],
        "shop/orders.py",
        5,
    )


@pytest.mark.parametrize(
    "line", ["send_receipt.call_local(1)", "send_receipt.revoke()", "send_receipt.func(1)"]
)
def test_what_publishes_nothing(tmp_path: Path, line: str) -> None:
    shop = shop_of(
        tmp_path / "r",
        task(),
        orders=f"from shop.tasks import send_receipt\n\ndef settle(o):\n    {line}\n",
    )
    assert huey.find_sends(shop.project, shop.use, shop.handler) == ()


def test_a_task_that_calls_itself_is_not_wired_by_that(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "r", task("", "send_receipt(order_id)"))
    assert find_wiring(huey.find_sends(shop.project, shop.use, shop.handler)) == ()


def test_schedules_and_tests(tmp_path: Path) -> None:
    text = "@huey.periodic_task(crontab(minute='0'))\ndef send_receipt():\n    mailer.send(1)\n"
    tests = {
        "tests/test_it.py": "from shop.tasks import send_receipt\n\ndef test(): send_receipt()\n"
    }
    shop = shop_of(tmp_path / "r", text, **tests)
    found = huey.find_sends(shop.project, shop.use, shop.handler)
    assert [(w.kind, w.in_tests) for w in found] == [("schedule", False), ("enqueue", True)]


def test_the_name_of_a_registered_function_publishes_not_the_function(tmp_path: Path) -> None:
    orders = (
        "from shop.tasks import _send, send_receipt\n\ndef settle(o):\n    _send(o)\n   "
        " send_receipt(o)\n"
    )
    shop = shop_of(tmp_path / "r", FORMS["called"], orders=orders)
    assert [w.place.line for w in huey.find_sends(shop.project, shop.use, shop.handler)] == [5]


RECEIVERS = """
from huey import signals as S

@huey.signal(S.SIGNAL_ERROR)
def failed(signal, task, exc): ...

@huey.signal("retrying")
def retried(signal, task): ...

@huey.signal()
def anything(signal, task, exc=None):
    if signal == "complete": ...

@huey.pre_execute()
def started(task): ...
"""


def test_hooks(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "r", task() + RECEIVERS)
    found = huey.find_hooks(shop.project, shop.use, shop.handler)
    assert {event: hook.name for event, hook in found.items()} == {
        "failed": "failed",
        "retried": "retried",
        "started": "started",
    }


IN_CLAUSE = "try:\n    mailer.send(order_id)\nexcept OSError as error:\n{}"
RECORDS = {
    "the last attempt": (
        body(IN_CLAUSE.format("    if task.retries == 0:\n        bury(order_id)\n    raise")),
        "bury(order_id)",
    ),
    "none are left": (
        body(IN_CLAUSE.format("    if not task.retries:\n        bury(order_id)\n    raise")),
        "bury(order_id)",
    ),
    "after the others left": (
        body(IN_CLAUSE.format("    if task.retries:\n        raise\n    bury(order_id)")),
        "bury(order_id)",
    ),
    "a signal": (
        task("retries=2")
        + "@huey.signal('error')\ndef failed(signal, task, exc):\n    bury(task)\n",
        "bury(task)",
    ),
    "on_error": (
        task("retries=2") + "def settle(o):\n    huey.enqueue(send_receipt.s(o).error(bury))\n",
        "huey.enqueue(send_receipt.s(o).error(bury))",
    ),
    "post_execute": (
        task("retries=2")
        + "@huey.post_execute()\ndef after(task, value, exc):\n    if exc:\n        bury(task)\n",
        "bury(task)",
    ),
    "a single attempt": (
        (
            "@huey.task()\ndef send_receipt(order_id):\n    try:\n        mailer.send(order_id)\n"
            "    except OSError:\n        bury(order_id)\n        raise\n"
        ),
        "bury(order_id)",
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_dead_letters(tmp_path: Path, name: str) -> None:
    text, line = RECORDS[name]
    place = shop_of(tmp_path / "r", text).policy.dead_letter
    assert place is not None
    assert place.text == line


NO_RECORDS = {
    "logged": body(
        IN_CLAUSE.format("    if task.retries == 0:\n        log.error(order_id)\n    raise")
    ),
    "only before the last": body(
        IN_CLAUSE.format("    if task.retries > 0:\n        bury(order_id)\n    raise")
    ),
    "given up": body(
        IN_CLAUSE.format("    if not task.retries:\n        raise CancelExecution()\n    raise")
    ),
    "of the permanent alone": body(
        IN_CLAUSE.format("    bury(order_id)\n    raise CancelExecution(retry=False)")
    ),
    "a signal of success": (
        task("retries=2") + "@huey.signal('complete')\ndef done(signal, task):\n    bury(task)\n"
    ),
    "post_execute of all": (
        task() + "@huey.post_execute()\ndef after(task, value, exc):\n    bury(task)\n"
    ),
}


@pytest.mark.parametrize("name", NO_RECORDS)
def test_no_dead_letter(tmp_path: Path, name: str) -> None:
    assert shop_of(tmp_path / "r", NO_RECORDS[name]).policy.dead_letter is None


def test_the_serializer_is_read(tmp_path: Path) -> None:
    signed = "from huey import RedisHuey\nfrom huey.serializer import SignedSerializer\n"
    signed += "huey = RedisHuey('shop', serializer=SignedSerializer(secret='x'))\n"
    assert open_shop(tmp_path / "r", HEAD + task(), app=signed).policy.serializer == "signed pickle"
    assert open_shop(tmp_path / "s", HEAD + task(), app=APP).policy.serializer == "pickle"


SETTINGS = (
    "HUEY = {'huey_class': 'huey.SqliteHuey', 'immediate': True, 'consumer': {'flush_locks':"
    " True}}\n"
)


def test_the_dict_of_django_is_the_huey_object(tmp_path: Path) -> None:
    """djhuey makes its object of settings.HUEY: storage, immediate mode and the consumer's options
    stand there.
    """
    tasks = "from huey.contrib.djhuey import db_task, lock_task\n"
    tasks += "@db_task()\n@lock_task('x'{})\ndef send_receipt(o): ...\n"
    for ttl, rules in (("", {"immediate"}), (", ttl=5", {"immediate", "lock-ttl"})):
        shop = open_shop(tmp_path / f"r{len(ttl)}", tasks.format(ttl), app=SETTINGS, name="HUEY")
        assert {
            rule
            for rule in ("immediate", "lock-ttl", "stale-lock", "pickle-serializer")
            if findings(shop, rule)
        } == rules
