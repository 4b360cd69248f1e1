"""The job that a scaffold writes for Dramatiq: its names, its form, its retries and dead letters,
and its own tests.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import samples
from samples import Combination
from writing import case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan

TASKS = "shop/tasks.py"
BASE = Combination("dramatiq")


@pytest.mark.real
def test_the_actors_the_middleware_and_the_sender_stand_beside_the_other_jobs(
    tmp_path: Path,
) -> None:
    written = write(tmp_path, BASE)
    wanted = {
        "sweep",
        "send_receipt",
        "SendReceiptAttempts",
        "bury_send_receipt",
        "enqueue_send_receipt",
    }
    assert wanted <= {*written.names(TASKS)}
    assert written.run("ruff", "check", "shop", "tests").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", "shop").returncode == 0


def test_attempts_and_waits_are_those_of_the_spec_in_milliseconds(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "min_backoff=2_000,  # milliseconds\n    max_backoff=60_000,\n" in text
    assert "return retries < 3 and isinstance(error, (mailer.Unavailable, TimeoutError))" in text
    # Dramatiq's jitter makes them up to twice as long.
    assert "after waits of at most 4 s, 8 s and 16 s." in text


@pytest.mark.real
def test_waits_that_the_library_cannot_double_are_the_actors_own(tmp_path: Path) -> None:
    text = write(tmp_path / "fixed", Combination("dramatiq", backoff="fixed")).text(TASKS)
    assert "SEND_RECEIPT_WAITS = [5000, 5000, 5000]  # milliseconds" in text
    assert "raise dramatiq.Retry(repr(error), delay=delay) from error" in text
    assert "random" not in text and "min_backoff" not in text
    tripling = write(tmp_path / "tripling", Combination("dramatiq", backoff="tripling")).text(TASKS)
    assert "return random.randint(wait // 2, wait)" in tripling


@pytest.mark.real
def test_no_retry_says_why_and_needs_no_middleware_of_its_own(tmp_path: Path) -> None:
    text = write(tmp_path, Combination("dramatiq", retry=False)).text(TASKS)
    assert "max_retries=0,  # Somebody looks at each failure" in text
    assert "SendReceiptAttempts" not in text


@pytest.mark.real
def test_dead_letters_of_the_library_need_no_actor(tmp_path: Path) -> None:
    written = write(tmp_path, Combination("dramatiq", dead="framework"))
    assert "bury_send_receipt" not in written.names(TASKS)
    assert "def after_nack(" in written.text(TASKS)


def test_a_queue_of_dead_letters_is_the_librarys_own(tmp_path: Path) -> None:
    made = plan(
        case_of(helpers.build_tree(tmp_path, samples.files(Combination("dramatiq", dead="queue"))))
    )
    assert [finding.message for finding in made.missing] == [
        "Dramatiq's workers would take the dead letters out of a queue dead: dead_letter.kind is to"
        " be framework, for the dead-letter queue that it has itself, table or none"
    ]


@pytest.mark.real
def test_a_broker_that_has_the_current_message_gets_no_second_one(tmp_path: Path) -> None:
    broker = (
        "import dramatiq\nfrom dramatiq.brokers.redis import RedisBroker\nfrom dramatiq.middleware"
        " import CurrentMessage\n\nbroker ="
        " RedisBroker()\nbroker.add_middleware(CurrentMessage())\ndramatiq.set_broker(broker)\n"
    )
    text = write(tmp_path, BASE, {"shop/broker.py": broker}).text(TASKS)
    assert "add_middleware(CurrentMessage())" not in text
    assert "CurrentMessage.get_current_message()" in text


def test_a_setting_of_django_is_no_broker(tmp_path: Path) -> None:
    settings = 'DRAMATIQ_BROKER = {"BROKER": "dramatiq.brokers.redis.RedisBroker", "OPTIONS": {}}\n'
    text = write(tmp_path, BASE, {"shop/broker.py": settings}).text(TASKS)
    assert "DRAMATIQ_BROKER" not in text
    assert "dramatiq.get_broker().add_middleware(SendReceiptAttempts())" in text


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        BASE,
        Combination("dramatiq", retry=False, message="payload", dead="framework"),
        Combination("dramatiq", backoff="tripling", message="payload"),
    ],
    ids=lambda one: f"{one}, {one.backoff}",
)
def test_its_own_tests_are_green_and_notice_a_lost_effect(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    done = written.run("pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout
    text = written.text(TASKS)
    (written.root / TASKS).write_text(text.replace("mailer.send(", "print("))
    assert written.run("pytest", "-q", "tests").returncode == 1
