"""The jobs that a scaffold writes where the clock starts plain functions: a poller, a cron line,
APScheduler's tick.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest
import samples
from samples import Combination, usual
from writing import assert_clean, case_of, write

from skillrun.frameworks.apscheduler import scaffold as apscheduler
from skillrun.frameworks.pieces import Facts, Symbol
from skillrun.frameworks.plain_cron import scaffold as plain_cron
from skillrun.skills.job_worker.scaffold.plan import plan

TASKS, RUNNER, OWN = "shop/tasks.py", "shop/send_receipt_runner.py", "tests/test_send_receipt.py"
SPEC = ".skillrun/jobs/send-receipt.json"
POLLER = usual("plain_cron")
CRON = replace(POLLER, trigger="cron")
TICKED = usual("apscheduler")


@pytest.mark.real
def test_a_poller_with_its_lock_its_jitter_and_its_line(tmp_path: Path) -> None:
    written = write(tmp_path, POLLER)
    assert written.names(RUNNER) == ["due", "tick", "main"]
    text = written.text(RUNNER)
    assert "fcntl.flock(own, fcntl.LOCK_EX)  #" in text
    assert "time.sleep(EVERY_S * random.uniform(0.9, 1.1))" in text
    assert (
        written.text("Procfile").splitlines()[-1]
        == "send-receipt: python -m shop.send_receipt_runner"
    )
    assert_clean(written)


@pytest.mark.real
def test_a_cron_line_like_those_that_are_there(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    assert written.text("crontab").splitlines() == [
        "*/10 * * * * cd /srv/shop && python -m shop.sweep",
        "*/5 * * * * cd /srv/shop && python -m shop.send_receipt_runner",
    ]
    assert "fcntl.LOCK_EX | fcntl.LOCK_NB" in written.text(RUNNER)
    assert_clean(written)


@pytest.mark.real
def test_a_crontab_of_its_own_where_there_is_none(tmp_path: Path) -> None:
    named = {"REPO_PROFILE.json": '{"jobs": {"framework": "plain-cron"}}'}
    written = write(tmp_path, CRON, named, without=("crontab", "Procfile"))
    assert written.text("crontab").splitlines() == [
        "# APP is the folder in which the application is installed.",
        "APP=/srv/app",
        '*/5 * * * * cd "$APP" && python -m shop.send_receipt_runner',
    ]
    assert_clean(written)


@pytest.mark.real
def test_a_schedule_of_another_time_zone_says_so(tmp_path: Path) -> None:
    spec = samples.spec(CRON) | {
        "trigger": {"type": "cron", "schedule": "0 3 * * *", "timezone": "Europe/Berlin"}
    }
    for without in ((), ("crontab",)):
        named = {
            "REPO_PROFILE.json": '{"jobs": {"framework": "plain-cron"}}',
            SPEC: json.dumps(spec),
        }
        written = write(tmp_path / str(len(without)), CRON, named, without=without)
        said, line = written.text("crontab").splitlines()[-2:]
        assert (
            said
            == "# The hours of send-receipt are meant in Europe/Berlin; cron goes by the clock of"
            " its machine."
        )
        assert line.startswith("0 3 * * * cd ")


def test_a_procfile_of_its_own_where_there_is_none(tmp_path: Path) -> None:
    written = write(tmp_path, POLLER, without=("Procfile",))
    assert written.text("Procfile") == "send-receipt: python -m shop.send_receipt_runner\n"


@pytest.mark.real
@pytest.mark.parametrize(
    ("trigger", "path", "line"),
    [
        ("poller", "Procfile", "send-receipt: python manage.py send_receipt"),
        ("cron", "crontab", "*/5 * * * * cd /srv/shop && python manage.py send_receipt"),
    ],
)
def test_in_django_a_management_command_starts_it(
    tmp_path: Path, trigger: str, path: str, line: str
) -> None:
    written = write(tmp_path, replace(POLLER, trigger=trigger, store="django"))
    assert written.text(path).splitlines()[-1] == line
    assert "__main__" not in written.text(RUNNER)
    done = written.run("manage", "send_receipt", "--help")
    assert "Looks for send-receipt that is due" in done.stdout, done.stderr
    assert_clean(written)


def test_a_daemon_of_uwsgi_is_an_example_too(tmp_path: Path) -> None:
    ini = "[uwsgi]\nattach-daemon = ./manage.py watch --skip-checks\n"
    combination = replace(POLLER, store="django")
    written = write(tmp_path, combination, {"uwsgi.ini": ini}, without=("Procfile",))
    assert written.text("uwsgi.ini") == f"{ini}attach-daemon = ./manage.py send_receipt\n"


@pytest.mark.real
def test_in_django_a_lost_connection_is_let_go_before_each_look(tmp_path: Path) -> None:
    loop = "        while True:\n            close_old_connections()  #"
    runners = [
        write(tmp_path / store, replace(POLLER, store=store)).text(RUNNER)
        for store in ("django", "sqlite3")
    ]
    assert [loop in text for text in runners] == [True, False]


def test_outside_an_app_of_django_nothing_could_start_it(tmp_path: Path) -> None:
    files = samples.files(replace(POLLER, store="django"))
    spec = samples.spec(replace(POLLER, store="receiver", dead="none")) | {
        "handler": "jobs.tasks:send_receipt"
    }
    more = {"jobs/__init__.py": "", ".skillrun/jobs/send-receipt.json": json.dumps(spec)}
    made = plan(case_of(helpers.build_tree(tmp_path / "repo", {**files, **more})))
    assert "jobs.tasks lies in no app of Django" in " ".join(
        finding.message for finding in made.missing
    )


def test_a_line_that_starts_no_module_is_no_example(tmp_path: Path) -> None:
    written = write(
        tmp_path, CRON, {"crontab": "*/10 * * * * cd /srv/shop && python shop/sweep.py\n"}
    )
    assert "runner" not in written.text("crontab")
    assert "*/5 * * * * python -m shop.send_receipt_runner" in written.text(RUNNER)


@pytest.mark.real
@pytest.mark.parametrize(
    ("combination", "trigger"),
    [
        (TICKED, '"interval",\n    seconds=60,\n    jitter=6,'),
        (
            replace(TICKED, trigger="cron"),
            '"cron",\n    minute="*/5",\n    hour="*",\n    timezone="UTC",',
        ),
    ],
)
def test_a_tick_of_the_scheduler_that_is_there(
    tmp_path: Path, combination: Combination, trigger: str
) -> None:
    written = write(tmp_path, combination)
    assert f"@scheduler.scheduled_job(\n    {trigger}\n    id=" in written.text(TASKS)
    assert {"sweep", "send_receipt", "due_send_receipt", "tick_send_receipt"} <= {
        *written.names(TASKS)
    }
    assert_clean(written)


@pytest.mark.real
def test_a_tick_stands_where_the_scheduler_gets_its_jobs(tmp_path: Path) -> None:
    """A new module would be imported by nobody."""
    spec = ".skillrun/jobs/send-receipt.json"
    first = write(tmp_path / "a", TICKED).text(spec)
    written = write(tmp_path / "b", TICKED, {spec: first.replace("shop.tasks:", "shop.receipts:")})
    assert "send_receipt" in written.names("shop/receipts.py")
    assert "tick_send_receipt" in written.names(TASKS)


def test_the_loop_waits_as_the_spec_says(tmp_path: Path) -> None:
    text = write(tmp_path, POLLER).text(TASKS)
    assert "for attempt in range(1, 5):  # 4 attempts in all" in text
    assert "wait = min(60, 2 * 2 ** (attempt - 1))" in text
    assert "time.sleep(random.uniform(wait / 2, wait))" in text


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, replace(POLLER, retry=False)).text(TASKS)
    assert "except Exception as error:  # Somebody looks at each failure" in text
    assert "sleep" not in text


GIVEN_UP = "    with send_receipt_store.once(payload["
BROKEN = [
    (TASKS, "    send_receipt_store.bury(payload, repr(error))\n", ""),
    (TASKS, GIVEN_UP, "    import contextlib\n    with contextlib.nullcontext(payload["),
    (TASKS, "            if attempt == 4:", "            if attempt == 3:"),
    (
        TASKS,
        "            _give_up_send_receipt(payload, correlation_id, error)\n            return\n",
        "            pass\n",
    ),
]


@pytest.mark.real
@pytest.mark.parametrize(
    "combination", [POLLER, CRON, TICKED, replace(POLLER, retry=False)], ids=str
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    whole = written.run("pytest", "-q")
    assert whole.returncode == 0, whole.stdout
    lock = (
        "shop/send_receipt_runner.py",
        "fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
    )
    for path, old, new in [
        *(BROKEN if combination.retry else BROKEN[:2]),
        *([lock] if combination == CRON else []),
    ]:
        text = written.text(path)
        assert old in text
        (written.root / path).write_text(text.replace(old, new))
        assert written.run("pytest", "-q", OWN).returncode == 1, (old, new)
        (written.root / path).write_text(text)


def facts_of(**changed: Any) -> Facts:
    """The facts that `problems` asks for."""
    named = {
        "app": Symbol("shop.clock", "scheduler"),
        "of_library": {"version_4": False},
        "dead_letter": "table",
    }
    named |= {"message": "payload", "trigger": "poller", "schedule": None, "fields": ()}
    made = object.__new__(Facts)
    for name, value in {**named, **changed}.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"trigger": "event"}, "carries an event"),
        ({"message": "kwargs"}, "message is to be payload"),
        ({"dead_letter": "queue"}, "table or none"),
    ],
)
def test_what_a_plain_function_cannot_do(changed: dict[str, Any], words: str | None) -> None:
    for framework in (plain_cron, apscheduler):
        said = list(framework.problems(facts_of(**changed)))
        assert len(said) == (words is not None)
        assert all(words is not None and words in text for text in said)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"app": None}, "no scheduler"),
        ({"of_library": {"version_4": True}}, "this is APScheduler 4"),
        ({"trigger": "cron", "schedule": "0 3 L * *"}, "no cron trigger"),
        ({"trigger": "cron", "schedule": "0 3 1 * 1"}, "no cron trigger"),
    ],
)
def test_what_apscheduler_cannot_do(changed: dict[str, Any], words: str) -> None:
    (said,) = apscheduler.problems(facts_of(**changed))
    assert words in said
