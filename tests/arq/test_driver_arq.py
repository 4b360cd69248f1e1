"""arq's driver beyond what every driver promises: tries that deaths use up, ids, cron jobs,
settings, hooks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("arq")

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.jobs import POISON
from skillrun.proof.result import Target
from skillrun.proof.schedule import ONCE, parse_schedule
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed

CORPUS = Path(__file__).parents[1] / "proof" / "corpus" / "arq_confirmation"
TASKS, DESK, WORKER, SPEC = (
    "booking/tasks.py",
    "booking/desk.py",
    "booking/worker.py",
    ".skillrun/jobs/confirm.yaml",
)
LISTED = "    functions = [func(confirm, max_tries=ATTEMPTS + 5)]"
SEND = '    await redis.enqueue_job("confirm", booking_id, email)\n'
GUARD = (
    '        if ctx["job_try"] >= ATTEMPTS:\n            give_up(booking_id, repr(error))\n        '
    "    return\n"
)
PAYLOADS = {
    0: {"booking_id": 7, "email": "a@example.com"},
    1: {"booking_id": 8, "email": "a@example.com"},
}
KILL = "kill@before:mail#1"

# A worker of its own for each test.
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here"),
]


@dataclass
class Desk:
    """The corpus' confirmations with edits in them, booted."""

    explorer: Explorer

    def under(self, schedule: str) -> History:
        return self.explorer.run(parse_schedule(schedule))


def build(root: Path, *edits: tuple[str, str, str]) -> Path:
    shutil.copytree(CORPUS, root, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (root / file).write_text(text.replace(old, new))
    return root


def workplace_of(root: Path) -> Workplace:
    return Workplace(load_spec(root / SPEC, root=root), root, "arq", ())


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with workplace_of(
        build(tmp_path.resolve() / "desk", *getattr(request, "param", ()))
    ) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(PAYLOADS)
        yield Desk(explorer)


def edited(*edits: tuple[str, str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("desk", [edits], indirect=True)


def settled(history: History) -> list[tuple[str, float]]:
    """How each delivery, or the library after a death, settled, and the wait before it comes
    again.
    """
    found = [delivery.settled for delivery in history.deliveries if delivery.settled]
    return [(event["how"], event["delay"]) for event in found]


def test_facts(desk: Desk) -> None:
    facts = desk.explorer.facts
    assert (facts.redelivery_s, facts.max_attempts, facts.bounded_kills) == (70.0, 9, True)


def test_a_death_uses_up_a_try_and_the_job_waits_for_its_key(desk: Desk) -> None:
    history = desk.under(f"{KILL} {KILL}/2")
    assert settled(history) == [("requeued", 70.0), ("requeued", 70.0), ("acked", 0.0)]
    assert any("try=3" in event["text"] for event in history.events if event.kind == "log")


@edited((WORKER, "max_tries=ATTEMPTS + 5", "max_tries=2"))
def test_deaths_alone_use_up_all_tries_and_nobody_hears_of_it(desk: Desk) -> None:
    history = desk.under(f"{KILL} {KILL}/2")
    assert [how for how, _ in settled(history)] == ["requeued", "requeued", "lost"]
    assert [run.entered for run in history.runs] == [True, True, False]
    assert (history.lost, history.dead_letters) == (1, 0)
    assert "max 2 retries exceeded" in str(
        history.runs[-1].settled and history.runs[-1].settled["why"]
    )


@edited((TASKS, GUARD, ""), (WORKER, "max_tries=ATTEMPTS + 5", "max_tries=3"))
def test_a_retry_at_the_last_try_is_given_up_without_a_call(desk: Desk) -> None:
    history = desk.under("raise=TimeoutError@before:mail#*/*")
    assert settled(history) == [
        ("requeued", pytest.approx(5, abs=0.1)),
        ("requeued", pytest.approx(15, abs=0.1)),
        ("requeued", pytest.approx(45, abs=0.1)),
        ("lost", 0.0),
    ]
    assert history.runs[-1].outcome == "failed" and not history.runs[-1].entered


@edited((TASKS, "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"))
def test_another_exception_is_not_run_again(desk: Desk) -> None:
    history = desk.under("raise=TimeoutError@before:mail#*/*")
    assert settled(history) == [("acked", 0.0)]
    assert history.runs[0].outcome == "failed"


@edited((WORKER, "    job_timeout = 60\n", "    job_timeout = 60\n    retry_jobs = False\n"))
def test_without_retry_jobs_a_retry_is_a_failure(desk: Desk) -> None:
    history = desk.under("raise=TimeoutError@before:mail#*/*")
    assert settled(history) == [("acked", 0.0)]
    assert history.runs[0].outcome == "failed"


@edited((DESK, SEND, SEND.replace("email)", "email, _expires=30)")))
def test_a_job_whose_definition_has_run_out_is_lost(desk: Desk) -> None:
    history = desk.under("raise=TimeoutError@before:mail#*/*")
    assert [how for how, _ in settled(history)][-1] == "lost"
    assert "job expired" in str(history.runs[-1].settled and history.runs[-1].settled["why"])


def test_time_that_is_slept_beyond_the_timeout_cancels_the_job(tmp_path: Path) -> None:
    slow = (
        TASKS,
        "    try:\n        await mailer",
        "    try:\n        await asyncio.sleep(90)\n        await mailer",
    )
    edits = (slow, (TASKS, "import logging\n", "import asyncio\nimport logging\n"))
    with workplace_of(build(tmp_path.resolve() / "desk", *edits)) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(PAYLOADS)
        history = explorer.run(ONCE)
    assert not history.performed()
    assert settled(history) == [("acked", 0.0)]


KEYED = SEND.replace("email)", 'email, _job_id=f"confirm-{booking_id}")')


@edited((DESK, SEND, KEYED))
def test_an_id_that_is_made_of_the_arguments_is_made_of_the_next_ones(desk: Desk) -> None:
    messages = desk.explorer.origin.messages
    assert (messages[0]["id"], messages[1]["id"]) == ("confirm-7", "confirm-8")
    history = desk.under("re-enqueue")
    assert [run.outcome for run in history.runs] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(("made", "refused"), [('f"confirm-{booking_id}"', []), ('"confirm"', [1])])
def test_messages_of_one_job_may_share_an_id_and_distinct_jobs_may_not(
    tmp_path: Path, made: str, refused: list[int]
) -> None:
    keyed = SEND.replace("email)", f"email, _job_id={made})")
    with workplace_of(build(tmp_path.resolve() / "desk", (DESK, SEND, keyed))) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin({**PAYLOADS, POISON: {"booking_id": 7, "email": ""}})
    assert list(explorer.unpublished) == refused


@edited((DESK, SEND, KEYED + KEYED))
def test_an_id_that_is_in_use_publishes_nothing(desk: Desk) -> None:
    caller = desk.explorer.caller
    assert caller is not None
    assert len(list(caller.all("published"))) == 1


@edited((DESK, SEND, SEND.replace("email)", "email, _defer_by=20)")))
def test_a_job_that_is_put_off_comes_later(desk: Desk) -> None:
    caller = desk.explorer.caller
    assert caller is not None
    assert [event["delay"] for event in caller.all("published")] == [pytest.approx(20, abs=0.5)]


@pytest.mark.parametrize(
    "elsewhere",
    [
        (DESK, SEND, SEND.replace("email)", 'email, _queue_name="slow")')),
        (DESK, "create_pool(REDIS)", "create_pool(OTHER)"),
    ],
    ids=["queue", "database"],
)
def test_what_no_worker_of_it_reads_is_not_published_to_it(
    tmp_path: Path, elsewhere: tuple[str, str, str]
) -> None:
    other = (DESK, "\n\nasync def book", "\nOTHER = replace(REDIS, database=1)\n\n\nasync def book")
    head = (
        DESK,
        "from contextlib import closing\n",
        "from contextlib import closing\nfrom dataclasses import replace\n",
    )
    root = build(tmp_path.resolve() / "desk", elsewhere, other, head)
    proof = try_prove(Target(load_spec(root / SPEC, root=root), root, "arq"))
    assert [(j.rule, j.message) for j in proof.incomplete] == [
        ("not-published", "nothing was published to the handler")
    ]


def test_no_worker_lists_it(tmp_path: Path) -> None:
    root = build(tmp_path.resolve() / "desk", (WORKER, LISTED, "    functions = [print]"))
    with workplace_of(root) as workplace:
        workplace.start_servers()
        workplace.set_up()
        with pytest.raises(
            BootFailed, match=r"no worker settings were found whose functions or cron_jobs have"
        ):
            workplace.zygote()


@edited(
    (WORKER, "    job_timeout = 60\n", "    job_timeout = 60\n\n\nrun_worker(WorkerSettings)\n"),
    (WORKER, "from arq.worker import func\n", "from arq.worker import func, run_worker\n"),
)
def test_a_module_that_starts_its_worker_when_it_is_imported(desk: Desk) -> None:
    assert desk.under("once").runs[0].outcome == "succeeded"


SCRIPT = (
    "from pathlib import Path\nPath('imported').touch()\n# parquet functions, marquee, arquivo\n"
)


def test_only_modules_that_may_have_settings_are_imported(tmp_path: Path) -> None:
    root = build(tmp_path.resolve() / "desk")
    (root / "booking" / "script.py").write_text(SCRIPT)
    (root / "booking" / "broken.py").write_text("import arq\nfunctions = 1 / 0\n")
    with workplace_of(root) as workplace:
        workplace.start_servers()
        workplace.set_up()
        assert workplace.zygote().facts.max_attempts == 9
    assert not (root / "imported").exists()


INHERITED = LISTED.replace("    functions", "    max_tries = 9\n    functions").replace(
    ", max_tries=ATTEMPTS + 5", ""
)


@edited(
    (
        WORKER,
        LISTED,
        INHERITED + "\n\n\nclass Own(WorkerSettings):\n    functions = WorkerSettings.functions",
    ),
    (WORKER, "class WorkerSettings", "class Base"),
    (WORKER, "(WorkerSettings):\n    functions = WorkerSettings", "(Base):\n    functions = Base"),
)
def test_the_first_settings_that_list_it_are_taken(desk: Desk) -> None:
    assert desk.explorer.facts.max_attempts in (5, 9)


PICKY = """
def dumps(job):
    if job["k"]:
        raise ValueError("positions only")
    return pickle.dumps(job)


class WorkerSettings:
    job_serializer = dumps"""


def test_a_payload_that_only_the_application_can_publish_leaves_no_proof(tmp_path: Path) -> None:
    edits = (
        (WORKER, "\nclass WorkerSettings:", PICKY),
        (WORKER, "import os\n", "import os\nimport pickle\n"),
    )
    root = build(tmp_path.resolve() / "desk", *edits)
    assert "positions only" in str(
        try_prove(Target(load_spec(root / SPEC, root=root), root, "arq"))
    )


HOOK = """
async def ended(ctx):
    raise LookupError("a hook that fails")


class WorkerSettings:
    on_job_end = ended"""


@edited((WORKER, "\nclass WorkerSettings:", HOOK))
def test_what_a_hook_raises_ends_the_worker_and_the_job_comes_again(desk: Desk) -> None:
    history = desk.under("once")
    assert settled(history)[0] == ("requeued", 70.0)
    assert settled(history)[-1][0] == "lost"


STARTED = """
async def started(ctx):
    ctx["prefix"] = "confirmation"


class WorkerSettings:
    on_startup = started"""


@edited(
    (WORKER, "\nclass WorkerSettings:", STARTED),
    (
        TASKS,
        'reference=f"confirmation-{booking_id}"',
        "reference=f\"{ctx['prefix']}-{booking_id}\"",
    ),
)
def test_the_worker_is_started_first(desk: Desk) -> None:
    assert [event["key"] for event in desk.under("once").performed()] == ["'confirmation-7'"]


MAIL = 'await mailer.send(email, booking_id, reference=f"confirmation-{booking_id}")'


@edited(
    (TASKS, MAIL, MAIL.replace("await ", "asyncio.ensure_future(") + ")"),
    (TASKS, "import logging\n", "import asyncio\nimport logging\n"),
)
def test_what_is_not_waited_for_goes_on_in_the_worker(desk: Desk) -> None:
    history = desk.under("once")
    assert len(history.performed()) == 1
    assert not desk.under(KILL).performed()  # what it marked as sent is not sent again


def scheduled(options: str) -> tuple[tuple[str, str, str], ...]:
    """The confirmation of one booking as a cron job."""
    return (
        (WORKER, LISTED, f"    cron_jobs = [cron(confirm, minute=0{options})]"),
        (WORKER, "from arq.worker import func\n", "from arq.cron import cron\n"),
        (WORKER, "import ATTEMPTS, confirm", "import confirm"),
        (
            SPEC,
            "trigger: {type: event}",
            'trigger: {type: cron, schedule: "0 * * * *", timezone: UTC}',
        ),
        (
            SPEC,
            "enqueue: {call: booking.desk:book, args: {booking_id: 7, email: a@example.com}}\n",
            "",
        ),
        (
            TASKS,
            'booking_id: int | None = None, email: str = ""',
            'booking_id: int = 7, email: str = "a@example.com"',
        ),
    )


def test_a_cron_job_has_one_try_and_an_id_of_its_tick(tmp_path: Path) -> None:
    with workplace_of(build(tmp_path.resolve() / "desk", *scheduled(""))) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin({0: {}})
        assert explorer.facts.max_attempts == 1
        assert explorer.origin.messages[0]["id"].startswith("cron:confirm:")
        assert explorer.run(ONCE).runs[0].outcome == "succeeded"
        assert [how for how, _ in settled(explorer.run(parse_schedule(KILL)))] == [
            "requeued",
            "lost",
        ]


@pytest.mark.parametrize(("options", "verdict"), [(", max_tries=9", "proved"), ("", "refuted")])
def test_a_cron_job_with_tries_for_deaths_is_proved(
    tmp_path: Path, options: str, verdict: str
) -> None:
    payload = (SPEC, "    - {booking_id: 8, email: a@example.com}\n", "")
    poison = (
        SPEC,
        (
            '  poison:\n    - {}\n    - {booking_id: 9, email: ""}\n    - {booking_id: "x", email:'
            " a@example.com}\n"
        ),
        "",
    )
    root = build(tmp_path.resolve() / "desk", *scheduled(options), payload, poison)
    proof = try_prove(Target(load_spec(root / SPEC, root=root), root, "arq"))
    assert proof.verdict == verdict, [j.message for j in proof.incomplete]
