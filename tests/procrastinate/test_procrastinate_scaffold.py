"""The job that a scaffold writes for Procrastinate: its form, who gives it back, what the worker
imports, its tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import samples
from samples import Combination, procrastinate
from writing import assert_clean, assert_noticed, case_of, write

from skillrun.frameworks.common.crontab import write_croniter
from skillrun.skills.job_worker.scaffold.plan import plan

pytest.importorskip("procrastinate")
TASKS, QUEUE, TESTS = "shop/tasks.py", "shop/queue.py", "tests/test_send_receipt.py"
SPEC = ".skillrun/jobs/send-receipt.json"
BASE = Combination("procrastinate")
CRON = replace(BASE, trigger="cron")
FILES = samples.files(BASE)


@pytest.mark.real
def test_the_handler_and_its_publisher_stand_beside_the_other_jobs(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "SendReceiptRetry", "send_receipt", "enqueue_send_receipt"} <= {
        *written.names(TASKS)
    }
    assert_clean(written)


# -- retries


def test_waits_with_a_cap_and_jitter_are_a_strategy_of_its_own(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "SEND_RECEIPT_RETRIES = 3  # 4 attempts in all" in text
    assert "        wait = min(60, 2 * 2**job.attempts)\n" in text
    assert "round(1000 * random.uniform(wait / 2, wait))" in text
    assert "    retry=SendReceiptRetry(),\n" in text


def backoff(**given: object) -> Mapping[str, str]:
    return {SPEC: json.dumps(samples.spec(BASE) | {"retry": {"max_attempts": 4, "backoff": given}})}


STRATEGIES = {
    "the same wait": (backoff(kind="fixed", base="5s"), "wait=5,"),
    "its base is its factor": (
        backoff(kind="exponential", base="3s", factor=3, cap="60s"),
        "exponential_wait=3,",
    ),
    "no wait": (
        backoff(kind="none"),
        "RetryStrategy(max_attempts=SEND_RECEIPT_RETRIES, retry_exceptions=",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", STRATEGIES)
def test_what_the_librarys_strategy_can_say_is_said_in_its_words(tmp_path: Path, name: str) -> None:
    files, words = STRATEGIES[name]
    text = write(tmp_path, BASE, files).text(TASKS)
    assert words in text.replace("(\n        max", "(max").replace(
        "RETRIES,\n        retry", "RETRIES, retry"
    )
    assert "retry_exceptions=[mailer.Unavailable, TimeoutError]" in text
    assert "BaseRetryStrategy" not in text


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "exponential", "base": "3s", "factor": 3, "cap": "10s"},
        {"kind": "fixed", "base": "500ms"},
        {"kind": "fixed", "base": "5s", "jitter": True},
    ],
    ids=str,
)
def test_what_it_cannot_say_is_a_strategy_of_its_own(
    tmp_path: Path, given: Mapping[str, object]
) -> None:
    text = write(tmp_path, BASE, backoff(**given)).text(TASKS)
    assert "class SendReceiptRetry(BaseRetryStrategy):" in text
    assert ("random.uniform" in text) is bool(given.get("jitter"))


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, replace(BASE, retry=False)).text(TASKS)
    assert "    retry=False,  # Somebody looks at each failure\n" in text
    assert "RETRIES" not in text


# -- the clock


@pytest.mark.real
def test_a_clock_publishes_what_is_due(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    text = written.text(TASKS)
    assert (
        '@app.periodic(cron="*/5 * * * *")\n@app.task(\n    name="shop.tasks.tick_send_receipt",'
        in text
    )
    assert "def tick_send_receipt(timestamp: int) -> None:" in text
    assert_clean(written)


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        (10.0, "* * * * * */10"),
        (60.0, "* * * * *"),
        (300.0, "*/5 * * * *"),
        (7200.0, "0 */2 * * *"),
        (86_400.0, "0 0 * * *"),
        (7.0, None),
        (420.0, None),
    ],
)
def test_a_pollers_interval_as_cron(every: float, cron: str | None) -> None:
    assert write_croniter("poller", None, every) == cron


def test_a_tick_leaves_out_what_failed_where_that_is_the_dead_letter(tmp_path: Path) -> None:
    text = write(tmp_path, replace(CRON, dead="framework")).text(TASKS)
    assert 'for status in ("todo", "doing", "failed")' in text
    # A mark before the status is written would lose the job to a death between the two.
    assert "_settle_" not in text


# -- who gives back the jobs of dead workers


@pytest.mark.real
def test_stalled_jobs_are_given_back_beside_the_app(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    text = written.text(QUEUE)
    assert (
        '@app.periodic(cron="*/10 * * * *")\n@app.task(name="shop.queue.retry_stalled_jobs",'
        " queueing" in text
    )
    assert (
        "            if job.attempts < 20:\n                await manager.retry_job(job)\n" in text
    )
    assert plan(case_of(written.root)).changes == ()


STALLED = """\
from shop.queue import app


@app.periodic(cron="* * * * *")
@app.task
async def give_back(timestamp):
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)
"""


def test_what_the_repository_has_for_that_is_left_to_do_it(tmp_path: Path) -> None:
    files = {"shop/stalled.py": STALLED, QUEUE: FILES[QUEUE].replace('"]', '", "shop.stalled"]')}
    assert write(tmp_path, BASE, files).text(QUEUE) == files[QUEUE]


# -- what the worker imports

ELSEWHERE = {SPEC: FILES[SPEC].replace("shop.tasks:send_receipt", "shop.mails:send_receipt")}
LISTED = '    import_paths=["shop.tasks"],\n'
IMPORTS: dict[str, tuple[str, str]] = {
    "a list": (LISTED, '    import_paths=["shop.tasks", "shop.mails"],\n'),
    "none": ("", '    import_paths=["shop.mails"],\n'),
}


@pytest.mark.real
@pytest.mark.parametrize("name", IMPORTS)
def test_a_new_module_is_named_where_the_app_is_made(tmp_path: Path, name: str) -> None:
    old, new = IMPORTS[name]
    written = write(tmp_path, BASE, {**ELSEWHERE, QUEUE: FILES[QUEUE].replace(LISTED, old)})
    assert new in written.text(QUEUE)
    assert plan(case_of(written.root)).changes == ()


def test_a_module_that_the_worker_comes_to_is_not_named(tmp_path: Path) -> None:
    files = {**ELSEWHERE, TASKS: FILES[TASKS] + "\n\nfrom shop import mails\n", "shop/mails.py": ""}
    assert LISTED in write(tmp_path, BASE, files).text(QUEUE)


def test_a_blueprint_of_the_module_is_what_its_tasks_belong_to(tmp_path: Path) -> None:
    tasks = FILES[TASKS].replace(
        "from shop.queue import app\n", "from procrastinate import Blueprint\n"
    )
    tasks = tasks.replace("@app.", "@letters.").replace("\n\n\n@", "\nletters = Blueprint()\n\n\n@")
    queue = (
        FILES[QUEUE]
        + '\nfrom shop.tasks import letters\n\napp.add_tasks_from(letters, namespace="letters")\n'
    )
    text = write(tmp_path, BASE, {TASKS: tasks, QUEUE: queue}).text(TASKS)
    assert '@letters.task(\n    name="shop.tasks.send_receipt",' in text
    assert "import app" not in text


# -- tasks that are coroutine functions

AWAITED = procrastinate.AWAITED


@pytest.mark.real
def test_a_task_is_a_coroutine_function_where_the_others_are(tmp_path: Path) -> None:
    written = write(tmp_path, CRON, AWAITED)
    text = written.text(TASKS)
    assert "    async with _in_thread(send_receipt_store.once(order_id)) as first:\n" in text
    assert "    await send_receipt.defer_async(order_id=order_id" in text
    assert "        for job in await list_jobs(task=send_receipt.name" in text
    assert_clean(written)


@pytest.mark.real
def test_what_a_shutdown_aborts_is_given_back(tmp_path: Path) -> None:
    fixed = backoff(kind="fixed", base="5s")
    words = "if isinstance(exception, asyncio.CancelledError):\n            return RetryDecision()"
    assert words in write(tmp_path / "awaited", BASE, {**AWAITED, **fixed}).text(TASKS)
    assert "Cancelled" not in write(tmp_path / "plain", BASE).text(TASKS)


SWEEPS = FILES[TASKS] + '\n\n@app.task(name="shop.tasks.mop")\nasync def mop() -> None: ...\n'
KINDS: dict[str, tuple[Mapping[str, str], bool]] = {
    "one of each": ({TASKS: SWEEPS}, False),
    "most of its module": (
        {TASKS: SWEEPS.replace("def sweep", "async def sweep"), "shop/mails.py": FILES[TASKS]},
        True,
    ),
    "none in its module": ({**ELSEWHERE, **AWAITED}, True),
    "what gives jobs back alone": ({TASKS: "", "shop/stalled.py": STALLED}, False),
}


@pytest.mark.real
@pytest.mark.parametrize("name", KINDS)
def test_most_of_them_decide(tmp_path: Path, name: str) -> None:
    files, awaited = KINDS[name]
    written = write(tmp_path, BASE, files)
    assert ("async def send(" in written.text("shop/mailer.py")) is awaited
    assert plan(case_of(written.root)).changes == ()


# -- Django

DJANGO = replace(BASE, store="django")


def test_in_django_the_job_is_there_with_the_commit(tmp_path: Path) -> None:
    text = write(tmp_path, DJANGO).text(TASKS)
    assert "from procrastinate.contrib.django import app\n" in text
    assert "    send_receipt.defer(order_id=order_id, email=email, **more)\n" in text
    assert "on_commit" not in text
    assert '@app.task(name="shop.tasks.retry_stalled_jobs", queueing_lock=' in text


def test_an_app_of_its_own_in_django_waits_for_the_commit(tmp_path: Path) -> None:
    settings = samples.files(DJANGO)["config/settings.py"].replace(
        '"procrastinate.contrib.django", ', ""
    )
    files = {QUEUE: FILES[QUEUE], TASKS: FILES[TASKS], "config/settings.py": settings}
    written = write(tmp_path, DJANGO, files)
    assert (
        "    transaction.on_commit(\n        lambda: send_receipt.defer(order_id"
        in written.text(TASKS)
    )
    assert "retry_stalled_jobs" in written.text(QUEUE)


# -- queues


@pytest.mark.real
@pytest.mark.parametrize(
    ("others", "same"), [('queue="letters"', True), ('queue="default2"', False)]
)
def test_a_queue_that_all_tasks_share_is_the_jobs_too(
    tmp_path: Path, others: str, same: bool
) -> None:
    one = FILES[TASKS].replace("@app.task(", '@app.task(queue="letters", ')
    files = {
        TASKS: one,
        "shop/mails.py": (
            one.replace('queue="letters"', others).replace("tasks.sweep", "mails.sweep")
        ),
    }
    written = write(tmp_path, CRON, files)
    assert written.text(TASKS).count('    queue="letters",\n') == (2 if same else 0)
    assert ('queue="letters"' in written.text(QUEUE)) is same
    assert plan(case_of(written.root)).changes == ()


# -- what cannot be


def said(
    tmp_path: Path, combination: Combination = BASE, files: Mapping[str, str] | None = None
) -> str:
    root = helpers.build_tree(tmp_path / "repo", {**samples.files(combination), **(files or {})})
    return " ".join(finding.message for finding in plan(case_of(root)).missing)


def spec_of(combination: Combination, **parts: object) -> Mapping[str, str]:
    return {SPEC: json.dumps(samples.spec(combination) | parts)}


LOCAL = {"type": "cron", "schedule": "0 3 * * *", "timezone": "Europe/Berlin"}
POLLER = replace(BASE, trigger="poller")
REFUSED: dict[str, tuple[Combination, Mapping[str, str], str]] = {
    "a queue of dead letters": (
        replace(BASE, dead="queue"),
        {},
        "take the dead letters out of a queue",
    ),
    "no app": (
        BASE,
        {QUEUE: FILES[QUEUE].replace("app = App", "def make():\n    return App")},
        "no app of Procrast",
    ),
    "a module that Django's app does not look into": (
        DJANGO,
        {SPEC: samples.files(DJANGO)[SPEC].replace("shop.tasks:send", "shop.mails:send")},
        "write handler: shop.tasks:send_receipt",
    ),
    "hours of another zone": (CRON, spec_of(CRON, trigger=LOCAL), "clock is UTC"),
    "an interval": (
        POLLER,
        spec_of(POLLER, trigger={"type": "poller", "every": "7m"}),
        "divide a minute in seconds",
    ),
    "more attempts than deaths": (
        BASE,
        spec_of(BASE, retry={"max_attempts": 20, "backoff": {"kind": "fixed", "base": "1s"}}),
        "lower retry.max_attempts",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_procrastinate_cannot_do_is_said_first(tmp_path: Path, name: str) -> None:
    combination, files, words = REFUSED[name]
    assert words in said(tmp_path, combination, files)


@pytest.mark.real
def test_nothing_is_said_of_what_it_can(tmp_path: Path) -> None:
    assert said(tmp_path) == ""
    assert said(tmp_path / "none", replace(BASE, dead="none", retry=False)) == ""
    assert said(tmp_path / "own", replace(CRON, dead="framework")) == ""


@pytest.mark.parametrize(("message", "refused"), [("kwargs", True), ("payload", False)])
def test_a_field_has_no_name_that_the_handler_needs(
    tmp_path: Path, message: str, refused: bool
) -> None:
    spec = samples.spec(replace(BASE, message=message))
    spec["payload"]["properties"]["context"] = {"type": "string"}
    assert ("the name context" in said(tmp_path, BASE, {SPEC: json.dumps(spec)})) is refused


# -- its own tests


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        BASE,
        replace(BASE, retry=False),
        replace(BASE, message="payload"),
        CRON,
        replace(BASE, effect="transactional"),
        replace(CRON, store="asyncio"),
    ],
    ids=str,
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, [(TASKS, *pair) for pair in broken(combination)], "pytest", "-q")


def broken(combination: Combination) -> list[tuple[str, str]]:
    """What no test of the job may let through."""
    awaited, nothing = (
        ("await ", "asyncio.sleep(0)\n") if combination.store == "asyncio" else ("", "print()\n")
    )
    found = [
        ("send_receipt_store.bury(message, repr(error))\n", nothing),
        ("send_receipt.defer", "sweep.defer"),
    ]
    found.append(
        (f"{awaited}mailer.send(" if combination.effect == "keyed" else "bookings.book(", "dict(")
    )
    if combination.retry:
        found += [("_RETRIES = 3", "_RETRIES = 4"), ("    retry=SendReceiptRetry(),\n", "")]
    if combination.retry and combination.trigger == "event":
        passing = (
            "(mailer.Unavailable, TimeoutError)"
            if combination.effect == "keyed"
            else "TimeoutError"
        )
        found.append((f"if not isinstance(exception, {passing})", "if False"))
    if combination.trigger == "cron":
        found += [("_settle_send_receipt(message)\n", nothing), ("in under_way", "in []")]
    return found
