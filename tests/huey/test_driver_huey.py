"""Huey's driver beyond what every driver promises: locks, expiry, ticks, error tasks, startup
hooks, Django's tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import helpers
import pytest

pytest.importorskip("huey")

from skillrun.contract.job import Enqueue, JobSpec, Proof
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

# A worker of its own for each test.
pytestmark = pytest.mark.real


HEAD = """
    import sqlite3
    from huey import MemoryHuey, RedisHuey, SqliteHuey, crontab

    def write(text):
        with sqlite3.connect("{scratch}/app.db") as connection:
            connection.execute("create table if not exists told (text)")
            connection.execute("insert into told values (?)", (text,))

"""
Boot = Callable[..., Explorer]


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    """`boot(body, kind)`: an explorer of jobs:main, the Huey object made beforehand; at the end
    nothing is left.
    """
    root = tmp_path.resolve()
    with ExitStack() as stack:

        def make(
            body: str,
            queue: str = 'SqliteHuey("jobs", filename="queue.db")',
            enqueue: Enqueue | None = None,
            **files: str,
        ) -> Explorer:
            proof = Proof(
                database="{scratch}/app.db",
                state={"told": "select text from told order by rowid"},
                env={"DJANGO_SETTINGS_MODULE": "conf"} if "conf.py" in files else {},
            )
            spec = JobSpec(
                version=1,
                job="sample",
                handler="jobs:main",
                message="payload",
                proof=proof,
                enqueue=enqueue,
            )
            workplace = stack.enter_context(Workplace(spec, root, "huey", ()))
            head = HEAD.replace("{scratch}", str(workplace.folders.scratch))
            helpers.write_files(root, {"jobs.py": f"{head}    huey = {queue}\n{body}", **files})
            workplace.set_up()
            explorer = Explorer(workplace)
            explorer.begin({0: {"order_id": 7}})
            return explorer

        yield make


def under(explorer: Explorer, schedule: str) -> History:
    return explorer.run(parse_schedule(schedule))


def told(history: History) -> list[str]:
    """What was written, in order."""
    rows = history.state["told"]
    return [] if isinstance(rows, str) else [row[0] for row in rows]


def outcomes(history: History) -> list[str]:
    return [delivery.outcome for delivery in history.runs]


PLAIN = """
    @huey.task({options})
    def main(payload):
        write("done")
"""


def test_the_repository_s_storage_is_not_touched_and_immediate_mode_is_off(boot: Boot) -> None:
    explorer = boot(
        PLAIN.format(options=""), 'SqliteHuey("jobs", filename="queue.db", immediate=True)'
    )
    assert told(under(explorer, "once")) == ["done"]
    assert not list(explorer.workplace.root.glob("queue.db*"))


def test_a_message_expires_by_the_virtual_clock(boot: Boot) -> None:
    explorer = boot(PLAIN.format(options="expires=30"))
    assert told(under(explorer, "once")) == ["done"]
    late = under(explorer, "late=61")
    assert (told(late), outcomes(late)) == ([], ["failed"])


def test_a_scheduled_retry_expires_from_its_own_time_on(boot: Boot) -> None:
    explorer = boot("""
    @huey.task(retries=1, retry_delay=60, expires=30, context=True)
    def main(payload, task=None):
        write(f"{payload['order_id']} {task.retries}")
        if task.retries:
            raise OSError("away")
    """)
    history = under(explorer, "once")
    assert told(history) == ["7 1", "7 0"]
    assert [round(event["delay"]) for event in history.runs[0].retries] == [60]
    assert outcomes(history) == ["retried", "succeeded"]


LOCKED = """
    @huey.task()
    @huey.lock_task("one at a time"{more})
    def main(payload):
        write("done")
"""


def test_a_lock_outlives_its_holder(boot: Boot) -> None:
    explorer = boot(LOCKED.format(more=""))
    assert told(under(explorer, "redeliver")) == ["done", "done"]
    history = under(explorer, "kill@after:insert-told#1 lose wait=90000 re-enqueue")
    assert (outcomes(history), history.runs[1].entered) == (["died", "failed"], False)


def test_a_lock_with_a_time_in_redis_is_forgotten(boot: Boot) -> None:
    explorer = boot(LOCKED.format(more=", ttl=60"), 'RedisHuey("jobs")')
    assert outcomes(under(explorer, "kill@after:insert-told#1 lose re-enqueue")) == [
        "died",
        "failed",
    ]
    assert outcomes(under(explorer, "kill@after:insert-told#1 lose wait=61 re-enqueue")) == [
        "died",
        "succeeded",
    ]


def test_sqlite_refuses_a_lock_with_a_time(boot: Boot) -> None:
    history = under(boot(LOCKED.format(more=", ttl=60")), "once")
    assert (outcomes(history), history.runs[0].entered) == (["failed"], False)


def test_startup_hooks_free_locks_unless_another_worker_is_at_work(boot: Boot) -> None:
    explorer = boot(f"""
    @huey.on_startup()
    def free():
        huey.flush_locks()
{LOCKED.format(more="")}""")
    assert outcomes(under(explorer, "kill@after:insert-told#1 lose re-enqueue")) == [
        "died",
        "succeeded",
    ]
    both = under(explorer, "copies=2 switch@before:insert-told#1")
    assert (sorted(outcomes(both)), told(both)) == (["failed", "succeeded"], ["done"])


def test_a_killed_job_is_lost_unless_its_retry_was_in_the_queue(boot: Boot) -> None:
    explorer = boot("""
    @huey.task(retries=1)
    def main(payload):
        write("tried")
        raise OSError("away")
    """)
    lost = under(explorer, "kill@after:insert-told#1")
    assert (outcomes(lost), lost.lost) == (["died"], 1)
    kept = under(explorer, "kill@after:publish#1")
    assert (outcomes(kept), kept.lost, told(kept)) == (["died", "failed"], 0, ["tried", "tried"])


def test_a_task_for_the_error_runs_as_another_worker_would(boot: Boot) -> None:
    explorer = boot(
        """
    @huey.task()
    def keep(word, error):
        write(f"{word}: {error!r}")

    @huey.task(retries=1)
    def main(payload):
        raise OSError("away")

    def publish():
        huey.enqueue(main.s({"order_id": 7}).error(keep, "kept"))
    """,
        'SqliteHuey("jobs", store_intermediate_errors=False)',
        enqueue=Enqueue(call="jobs:publish"),
    )
    history = under(explorer, "once")
    assert (outcomes(history), told(history)) == (["retried", "failed"], ["kept: OSError('away')"])
    assert [event["label"] for event in history.events if event.kind == "published"] == [
        "jobs.main"
    ]


def test_a_periodic_task_comes_at_its_next_tick(boot: Boot) -> None:
    explorer = boot("""
    @huey.periodic_task(crontab(minute="0", hour="*/6"))
    def main():
        write("done")
    """)
    assert (explorer.facts.ticks, explorer.facts.redelivery_s, explorer.facts.lossy) == (
        True,
        6 * 3600,
        False,
    )
    history = under(explorer, "kill@before:commit#1")
    assert (outcomes(history), told(history)) == (["died", "succeeded"], ["done"])
    assert history.runs[1].clock - history.runs[0].clock >= 6 * 3600


SWEEPS = """
    @huey.task()
    def main(payload):
        write("done")

    @huey.periodic_task(crontab(minute="*/5"), name="bring-back")
    def requeue():
        main({"order_id": 7})
"""


@pytest.mark.parametrize(
    ("command", "scheduled"),
    [
        ("huey_consumer jobs.huey -k process", ("jobs:requeue",)),
        ("huey_consumer.py jobs.huey --no-periodic", ()),
        ("huey_consumer jobs.huey -n\nclock: huey_consumer jobs.huey -w 1", ("jobs:requeue",)),
        ("gunicorn shop.web", None),
    ],
)
def test_what_its_scheduler_calls(
    boot: Boot, tmp_path: Path, command: str, scheduled: tuple[str, ...] | None
) -> None:
    helpers.write_files(tmp_path.resolve(), {"Procfile": f"worker: {command}\n"})
    helpers.git(tmp_path, "init", "--quiet")
    helpers.commit(tmp_path)
    assert boot(SWEEPS).facts.scheduled == scheduled


def test_an_exit_ends_the_worker_and_nobody_tries_again(boot: Boot) -> None:
    explorer = boot("""
    @huey.task(retries=3)
    def main(payload):
        write("tried")
        raise SystemExit(1)
    """)
    history = under(explorer, "once")
    assert (outcomes(history), told(history), history.lost) == (["failed"], ["tried"], 0)


def test_a_result_that_cannot_be_stored_is_no_success(boot: Boot) -> None:
    explorer = boot("""
    @huey.task(retries=3)
    def main(payload):
        write("tried")
        return lambda: None
    """)
    assert outcomes(under(explorer, "once")) == ["failed"]


def test_other_tasks_are_undeclared_and_not_retries(boot: Boot) -> None:
    explorer = boot("""
    @huey.task()
    def other(number):
        write("other")

    @huey.task()
    def main(payload):
        other.schedule((1,), delay=5)
    """)
    history = under(explorer, "once")
    published = [
        (event["label"], event["to_handler"], round(event["delay"]))
        for event in history.runs[0].all("published")
    ]
    assert (published, told(history)) == ([("jobs.other", False, 5)], [])


def test_django_s_tasks_are_found_below_their_wrappers(boot: Boot) -> None:
    pytest.importorskip("django")
    explorer = boot(
        """
    from huey.contrib.djhuey import on_commit_task

    @on_commit_task()
    def main(payload):
        write("done")
    """,
        **{
            "conf.py": """
    SECRET_KEY = "x"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    HUEY = {"name": "jobs", "huey_class": "huey.MemoryHuey", "immediate": True}
    """
        },
    )
    assert told(under(explorer, "once")) == ["done"]


def test_a_plain_function_is_no_task(boot: Boot) -> None:
    with pytest.raises(BootFailed, match="jobs:main is no Huey task but function"):
        boot("    def main(payload):\n        pass\n")
