"""Tests that reach a job in a way that their text does not show, and repositories whose tests do not
run as they are: without pytest, or with options of plug-ins that are missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import DeliverySeen, StoreSeen, Table
from skillrun.proof.fixtures.watch import Watched, watch_tests
from skillrun.skills.job_worker.drafting.rows_seen import list_told, write_state
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

FILES = {
    "shop/__init__.py": "",
    "shop/mailer.py": "def send(to):\n    raise OSError('no network here')\n",
    # It holds the adapter by a name of its own.
    "shop/tasks.py": (
        "from shop.mailer import send\n\n\ndef send_receipt(order_id):\n    return send(order_id)\n"
    ),
    "tests/__init__.py": "",
    "tests/test_receipts.py": """
        import unittest
        from unittest import mock

        from shop import mailer, tasks


        class ReceiptTest(unittest.TestCase):
            def test_sends(self):
                with mock.patch("shop.tasks.send", return_value="m-1"):
                    tasks.send_receipt(7)

            def test_fails(self):
                with self.assertRaises(OSError):
                    tasks.send_receipt(8)

            def test_is_broken(self):
                tasks.send_receipt(9)


        class NotSetUpTest(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                raise RuntimeError("no server")

            def test_nothing(self): ...
        """,
}


def watched_shop(root: Path, **files: str) -> Watched:
    texts = {**FILES, **files}
    helpers.build_tree(root, {name: textwrap.dedent(text) for name, text in texts.items()})
    return Watched(
        root=root,
        files=tuple(texts),
        python=sys.executable,
        handler=("shop/tasks.py", "send_receipt"),
        effects=("shop.mailer:send",),
        tests=("tests/test_receipts.py",),
        test_code=("tests/test_receipts.py",),
    )


def show_ends(watched: Watched) -> tuple[dict[int, str | None], dict[str, bool]]:
    """(the order of each delivery -> how it ended, the last word of each test -> whether it
    passed).
    """
    seen = watch_tests(watched)
    raised = {one.arguments["order_id"]: one.raised for one in seen.deliveries}
    # "test_receipts.ReceiptTest.test_sends", or "...::test_sends".
    ends = {
        name.replace("::", ".").rpartition(".")[2]: seen.tests[name].passed for name in seen.tests
    }
    return raised, ends


RAISED = {7: None, 8: "builtins:OSError", 9: "builtins:OSError"}
ENDS = {"test_sends": True, "test_fails": True, "test_is_broken": False}


@pytest.mark.real
def test_an_interpreter_without_pytest_runs_them_with_unittest(home: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    watched = watched_shop(tmp_path / "shop")
    bare = replace(watched, python=str(tmp_path / "bare/bin/python"))
    assert show_ends(bare) == (RAISED, ENDS)
    assert show_ends(watched) == (RAISED, ENDS)


@pytest.mark.real
def test_tests_that_need_pytest_say_so(home: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    needing = "import pytest\nfrom shop import tasks\ndef test_a(): tasks.send_receipt(7)\n"
    watched = watched_shop(tmp_path / "shop", **{"tests/test_receipts.py": needing})
    found = watch_tests(replace(watched, python=str(tmp_path / "bare/bin/python")))
    assert found.problem is not None
    assert "No module named 'pytest'" in found.problem


@pytest.mark.real
def test_options_of_a_missing_plug_in_are_left_out(home: Path, tmp_path: Path) -> None:
    ini = {"pytest.ini": "[pytest]\naddopts = --no-such-measure shop\n"}
    assert show_ends(watched_shop(tmp_path / "shop", **ini)) == (RAISED, ENDS)


@pytest.mark.real
def test_an_adapter_is_seen_under_the_name_by_which_the_job_holds_it(
    home: Path, tmp_path: Path
) -> None:
    seen = watch_tests(watched_shop(tmp_path / "shop"))
    called = {}
    for one in seen.deliveries:
        called[one.arguments["order_id"]] = [(call.path, call.is_replaced) for call in one.calls]
    assert called[8] == [("shop.mailer:send", False)]


BY_AN_OBJECT = """
    from shop import mailer, tasks


    class World:
        def deliver(self, order_id, text=None):
            return "m-1"


    def test_sends(monkeypatch):
        monkeypatch.setattr(tasks, "send", World().deliver)
        tasks.send_receipt(7)
    """


@pytest.mark.real
def test_a_method_of_a_test_is_told_by_whose_place_it_takes(home: Path, tmp_path: Path) -> None:
    """Its own name says nothing of the adapter, which then seemed not to be called."""
    seen = watch_tests(watched_shop(tmp_path / "shop", **{"tests/test_receipts.py": BY_AN_OBJECT}))
    (one,) = seen.deliveries
    called = {call.path: call.arguments for call in one.calls}
    assert called["shop.tasks:send"] == {"order_id": 7}


UNSEEN = {
    "app/__init__.py": "",
    "app/mailer.py": "def send(to, text):\n    raise OSError('no network here')\n",
    "app/tasks.py": """
        from celery import shared_task

        from app import mailer


        @shared_task
        def greet(name):
            return mailer.send(name, "hello")
        """,
    # As a signal does: who calls it says nothing of what is called.
    "app/signals.py": """
        import importlib


        def fire(name):
            getattr(importlib.import_module("app.tasks"), "greet")(name)
        """,
    "tests/test_signals.py": """
        from unittest import mock

        from app import signals


        def test_fires():
            with mock.patch("app.mailer.send", return_value=None):
                signals.fire("ann")
        """,
}


@pytest.mark.real
def test_tests_that_reach_a_job_unseen_are_its_fixtures(home: Path, tmp_path: Path) -> None:
    files = {name: textwrap.dedent(text) for name, text in UNSEEN.items()}
    reader = open_reader(helpers.build_tree(tmp_path / "repo", files))
    job = find_job(reader.jobs, "greet")
    assert job is not None
    watched = plan_watching(reader, job)
    assert (watched.tests, watched.others) == ((), ("tests/test_signals.py",))
    draft, _ = draft_observed(reader, job, watched)
    assert draft.values["payload"]["examples"][0] == {"name": "ann"}


# It remembers in a Redis what it has sent, and says nothing to it of where that is.
REMEMBERING = {
    "shop/tasks.py": """
        import redis
        from celery import Celery

        from shop import mailer

        app = Celery("shop")


        @app.task(acks_late=True)
        def send_receipt(order_id):
            sent = redis.Redis(host="localhost")
            if sent.sadd("sent", order_id):
                mailer.send(order_id)
        """,
    "tests/test_receipts.py": """
        from unittest import mock

        from shop import tasks


        def test_sends():
            with mock.patch("shop.mailer.send", return_value="m-1"):
                tasks.send_receipt(7)
        """,
}


@pytest.mark.real
def test_tests_that_look_for_a_redis_get_a_private_one(home: Path, tmp_path: Path) -> None:
    files = {**FILES, **REMEMBERING}
    texts = {name: textwrap.dedent(text) for name, text in files.items()}
    reader = open_reader(helpers.build_tree(tmp_path / "repo", texts))
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    assert draft.values["proof"]["services"] == ["redis"]
    assert [one["call"] for one in draft.values["effects"]] == ["shop.mailer:send"]


PREPARED = {
    "shop/limits.py": "PER_ORDER = {}\n",
    "shop/tasks.py": """
        from celery import Celery

        from shop import limits, mailer

        app = Celery("shop")


        @app.task
        def send_receipt(order_id):
            if order_id < 10:
                mailer.send(order_id, limits.PER_ORDER[order_id])
            else:
                mailer.send(order_id, 1)
        """,
    "shop/mailer.py": "def send(to, copies):\n    raise OSError('no network here')\n",
    "tests/test_receipts.py": """
        from unittest import mock

        from shop import limits, tasks


        @mock.patch("shop.mailer.send", autospec=True)
        def test_sends_as_prepared(send):
            limits.PER_ORDER[7] = 2
            tasks.send_receipt(7)


        @mock.patch("shop.mailer.send", autospec=True)
        def test_sends(send):
            tasks.send_receipt(12)
        """,
}


@pytest.mark.real
def test_an_example_that_does_not_run_through_gives_way(home: Path, tmp_path: Path) -> None:
    files = {name: textwrap.dedent(text) for name, text in {**FILES, **PREPARED}.items()}
    root = helpers.build_tree(tmp_path / "repo", files)
    done = helpers.run_cli("prove", "send_receipt", "--trust", "--json", cwd=root)
    report = json.loads(done.stdout)
    assert report["schedules"]["total"] > 20, report["incomplete"]
    assert "order_id: 12" in report["drafted"]["spec"]
    assert any(
        "test_sends_as_prepared the job does not" in one for one in report["drafted"]["guesses"]
    )


# -- a job that tidies up


def told_by(rows: tuple[Any, ...]) -> tuple[StoreSeen, ...]:
    columns = (("id", "TEXT", True), ("at", "TEXT", False))
    return (StoreSeen("app.db", "", {"audit_log": Table(columns, rows)}),)


def test_rows_that_a_job_deletes_are_its_work_although_they_only_tell() -> None:
    before, after = told_by((("a'1", "x"), ("b", "y"))), told_by((("b", "y"), ("c", "z")))
    deleting = DeliverySeen("t", {}, {}, before, after, None, True)
    state = write_state([deleting], "app.db")
    # What it tells of itself meanwhile is not asked for.
    asked = "select id from audit_log where id in ('a''1', 'b') order by 1"
    assert state == {"audit_log": asked}
    assert list_told([deleting], "app.db", state) == []
    adding = replace(deleting, after=told_by((("a'1", "x"), ("b", "y"), ("c", "z"))))
    assert write_state([adding], "app.db") == {}
    assert list_told([adding], "app.db") == ["audit_log"]


GENERATED = {
    ".gitignore": "_version.py\n",
    "shop/__init__.py": "from . import _version\n\nVERSION = _version.version\n",
    "shop/mailer.py": "def send(name): ...\n",
    "shop/tasks.py": """
        from celery import Celery

        from shop import mailer

        app = Celery("shop")


        @app.task
        def greet(name):
            mailer.send(name)
        """,
    "tests/test_greet.py": """
        from shop.tasks import greet


        def test_greets():
            greet("an" + "n")
        """,
}


@pytest.mark.real
def test_a_module_that_a_build_wrote_is_there_for_the_tests(home: Path, tmp_path: Path) -> None:
    """Git ignores it, and the package does not import without."""
    files = {name: textwrap.dedent(text) for name, text in GENERATED.items()}
    root = helpers.build_tree(tmp_path / "repo", files)
    (root / "shop/_version.py").write_text("version = '1.0'\n")
    reader = open_reader(root)
    job = find_job(reader.jobs, "greet")
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.seen["payload.examples"].startswith("delivered by tests/test_greet.py")
