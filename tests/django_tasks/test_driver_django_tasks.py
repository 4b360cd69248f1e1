"""Django's tasks: what their driver does beyond what every one promises, with transactions, deaths
and coroutines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest

pytest.importorskip("django_tasks_db")

from skillrun.contract.job import Enqueue, JobSpec, Proof
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.schedule import Schedule, parse_schedule
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

# A worker of its own for each test.
pytestmark = pytest.mark.real


SETTINGS = """
    import os
    SECRET_KEY = "x"
    USE_TZ = True
    INSTALLED_APPS = ["django_tasks", "django_tasks_db"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["APP_DB"]}}
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "slow"]}}
    """
PREPARE = """
    import django
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    call_command("migrate", verbosity=0)
    connection.cursor().execute("create table told (text)")
    """
JOBS = """
    import datetime
    from asgiref.sync import sync_to_async
    from django.db import connection, transaction
    from django.dispatch import receiver
    from django.utils import timezone
    from django_tasks import task
    from django_tasks.signals import task_finished

    def write(text):
        with connection.cursor() as cursor:
            cursor.execute("insert into told values (%s)", [text])

    @receiver(task_finished)
    def finished(sender, task_result, **more):
        if task_result.kwargs.get("do") == "heard":
            write(task_result.status.lower())

    @task()
    def other(number):
        write("other")

    def again(attempt, seconds=0):
        run_after = timezone.now() + datetime.timedelta(seconds=seconds) if seconds else None
        main.using(run_after=run_after).enqueue(do="done", attempt=attempt)

    def twice():
        again(2, 60)
        write("tried")

    def undone():
        with transaction.atomic():
            again(2)
            raise LookupError

    def undone_within():
        with transaction.atomic():
            try:
                undone()
            except LookupError:
                write("undone")

    def together():
        with transaction.atomic():
            write("stored")
            again(2)

    async def sent():
        await main.using(priority=5).aenqueue(do="done", attempt=2)

    def sends():
        from asgiref.sync import async_to_sync
        async_to_sync(sent)()

    def leaves():
        raise SystemExit(1)

    def no_json():
        return object()

    DOES = {"done": lambda: None, "heard": lambda: None, "twice": twice, "undone": undone, "within": undone_within,
            "together": together, "sends": sends, "leaves": leaves, "object": no_json,
            "other": lambda: other.enqueue(1)}

    @task(takes_context=True)
    async def main(context, do, attempt=1):
        result = await sync_to_async(DOES[do])()
        await sync_to_async(write)(f"{do} {attempt} {context.attempt}")
        return result

    @transaction.atomic
    def publish():
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from told")
        main.using(queue_name="slow", priority=7).enqueue("done", attempt=1)
    """
DOES = (
    "done",
    "heard",
    "twice",
    "undone",
    "within",
    "together",
    "sends",
    "leaves",
    "object",
    "other",
)
JOB = {do: number for number, do in enumerate(DOES)}
DUMMY = "django_tasks.backends.dummy.DummyBackend"


def workplace_of(
    root: Path, *, settings: str = "conf", setup: bool = True, **files: str
) -> Workplace:
    """A workplace over a small Django project; the files are written."""
    texts = {"conf": SETTINGS, "prepare": PREPARE, "jobs": JOBS} | files
    helpers.write_files(root, {f"{name}.py": textwrap.dedent(text) for name, text in texts.items()})
    proof = Proof(
        database="{scratch}/app.db",
        env={"DJANGO_SETTINGS_MODULE": settings, "APP_DB": "{scratch}/app.db"},
        setup="python prepare.py" if setup else None,
        state={"told": "select text from told order by rowid"},
    )
    call = Enqueue(call="jobs:publish")
    spec = JobSpec(
        version=1, job="sample", handler="jobs:main", message="kwargs", proof=proof, enqueue=call
    )
    return Workplace(spec, root, "django-tasks", ())


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    """Job 0 is what the application publishes; the others are told apart by what they do."""
    with workplace_of(tmp_path_factory.mktemp("app").resolve()) as workplace:
        workplace.set_up()
        made = Explorer(workplace)
        made.begin({number: {"do": do} for do, number in JOB.items()})
        assert made.unpublished == {}
        yield made


def under(explorer: Explorer, do: str, faults: str = "") -> History:
    """One job alone, with faults in its first delivery."""
    planned = parse_schedule(faults).faults if faults else ()
    return explorer.run(Schedule("alone", planned, (f"job={JOB[do]}",)))


def told(history: History) -> list[str]:
    return [row[0] for row in history.state["told"]]


def outcomes(history: History) -> list[str]:
    return [delivery.outcome for delivery in history.runs]


def settled(history: History) -> list[Any]:
    return [delivery.settled["how"] for delivery in history.runs if delivery.settled]


def test_a_row_has_what_the_application_gave_it(explorer: Explorer) -> None:
    assert {message["queue"] for message in explorer.origin.messages.values()} == {"slow"}
    assert all('"priority": 7' in message["row"] for message in explorer.origin.messages.values())
    assert told(under(explorer, "done")) == ["done 1 1"]


def test_an_argument_that_is_its_default_makes_no_other_job(explorer: Explorer) -> None:
    assert explorer.origin.messages[0]["arguments"] == "[('do', \"'done'\")]"


def test_a_retry_waits_until_its_time(explorer: Explorer) -> None:
    history = under(explorer, "twice")
    assert told(history) == ["tried", "twice 1 1", "done 2 1"]
    assert [round(event["delay"]) for event in history.runs[0].retries] == [60]
    assert history.runs[1].clock - history.runs[0].clock >= 60
    assert outcomes(history) == ["retried", "succeeded"]


@pytest.mark.parametrize(("do", "words"), [("undone", []), ("within", ["undone", "within 1 1"])])
def test_a_row_that_is_rolled_back_was_never_published(
    explorer: Explorer, do: str, words: list[str]
) -> None:
    history = under(explorer, do)
    assert (told(history), [list(run.retries) for run in history.runs]) == (words, [[]])


def test_a_row_is_there_with_its_commit_and_not_before(explorer: Explorer) -> None:
    before = under(explorer, "together", "kill@before:commit#1")
    assert (outcomes(before), told(before), before.lost) == (["died"], [], 1)
    after = under(explorer, "together", "kill@after:commit#1")
    assert (outcomes(after), told(after), after.lost) == (
        ["died", "succeeded"],
        ["stored", "done 2 1"],
        0,
    )


@pytest.mark.parametrize(
    ("fault", "runs"),
    [
        (
            "caller-pause@after:publish#1",
            1,
        ),  # no worker sees it before the commit, one does after it
        ("caller-kill@before:commit#1", 1),  # the caller's second call alone
        ("caller-kill@after:commit#1", 2),
    ],
)
def test_what_a_publisher_leaves_is_what_it_committed(
    explorer: Explorer, fault: str, runs: int
) -> None:
    history = explorer.run(parse_schedule(fault))
    assert any(event.kind == "fault" for event in history.events)
    assert (outcomes(history), told(history)) == (["succeeded"] * runs, ["done 1 1"] * runs)


def test_a_killed_job_is_lost_unless_its_retry_was_in_the_queue(explorer: Explorer) -> None:
    lost = under(explorer, "twice", "kill@before:publish#1")
    assert (outcomes(lost), lost.lost) == (["died"], 1)
    kept = under(explorer, "twice", "kill@after:publish#1")
    assert (outcomes(kept), told(kept), kept.lost) == (["died", "succeeded"], ["done 2 1"], 0)


def test_a_coroutine_enqueues(explorer: Explorer) -> None:
    history = under(explorer, "sends")
    assert (told(history), len(history.runs[0].retries)) == (["sends 1 1", "done 2 1"], 1)


@pytest.mark.parametrize("do", ["leaves", "object", "undone"])
def test_whatever_ends_in_a_failed_row_is_dead(explorer: Explorer, do: str) -> None:
    history = under(explorer, do)
    assert (outcomes(history), settled(history), history.kept) == (["failed"], ["dead"], 1)


def test_what_hears_of_the_end_is_the_repository_s_doing(explorer: Explorer) -> None:
    history = under(explorer, "heard")
    assert told(history) == ["heard 1 1", "successful"]
    seen = [
        event["name"] for event in history.events if event.kind == "at" and event["when"] == "after"
    ]
    assert seen == ["insert-told#1", "insert-told#2"]


def test_other_tasks_are_undeclared_and_not_retries(explorer: Explorer) -> None:
    history = under(explorer, "other")
    (published,) = history.runs[0].all("published")
    assert (published["label"], published["to_handler"], len(history.runs)) == (
        "jobs.other",
        False,
        1,
    )


def test_two_copies_of_one_row_run_at_once(explorer: Explorer) -> None:
    history = explorer.run(
        parse_schedule("copies=2 switch@after:insert-told#1 switch@before:insert-told#1")
    )
    assert (outcomes(history), told(history)) == (["succeeded"] * 2, ["done 1 1"] * 2)


REFUSED = {
    "another backend": (
        {"conf": SETTINGS.replace("django_tasks_db.DatabaseBackend", DUMMY)},
        f"jobs:main goes to {DUMMY}",
    ),
    "no app": (
        {"conf": SETTINGS.replace(', "django_tasks_db"]', "]")},
        "INSTALLED_APPS does not have it",
    ),
    "no tables": ({}, "have proof.setup migrate"),
    "no task": ({"jobs": "def main(do): ...\n"}, "jobs:main is no Django task but function"),
}


def test_it_says_where_the_settings_are_missing(tmp_path: Path) -> None:
    with (
        workplace_of(tmp_path.resolve(), setup=False, settings="") as workplace,
        pytest.raises(BootFailed, match="no settings"),
    ):
        workplace.zygote()


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_run_it_says(tmp_path: Path, name: str) -> None:
    files, words = REFUSED[name]
    with (
        workplace_of(tmp_path.resolve(), setup=False, **files) as workplace,
        pytest.raises(BootFailed, match=words),
    ):
        workplace.zygote()
