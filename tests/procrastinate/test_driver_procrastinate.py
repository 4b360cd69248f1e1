"""Procrastinate's driver beyond what every driver promises: who gives a job back, locks, late ends,
transactions.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("procrastinate")

from procrastinate import PsycopgConnector, SyncPsycopgConnector

from skillrun.contract.spec import load_spec
from skillrun.frameworks.procrastinate.driver_storage import find_database
from skillrun.proof.explorer import Explorer
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

CORPUS = Path(__file__).parents[1] / "proof" / "corpus" / "procrastinate_reminder"
TASKS, DESK, QUEUE, STALLED = (
    "clinic/tasks.py",
    "clinic/desk.py",
    "clinic/queue.py",
    "clinic/stalled.py",
)
SPEC = ".skillrun/jobs/remind.yaml"
STRATEGY = "RetryStrategy(max_attempts=RETRIES, exponential_wait=5, retry_exceptions=PASSING)"
DEFER = "        remind.defer(appointment_id=appointment_id, phone=phone)\n"
PAYLOADS = {
    0: {"appointment_id": 7, "phone": "+49151"},
    1: {"appointment_id": 8, "phone": "+49151"},
}
KILL = "kill@before:text#1"
DOWN = "raise=TimeoutError@before:text#*/*"
Edit = tuple[str, str, str]
OWN_APP = (
    "async def retry_stalled(timestamp: int) -> None:\n"
    "    import procrastinate\n"
    "    mine = procrastinate.App(connector=procrastinate.PsycopgConnector())\n"
    "    for"
)


@dataclass
class Clinic:
    """The corpus' reminders with edits in them, booted."""

    explorer: Explorer

    def under(self, schedule: str) -> History:
        return self.explorer.run(parse_schedule(schedule))

    @property
    def published(self) -> list[dict[str, Any]]:
        """What the application's own call published."""
        caller = self.explorer.caller
        return [dict(event.data) for event in caller.all("published")] if caller is not None else []


def build(root: Path, *edits: Edit) -> Path:
    shutil.copytree(CORPUS, root, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (root / file).write_text(text.replace(old, new))
    return root


def workplace_of(root: Path) -> Workplace:
    return Workplace(load_spec(root / SPEC, root=root), root, "procrastinate", ())


@pytest.fixture
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clinic]:
    with workplace_of(
        build(tmp_path.resolve() / "clinic", *getattr(request, "param", ()))
    ) as workplace:
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(PAYLOADS)
        yield Clinic(explorer)


def edited(*edits: Edit) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("clinic", [edits], indirect=True)


def settled(history: History) -> list[tuple[str, float]]:
    """How each delivery, or the library after a death, settled, and the wait before it comes
    again.
    """
    found = [delivery.settled for delivery in history.deliveries if delivery.settled]
    return [(event["how"], event["delay"]) for event in found]


def near(seconds: float) -> Any:
    return pytest.approx(seconds, abs=0.2)


@pytest.mark.real
def test_a_job_is_given_back_by_the_periodic_task_and_that_is_an_attempt(clinic: Clinic) -> None:
    facts = clinic.explorer.facts
    assert (facts.redelivery_s, facts.max_attempts, facts.bounded_kills) == (
        630.0,
        4,
        True,
    )
    history = clinic.under(f"{KILL} {DOWN.replace('/*', '/2')}")
    assert settled(history) == [("requeued", near(630)), ("requeued", near(25)), ("acked", 0.0)]


@pytest.mark.real
@edited(
    (STALLED, "async def retry_stalled(timestamp: int) -> None:\n    for", OWN_APP),
    (STALLED, "await app.job_manager.retry_job(job)", "await mine.job_manager.retry_job(job)"),
    (STALLED, "in await app.job_manager.get", "in await mine.job_manager.get"),
)
def test_what_gives_it_back_may_make_an_app_of_its_own(clinic: Clinic) -> None:
    """It looks at the same tables."""
    history = clinic.under(f"{KILL} {DOWN.replace('/*', '/2')}")
    assert settled(history) == [("requeued", near(630)), ("requeued", near(25)), ("acked", 0.0)]


@pytest.mark.real
@edited((QUEUE, ', "clinic.stalled"', ""))
def test_nobody_gives_it_back(clinic: Clinic) -> None:
    history = clinic.under(KILL)
    assert ([how for how, _ in settled(history)], history.lost) == (["lost"], 1)
    assert "stays `doing`" in clinic.explorer.facts.on_kill


@pytest.mark.real
@edited((STALLED, "job.attempts < MOST", "job.attempts < 1"))
def test_what_gives_it_back_may_give_it_up(clinic: Clinic) -> None:
    history = clinic.under(f"{KILL} {KILL}/2")
    assert settled(history) == [("requeued", near(630)), ("dead", 0.0)]


@pytest.mark.real
@edited((STALLED, "get_stalled_jobs()", 'get_stalled_jobs(queue="letters")'))
def test_what_gives_back_others_loses_this_one(clinic: Clinic) -> None:
    history = clinic.under(KILL)
    assert [how for how, _ in settled(history)] == ["lost"]
    assert "retry_stalled has run" in str(history.deliveries[-1].settled)


@pytest.mark.real
@edited((STALLED, "get_stalled_jobs()", 'list_jobs_async(status="doing")'))
def test_what_gives_back_whatever_is_doing(clinic: Clinic) -> None:
    assert settled(clinic.under(KILL)) == [("requeued", near(630)), ("acked", 0.0)]


@pytest.mark.real
@edited(
    (TASKS, "@app.task", "@over\n@app.task"),
    (TASKS, "RETRIES = 3\n", "RETRIES = 3\nover = functools.lru_cache\n"),
    (TASKS, "import logging\n", "import functools\nimport logging\n"),
    (DESK, "remind.defer", "remind.__wrapped__.defer"),
)
def test_a_task_below_another_decorator(clinic: Clinic) -> None:
    assert clinic.under("once").runs[0].outcome == "succeeded"


@pytest.mark.real
@edited((TASKS, STRATEGY, "2"))
def test_a_number_of_retries_is_one_run_more_and_no_wait(clinic: Clinic) -> None:
    assert settled(clinic.under(DOWN)) == [
        ("requeued", near(0)),
        ("requeued", near(0)),
        ("dead", 0.0),
    ]


@pytest.mark.real
@edited(
    (
        TASKS,
        STRATEGY,
        "RetryStrategy(max_attempts=RETRIES, wait=1, linear_wait=10, exponential_wait=2)",
    )
)
def test_the_waits_are_what_the_worker_asks_for(clinic: Clinic) -> None:
    assert [delay for how, delay in settled(clinic.under(DOWN)) if how == "requeued"] == [
        near(3),
        near(15),
        near(29),
    ]


@pytest.mark.real
@edited(
    (QUEUE, "    import_paths", '    worker_defaults={"delete_jobs": "always"},\n    import_paths')
)
def test_failed_jobs_that_are_deleted_are_lost(clinic: Clinic) -> None:
    assert settled(clinic.under(DOWN))[-1] == ("lost", 0.0)


@pytest.mark.real
@edited(
    (
        DESK,
        "remind.defer(",
        (
            'remind.configure(lock=f"a-{appointment_id}", queue="x", schedule_in={"minutes":'
            " 2}).defer("
        ),
    )
)
def test_another_job_is_deferred_like_the_first(clinic: Clinic) -> None:
    messages = clinic.explorer.origin.messages
    assert [(messages[n]["lock"], messages[n]["queue_name"]) for n in (0, 1)] == [
        ("a-7", "x"),
        ("a-8", "x"),
    ]
    assert [event["delay"] for event in clinic.published] == [near(120)]


@pytest.mark.real
@edited((DESK, "remind.defer(", 'remind.configure(lock="all").defer('))
def test_jobs_with_one_lock_run_one_after_the_other(clinic: Clinic) -> None:
    history = clinic.under("switch@before:text#1 beside=1")
    assert [e.kind for e in history.events if e.kind in ("entered", "returned")] == [
        "entered",
        "returned",
    ] * 2
    assert [run.outcome for run in history.runs] == ["succeeded", "succeeded"]


@pytest.mark.real
def test_without_a_lock_they_run_at_once(clinic: Clinic) -> None:
    history = clinic.under("switch@before:text#1 beside=1")
    heard = sorted(
        (e["heard"], e.kind) for e in history.events if e.kind in ("entered", "returned")
    )
    assert [kind for _, kind in heard] == ["entered", "entered", "returned", "returned"]


@pytest.mark.real
@edited((DESK, "remind.defer(", 'remind.configure(lock="all").defer('))
def test_a_slow_worker_no_longer_holds_the_lock_of_a_job_that_was_given_back(
    clinic: Clinic,
) -> None:
    history = clinic.under("stall@before:text#1 wait=3600 redeliver")
    assert {run.outcome for run in history.runs} == {"succeeded"}
    assert any("ended the job already" in str(run.settled) for run in history.runs)


TWICE = DEFER.replace("remind.", 'remind.configure(queueing_lock="x").')


def refused(root: Path, *edits: Edit) -> tuple[int, str]:
    """How many jobs the application's call published before it failed, and how it did."""
    with workplace_of(build(root, *edits)) as workplace:
        workplace.set_up()
        explorer = Explorer(workplace)
        with contextlib.suppress(NotPublished):
            explorer.begin(PAYLOADS)
        assert explorer.caller is not None
        raised = explorer.caller.first("caller-raised")
        return len(list(explorer.caller.all("published"))), str(raised and raised["error"])


@pytest.mark.real
def test_a_queueing_lock_keeps_out_what_waits_already(tmp_path: Path) -> None:
    edits = (DESK, DEFER, TWICE + TWICE)
    assert refused(tmp_path.resolve() / "clinic", edits) == (
        1,
        "procrastinate.exceptions:AlreadyEnqueued",
    )


@pytest.mark.real
def test_arguments_are_json(tmp_path: Path) -> None:
    edits = (DESK, DEFER, DEFER.replace("=phone", "=object()"))
    assert refused(tmp_path.resolve() / "clinic", edits) == (0, "builtins:TypeError")


CONNECTED = (
    "        remind.configure(connection=connection).defer(appointment_id=appointment_id,"
    " phone=phone)\n"
)
OPENED = "    with app.open():\n" + DEFER


@pytest.mark.real
@edited((DESK, OPENED, CONNECTED))
def test_a_job_of_a_transaction_is_published_with_its_commit(clinic: Clinic) -> None:
    assert len(clinic.published) == 1
    names = (
        [event["name"] for event in clinic.explorer.caller.all("at")]
        if clinic.explorer.caller
        else []
    )
    assert names[-2:] == ["commit#1", "commit#1"]
    killed = clinic.under("caller-kill@before:commit#1")
    assert [run.outcome for run in killed.runs] == ["succeeded"]
    assert len([e for e in killed.events if e.kind == "published" and e["to_handler"]]) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [
        ("postgresql://db/clinic", "host=db dbname=clinic", True),
        ("postgresql://db/clinic", "postgresql://db/archive", False),
        ("postgresql://db/clinic", "", False),
    ],
)
def test_which_database_a_connector_reaches(ours: str, theirs: str, is_same: bool) -> None:
    """One app for the worker and another, with plain calls, for whoever publishes."""
    asynchronous, plain = PsycopgConnector(conninfo=ours), SyncPsycopgConnector(conninfo=theirs)
    place = find_database(asynchronous)
    assert place is not None
    assert (find_database(plain) == place) is is_same


PLACED = ('os.environ.get("QUEUE_URL", "")', '"postgresql://db/clinic"')
BESIDE = (
    "desk = App(connector=SyncPsycopgConnector(conninfo='host=db dbname=clinic'))\n\n\ndef book("
)


AT_DESK = (
    (
        DESK,
        "from clinic import db\n",
        "from procrastinate import App, SyncPsycopgConnector\n\nfrom clinic import db\n",
    ),
    (DESK, "with app.open()", "with desk.open()"),
    (DESK, "remind.defer(", "desk.configure_task(NAME).defer("),
    (DESK, "import remind\n", 'import remind\n\nNAME = "clinic.tasks.remind"\n'),
)
ANY_TEXT = "json_dumps=lambda value: json.dumps(value, default=str)"
WITH_JSON = (QUEUE, "import os\n", "import json\nimport os\n")
DESK_WITH_JSON = (DESK, "from contextlib import", "import json\nfrom contextlib import")
NO_TEXT = (DESK, "phone=phone)", "phone=closing(phone))")


@pytest.mark.real
@edited((QUEUE, *PLACED), (DESK, "def book(", BESIDE), *AT_DESK)
def test_another_app_of_the_same_database_publishes_the_job(clinic: Clinic) -> None:
    assert [one["to_handler"] for one in clinic.published] == [True]


@pytest.mark.real
def test_an_app_that_publishes_writes_arguments_in_its_own_way(tmp_path: Path) -> None:
    """The worker's connector takes what has no JSON, and the publisher's does not."""
    lenient = (QUEUE, PLACED[0], f"{PLACED[1]}, {ANY_TEXT}")
    edits = (lenient, WITH_JSON, (DESK, "def book(", BESIDE), *AT_DESK, NO_TEXT)
    published, raised = refused(tmp_path.resolve() / "clinic", *edits)
    assert (published, raised) == (0, "builtins:TypeError")


@pytest.mark.real
@edited(
    (QUEUE, *PLACED),
    (DESK, "def book(", BESIDE.replace("dbname=clinic'", f"dbname=clinic', {ANY_TEXT}")),
    DESK_WITH_JSON,
    *AT_DESK,
    NO_TEXT,
)
def test_an_app_that_publishes_may_take_what_the_worker_does_not(clinic: Clinic) -> None:
    ((message, to_handler),) = [(one["message"], one["to_handler"]) for one in clinic.published]
    assert to_handler and message["args"]["phone"].startswith("<contextlib.closing object")


@pytest.mark.real
@edited(
    (QUEUE, PLACED[0], f"{PLACED[1]}, json_loads=read_marked"),
    (
        QUEUE,
        "app = App(",
        "def read_marked(text):\n    return {**json.loads(text), 'phone': '1'}\n\n\napp = App(",
    ),
    WITH_JSON,
    (DESK, "def book(", BESIDE),
    *AT_DESK,
)
def test_the_worker_reads_arguments_in_its_own_way(clinic: Clinic) -> None:
    assert [one["message"]["args"]["phone"] for one in clinic.published] == ["1"]


@pytest.mark.real
def test_a_job_of_a_transaction_that_is_rolled_back_is_not_published(tmp_path: Path) -> None:
    undone = (
        "    with closing(db.connect()) as connection:\n"
        + CONNECTED
        + "        connection.rollback()\n"
    )
    assert refused(tmp_path.resolve() / "clinic", (DESK, OPENED, undone)) == (0, "None")


@pytest.mark.real
def test_a_blueprint_without_an_app(tmp_path: Path) -> None:
    edits = (
        (
            TASKS,
            "from clinic.queue import app\n",
            "from procrastinate import Blueprint\n\napp = Blueprint()\n",
        ),
        (QUEUE, '"clinic.tasks", ', ""),
    )
    with workplace_of(build(tmp_path.resolve() / "clinic", *edits)) as workplace:
        workplace.set_up()
        with pytest.raises(
            BootFailed, match=r"belongs to a blueprint, and no app was found that has its tasks"
        ):
            workplace.zygote()


PERIODIC = (
    (TASKS, "@app.task(pass", '@app.periodic(cron="0 6 * * *")\n@app.task(pass'),
    (
        TASKS,
        "context: JobContext, appointment_id: int | None = None",
        "context, timestamp=0, appointment_id=7",
    ),
    (TASKS, 'phone: str = "") -> None:\n    """Reminds', 'phone="+1") -> None:\n    """Reminds'),
    (SPEC, "trigger: {type: event}", 'trigger: {type: cron, schedule: "0 6 * * *", timezone: UTC}'),
    (SPEC, 'enqueue: {call: clinic.desk:book, args: {appointment_id: 7, phone: "+49151"}}\n', ""),
)


@pytest.mark.real
@edited(*PERIODIC)
def test_ticks_of_a_periodic_task_are_jobs_of_their_own(clinic: Clinic) -> None:
    messages = clinic.explorer.origin.messages
    assert messages[1]["args"]["timestamp"] - messages[0]["args"]["timestamp"] == 86_400
    assert clinic.under("once").runs[0].outcome == "succeeded"


@pytest.mark.real
@edited((QUEUE, "\n)\n", "\n)\n\napp.run_worker()\n"))
def test_a_module_that_starts_its_worker_when_it_is_imported(clinic: Clinic) -> None:
    assert clinic.under("once").runs[0].outcome == "succeeded"
