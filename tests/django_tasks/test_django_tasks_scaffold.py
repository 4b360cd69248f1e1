"""The job that a scaffold writes for Django's tasks: retries, rows, what is refused, its own
tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import samples
from samples import Combination
from writing import assert_clean, assert_noticed, case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan

TASKS, SETTINGS, RUNNER = "shop/tasks.py", "config/settings.py", "shop/send_receipt_runner.py"
TESTS, SPEC = "shop/tests/test_send_receipt.py", ".skillrun/jobs/send-receipt.json"
BASE = samples.usual("django_tasks")
CRON = replace(BASE, trigger="cron")
POLLER = replace(BASE, trigger="poller", message="payload")
DATABASE = '"django_tasks_db.DatabaseBackend"'


def settings(old: str, new: str) -> dict[str, str]:
    text = samples.files(BASE)[SETTINGS]
    assert old in text
    return {SETTINGS: text.replace(old, new)}


@pytest.mark.real
def test_the_task_and_its_publisher_stand_beside_the_other_jobs(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert "from django_tasks import TaskContext, task\n" in written.text(TASKS)
    assert_clean(written)


def test_a_retry_is_a_row_with_the_next_attempt_and_a_time(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "SEND_RECEIPT_ATTEMPTS = 4\n" in text
    assert (
        "        wait = min(60, 2 * 2 ** (attempt - 1))\n"
        "        delay = timedelta(seconds=random.uniform(wait / 2, wait))\n"
        "        later = send_receipt.using(run_after=timezone.now() + delay)\n"
        "        later.enqueue(**message, correlation_id=correlation_id, attempt=attempt + 1)\n"
        in text
    )


def test_a_retry_without_a_wait_has_no_time(tmp_path: Path) -> None:
    spec = samples.spec(BASE) | {"retry": {"max_attempts": 3, "backoff": {"kind": "none"}}}
    text = write(tmp_path, BASE, {SPEC: json.dumps(spec)}).text(TASKS)
    assert "        send_receipt.enqueue(\n            **message," in text
    assert "run_after" not in text and "timezone" not in text


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, replace(BASE, retry=False)).text(TASKS)
    assert "    except Exception as error:  # Somebody looks at each failure\n" in text
    assert "attempt:" not in text and "run_after" not in text


@pytest.mark.parametrize("dead", ["none", "framework"])
def test_without_a_table_the_failed_row_is_what_is_left(tmp_path: Path, dead: str) -> None:
    text = write(tmp_path, replace(BASE, dead=dead)).text(TASKS)
    assert "bury" not in text
    assert text.count("            raise\n") == 1 and text.count("        raise\n") == 2


# -- the row


def test_the_row_belongs_to_the_open_transaction(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "on_commit" not in text
    assert "Its row belongs to the open transaction" in text


def test_a_row_that_may_be_in_another_database_waits_for_the_commit(tmp_path: Path) -> None:
    files = settings("USE_TZ", 'DATABASE_ROUTERS = ["shop.routers.Router"]\nUSE_TZ')
    text = write(tmp_path, BASE, files).text(TASKS)
    assert "    transaction.on_commit(\n        lambda: send_receipt.enqueue(" in text
    assert "It waits for the commit of the open transaction." in text


def test_the_module_is_the_one_that_the_other_tasks_have(tmp_path: Path) -> None:
    tasks = samples.files(BASE)[TASKS].replace("from django_tasks", "from django.tasks")
    assert "from django.tasks import TaskContext, task\n" in write(
        tmp_path, BASE, {TASKS: tasks}
    ).text(TASKS)


INSTALLED = {
    '"django>=5.2", "django-tasks"': "django_tasks",
    '"django>=5.2", "django-tasks-db[compat]"': "django_tasks",
    '"django>=6.0", "django-tasks-db"': "django.tasks",
}


@pytest.mark.parametrize("project", INSTALLED)
def test_without_other_tasks_it_is_the_one_that_is_installed(tmp_path: Path, project: str) -> None:
    files = {TASKS: "", "pyproject.toml": f'[project]\nname = "shop"\ndependencies = [{project}]\n'}
    assert f"from {INSTALLED[project]} import TaskContext, task\n" in write(
        tmp_path, BASE, files
    ).text(TASKS)


def test_a_backend_without_the_usual_queue(tmp_path: Path) -> None:
    written = write(tmp_path, BASE, settings(DATABASE, f'{DATABASE}, "QUEUES": ["mails", "slow"]'))
    assert '@task(queue_name="mails", takes_context=True)\n' in written.text(TASKS)
    assert "override_settings" not in written.text(TESTS)


@pytest.mark.real
def test_tests_have_the_backend_that_the_settings_of_tests_have_not(tmp_path: Path) -> None:
    dummy = '"django_tasks.backends.dummy.DummyBackend"'
    other = f'from config.settings import *\n\nTASKS = {{"default": {{"BACKEND": {dummy}}}}}\n'
    written = write(tmp_path, BASE, {"config/test_settings.py": other})
    assert "    with override_settings(TASKS={" in written.text(TESTS)
    assert written.run("ruff", "format", "--check", TESTS).returncode == 0


# -- the clock


@pytest.mark.real
def test_a_clock_starts_a_command_that_enqueues_what_is_due(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    assert "            tasks.enqueue_send_receipt(**payload)\n" in written.text(RUNNER)
    assert written.text("crontab").endswith(
        '*/5 * * * * cd "$APP" && python manage.py send_receipt\n'
    )
    assert "    _settle_send_receipt(message)\n" in written.text(TASKS)
    assert [w.how for w in case_of(written.root).wiring if w.kind == "schedule"] == [
        "crontab */5 * * * *"
    ]
    assert_clean(written)


@pytest.mark.real
def test_a_poller_is_started_beside_the_worker(tmp_path: Path) -> None:
    written = write(tmp_path, POLLER)
    assert written.text("Procfile").splitlines() == [
        "worker: python manage.py db_worker",
        "send-receipt: python manage.py send_receipt",
    ]
    assert "            tasks.enqueue_send_receipt(payload)\n" in written.text(RUNNER)
    assert_clean(written)


def test_an_event_alone_is_lost_with_its_worker(tmp_path: Path) -> None:
    """The next tick of a clock finds the work again."""
    words, machine = (
        "Where a worker dies, its row stays RUNNING",
        "shop/send-receipt.state-machine.md",
    )
    event, cron = write(tmp_path / "event", BASE), write(tmp_path / "cron", CRON)
    assert [words in written.text(TASKS) for written in (event, cron)] == [True, False]
    assert "    running --> lost: die\n" in event.text(machine) and "redeliver" not in event.text(
        machine
    )
    assert (
        "| die | running | queued | the process dies | the next tick enqueues it again |"
        in cron.text(machine)
    )


# -- what cannot be


def said(
    tmp_path: Path, combination: Combination = BASE, files: Mapping[str, str] | None = None
) -> str:
    root = helpers.build_tree(tmp_path / "repo", {**samples.files(combination), **(files or {})})
    return " ".join(finding.message for finding in plan(case_of(root)).missing)


FIELD = {"type": "string"}
REFUSED: dict[str, tuple[Combination, Mapping[str, str], str]] = {
    "a queue of dead letters": (replace(BASE, dead="queue"), {}, "dead letters too"),
    "no TASKS": (
        BASE,
        settings(f'TASKS = {{"default": {{"BACKEND": {DATABASE}}}}}\n', ""),
        "no settings have TASKS",
    ),
    "a backend without a worker": (
        BASE,
        settings(DATABASE, '"django_tasks.backends.immediate.ImmediateBackend"'),
        "config/settings.py:15: tasks go to django_tasks.backends.immediate.ImmediateBackend",
    ),
    "the backend of old": (
        BASE,
        settings(DATABASE, '"django_tasks.backends.database.DatabaseBackend"'),
        "has become django_tasks_db.DatabaseBackend",
    ),
    "a field that the handler has a use for": (
        BASE,
        {
            SPEC: (
                json.dumps(samples.spec(BASE))
                .replace('"email"', '"context"')
                .replace("email", "context")
            )
        },
        "use of its own for the name context",
    ),
    "a clock outside an app": (
        replace(CRON, store="receiver", dead="none"),
        {
            "jobs/__init__.py": "",
            SPEC: json.dumps(
                samples.spec(replace(CRON, store="receiver", dead="none"))
                | {"handler": "jobs.tasks:send_receipt"}
            ),
        },
        "jobs.tasks lies in no app of Django",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_django_s_tasks_cannot_do_is_said_first(tmp_path: Path, name: str) -> None:
    combination, files, words = REFUSED[name]
    assert words in said(tmp_path, combination, files)


@pytest.mark.real
@pytest.mark.parametrize(
    "files",
    [
        {},
        settings(DATABASE, '"django_tasks_db.backend.DatabaseBackend"'),
        settings(DATABASE, f'os.environ.get("SHOP_TASKS", {DATABASE})'),
    ],
)
def test_nothing_is_said_of_what_they_can(tmp_path: Path, files: Mapping[str, str]) -> None:
    assert said(tmp_path, BASE, files) == ""


# -- its own tests


def test_a_job_without_a_table_of_its_own_has_the_database_of_the_queue(tmp_path: Path) -> None:
    written = write(tmp_path, replace(BASE, store="receiver", dead="none"))
    proof = json.loads(written.text(SPEC))["proof"]
    assert (proof["setup"], proof["database"]) == ("python manage.py migrate", "{scratch}/app.db")
    assert "class SendReceiptTest(TransactionTestCase):" in written.text(TESTS)


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        BASE,
        replace(BASE, retry=False),
        replace(BASE, message="payload", backoff="fixed"),
        replace(BASE, effect="transactional"),
        replace(BASE, store="receiver", dead="none"),
        CRON,
    ],
    ids=str,
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, broken(combination), "manage", "test")


@pytest.mark.real
@pytest.mark.parametrize("combination", [CRON, POLLER], ids=str)
def test_with_pytest_django_the_tick_is_tried_too(tmp_path: Path, combination: Combination) -> None:
    pytest.importorskip("pytest_django")
    project = samples.files(combination)["pyproject.toml"].replace(
        '"mypy"', '"mypy", "pytest-django"'
    )
    project = project.replace('testpaths = ["tests"]', 'DJANGO_SETTINGS_MODULE = "config.settings"')
    model = "import pytest\n\n\n@pytest.mark.django_db\ndef test_it_is_there() -> None:\n    pass\n"
    makefile = samples.COMMON["Makefile"]
    files = {"pyproject.toml": project, "shop/tests/test_models.py": model, "Makefile": makefile}
    written = write(tmp_path, combination, files)
    more = [
        (RUNNER, "    for payload in due():", "    for payload in [*due()][1:]:"),
        (RUNNER, "        except Exception:", "        except KeyError:"),
        (TASKS, "    _settle_send_receipt(message)\n", ""),
    ]
    assert_noticed(
        written, [*broken(combination), *more], "pytest", "-q", "-p", "pytest_django.plugin", "shop"
    )
    assert_clean(written)


def broken(combination: Combination) -> list[tuple[str, str, str]]:
    """What no test of the job may let through."""
    found = [
        (
            TASKS,
            "bookings.book(" if combination.effect == "transactional" else "mailer.send(",
            "dict(",
        )
    ]
    if combination.dead == "table":
        found.append((TASKS, "    send_receipt_store.bury(message, repr(error))\n", ""))
    if combination.retry:
        found.append((TASKS, "attempt=attempt + 1", "attempt=attempt"))
        found.append(
            (TASKS, "if attempt >= SEND_RECEIPT_ATTEMPTS:", "if attempt > SEND_RECEIPT_ATTEMPTS:")
        )
        found.append((TASKS, "        later.enqueue(", "        dict("))
    return found
