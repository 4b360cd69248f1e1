"""Where no test calls a job itself, the tests of what it calls show its message and its rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import CallSeen, DeliverySeen, EndSeen, SeenInTests
from skillrun.skills.job_worker.drafting.draft import Draft, draft_spec
from skillrun.skills.job_worker.drafting.observed import add_observed, choose_example
from skillrun.skills.job_worker.drafting.parts import (
    find_body,
    find_parts,
    list_needed,
)
from skillrun.skills.job_worker.drafting.rows_seen import is_told
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

THIN = """
    from shop.celery import app


    @app.task(name="shop.send_receipt")
    def send_receipt(order_id, email=None, **more):
        from shop.engine import send_order
        return send_order(order_id, to=email)
    """
ENGINE = """
    from shop import mailer


    def send_order(pk, to=None):
        return mailer.send(pk, to)
    """
MAILER = "def send(pk, to):\n    raise OSError('no network here')\n"
OF_ENGINE = """
    from unittest import mock

    from shop import engine


    def test_sends():
        with mock.patch("shop.mailer.send", return_value="m-1"):
            engine.send_order(7, to="a@example.com")
    """
HOLLOW = """
    from unittest import mock

    from shop import tasks


    def test_calls_the_engine():
        with mock.patch("shop.engine.send_order") as send:
            tasks.send_receipt.run(order_id=9)
        send.assert_called_once_with(9, to=None)
    """


def thin_shop(root: Path, **files: str) -> Path:
    shops.shop(root)
    (root / shops.SPEC).unlink()
    code = {"shop/tasks.py": THIN, "shop/engine.py": ENGINE, "shop/mailer.py": MAILER}
    helpers.write_files(root, {**code, "tests/test_only.py": OF_ENGINE, **files})
    return root


def read_draft(root: Path) -> tuple[Any, Any, Draft]:
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    return reader, job, draft_spec(reader, job)


def call(path: str, **changes: Any) -> CallSeen:
    plain: dict[str, Any] = {
        "path": path,
        "is_stand_in": False,
        "is_replaced": True,
        "wrote": False,
        "inside": (),
        "arguments": {},
        "returned": None,
        "raised": None,
        "error_args": (),
    }
    return CallSeen(**{**plain, **changes})


def delivery(number: int, arguments: dict[str, Any], *calls: CallSeen) -> DeliverySeen:
    return DeliverySeen(f"t.py::test_{number}", arguments, {}, (), (), None, True, calls)


def seen(*deliveries: DeliverySeen) -> SeenInTests:
    return SeenInTests(deliveries, {one.test: EndSeen(True, "", ()) for one in deliveries})


def test_what_the_handler_hands_on_is_a_part_of_it(home: Path, tmp_path: Path) -> None:
    reader, job, draft = read_draft(thin_shop(tmp_path / "shop"))
    (part,) = plan_watching(reader, job).parts
    assert part.import_path == "shop.engine:send_order"
    assert part.renamed == {"pk": "order_id", "to": "email"}
    assert part.tests == ("tests/test_only.py",)
    assert find_body(reader.project, job.handler) == "shop.engine:send_order"
    assert list_needed(draft, job.handler) == ("order_id",)


@pytest.mark.parametrize(
    ("body", "is_body"),
    [
        ("logger.info('sent')\n        engine.send_order(order_id)", True),
        ("with app.app_context():\n            engine.send_order(order_id)", True),
        ("order = find(order_id)\n        engine.send_order(order_id)", False),
        ("engine.send_order(order_id)\n        order.save()", False),
    ],
)
def test_a_handler_that_works_itself_calls_a_way_out(
    body: str, is_body: bool, home: Path, tmp_path: Path
) -> None:
    """A stand-in for what it calls is then an effect, although it is the only call of its kind."""
    head = "from shop import engine\n    from shop.celery import app\n\n\n    @app.task\n"
    code = f"\n    {head}    def send_receipt(order_id):\n        {body}\n    "
    reader, job, _ = read_draft(thin_shop(tmp_path / "shop", **{"shop/tasks.py": code}))
    found = find_body(reader.project, job.handler)
    assert (found is not None) == is_body


@pytest.mark.real
def test_tests_of_a_part_show_the_message(home: Path, tmp_path: Path) -> None:
    """One that replaces the whole job by a stand-in shows nothing of it."""
    root = thin_shop(
        tmp_path / "shop", **{"tests/test_only.py": HOLLOW, "tests/test_b.py": OF_ENGINE}
    )
    reader, job, _ = read_draft(root)
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    assert draft.values["payload"]["examples"] == [{"order_id": 7, "email": "a@example.com"}]
    assert [effect["call"] for effect in draft.values["effects"]] == ["shop.mailer:send"]
    assert any("tests call shop.engine:send_order" in guess for guess in draft.guesses)


def test_a_message_says_all_that_the_handler_needs() -> None:
    """An object that a test hands over is no message, and neither is a call without it."""
    whole = delivery(1, {"order_id": 7})
    other = delivery(2, {"order_id": {"?": "shop.models:Order"}}, call("shop.mailer:send"))
    without = delivery(3, {"email": "a"}, call("shop.mailer:send"))
    example = choose_example(seen(other, without, whole), ("order_id",))
    assert example is not None
    assert (example.first, example.does_something) == (whole, False)
    assert choose_example(seen(other, without), ("order_id",)) is None


def test_settings_that_a_test_changes_are_kept(home: Path, tmp_path: Path) -> None:
    reader, _, draft = read_draft(thin_shop(tmp_path / "shop"))
    draft.values["proof"] = {"env": {"DJANGO_SETTINGS_MODULE": "shop.settings"}}
    mail = call("django.core.mail.backends.locmem:EmailBackend.send_messages", is_replaced=False)
    usual = delivery(1, {"order_id": 7}, mail)
    changed = dataclasses.replace(usual, settings={"SHOP_PAUSED": False, "SHOP_KEYS": {"a": 1}})
    add_observed(draft, seen(changed), reader.project)
    setup = draft.values["proof"]["setup"]
    assert "SHOP_PAUSED = False" in setup
    assert "EMAIL_BACKEND = 'django.core.mail.backends.locmem.EmailBackend'" in setup
    # Braces are places of the spec.
    assert "SHOP_KEYS" not in setup
    assert [effect["call"] for effect in draft.values["effects"]] == [mail.path]
    # Of two, the one that changes nothing is as the job usually is.
    both = seen(dataclasses.replace(changed, test="t.py::a"), usual)
    example = choose_example(
        SeenInTests(both.deliveries, {**both.tests, "t.py::a": EndSeen(True, "", ())}), ()
    )
    assert example is not None
    assert example.first == usual


@pytest.mark.parametrize(
    ("table", "is_aside"),
    [
        ("django_yubin_log", True),
        ("order_history", True),
        ("django_dramatiq_task", True),
        ("django_celery_results_taskresult", True),
        ("logins", False),
        ("catalogue", False),
        ("orders", False),
    ],
)
def test_what_only_tells_is_no_state(table: str, is_aside: bool) -> None:
    assert is_told(table) is is_aside


def test_what_the_signature_asks_for_is_in_the_message(home: Path, tmp_path: Path) -> None:
    """Callers whose arguments are variables show less."""
    reader, _, draft = read_draft(thin_shop(tmp_path / "shop"))
    draft.values["message"] = "kwargs"
    draft.values["payload"] = {"properties": {"email": {}}, "required": [], "examples": [{}]}
    given = {"order_id": {"lines": [1]}, "email": "a", "trace": "x"}
    add_observed(draft, seen(delivery(1, given)), reader.project, ("order_id",))
    (example, *_) = draft.values["payload"]["examples"]
    assert example == {"order_id": {"lines": [1]}, "email": "a"}


def test_what_is_given_less_than_the_message_shows_no_message(tmp_path: Path) -> None:
    """With a default for each argument a handler could be called without any, and is not."""
    all_by_default = THIN.replace("(order_id, email=None, **more)", "(order_id=None, email=None)")
    opens = all_by_default.replace(
        "        from shop.engine import send_order\n",
        "        from shop.engine import connect, send_order\n        connect()\n",
    )
    engine = f"{ENGINE}\n    def connect():\n        return None\n"
    root = thin_shop(tmp_path / "repo", **{"shop/tasks.py": opens, "shop/engine.py": engine})
    test = OF_ENGINE.replace("with mock", "engine.connect()\n        with mock")
    helpers.write_files(root, {"tests/test_only.py": test})
    reader, job, draft = read_draft(root)
    needed = list_needed(draft, job.handler)
    parts = find_parts(reader.project, job.handler, needed)
    assert [part.name for part in parts] == ["send_order"]


def test_a_handler_that_hides_its_arguments_takes_some(home: Path, tmp_path: Path) -> None:
    """`**message` was taken for nothing, so that whatever it calls stood for the job."""
    tasks = """
        from celery import shared_task
        from shop import db


        @shared_task
        def load(**message):
            db.reading()


        @shared_task
        def purge():
            db.reading()
        """
    tests = "from shop import db, tasks\ndef test_reads():\n    db.reading()\n"
    files = {
        "shop/__init__.py": "",
        "shop/db.py": "def reading():\n    return []\n",
        "shop/tasks.py": tasks,
        "tests/test_db.py": tests,
    }
    project = open_reader(helpers.build_tree(tmp_path / "shop", files)).project
    found = {}
    for name in ("load", "purge"):
        handler = project.definition(f"shop.tasks.{name}")
        assert handler is not None
        found[name] = [part.import_path for part in find_parts(project, handler, ())]
    assert found == {"load": [], "purge": ["shop.db:reading"]}


def test_a_test_that_calls_the_job_itself_shows_it_best() -> None:
    """A part that it calls beforehand is not the job's first delivery."""
    part = dataclasses.replace(delivery(1, {}), through="shop.store:connect")
    whole = delivery(1, {})
    example = choose_example(seen(part, whole), ())
    assert example is not None
    assert example.first is whole
    alone = choose_example(seen(part), ())
    assert alone is not None
    assert alone.first is part
