"""The job that is written for arq: its handler, what it awaits, and its own tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import samples
from arq_scaffold import ARQ, BASE, BLOCKING, CRON, SENDS, SPEC, TASKS, TESTS, WORKER, worker
from samples import Combination
from writing import assert_clean, assert_noticed, case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan


@pytest.mark.real
def test_the_handler_and_its_publisher_stand_beside_the_other_jobs(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert "async def send(" in written.text("shop/mailer.py")
    assert_clean(written)


def test_waits_and_attempts_are_those_of_the_spec_and_deaths_have_room(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    text = written.text(TASKS)
    assert "SEND_RECEIPT_ATTEMPTS = 4  #" in text
    assert "except (mailer.Unavailable, TimeoutError) as error:\n        if ctx[" in text
    assert (
        'wait = min(60, 2 * 2 ** (ctx["job_try"] - 1))\n        raise'
        " Retry(defer=random.uniform(wait / 2" in text
    )
    assert "func(send_receipt, max_tries=SEND_RECEIPT_ATTEMPTS + 5)" in written.text(WORKER)


def test_no_retry_says_why(tmp_path: Path) -> None:
    written = write(tmp_path, replace(BASE, retry=False))
    assert "    except Exception as error:  # Somebody looks at each failure\n" in written.text(
        TASKS
    )
    assert "Retry" not in written.text(TASKS)
    assert "func(send_receipt, max_tries=6)" in written.text(WORKER)


@pytest.mark.real
def test_a_clock_publishes_what_is_due_under_an_id(tmp_path: Path) -> None:
    written = write(tmp_path, CRON)
    assert {"due_send_receipt", "tick_send_receipt"} <= {*written.names(TASKS)}
    assert '_job_id=f"send-receipt:{order_id!r}",' in written.text(TASKS)
    assert (
        "    cron_jobs = [cron(tick_send_receipt, minute=set(range(0, 60, 5)))]\n"
        in written.text(WORKER)
    )
    assert "keep_result=0" in written.text(WORKER)
    assert_clean(written)
    assert "_job_id" not in write(tmp_path / "event", BASE).text(TASKS)


def test_a_clock_with_hours_says_whose_they_are(tmp_path: Path) -> None:
    for schedule, said in (("0 3 * * *", True), ("*/5 * * * *", False)):
        spec = samples.spec(CRON)
        spec["trigger"] |= {"schedule": schedule, "timezone": "Europe/Berlin"}
        written = write(tmp_path / str(said), CRON, {SPEC: json.dumps(spec)})
        assert ("those of Europe/Berlin" in written.text(TASKS)) is said


# -- what blocks, and what is awaited


ATTEMPTS = {
    "its adapter is a coroutine function": (
        BLOCKING.replace("def send", "async def send"),
        (
            "async with _in_thread(send_receipt_store.once(order_id)) as first:",
            "await mailer.send(",
        ),
    ),
    "its adapter blocks": (
        BLOCKING,
        (
            "await asyncio.to_thread(\n            _attempt_send_receipt, order_id,",
            "        mailer.send(",
        ),
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_blocks_is_left_to_a_thread(tmp_path: Path, name: str) -> None:
    mailer, lines = ATTEMPTS[name]
    written = write(tmp_path, BASE, {"shop/mailer.py": mailer})
    assert all(line in written.text(TASKS) for line in lines)
    assert ("AsyncMock" in written.text(TESTS)) is ("async" in mailer)
    assert "F821" not in written.run("ruff", "check", "shop").stdout


def test_of_two_adapters_the_one_that_blocks_is_called_in_a_thread(tmp_path: Path) -> None:
    spec = samples.spec(BASE)
    spec["effects"].append(
        {"name": "shelf", "call": "shop.shelf:take", "guarantee": "at_least_once", "reason": "x"}
    )
    shelf = "def take(order_id: int) -> None: ...\n"
    text = write(tmp_path, BASE, {SPEC: json.dumps(spec), "shop/shelf.py": shelf}).text(TASKS)
    assert "        await mailer.send(\n" in text
    assert "        await asyncio.to_thread(shelf.take, order_id=order_id)\n" in text


# -- SQLAlchemy over asyncio


ASYNCIO = replace(BASE, store="asyncio")
STORE = "shop/send_receipt_store.py"


def test_sessions_of_asyncio_make_an_asynchronous_store(tmp_path: Path) -> None:
    written = write(tmp_path, ASYNCIO)
    assert "async with SessionLocal() as session, session.begin():" in written.text(STORE)
    assert "    async with send_receipt_store.once(order_id) as first:\n" in written.text(TASKS)
    assert "    await send_receipt_store.bury(message, repr(error))\n" in written.text(TASKS)
    assert "thread" not in written.text(TASKS)
    assert_clean(written)


def test_an_adapter_that_blocks_gets_a_thread_beside_it(tmp_path: Path) -> None:
    text = write(tmp_path, ASYNCIO, {"shop/mailer.py": BLOCKING}).text(TASKS)
    assert "    async with send_receipt_store.once(" in text
    assert "        await asyncio.to_thread(\n            mailer.send," in text


ENGINE = (
    "from sqlalchemy.ext.asyncio import {0}\n\nengine ="
    " create_async_engine('sqlite+aiosqlite:///shop.db')\n"
)
MANAGED = (
    "from contextlib import asynccontextmanager\n"
    + ENGINE.format("AsyncSession, create_async_engine")
    + "\n\n@asynccontextmanager\nasync def session_scope():\n    async with AsyncSession(engine) as"
    " session:\n        yield session\n        await session.commit()\n"
)
CLASSED = (
    ENGINE.format("AsyncSession, create_async_engine")
    + "Session = sessionmaker(engine, class_=AsyncSession)\n"
)
OPENED = {
    "a context manager that commits": (MANAGED, "    async with session_scope() as session:\n"),
    "an engine alone": (
        ENGINE.format("create_async_engine"),
        "    async with AsyncSession(engine) as session, session",
    ),
    "a sessionmaker of that class": (
        "from sqlalchemy.orm import sessionmaker\n" + CLASSED,
        "    async with Session() as session, session.begin():\n",
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_a_session_is_opened_as_the_repository_does(tmp_path: Path, name: str) -> None:
    module, line = OPENED[name]
    written = write(tmp_path, ASYNCIO, {"shop/db.py": module}, without=("shop/schema.py",))
    assert line in written.text(STORE)
    assert "F821" not in written.run("ruff", "check", "shop").stdout


def test_handlers_that_await_nothing_get_no_sessions_of_asyncio(tmp_path: Path) -> None:
    db = samples.files(ASYNCIO)["shop/db.py"]
    text = write(tmp_path, Combination("celery", store="sqlalchemy"), {"shop/db.py": db}).text(
        STORE
    )
    assert "async" not in text
    assert 'create_engine(os.environ.get("DATABASE_URL"' in text


def test_what_its_tests_need_is_said(tmp_path: Path) -> None:
    project = samples.files(ASYNCIO)["pyproject.toml"]
    for name, text in (("with", project), ("without", project.replace(', "aiosqlite"', ""))):
        notes = " ".join(write(tmp_path / name, ASYNCIO, {"pyproject.toml": text}).plan.notes)
        assert ("need aiosqlite" in notes) is (name == "without")


def test_the_proof_reaches_a_server_by_the_driver_of_asyncio(tmp_path: Path) -> None:
    files = samples.files(ASYNCIO)
    db = files["shop/db.py"].replace(
        "sqlite+aiosqlite:///shop.db", "postgresql+asyncpg://localhost/shop"
    )
    project = files["pyproject.toml"].replace("aiosqlite", "asyncpg")
    for name, more, url in (
        ("sqlite", {}, "sqlite+aiosqlite:///{scratch}/app.db"),
        (
            "server",
            {"shop/db.py": db, "pyproject.toml": project},
            "postgresql+asyncpg://{postgresql.user}@/",
        ),
    ):
        spec = json.loads(write(tmp_path / name, ASYNCIO, more).text(SPEC))
        assert spec["proof"]["env"]["DATABASE_URL"].startswith(url)


# -- what cannot be


def said(
    tmp_path: Path, combination: Combination = BASE, files: Mapping[str, str] | None = None
) -> str:
    root = helpers.build_tree(tmp_path / "repo", {**samples.files(combination), **(files or {})})
    return " ".join(finding.message for finding in plan(case_of(root)).missing)


DAILY = {"kind": "fixed", "base": "1d"}
REFUSED: dict[str, tuple[Combination, Mapping[str, str], str]] = {
    "a queue of dead letters": (replace(BASE, dead="queue"), {}, "no dead letters of its own"),
    "dead letters of arq's": (replace(BASE, dead="framework"), {}, "no dead letters of its own"),
    "no settings": (BASE, {WORKER: SENDS}, "no settings of an arq worker"),
    "settings beside the handler": (
        BASE,
        {
            TASKS: (
                f"{ARQ}async def sweep(ctx): ...\n\n\nclass WorkerSettings:\n    functions ="
                " [sweep]\n"
            ),
            WORKER: "",
        },
        "write handler: shop.",
    ),
    "a pool that nobody else can open": (
        BASE,
        {
            WORKER: worker(
                "    redis_pool = POOL\n", "from shop.queues import REDIS\n\nPOOL = object()\n"
            )
        },
        "give the settings redis_settings",
    ),
    "retries switched off": (
        BASE,
        {WORKER: worker("    redis_settings = REDIS\n    retry_jobs = False\n")},
        "retry_jobs is False",
    ),
    "retries that outlast a job": (
        BASE,
        {SPEC: json.dumps(samples.spec(BASE) | {"retry": {"max_attempts": 3, "backoff": DAILY}})},
        "expires a day after it was due",
    ),
    "a Django project": (
        replace(BASE, store="receiver", dead="none"),
        {"config/settings.py": 'INSTALLED_APPS = ["shop"]\n'},
        "know no Django project",
    ),
    "a transaction over an await": (
        replace(BASE, effect="transactional"),
        {
            "shop/bookings.py": (
                "async def book(connection, order_id: int, email: str) -> None: ...\n"
            )
        },
        "is not one of asyncio",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_arq_cannot_do_is_said_first(tmp_path: Path, name: str) -> None:
    combination, files, words = REFUSED[name]
    assert words in said(tmp_path, combination, files)


def test_nothing_is_said_of_what_it_can(tmp_path: Path) -> None:
    assert said(tmp_path) == ""
    assert said(tmp_path / "none", replace(BASE, dead="none", retry=False)) == ""


def test_handlers_that_await_nothing_get_no_coroutine_function_as_an_adapter(
    tmp_path: Path,
) -> None:
    files = {"shop/mailer.py": BLOCKING.replace("def send", "async def send")}
    assert "handlers of celery await nothing" in said(tmp_path, Combination("celery"), files)
    assert said(tmp_path / "arq", BASE, files) == ""


@pytest.mark.parametrize(
    ("field", "message", "refused"), [("redis", "kwargs", True), ("redis", "payload", False)]
)
def test_a_field_has_no_name_that_the_handler_needs(
    tmp_path: Path, field: str, message: str, refused: bool
) -> None:
    spec = samples.spec(replace(BASE, message=message))
    spec["payload"]["properties"][field] = {"type": "string"}
    assert (
        f"takes {field} for itself" in said(tmp_path, BASE, {SPEC: json.dumps(spec)})
    ) is refused


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
        replace(ASYNCIO, trigger="cron"),
        replace(ASYNCIO, effect="transactional"),
    ],
    ids=str,
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, broken(combination), "pytest", "-q")


def broken(combination: Combination) -> list[tuple[str, str, str]]:
    """What no test of the job may let through."""
    found = [(TASKS, "send_receipt_store.bury(message, repr(error))\n", "asyncio.sleep(0)\n")]
    found.append((TASKS, '"send_receipt",', '"send",'))
    found.append((WORKER, "func(send_receipt", "func(sweep"))
    if combination.retry:
        found += [
            (TASKS, "raise Retry(", "raise ValueError("),
            (WORKER, "SEND_RECEIPT_ATTEMPTS + 5", "3"),
        ]
    if combination.effect == "keyed":
        found.append((TASKS, "await mailer.send(", "dict("))
    else:
        found.append((TASKS, "bookings.book(", "dict("))
    if combination.trigger == "cron":
        found += [
            (TASKS, "_settle_send_receipt(message)\n", "asyncio.sleep(0)\n"),
            (TASKS, ':{order_id!r}"', '"'),
        ]
    return found
