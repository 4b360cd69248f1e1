"""The policy of plain callables: what they try by themselves, and what cannot be read."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from plain_repo import CRONTAB, Plain, build

from skillrun.frameworks.interface import Backoff, Policy

HEAD = """\
import random, time
import backoff, stamina, tenacity
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_fixed
from shop import dead, mailer
LIMIT = 4
"""
DEAD = "def record(x):\n    db.execute('INSERT INTO dead_jobs VALUES (?)', x)\n"
TAIL = "\nif __name__ == '__main__':\n    sweep()\n"
LOOP = """
    def sweep(order_id=1):
        for attempt in range({bounds}):
            try:
                mailer.send(order_id)
                break
            except {errors}:
                time.sleep({wait})
    """


def policy_of(root: Path, sweep: str, **files: str) -> Policy:
    every = {
        "shop/dead.py": DEAD,
        **CRONTAB,
        **{k.replace("__", "/") + ".py": v for k, v in files.items()},
    }
    return Plain(
        build(root, {**every, "shop/sweep.py": HEAD + textwrap.dedent(sweep) + TAIL})
    ).policy


def loop(bounds: str = "5", errors: str = "mailer.Unavailable", wait: str = "1") -> str:
    return textwrap.dedent(LOOP).format(bounds=bounds, errors=errors, wait=wait)


def test_one_try_without_any_retry(tmp_path: Path) -> None:
    policy = policy_of(tmp_path / "r", "def sweep():\n    mailer.send(1)\n")
    assert (policy.max_attempts, policy.backoff.kind, policy.unknown) == (1, "none", {})
    assert policy.sources["max_attempts"] is None
    assert (policy.acks_late, policy.visibility_timeout_s, policy.dead_letter) == (
        False,
        None,
        None,
    )


READ = {
    "loop": (loop(), 5, Backoff("fixed", 1.0), ("shop.mailer:Unavailable",)),
    "loop-constant": (loop("LIMIT"), 4, Backoff("fixed", 1.0), ("shop.mailer:Unavailable",)),
    "loop-from-one": (
        loop("1, 6", wait="min(2**attempt, 60)"),
        5,
        Backoff("exponential", 2.0, 2.0, 60.0),
        ("shop.mailer:Unavailable",),
    ),
    "loop-jitter": (
        loop(wait="random.uniform(0, 3 * 2**attempt)", errors="Exception"),
        5,
        Backoff("exponential", 3.0, 2.0, None, jitter=True),
        ("builtins:Exception",),
    ),
    "tenacity": (
        (
            "@retry(stop=stop_after_attempt(4), wait=wait_exponential(multiplier=2, max=30),"
            " retry=retry_if_exception_type((mailer.Unavailable, TimeoutError)), reraise=True)\ndef"
            " sweep(): ...\n"
        ),
        4,
        Backoff("exponential", 2.0, 2.0, 30.0),
        ("shop.mailer:Unavailable", "builtins:TimeoutError"),
    ),
    "tenacity-for-ever": (
        "@retry(wait=wait_fixed(3))\ndef sweep(): ...\n",
        None,
        Backoff("fixed", 3.0),
        ("builtins:Exception",),
    ),
    "backoff": (
        (
            "@backoff.on_exception(backoff.expo, TimeoutError, max_tries=6, factor=2, max_value=60,"
            " jitter=None)\ndef sweep(): ...\n"
        ),
        6,
        Backoff("exponential", 2.0, 2.0, 60.0),
        ("builtins:TimeoutError",),
    ),
    "inner": (
        (
            "def sweep():\n    one()\n@tenacity.retry(stop=tenacity.stop_after_attempt(3))\ndef"
            " one(): ...\n"
        ),
        3,
        Backoff("none"),
        ("builtins:Exception",),
    ),
}


@pytest.mark.parametrize("what", READ)
def test_what_is_read(tmp_path: Path, what: str) -> None:
    text, attempts, backoff, retried = READ[what]
    policy = policy_of(tmp_path / "r", text)
    assert policy.unknown == {}
    assert (policy.max_attempts, policy.backoff, policy.retried) == (attempts, backoff, retried)
    assert policy.sources["max_attempts"] is not None


UNREAD = {
    "computed": loop("int(input())"),
    "while": (
        "def sweep():\n    tries = 0\n    while tries < 5:\n        try:\n"
        "            mailer.send(1)\n            return\n"
        "        except OSError:\n            tries += 1\n"
    ),
    "another library": "@stamina.retry(on=OSError, attempts=3)\ndef sweep(): ...\n",
    "two ways": "@retry(stop=stop_after_attempt(2))\n" + loop().lstrip("\n"),
    "stop or": (
        "@retry(stop=stop_after_attempt(2) | tenacity.stop_after_delay(9))\ndef sweep(): ...\n"
    ),
    "in a row": (
        "def sweep():\n    for row in db.execute('SELECT id FROM mails WHERE attempts < 5'):\n"
        "        mailer.send(row)\n"
    ),
    "in a model": (
        "def sweep():\n    for row in Mail.objects.filter(attempts__lt=5):\n       "
        " mailer.send(row)\n"
    ),
    "compared": (
        "def sweep():\n    for row in rows():\n        if row.attempts >= 5:\n           "
        " dead.record(row)\n"
    ),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    policy = policy_of(tmp_path / "r", UNREAD[what])
    assert policy.max_attempts == 1
    assert {"max_attempts", "retried"} <= policy.unknown.keys()


NO_RETRY = {
    "a loop over items": (
        "def sweep():\n    for n in range(5):\n        try:\n"
        "            mailer.send(n)\n        except OSError:\n            pass\n"
    ),
    "the error leaves": loop().replace("time.sleep(1)", "raise"),
    "items": (
        "def sweep():\n    for row in rows():\n        try:\n"
        "            mailer.send(row)\n            break\n        except OSError: pass\n"
    ),
}


@pytest.mark.parametrize("what", NO_RETRY)
def test_what_is_no_retry(tmp_path: Path, what: str) -> None:
    policy = policy_of(tmp_path / "r", NO_RETRY[what])
    assert (policy.max_attempts, policy.unknown) == (1, {})


def test_an_adapters_own_retry_may_be_the_jobs_or_not(tmp_path: Path) -> None:
    adapter = (
        "import tenacity\n@tenacity.retry(stop=tenacity.stop_after_attempt(3))\ndef post(): ...\n"
    )
    policy = policy_of(
        tmp_path / "r", "from shop.http import post\ndef sweep():\n    post()\n", shop__http=adapter
    )
    assert policy.max_attempts == 1
    assert policy.unknown["max_attempts"].path == "shop/http.py"


DEAD_LETTERS = {
    "else": loop() + "    else:\n        dead.record(order_id)\n",
    "after": loop().replace("break", "return") + "    dead.record(order_id)\n",
    "clause": (
        "def sweep():\n    try:\n        mailer.send(1)\n"
        "    except mailer.BadAddress:\n        dead.record(1)\n        raise\n"
    ),
    "counter": UNREAD["compared"],
    "caller": (
        "def sweep():\n    mailer.send(1)\ndef tick():\n"
        "    try:\n        sweep()\n    except Exception:\n        dead.record(1)\n"
    ),
}


@pytest.mark.parametrize("what", DEAD_LETTERS)
def test_dead_letters(tmp_path: Path, what: str) -> None:
    found = policy_of(tmp_path / "r", DEAD_LETTERS[what]).dead_letter
    assert found is not None
    assert "dead.record" in found.text
    logged = policy_of(tmp_path / "l", DEAD_LETTERS[what].replace("dead.record", "logging.error"))
    assert logged.dead_letter is None


def test_kubernetes_runs_a_failed_job_again(tmp_path: Path) -> None:
    job = (
        "kind: CronJob\nspec:\n  schedule: '0 3 * * *'\n  {}\n  command: [python, -m, shop.sweep]\n"
    )
    text = HEAD + "def sweep():\n    mailer.send(1)\n" + TAIL
    for name, line, unknown in (("a", "x: 1", True), ("b", "backoffLimit: 0", False)):
        root = build(tmp_path / name, {"shop/sweep.py": text, "k8s/job.yaml": job.format(line)})
        assert ("max_attempts" in Plain(root).policy.unknown) is unknown
