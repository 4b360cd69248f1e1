"""What Dramatiq does and the suite over all drivers does not ask for: callbacks, dead letters,
brokers, workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helpers
import pytest

from skillrun.contract.job import JobSpec, Proof
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace

# A worker of its own for each test.
pytestmark = pytest.mark.real

HEAD = """
import sqlite3, os
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
dramatiq.set_broker(RedisBroker(heartbeat_timeout=7_000))
def note(text):
    with sqlite3.connect("{scratch}/notes.db") as connection:
        connection.execute("create table if not exists notes (text)")
        connection.execute("insert into notes values (?)", (text,))
"""
FAILS = "    raise ValueError(job)\n"
LATE = 'actor(max_retries=2, min_backoff=4_000, on_retry_exhausted="last")\ndef main(job):\n'
LAST = "@dramatiq.actor\ndef last(message, retries):\n    note(message['args'][0])\n"


@contextmanager
def explorer(root: Path, jobs: str) -> Iterator[Explorer]:
    """Of `jobs:main` with Dramatiq; {scratch} is filled in."""
    spec = JobSpec(
        version=1,
        job="sample",
        handler="jobs:main",
        message="payload",
        proof=Proof(database="{scratch}/notes.db", state={"notes": "select text from notes"}),
    )
    with Workplace(spec, root, "dramatiq", ()) as workplace:
        text = (HEAD + jobs).replace("{scratch}", str(workplace.folders.scratch))
        helpers.write_files(root, {"jobs.py": text})
        workplace.set_up()
        made = Explorer(workplace)
        made.begin({0: "j1"})
        yield made


def history(root: Path, jobs: str, schedule: str = "once") -> History:
    """What a schedule of an actor came to."""
    with explorer(root, jobs) as made:
        return made.run(parse_schedule(schedule))


def ops(found: History) -> list[str]:
    """What each process was for."""
    return [delivery.op for delivery in found.deliveries]


def test_exhausted_retries_reach_the_actor_that_the_options_name(tmp_path: Path) -> None:
    found = history(tmp_path, f"@dramatiq.{LATE}{FAILS}{LAST}")
    assert ops(found) == ["deliver", "deliver", "deliver", "callback"]
    assert (found.state["notes"], found.kept, found.pending) == ([["j1"]], 1, 0)
    delays = [float(event["delay"]) for delivery in found.runs for event in delivery.retries]
    assert all(least <= delay <= 2 * least for delay, least in zip(delays, (4, 8), strict=True))


def test_a_callback_that_dies_is_delivered_again(tmp_path: Path) -> None:
    found = history(tmp_path, f"@dramatiq.{LATE}{FAILS}{LAST}", "kill@before:last.commit#1/3")
    assert ops(found)[3:] == ["callback", "died", "callback"]
    assert found.state["notes"] == [["j1"]]


def test_a_callback_that_fails_is_tried_again_by_its_own_policy(tmp_path: Path) -> None:
    broken = (
        LAST.replace("@dramatiq.actor", "@dramatiq.actor(max_retries=1)") + "    raise OSError\n"
    )
    found = history(tmp_path, f"@dramatiq.{LATE}{FAILS}{broken}")
    assert ops(found).count("callback") == 2
    assert (found.kept, found.pending) == (1, 0)  # what became of the callback is not the job's end


def test_a_callback_is_found_in_a_module_that_nobody_imports(tmp_path: Path) -> None:
    helpers.write_files(tmp_path, {"ends.py": f"import dramatiq\nfrom jobs import note\n{LAST}"})
    found = history(tmp_path, f"@dramatiq.{LATE}{FAILS}")
    assert found.state["notes"] == [["j1"]]


def test_callbacks_of_success_and_of_each_failure(tmp_path: Path) -> None:
    jobs = """
@dramatiq.actor(on_success="well", on_failure="badly", max_retries=1)
def main(job):
    if dramatiq.get_broker().failing:
        raise ValueError(job)
@dramatiq.actor
def well(message, result): note("well")
@dramatiq.actor
def badly(message, error): note(error["type"])
dramatiq.get_broker().failing = False
"""
    assert history(tmp_path, jobs).state["notes"] == [["well"]]
    failing = history(tmp_path, jobs.replace("failing = False", "failing = True"))
    assert failing.state["notes"] == [["ValueError"], ["ValueError"]]


@pytest.mark.parametrize(
    ("options", "runs", "dead"),
    [
        ("max_retries=0", 1, 1),
        ("throws=ValueError", 1, 1),
        ("max_retries=2", 3, 1),
        ("", 21, 1),
        ("max_retries=1, retry_when=lambda retries, error: retries < 4", 5, 1),
        ("max_retries=5, max_age=1", 1, 1),
    ],
)
def test_options_decide_how_often(tmp_path: Path, options: str, runs: int, dead: int) -> None:
    found = history(tmp_path, f"@dramatiq.actor({options})\ndef main(job):\n{FAILS}")
    assert (len(found.runs), found.kept, found.pending) == (runs, dead, 0)


def test_without_retries_a_failure_is_acknowledged(tmp_path: Path) -> None:
    found = history(
        tmp_path,
        "dramatiq.set_broker(RedisBroker(middleware=[]))\n@dramatiq.actor\ndef"
        f" main(job):\n{FAILS}",
    )
    assert (len(found.runs), found.kept, found.runs[0].outcome) == (1, 0, "failed")


def test_a_dead_worker_gives_its_message_back_after_the_heartbeat_timeout(tmp_path: Path) -> None:
    found = history(
        tmp_path, "@dramatiq.actor\ndef main(job):\n    note(job)\n", "kill@before:commit#1"
    )
    assert ops(found) == ["deliver", "died", "deliver"]
    settled = found.deliveries[1].settled
    assert settled is not None and settled["delay"] == 7.0
    assert found.state["notes"] == [["j1"]]


def test_middleware_of_the_repository_boots_and_sees_everything(tmp_path: Path) -> None:
    jobs = """
class Mine(Middleware):
    ready = False
    def after_worker_boot(self, broker, worker): Mine.ready = True
    def before_enqueue(self, broker, message, delay): message.options["seen"] = 1
    def before_process_message(self, broker, message): assert message.options["seen"] and Mine.ready
    def after_ack(self, broker, message): note("acked " + message.options["tenant"])
dramatiq.get_broker().add_middleware(Mine())
class Broker(RedisBroker):
    def enqueue(self, message, *, delay=None):
        return super().enqueue(message.copy(options={"tenant": "a"}), delay=delay)
dramatiq.get_broker().__class__ = Broker
@dramatiq.actor
def main(job): note(job)
"""
    assert history(tmp_path, jobs).state["notes"] == [["j1"], ["acked a"]]


def test_a_publish_inside_of_the_handler_is_its_own_doing(tmp_path: Path) -> None:
    found = history(
        tmp_path,
        "@dramatiq.actor\ndef main(job):\n    other.send(job)\n@dramatiq.actor\ndef other(job):"
        " ...\n",
    )
    published = list(found.runs[0].all("published"))
    assert [(event["label"], event["callback"], event["in_handler"]) for event in published] == [
        ("other", False, True)
    ]
    assert ops(found) == ["deliver"]


def test_asynchronous_actors_run_on_the_event_loop(tmp_path: Path) -> None:
    jobs = """
from dramatiq.middleware import AsyncIO
import asyncio
dramatiq.get_broker().add_middleware(AsyncIO())
@dramatiq.actor(max_retries=1)
async def main(job):
    await asyncio.sleep(3600)
    note(job)
    raise ValueError
"""
    found = history(tmp_path, jobs)
    assert [delivery.outcome for delivery in found.runs] == ["retried", "failed"]
    assert found.runs[1].clock - found.runs[0].clock > 3600 + 15


def test_what_is_no_actor_is_refused(tmp_path: Path) -> None:
    from skillrun.proof.zygote import BootFailed

    with (
        pytest.raises(BootFailed, match="no Dramatiq actor"),
        explorer(tmp_path, "def main(job): ...\n"),
    ):
        raise AssertionError


def test_records_are_seen_as_its_worker_sends_them(tmp_path: Path) -> None:
    """A library that logs with the root logger at import does not silence what is logged later."""
    told = (
        "import logging\nlogging.warning('early')\n@dramatiq.actor\ndef main(job):\n   "
        " logging.info('job %s', job)\n"
    )
    found = history(tmp_path, told)
    assert "job j1" in [event["text"] for event in found.runs[0].all("log")]
