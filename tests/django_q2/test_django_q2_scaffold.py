"""The job that a scaffold writes for Django Q2: its form, its schedule, what is refused, and its
own tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import samples
from samples import Combination
from writing import Written, assert_noticed, write

from skillrun.frameworks.django_q2.scaffold import problems
from skillrun.frameworks.pieces import Facts, Field

TASKS, TESTS = "shop/tasks.py", "shop/tests/test_send_receipt.py"
SPEC = ".skillrun/jobs/send-receipt.json"
BASE = Combination("django_q2", store="django")
CRON = replace(BASE, trigger="cron")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The plainest job; no test changes it."""
    return write(tmp_path_factory.mktemp("usual"), BASE)


@pytest.mark.real
def test_the_handler_and_its_publisher_stand_beside_the_other_jobs(usual: Written) -> None:
    assert {"sweep", "send_receipt", "enqueue_send_receipt"} <= {*usual.names(TASKS)}
    assert usual.run("ruff", "check", "shop").stdout == "All checks passed!\n"
    assert usual.run("ruff", "format", "--check", "shop").returncode == 0


def test_waits_and_attempts_are_those_of_the_spec(usual: Written) -> None:
    text = usual.text(TASKS)
    assert "SEND_RECEIPT_ATTEMPTS = 4\n" in text
    assert "        if attempt >= SEND_RECEIPT_ATTEMPTS:\n" in text
    assert "        wait = min(60, 2 * 2 ** (attempt - 1))\n" in text
    assert "next_run=timezone.now() + timedelta(seconds=random.uniform(wait / 2, wait))," in text


def test_every_message_leaves_retries_to_the_handler(usual: Written) -> None:
    text = usual.text(TASKS)
    assert text.count("ack_failure=True,") == text.count("async_task(") == 1
    assert text.count('q_options={"ack_failure": True},') == text.count(" schedule(") == 1


def test_what_a_table_keeps_is_no_failed_task(usual: Written, tmp_path: Path) -> None:
    assert "\n        raise\n" not in usual.text(TASKS)
    failed = write(tmp_path, replace(BASE, dead="framework", retry=False)).text(TASKS)
    assert "    except Exception as error:  # Somebody looks at each failure\n" in failed
    assert "\n        raise\n" in failed
    assert "schedule" not in failed and "attempt: int" not in failed


@pytest.mark.real
def test_a_row_of_the_own_database_is_there_with_the_commit_by_itself(
    usual: Written, tmp_path: Path
) -> None:
    assert "on_commit" not in usual.text(TASKS)
    settings = samples.files(BASE)["config/settings.py"]
    for name, changed in {
        "redis": settings.replace('"orm": "default"', '"redis": {"host": "localhost"}'),
        "another database": settings.replace('"orm": "default"', '"orm": "jobs"'),
        "routers": settings + 'DATABASE_ROUTERS = ["shop.routers.Jobs"]\n',
    }.items():
        written = write(tmp_path / name, BASE, {"config/settings.py": changed})
        assert "    transaction.on_commit(\n        lambda: async_task(" in written.text(TASKS)


# -- the clock


def migrations(written: Written) -> list[str]:
    """Those that were written."""
    return [
        change.path.rpartition("/")[2]
        for change in written.plan.changes
        if "/migrations/" in change.path
    ]


def test_a_migration_has_the_clock_call_a_tick(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    assert {"due_send_receipt", "tick_send_receipt"} <= {*written.names(TASKS)}
    assert migrations(written) == ["0003_receipt_deadjob.py", "0004_schedule_send_receipt.py"]
    text = written.text("shop/migrations/0004_schedule_send_receipt.py")
    assert '"func": "shop.tasks.tick_send_receipt",' in text
    assert '"cron": "*/5 * * * *",' in text and "_settle_send_receipt(message)" in written.text(
        TASKS
    )
    assert '("shop", "0003_receipt_deadjob"),' in text


@pytest.mark.real
def test_a_poller_without_tables_has_its_migration_too(tmp_path: Path) -> None:
    written = write(tmp_path, replace(BASE, trigger="poller", store="receiver", dead="none"))
    assert migrations(written) == ["0003_schedule_send_receipt.py"]
    text = written.text("shop/migrations/0003_schedule_send_receipt.py")
    assert '"schedule_type": "I",\n            "minutes": 1,\n' in text
    assert '("shop", "0002_bookings"),' in text
    assert "_settle_send_receipt" not in written.text(TASKS)
    assert "class SendReceiptTest(TransactionTestCase):" in written.text(TESTS)
    proof = json.loads(written.text(SPEC))["proof"]
    assert (proof["setup"], proof["database"]) == ("python manage.py migrate", "{scratch}/app.db")


def test_a_schedule_with_hours_says_whose_they_are(tmp_path: Path) -> None:
    spec = samples.spec(CRON)
    spec["trigger"] |= {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}
    written = write(tmp_path, CRON, {SPEC: json.dumps(spec)})
    assert "those of Europe/Berlin: TIME_ZONE" in written.text(
        "shop/migrations/0004_schedule_send_receipt.py"
    )


def test_an_app_without_migrations_has_no_place_for_a_schedule(tmp_path: Path) -> None:
    from skillrun.core.errors import Blocked

    paths = ("__init__.py", "0001_initial.py", "0002_bookings.py")
    with pytest.raises(Blocked, match="shop keeps no migrations"):
        write(tmp_path, CRON, without=[f"shop/migrations/{path}" for path in paths])


# -- what is refused


def facts_of(known: Mapping[str, Any], **changed: Any) -> Facts:
    """The facts that `problems` asks for."""
    named: dict[str, Any] = {
        "django": True,
        "dead_letter": "table",
        "fields": (),
        "message": "kwargs",
    }
    named |= {"trigger": "event", "schedule": None, "every_s": None, **changed}
    named["of_library"] = {"cluster": True, "bounded": True, "croniter": True, **known}
    made = object.__new__(Facts)
    for name, value in named.items():
        object.__setattr__(made, name, value)
    return made


CLUSTER = (Field("cluster", "str", True, ""),)


@pytest.mark.parametrize(
    ("known", "changed", "words"),
    [
        ({}, {}, None),
        ({"cluster": False}, {"django": False}, "lives in a Django project"),
        ({"cluster": False}, {}, "no Q_CLUSTER"),
        ({}, {"dead_letter": "queue"}, "no queue of dead letters"),
        ({}, {"dead_letter": "framework"}, None),
        ({"bounded": False}, {}, None),
        ({"bounded": False}, {"dead_letter": "framework"}, "would be run for ever"),
        ({}, {"fields": CLUSTER}, "takes cluster for itself"),
        ({}, {"fields": CLUSTER, "message": "payload"}, None),
        (
            {},
            {"fields": (Field("timezone", "str", True, ""),), "message": "payload"},
            "a use of its own",
        ),
        ({}, {"trigger": "cron", "schedule": "0 3 1 * 1"}, None),
        ({}, {"trigger": "cron", "schedule": "0 3 L * *"}, "no cron expression that means"),
        ({"croniter": False}, {"trigger": "cron", "schedule": "0 3 * * *"}, "without croniter"),
        ({"croniter": False}, {"trigger": "poller", "every_s": 300.0}, None),
        ({}, {"trigger": "poller", "every_s": 90.0}, "ticks by the minute"),
    ],
)
def test_what_django_q2_cannot_do(
    known: dict[str, Any], changed: dict[str, Any], words: str | None
) -> None:
    said = list(problems(facts_of(known, **changed)))
    assert len(said) == (words is not None)
    assert all(words is not None and words in text for text in said)


def test_what_is_not_bounded_and_what_reads_no_cron_is_seen(tmp_path: Path) -> None:
    combination = replace(CRON, dead="framework")
    files = samples.files(combination)
    edits = {
        "config/settings.py": files["config/settings.py"].replace('    "max_attempts": 5,\n', ""),
        "pyproject.toml": files["pyproject.toml"].replace("[croniter]", ""),
    }
    missing = [finding.message for finding in write(tmp_path, combination, edits).plan.missing]
    assert len(missing) == 2
    assert "max_attempts" in missing[0] and "django-q2[croniter]" in missing[1]


# -- its own tests


@pytest.mark.real
@pytest.mark.parametrize(
    "combination", [CRON, replace(BASE, message="payload", dead="none")], ids=str
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, [(TASKS, *pair) for pair in broken(combination)], "manage", "test")


@pytest.mark.real
def test_they_queue_what_development_runs_at_once(tmp_path: Path) -> None:
    combination = replace(CRON, dead="none")
    settings = samples.files(combination)["config/settings.py"].replace(
        '"timeout"', '"sync": True,\n    "timeout"'
    )
    done = write(tmp_path, combination, {"config/settings.py": settings}).run("manage", "test")
    assert done.returncode == 0, done.stderr


def broken(combination: Combination) -> list[tuple[str, str]]:
    """What no test of the job may let through."""
    found = [("        mailer.send(", "        print("), ("attempt=attempt + 1", "attempt=attempt")]
    found.append(('"shop.tasks.send_receipt"', '"shop.tasks.sweep"'))
    if combination.dead == "table":
        found.append(("    send_receipt_store.bury(message, repr(error))\n", ""))
    else:
        found.append(("ack_failure=True, ", ""))
    if combination.trigger == "cron":
        found.append(("            enqueue_send_receipt(**payload)\n", "            pass\n"))
    return found
