"""RQ's driver beyond what every driver promises: its registries, its callbacks, jobs in other
settings' Redis.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import helpers
import pytest

pytest.importorskip("rq")

import redis
import rq
from rq.job import JobStatus

from skillrun.contract.spec import load_spec
from skillrun.frameworks.rq.driver_worker import make_worker
from skillrun.proof.attempt import try_prove
from skillrun.proof.explorer import Explorer
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.history import History
from skillrun.proof.result import Target
from skillrun.proof.schedule import ONCE, parse_schedule
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

# A worker of its own for each test.
pytestmark = pytest.mark.real


CORPUS = Path(__file__).parents[1] / "proof" / "corpus" / "rq_reminder"
JOBS, JOB = "clinic/reminders.py", "from rq.job import Job\n"
ENQUEUE = "    texts.enqueue(\n"
RETRY = "        retry=Retry(max=2, interval=[20, 40]),\n"
PAYLOADS = {
    0: {"appointment_id": 5, "phone": "+4930123"},
    1: {"appointment_id": 6, "phone": "+4930123"},
}

needs_redis = pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here")


@dataclass
class Clinic:
    """The corpus' text reminders with edits in them, booted."""

    explorer: Explorer
    workplace: Workplace

    def under(self, schedule: str) -> History:
        return self.explorer.run(parse_schedule(schedule))


def build(root: Path, *edits: tuple[str, str, str]) -> Path:
    shutil.copytree(CORPUS, root, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (root / file).write_text(text.replace(old, new))
    return root


def make(workplace: Workplace) -> Clinic:
    workplace.start_servers()
    workplace.set_up()
    explorer = Explorer(workplace)
    explorer.begin(PAYLOADS)
    return Clinic(explorer, workplace)


def workplace_of(root: Path) -> Workplace:
    return Workplace(load_spec(root / ".skillrun/jobs/remind.yaml", root=root), root, "rq", ())


@pytest.fixture
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clinic]:
    edits = getattr(request, "param", ())
    with workplace_of(build(tmp_path.resolve() / "clinic", *edits)) as workplace:
        yield make(workplace)


def edited(*edits: tuple[str, str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("clinic", [edits], indirect=True)


def settled(history: History) -> list[tuple[str, float]]:
    """How each delivery, or the library after a death, settled, and the wait before it comes
    again.
    """
    found = [delivery.settled for delivery in history.deliveries if delivery.settled]
    return [(event["how"], event["delay"]) for event in found]


@needs_redis
def test_a_message_is_delivered_from_another_redis(clinic: Clinic) -> None:
    with workplace_of(clinic.workplace.root) as other:
        other.start_servers()
        other.set_up()
        explorer = Explorer(other)
        explorer.begin_as(clinic.explorer)
        assert other.urls["redis"] != clinic.workplace.urls["redis"]
        assert explorer.run(ONCE).runs[0].outcome == "succeeded"


@needs_redis
def test_a_work_horse_that_dies_is_retried_without_on_failure(clinic: Clinic) -> None:
    history = clinic.under("kill@after:text#1")
    assert settled(history) == [("requeued", pytest.approx(20, abs=1)), ("acked", 0.0)]
    logged = [event["text"] for event in history.events if event.kind == "log"]
    assert any("Work-horse terminated unexpectedly" in text for text in logged)
    assert not any("will be retried" in text for text in logged)


@needs_redis
def test_a_worker_that_dies_is_found_by_another_one_and_on_failure_hears_of_it(
    clinic: Clinic,
) -> None:
    history = clinic.under("kill-worker@after:text#1")
    assert settled(history) == [("requeued", pytest.approx(690 + 20, abs=1)), ("acked", 0.0)]
    assert any(
        "AbandonedJobError" in str(event["text"]) for event in history.events if event.kind == "log"
    )


@needs_redis
def test_the_last_failure_is_in_the_failed_registry(clinic: Clinic) -> None:
    history = clinic.under("raise=clinic.sms:Throttled@before:text#*/*")
    assert [how for how, _ in settled(history)] == ["requeued", "requeued", "dead"]
    assert (history.dead_letters, history.lost) == (1, 0)


@needs_redis
@edited(("clinic/calendar.py", RETRY, f"{RETRY}        failure_ttl=0,\n"))
def test_a_failed_job_that_is_kept_for_no_time_is_lost(clinic: Clinic) -> None:
    history = clinic.under("raise=clinic.sms:UnknownNumber@before:text#*/*")
    assert (history.dead_letters, history.lost) == (0, 1)


@needs_redis
@edited(("clinic/calendar.py", RETRY, ""))
def test_without_retries_the_first_death_is_the_end(clinic: Clinic) -> None:
    history = clinic.under("kill@before:text#1")
    assert settled(history) == [("dead", 0.0)]


@needs_redis
@edited(
    (
        JOBS,
        "    sms.send(",
        "    if not payload.get('x'):\n        return Retry(max=2, interval=[7, 9])\n    sms.send(",
    ),
    (JOBS, JOB, f"from rq import Retry\n{JOB}"),
)
def test_a_returned_retry_is_counted_apart_and_ends_in_the_failed_registry(clinic: Clinic) -> None:
    history = clinic.under("once")
    assert settled(history) == [
        ("requeued", pytest.approx(7, abs=1)),
        ("requeued", pytest.approx(9, abs=1)),
        ("dead", 0.0),
    ]


@needs_redis
@edited(
    (
        "clinic/calendar.py",
        ENQUEUE,
        "    with redis.pipeline() as pipeline:\n      texts.enqueue(\n",
    ),
    ("clinic/calendar.py", RETRY, f"{RETRY}        pipeline=pipeline,\n"),
    ("clinic/calendar.py", "failed),\n    )\n", "failed),\n    )\n      pipeline.execute()\n"),
    ("clinic/calendar.py", "import texts", "import redis, texts"),
)
def test_what_is_enqueued_into_a_pipeline_is_published_when_that_is_sent(clinic: Clinic) -> None:
    assert clinic.explorer.caller is not None
    places = [event.place for event in clinic.explorer.caller.all("published")]
    assert [place[1] for place in places if place] == [19]
    assert clinic.under("once").runs[0].outcome == "succeeded"


@needs_redis
@edited(("clinic/calendar.py", RETRY, f'        job_id=f"reminder-{{appointment_id}}",\n{RETRY}'))
def test_an_id_that_is_made_of_the_payload_is_made_of_each_payload(clinic: Clinic) -> None:
    messages = clinic.explorer.origin.messages
    assert [messages[job]["id"] for job in (0, 1)] == ["reminder-5", "reminder-6"]


@needs_redis
@edited(("clinic/calendar.py", RETRY, f'        job_id="reminder",\n{RETRY}'))
def test_one_id_for_two_jobs_is_said(clinic: Clinic) -> None:
    assert "the second replaces the first" in clinic.explorer.unpublished[1]


@needs_redis
@edited(
    (
        JOBS,
        "    key = f",
        (
            "    job = get_current_job()\n    if job.get_meta().get('done'):\n        return\n   "
            " key = f"
        ),
    ),
    (
        JOBS,
        "    redis.set(key",
        "    job.meta['done'] = True\n    job.save_meta()\n    redis.set(key",
    ),
    (JOBS, JOB, f"from rq import get_current_job\n{JOB}"),
)
def test_what_the_handler_notes_in_the_jobs_meta_outlives_a_death(clinic: Clinic) -> None:
    history = clinic.under("kill@before:redis-set#1")
    assert [delivery.outcome for delivery in history.runs] == ["died", "succeeded"]
    assert len(history.performed("text")) == 1


@needs_redis
def test_a_spec_that_does_not_say_where_it_is_enqueued_is_told_so(tmp_path: Path) -> None:
    enqueue = (
        'enqueue: {call: clinic.calendar:announce, args: {appointment_id: 5, phone: "+4930123"}}\n'
    )
    root = build(tmp_path.resolve() / "clinic", (".skillrun/jobs/remind.yaml", enqueue, ""))
    with (
        workplace_of(root) as workplace,
        pytest.raises((BootFailed, NotPublished), match="name that place, enqueue"),
    ):
        make(workplace)


def test_without_a_redis_server_the_proof_is_incomplete_and_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrun.proof.services.redis.find_redis_server", lambda: None)
    root = build(tmp_path.resolve() / "clinic")
    proof = try_prove(Target(load_spec(root / ".skillrun/jobs/remind.yaml", root=root), root, "rq"))
    assert proof.verdict == "incomplete"
    assert [(j.rule, "redis-server" in j.expected) for j in proof.incomplete] == [("service", True)]


WORKER = """
import logging

from rq import Worker

from clinic.store import redis, texts


def tell_operator(job, kind, error, trace):
    logging.getLogger("clinic").error("house heard of %s", job.id)
    return False


if __name__ == "__main__":
    logging.getLogger("clinic").setLevel(logging.INFO)
    Worker([texts], connection=redis, exception_handlers=[tell_operator]).work(with_scheduler=True)
"""


@needs_redis
def test_the_worker_of_the_repository_has_its_exception_handlers(tmp_path: Path) -> None:
    root = build(tmp_path.resolve() / "clinic")
    (root / "worker.py").write_text(WORKER)
    (root / "Procfile").write_text("worker: python worker.py\n")
    helpers.git(root, "init", "-q")
    with workplace_of(root) as workplace:
        clinic = make(workplace)
        history = clinic.under("raise=clinic.sms:UnknownNumber@before:text#*/*")
        assert clinic.explorer.facts.begun == "python worker.py"
    said = [str(event["text"]) for event in history.events if event.kind == "log"]
    assert any("house heard of" in text for text in said)


@needs_redis
def test_a_horse_that_died_behind_its_own_record_is_dead_all_the_same(clinic: Clinic) -> None:
    """It takes the record of its execution away when it hands a retry over; its worker still has
    one.
    """
    connection = redis.Redis.from_url(clinic.workplace.urls["redis"])
    queue = rq.Queue("apart", connection=connection)
    job = queue.enqueue("time.sleep", 1, retry=rq.Retry(max=2))
    job.set_status(JobStatus.STARTED)
    make_worker(None, queue, job.redis_server_version).horse_died(job, queue)
    assert (job.get_status(), job.retries_left) == (JobStatus.QUEUED, 1)
