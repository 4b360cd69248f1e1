"""`permanent-retried` over every library: the same handler is judged alike in all of them, since what
an `except` clause does is Python's and not the library's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from framework_shop import findings, opened
from receipt_job import SPEC

from skillrun.core.verdict import Severity
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.repo.uses import FrameworkUse

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
MAILER = """\
class Unavailable(Exception): ...
class BadAddress(Exception): ...
class Gone(Exception): ...
class Bounced(BadAddress): ...
class Wrapped(Exception): ...

def send(order_id): ...
"""


# Where a library is asked by a call to run the job again, nothing drops that.
DROPS_WHAT_IS_RAISED = frozenset(
    {
        "dropped with every error, also what its clause raises",
        "dropped within its clause",
        "a finally returns",
        "a finally further out returns",
        "a finally may return",
    }
)


@dataclass(frozen=True)
class Library:
    """How a job is written that is run again after any error."""

    tasks: str  # shop/tasks.py; `{body}` is the handler's
    again: str = "raise"  # a statement that has it run again for the error of its clause
    count: str = "attempts"  # the number of the attempt
    files: tuple[tuple[str, str], ...] = ()
    app: str = "shop/app.py:app"
    # (in tasks, instead of it): Bounced alone, a kind of BadAddress, is named to be run again.
    kind: tuple[str, str] | None = None

    @property
    def leaves(self) -> bool:
        """Whether whatever leaves the handler is run again."""
        return self.again == "raise"


LIBRARIES = {
    "celery": Library(
        tasks=(
            "from shop.app import app\n\n@app.task(bind=True, autoretry_for=(Exception,))\n"
            "def send_receipt(self, order_id):\n{body}"
        ),
        count="self.request.retries",
        files=(("shop/app.py", "from celery import Celery\napp = Celery('shop')\n"),),
        kind=("(Exception,)", "(mailer.Bounced,)"),
    ),
    "celery, by retry()": Library(
        tasks=(
            "from shop.app import app\n\n@app.task(bind=True)\n"
            "def send_receipt(self, order_id):\n{body}"
        ),
        again="raise self.retry(exc=error)",
        count="self.request.retries",
        files=(("shop/app.py", "from celery import Celery\napp = Celery('shop')\n"),),
    ),
    "arq": Library(
        tasks="from arq import Retry\n\nasync def send_receipt(ctx, order_id):\n{body}",
        again="raise Retry(defer=9) from error",
        count="ctx['job_try']",
        files=(
            (
                "shop/app.py",
                "from shop.tasks import send_receipt\n\nclass app:\n    functions ="
                " [send_receipt]\n",
            ),
        ),
    ),
    "saq": Library(
        tasks="async def send_receipt(ctx, order_id):\n{body}",
        count="ctx['job'].attempts",
        files=(
            (
                "shop/app.py",
                "from saq import Queue\nfrom shop import tasks\nqueue = Queue.from_url('redis:')\n"
                "app = {'queue': queue, 'functions': [tasks.send_receipt]}\n",
            ),
            (
                "shop/orders.py",
                "from shop.app import queue\n\nasync def settle(order_id):\n"
                "    await queue.enqueue('send_receipt', order_id=order_id, retries=5)\n",
            ),
        ),
    ),
    "dramatiq": Library(
        tasks="import dramatiq\n\n@dramatiq.actor(max_retries=4)\ndef send_receipt(order_id):\n{body}",
        files=(("shop/app.py", "import dramatiq\napp = dramatiq.get_broker()\n"),),
        kind=(
            "max_retries=4",
            "retry_when=lambda n, e: n < 4 and isinstance(e, mailer.Bounced)",
        ),
    ),
    "taskiq": Library(
        tasks=(
            "from shop.app import app\n\n@app.task(retry_on_error=True)\n"
            "async def send_receipt(order_id):\n{body}"
        ),
        files=(
            (
                "shop/app.py",
                "from taskiq import InMemoryBroker, SimpleRetryMiddleware\napp ="
                " InMemoryBroker().with_middlewares(SimpleRetryMiddleware(default_retry_count=5))\n",
            ),
        ),
        kind=("retry_on_error=True", "retry_on_error=True, types_of_exceptions=[mailer.Bounced]"),
    ),
    "huey": Library(
        tasks="from shop.app import app\n\n@app.task(retries=4)\ndef send_receipt(order_id):\n{body}",
        files=(("shop/app.py", "from huey import RedisHuey\napp = RedisHuey('shop')\n"),),
    ),
    "procrastinate": Library(
        tasks=(
            "from procrastinate import RetryStrategy\nfrom shop.app import app\n\n"
            "@app.task(retry=RetryStrategy(max_attempts=4), pass_context=True)\n"
            "def send_receipt(context, order_id):\n{body}"
        ),
        count="context.job.attempts",
        files=(
            (
                "shop/app.py",
                "import procrastinate\napp ="
                " procrastinate.App(connector=procrastinate.PsycopgConnector())\n",
            ),
        ),
        kind=("max_attempts=4", "max_attempts=4, retry_exceptions=[mailer.Bounced]"),
    ),
    "rq": Library(
        tasks="def send_receipt(order_id):\n{body}",
        files=(
            (
                "shop/app.py",
                "from redis import Redis\nfrom rq import Queue, Retry\nfrom shop.tasks import"
                " send_receipt\napp = Queue(connection=Redis())\n\ndef settle(order_id):\n"
                "    app.enqueue(send_receipt, order_id, retry=Retry(max=4))\n",
            ),
        ),
    ),
    "django-q2": Library(
        tasks="def send_receipt(order_id):\n{body}",
        files=(
            (
                "shop/app.py",
                "Q_CLUSTER = app = {'orm': 'default', 'timeout': 60, 'retry': 90, 'max_attempts':"
                " 5}\n",
            ),
        ),
        app="shop/app.py:Q_CLUSTER",
    ),
    "django-q2, by itself": Library(
        tasks=(
            "from django_q.tasks import async_task\n\ndef send_receipt(order_id, attempt=1):\n{body}"
        ),
        again="async_task('shop.tasks.send_receipt', order_id, attempt + 1)",
        count="attempt",
        files=(("shop/app.py", "Q_CLUSTER = {'orm': 'default', 'ack_failures': True}\n"),),
        app="shop/app.py:Q_CLUSTER",
    ),
    "django-tasks": Library(
        tasks=(
            "from django.tasks import task\n\n@task()\ndef send_receipt(order_id, nth=1):\n{body}"
        ),
        again="send_receipt.enqueue(order_id, nth=nth + 1)",
        count="nth",
        files=(
            (
                "shop/app.py",
                "TASKS = app = {'default': {'BACKEND': 'django_tasks_db.DatabaseBackend'}}\n",
            ),
        ),
        app="shop/app.py:TASKS",
    ),
}
# Libraries that run nothing again by themselves, so that there is nothing to say of an error.
WITHOUT = {
    "apscheduler": "an error ends the run, and the next one is the schedule's",
    "plain-cron": "an error ends the run, and the next one is the schedule's",
}
# A name -> (the handler's body, what is found). AGAIN has the job run again, COUNT is the number of
# the attempt.
HANDLERS: dict[str, tuple[str, list[Severity]]] = {
    "its own clause raises, a broad one beside it ends": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            AGAIN
        except Exception:
            return
        """,
        [ERROR],
    ),
    "its own clause raises into a broad one that ends": (
        """
        try:
            try:
                mailer.send(order_id)
            except mailer.BadAddress:
                raise
        except Exception:
            return
        """,
        [],
    ),
    "its own clause raises into a broad one that runs it again": (
        """
        try:
            try:
                mailer.send(order_id)
            except mailer.BadAddress:
                raise
        except Exception as error:
            AGAIN
        """,
        [ERROR],
    ),
    "one call is caught and the next is not": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress:
            return
        try:
            mailer.send(order_id + 1)
        except Exception as error:
            AGAIN
        """,
        [ERROR],
    ),
    "one call is not caught and the next is": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            AGAIN
        try:
            mailer.send(order_id + 1)
        except mailer.BadAddress:
            return
        """,
        [ERROR],
    ),
    "recorded before all others": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress:
            return
        except Exception as error:
            AGAIN
        """,
        [],
    ),
    "the number of the attempt decides": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            if COUNT >= 5:
                return
            AGAIN
        """,
        [ERROR],
    ),
    "a function decides of the error": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            if not should_retry(error):
                return
            AGAIN
        """,
        [NOTE],
    ),
    "a function decides of the error, otherwise": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            if is_passing(error):
                AGAIN
            return
        """,
        [NOTE],
    ),
    "dropped": (
        """
        with contextlib.suppress(mailer.BadAddress):
            mailer.send(order_id)
        """,
        [],
    ),
    "dropped where its own clause raises it": (
        """
        with contextlib.suppress(mailer.BadAddress):
            try:
                mailer.send(order_id)
            except mailer.BadAddress:
                raise
        """,
        [],
    ),
    "dropped with every error, also what its clause raises": (
        """
        with contextlib.suppress(Exception):
            try:
                mailer.send(order_id)
            except mailer.BadAddress as error:
                AGAIN
        """,
        [],
    ),
    "dropped within its clause": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            with contextlib.suppress(Exception):
                AGAIN
        """,
        [],
    ),
    "another error is dropped": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            with contextlib.suppress(KeyError):
                mailer.note(order_id)
            AGAIN
        """,
        [ERROR],
    ),
    "its own clause takes it before it could be dropped": (
        """
        try:
            with contextlib.suppress(mailer.BadAddress):
                try:
                    mailer.send(order_id)
                except mailer.BadAddress as error:
                    raise mailer.Wrapped() from error
        except mailer.Wrapped as error:
            AGAIN
        """,
        [ERROR],
    ),
    "a finally returns": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            AGAIN
        finally:
            return
        """,
        [],
    ),
    "a finally further out returns": (
        """
        try:
            try:
                mailer.send(order_id)
            except Exception as error:
                AGAIN
        finally:
            return
        """,
        [],
    ),
    "a finally returns without a clause": (
        """
        try:
            mailer.send(order_id)
        finally:
            return
        """,
        [],
    ),
    "a finally may return": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            AGAIN
        finally:
            if mailer.is_down():
                return
        """,
        [NOTE],
    ),
    "a finally that only tidies": (
        """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            AGAIN
        finally:
            mailer.close()
        """,
        [ERROR],
    ),
    "taken as one of its kind": (
        """
        try:
            mailer.send(order_id)
        except mailer.Bounced:
            return
        except Exception as error:
            AGAIN
        """,
        [ERROR],
    ),
    "a variable that was made of the error decides": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            should_retry = not isinstance(error, mailer.BadAddress)
            if not should_retry:
                return
            AGAIN
        """,
        [NOTE],
    ),
    "a variable that was made of the error decides, otherwise": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            retryable = mailer.is_passing(error)
            if retryable:
                AGAIN
            return
        """,
        [NOTE],
    ),
    "an entry that was found by the error decides": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            kind = type(error)
            entry = mailer.lookup(kind)
            if entry.permanent:
                return
            AGAIN
        """,
        [NOTE],
    ),
    "the error or the number of the attempt decides": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            is_bad = isinstance(error, mailer.BadAddress)
            if is_bad or COUNT >= 3:
                return
            AGAIN
        """,
        [NOTE],
    ),
    "the error and the number of the attempt decide": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            permanent = mailer.is_permanent(error)
            if not permanent and COUNT < 3:
                AGAIN
            return
        """,
        [NOTE],
    ),
    "a loop over the permanent ones leaves": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            for kind in (mailer.BadAddress, mailer.Gone):
                if isinstance(error, kind):
                    return
            AGAIN
        """,
        [NOTE],
    ),
    "a loop over the permanent ones is left": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            for kind in (mailer.BadAddress, mailer.Gone):
                if isinstance(error, kind):
                    break
            else:
                AGAIN
            return
        """,
        [NOTE],
    ),
    "a case that comes before leaves": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            match error:
                case mailer.BadAddress():
                    return
            AGAIN
        """,
        [NOTE],
    ),
    "a try within the clause sorts the errors": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            try:
                raise
            except mailer.BadAddress:
                return
            except Exception as error:
                AGAIN
        """,
        [NOTE],
    ),
    "a variable holds the number of the attempt": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            is_last = COUNT >= 5
            if is_last:
                return
            AGAIN
        """,
        [ERROR],
    ),
    "a loop that leaves nothing": (
        """
        try:
            mailer.send(order_id)
        except Exception as error:
            for name in ('mail', 'log'):
                if name:
                    mailer.note(name)
            AGAIN
        """,
        [ERROR],
    ),
    "no effect is found on the way": ("dispatch(order_id)", [NOTE]),
}


def find_retried(root: Path, name: str, body: str, permanent: tuple[str, ...]) -> list[Any]:
    """What the rule says of a handler with that body."""
    library = LIBRARIES[name]
    text = textwrap.dedent(body).replace("AGAIN", library.again).replace("COUNT", library.count)
    inner = textwrap.indent(text.strip("\n"), "    ") + "\n"
    files = {
        "shop/__init__.py": "",
        "shop/mailer.py": MAILER,
        "shop/tasks.py": "import contextlib\nfrom shop import mailer\n" + library.tasks,
        **dict(library.files),
    }
    files["shop/tasks.py"] = files["shop/tasks.py"].replace("{body}", inner)
    id_ = name.partition(",")[0]
    use = FrameworkUse(id_, app=library.app, apps=(library.app,))
    failures = {**SPEC["failures"], "permanent": [f"shop.mailer:{error}" for error in permanent]}
    shop = opened(root, FRAMEWORKS[id_], use, files)
    return findings(shop, "permanent-retried", {"failures": failures})


def test_every_library_has_a_row_or_a_reason() -> None:
    rows = {name.partition(",")[0] for name in LIBRARIES}
    assert rows | WITHOUT.keys() == FRAMEWORKS.keys()
    for name, framework in FRAMEWORKS.items():
        has_rule = f"{name}.permanent-retried" in {rule.id for rule in framework.list_rules()}
        assert has_rule == (name in rows), name


def list_cases() -> Iterator[tuple[str, str]]:
    """(library, handler) of all that are judged alike."""
    for name, library in LIBRARIES.items():
        for handler in HANDLERS:
            # Of a library that runs nothing again of itself, no unseen call is run again.
            if library.leaves or not handler.startswith("no effect"):
                yield name, handler


@pytest.mark.parametrize(("name", "handler"), list(list_cases()))
def test_a_handler_is_judged_alike(tmp_path: Path, name: str, handler: str) -> None:
    body, expected = HANDLERS[handler]
    if handler in DROPS_WHAT_IS_RAISED and not LIBRARIES[name].again.startswith("raise"):
        expected = [ERROR]
    found = find_retried(tmp_path / "shop", name, body, ("BadAddress",))
    assert [finding.severity for finding in found] == expected, found


@pytest.mark.parametrize("name", [name for name in LIBRARIES if not LIBRARIES[name].leaves])
def test_the_last_attempt_lets_it_through(tmp_path: Path, name: str) -> None:
    """The attempts before it were run again, however many `raise` there are."""
    body = """
        try:
            mailer.send(order_id)
        except Exception as error:
            if COUNT >= 3:
                raise
            AGAIN
        """
    found = find_retried(tmp_path / "shop", name, body, ("BadAddress",))
    assert [finding.severity for finding in found] == [ERROR], found


def test_retries_that_are_taken_from_one_error_alone(tmp_path: Path) -> None:
    body = """
        try:
            mailer.send(order_id)
        except Exception as error:
            if isinstance(error, mailer.Gone):
                job.retries_left = 0
            raise
        """
    found = find_retried(tmp_path / "shop", "rq", body, ("BadAddress",))
    assert [finding.severity for finding in found] == [NOTE], found


@pytest.mark.parametrize("name", LIBRARIES)
def test_each_permanent_error_is_told_once(tmp_path: Path, name: str) -> None:
    body = """
        try:
            mailer.send(order_id)
            mailer.send(order_id + 1)
        except Exception as error:
            AGAIN
        """
    found = find_retried(tmp_path / "shop", name, body, ("BadAddress", "Gone"))
    assert [finding.severity for finding in found] == [ERROR, ERROR]
    assert ["BadAddress" in found[0].message, "Gone" in found[1].message] == [True, True]


@pytest.mark.parametrize("name", LIBRARIES)
def test_another_error_that_is_raised_instead(tmp_path: Path, name: str) -> None:
    """It is run again by those that run whatever leaves the handler."""
    body = """
        try:
            mailer.send(order_id)
        except mailer.BadAddress as error:
            raise mailer.Wrapped from error
        """
    found = find_retried(tmp_path / "shop", name, body, ("BadAddress",))
    if not LIBRARIES[name].leaves:
        assert found == []
        return
    assert [finding.severity for finding in found] == [ERROR]
    assert "leaves the handler as shop.mailer.Wrapped" in found[0].message


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_kind_of_the_error_that_is_named(tmp_path: Path, name: str) -> None:
    """Whoever names what is run again may name a kind of what will not pass."""
    library = LIBRARIES[name]
    body = """
        try:
            mailer.send(order_id)
        except mailer.Bounced as error:
            AGAIN
        except mailer.BadAddress:
            return
        """
    if library.leaves:
        if library.kind is None:
            return
        body = f"mailer.send(order_id)  # {name}"
        LIBRARIES[f"{name}, of a kind"] = Library(
            tasks=library.tasks.replace(*library.kind), files=library.files, app=library.app
        )
        try:
            found = find_retried(tmp_path / "s", f"{name}, of a kind", body, ("BadAddress",))
        finally:
            del LIBRARIES[f"{name}, of a kind"]
    else:
        found = find_retried(tmp_path / "shop", name, body, ("BadAddress",))
    assert [finding.severity for finding in found] == [WARNING], found
    assert "shop.mailer.Bounced is run again here, and is a kind of" in found[0].message
