"""Django Q2's driver beyond what every driver promises: transactions, schedules, results, hooks,
both brokers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import helpers
import pytest

pytest.importorskip("django_q")

from skillrun.contract.job import Enqueue, JobSpec, Proof
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

pytestmark = pytest.mark.real  # a Django project each

CONF = """
    SECRET_KEY = "x"
    INSTALLED_APPS = ["django_q"]
    DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{scratch}/app.db"}}}}
    USE_TZ = True
    Q_CLUSTER = {{"name": "shop", "orm": "default", "timeout": 60, "retry": 90, "max_attempts": 3, {more}}}
"""
HEAD = """
    from datetime import timedelta
    from django.db import connection, transaction
    from django.utils import timezone
    from django_q.models import Schedule
    from django_q.tasks import async_task, schedule

    def write(text):
        with connection.cursor() as cursor:
            cursor.execute("insert into told values (%s)", [text])

"""
SETUP = (
    "import django; django.setup(); from django.core.management import call_command as c;"
    " c('migrate', verbosity=0); from django.db import connection;"
    " connection.cursor().execute('create table told (text)')"
)
PLAIN = """
    def main(order_id=0):
        write(f"{order_id}")
"""
FAILING = """
    def main(order_id=0):
        write("tried")
        raise OSError("away")
"""
CALL = Enqueue(call="jobs:publish")
Boot = Callable[..., Explorer]


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    """`boot(body, options of Q_CLUSTER)`: an explorer of jobs:main; at the end nothing is left."""
    root = tmp_path.resolve()
    with ExitStack() as stack:

        def make(
            body: str, more: str = "", enqueue: Enqueue | None = None, **files: str
        ) -> Explorer:
            proof = Proof(
                database="{scratch}/app.db",
                state={"told": "select text from told order by rowid"},
                env={"DJANGO_SETTINGS_MODULE": "conf"},
                setup=f'python -c "{SETUP}"',
            )
            spec = JobSpec(
                version=1,
                job="sample",
                handler="jobs:main",
                message="kwargs",
                proof=proof,
                enqueue=enqueue,
            )
            workplace = stack.enter_context(Workplace(spec, root, "django-q2", ()))
            conf = CONF.format(scratch=workplace.folders.scratch, more=more)
            helpers.write_files(root, {"jobs.py": HEAD + body, "conf.py": conf, **files})
            workplace.set_up()
            explorer = Explorer(workplace)
            explorer.begin({0: {"order_id": 7}, 1: {"order_id": 8}})
            return explorer

        yield make


def under(explorer: Explorer, schedule: str) -> History:
    return explorer.run(parse_schedule(schedule))


def told(history: History) -> list[str]:
    """What was written, in order."""
    rows = history.state["told"]
    return [row[0] for row in rows]


def outcomes(history: History) -> list[str]:
    return [delivery.outcome for delivery in history.runs]


def waits(history: History) -> list[int]:
    """Seconds until each further delivery, where the library says so."""
    found = [delivery.settled for delivery in history.deliveries]
    return [
        round(event["delay"], -1)
        for event in found
        if event is not None and event["how"] == "requeued"
    ]


def test_a_failure_is_taken_again_until_max_attempts(boot: Boot) -> None:
    history = under(boot(FAILING), "once")
    assert (outcomes(history), waits(history)) == (["retried", "retried", "failed"], [90, 90])
    assert (history.kept, history.pending) == (1, 0)


def test_without_max_attempts_it_never_ends(boot: Boot) -> None:
    assert under(boot(FAILING, "'max_attempts': 0"), "once").pending == 1


@pytest.mark.parametrize("more", ["'ack_failures': True", "'max_attempts': 1"])
def test_one_attempt_is_one_attempt(boot: Boot, more: str) -> None:
    history = under(boot(FAILING, more), "once")
    assert (outcomes(history), history.kept) == (["failed"], 1)


def test_a_death_counts_as_no_attempt(boot: Boot) -> None:
    history = under(boot(FAILING), "kill@after:insert-told#1")
    assert outcomes(history) == ["died", "retried", "retried", "failed"]
    assert waits(history)[0] == 90


PUBLISHED = """
    def publish(fail=False):
        with transaction.atomic():
            write("sold")
            async_task("jobs.main", 7)
            write("really")
        write("after")
"""


def test_a_job_is_there_with_the_commit_of_its_transaction(boot: Boot) -> None:
    explorer = boot(PLAIN + PUBLISHED, enqueue=CALL)
    early = under(explorer, "caller-kill@after:publish#1")
    assert [delivery.op for delivery in early.deliveries] == ["call", "call", "deliver"]
    assert told(early) == ["sold", "really", "after", "7"]
    late = under(explorer, "caller-kill@after:commit#1")
    assert [delivery.op for delivery in late.deliveries] == ["call", "deliver", "call", "deliver"]
    assert told(late) == ["sold", "really", "7", "sold", "really", "after", "7"]


def test_no_worker_is_faster_than_the_commit(boot: Boot) -> None:
    history = under(boot(PLAIN + PUBLISHED, enqueue=CALL), "caller-pause@after:publish#1")
    assert told(history) == ["sold", "really", "after", "7"]


def test_what_is_rolled_back_was_never_queued(boot: Boot) -> None:
    explorer = boot("""
    def main(order_id=0):
        write(f"{order_id}")
        try:
            with transaction.atomic():
                async_task("jobs.main", 9)
                raise LookupError
        except LookupError:
            write("undone")
    """)
    history = under(explorer, "once")
    assert (outcomes(history), told(history)) == (["succeeded"], ["7", "undone"])


SCHEDULED = """
    def main(order_id=0, attempt=1):
        write(f"{order_id} {attempt}")
        if attempt < 3:
            due = timezone.now() + timedelta(seconds=40 * attempt)
            schedule("jobs.main", order_id, attempt=attempt + 1, next_run=due)
"""


def test_a_handler_that_schedules_itself(boot: Boot) -> None:
    history = under(boot(SCHEDULED), "once")
    assert told(history) == ["7 1", "7 2", "7 3"]
    assert [round(run.retries[0]["delay"]) for run in history.runs[:2]] == [40, 80]
    dying = under(boot(SCHEDULED), "kill@after:insert-told#1/2")
    assert told(dying) == ["7 1", "7 2", "7 2", "7 3"]


def test_a_job_that_the_application_schedules(boot: Boot) -> None:
    publish = """
    def publish():
        Schedule.objects.create(func="jobs.main", args="7", next_run=timezone.now() + timedelta(hours=1))
    """
    explorer = boot(FAILING + publish, enqueue=CALL)
    assert outcomes(under(explorer, "once")) == ["retried", "retried", "failed"]
    assert outcomes(under(explorer, "kill@after:insert-told#1")) == [
        "died",
        "retried",
        "retried",
        "failed",
    ]
    assert told(under(explorer, "job=1"))[-3:] == ["tried"] * 3


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ("schedule_type='C', cron='0 * * * *'", 1),
        ("schedule_type='D', name='daily'", 1),
        ("repeats=0", 0),
    ],
)
def test_what_the_scheduler_takes(boot: Boot, options: str, runs: int) -> None:
    explorer = boot(f"""
    def main(order_id=0):
        write(f"{{order_id}}")
        if order_id == 7:
            Schedule.objects.create(func="jobs.main", args="9", {options})
    """)
    assert told(under(explorer, "once")) == ["7", *["9"] * runs]


def test_an_argument_that_is_no_literal_stops_the_scheduler(boot: Boot) -> None:
    explorer = boot("""
    def main(order_id=0, when=None):
        write(f"{order_id}")
        schedule("jobs.main", order_id, timezone.now())
    """)
    history = under(explorer, "once")
    assert (told(history), history.pending) == (["7"], 1)


def test_a_result_that_cannot_be_pickled_is_no_result(boot: Boot) -> None:
    history = under(boot(PLAIN + "        return (part for part in 'ab')\n"), "once")
    assert history.pending == 1
    assert set(told(history)) == {"7"}


def test_an_exit_ends_the_worker_and_counts_nothing(boot: Boot) -> None:
    assert under(boot(PLAIN + "        raise SystemExit(1)\n"), "once").pending == 1


def test_a_result_in_the_cache_counts_nothing(boot: Boot) -> None:
    assert under(boot(FAILING, "'cached': 60"), "once").pending == 1


@pytest.mark.parametrize(("timeout", "ends"), [("5", "succeeded"), ("0.5", "failed")])
def test_a_timeout_is_a_whole_number(boot: Boot, timeout: str, ends: str) -> None:
    history = under(boot(PLAIN, f"'timeout': {timeout}, 'max_attempts': 1"), "once")
    assert (outcomes(history), history.runs[0].entered) == ([ends], ends == "succeeded")


HOOKED = """
    def main(order_id=0):
        write("tried")
        raise OSError("away")

    def ended(task):
        write(f"ended {task.attempt_count}")

    def publish():
        async_task("jobs.main", 7, hook="jobs.ended")
"""


def test_a_hook_is_called_at_each_attempt_of_every_message(boot: Boot) -> None:
    explorer = boot(HOOKED, enqueue=CALL)
    assert told(under(explorer, "once")) == [
        "tried",
        "ended 1",
        "tried",
        "ended 2",
        "tried",
        "ended 3",
    ]
    # The proof's own messages have the application's hook.
    assert told(under(explorer, "job=1"))[-1] == "ended 3"


def test_who_dies_in_a_hook_has_acknowledged_nothing(boot: Boot) -> None:
    history = under(boot(HOOKED, enqueue=CALL), "kill@after:insert-told#2/3")
    assert told(history)[-4:] == ["tried", "ended 3", "tried", "ended 4"]


@pytest.mark.parametrize(
    ("signal", "ends"), [("post_execute", ["succeeded"]), ("pre_execute", ["retried"])]
)
def test_a_receiver_that_fails_ends_its_process(boot: Boot, signal: str, ends: list[str]) -> None:
    """After the acknowledgement that is nothing to the job; before it, no result is kept and no
    attempt counted.
    """
    explorer = boot(f"""
    from django_q.signals import {signal}

    def main(order_id=0):
        write(f"{{order_id}}")

    def heard(**more):
        raise LookupError

    {signal}.connect(heard)
    """)
    history = under(explorer, "once")
    assert (outcomes(history)[:1], history.pending) == (ends, int(ends == ["retried"]))


def test_two_at_once_come_back_as_one(boot: Boot) -> None:
    history = under(boot(FAILING), "copies=2 switch@before:insert-told#1")
    assert history.pending == 0
    assert told(history) == ["tried"] * 3


def test_a_failed_result_of_another_delivery_is_not_this_ones(boot: Boot) -> None:
    """Two deliveries of one package keep one result: that of the copy that found the job taken may be
    first, and this one's cannot be saved then.
    """
    explorer = boot("""
    from django.db import IntegrityError
    from django.db.models.signals import pre_save
    from django.utils.timezone import now
    from django_q.models import Task
    from django_q.signals import pre_execute

    def main(order_id=0):
        write(f"{order_id}")

    def refuse(**more):
        raise IntegrityError("UNIQUE constraint failed: django_q_task.id")

    def remember(task, **more):
        first = Task(id=task["id"], name=task["name"], func="jobs.main", started=now(), stopped=now())
        first.success = False
        first.save()
        pre_save.connect(refuse, Task)

    pre_execute.connect(remember)
    """)
    history = under(explorer, "once")
    assert (outcomes(history), history.pending, told(history)) == (["succeeded"], 0, ["7"])


def test_redis_gives_nothing_back(boot: Boot) -> None:
    pytest.importorskip("redis")
    explorer = boot(FAILING, "'orm': None, 'redis': {'host': 'localhost'}")
    assert (explorer.facts.lossy, explorer.facts.bounded_kills) == (True, True)
    history = under(explorer, "once")
    assert (outcomes(history), history.kept) == (["failed"], 1)
    lost = under(explorer, "kill@after:insert-told#1")
    assert (outcomes(lost), lost.lost) == (["died"], 1)


def test_development_s_sync_is_off(boot: Boot) -> None:
    assert told(under(boot(PLAIN, "'sync': True"), "once")) == ["7"]


@pytest.mark.parametrize(
    ("body", "more", "words"),
    [
        (PLAIN, "'broker_class': 'brokers.Own'", "ORM and Redis brokers"),
        ("    main = 7\n", "", "is no function but int"),
    ],
)
def test_what_the_proof_does_not_know_is_said(boot: Boot, body: str, more: str, words: str) -> None:
    brokers = "from django_q.brokers import Broker\n\nclass Own(Broker): ...\n"
    with pytest.raises(BootFailed, match=words):
        boot(body, more, **{"brokers.py": brokers})
