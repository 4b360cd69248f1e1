"""Tests are watched in a copy: decorators in it, real tests, the rows that are kept, the command."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from watched_deliveries import delivery, observe, seen, store

from skillrun.cli.commands.drafts import _keep_draft
from skillrun.cli.commands.jobs import open_reader
from skillrun.contract.spec import load_spec
from skillrun.core.errors import Blocked
from skillrun.frameworks.common.reading import import_path, spell_import_path
from skillrun.proof.fixtures.load import read_fixture
from skillrun.proof.fixtures.marking import mark_handler, mark_stand_ins
from skillrun.proof.fixtures.seen import SeenInTests
from skillrun.proof.fixtures.watch import watch_tests
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.skills.job_worker.drafting.annotated import write_annotated
from skillrun.skills.job_worker.drafting.draft import Draft, draft_spec
from skillrun.skills.job_worker.drafting.observed import add_observed
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

# -- decorators in the copy


def test_the_handler_and_the_method_that_runs_are_marked() -> None:
    function = "@task\ndef f(x):\n    return x\n"
    marked = mark_handler(function, "f")
    assert marked.splitlines()[0] == "@task"
    assert ".delivery" in marked.splitlines()[1]
    of_class = mark_handler("class T(Task):\n    name = 'x'\n    def run(self): ...\n", "T")
    assert of_class.splitlines()[2].startswith("    @__import__(")
    assert mark_handler(function, "g") == function


def test_functions_of_a_test_file_are_marked_and_tests_and_fixtures_are_not() -> None:
    text = (
        "import pytest\n@pytest.fixture\ndef db(): ...\nclass Fake:\n    async def send(self): ...\n"
        "def test_a():\n    def refuse(): ...\n"
    )
    marked = mark_stand_ins(text, "tests/test_a.py")
    names = [line.partition('stand_in("')[2].strip('")') for line in marked.splitlines()]
    assert [name for name in names if name] == [
        "tests/test_a.py:Fake.send",
        "tests/test_a.py:test_a.refuse",
    ]
    ast.parse(marked)


def test_a_dotted_name_is_spelt_as_an_import_path() -> None:
    assert spell_import_path("requests.post") == "requests:post"
    assert spell_import_path("smtplib.SMTP.sendmail") == "smtplib:SMTP.sendmail"


def test_an_error_within_a_model_is_named_by_that_model(shop: Path) -> None:
    """Django makes a DoesNotExist for each model: that of its base is another one, or none."""
    helpers.write_files(
        shop,
        {
            "shop/models.py": """
                from django.db import models


                class Order(models.Model):
                    pass
                """,
            "shop/paid.py": """
                from shop import models


                def pay(order_id):
                    try:
                        models.Order.objects.get(pk=order_id)
                    except models.Order.DoesNotExist:
                        raise
                """,
        },
    )
    project = open_reader(shop).project
    module = project.module("shop/paid.py")
    assert module is not None
    handlers = [one for one in ast.walk(module.tree) if isinstance(one, ast.ExceptHandler)]
    (name,) = project.exception_names(handlers[0].type, module)
    assert import_path(project, name) == "shop.models:Order.DoesNotExist"


# -- real tests, watched


@pytest.mark.real
def test_the_example_shop_is_drafted_from_its_tests(home: Path, tmp_path: Path) -> None:
    import fixtures_repos

    root = fixtures_repos.example_shop(tmp_path / "shop")
    (spec,) = (root / ".skillrun/jobs").glob("*.yaml")
    wanted = load_spec(spec)
    spec.unlink()
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    watched = plan_watching(reader, job)
    draft, fixtures = draft_observed(reader, job, watched)
    assert fixtures is not None
    assert "CREATE TABLE" in fixtures.script
    text = tmp_path / "drafted.yaml"
    text.write_text(write_annotated(draft))
    drafted = load_spec(text)
    assert [one.call for one in drafted.effects or ()] == [one.call for one in wanted.effects or ()]
    assert drafted.dead_letter == wanted.dead_letter
    assert drafted.proof is not None
    assert set(drafted.proof.state) >= {"receipts"}
    assert helpers.git(root, "status", "--short", "--", ":!.skillrun") == ""


CLIENT = """
    class Client:
        def post(self, url, headers, json):
            raise OSError("no network here")


    client = Client()
"""
OF_CLIENT = """
    from unittest import mock

    from shop import client, tasks


    def test_posts():
        answer = mock.Mock(status_code=201)
        answer.json.return_value = {"id": "m-1"}
        with mock.patch.object(client.client, "post", return_value=answer):
            client.client.post("/", {}, {})
            tasks.send_receipt.run(order_id=7, email="a@example.com")
"""


@pytest.mark.real
def test_a_client_that_a_module_holds_is_seen(home: Path, tmp_path: Path) -> None:
    """With the key within its headers, and the answer of a mock as a response."""
    root = shops.shop(tmp_path / "shop")
    handler = """
        from shop.celery import app
        from shop.client import client


        @app.task(name="shop.send_receipt")
        def send_receipt(order_id, email):
            key = f"receipt-{order_id}"
            client.post("/receipts", headers={"Idempotency-Key": key}, json={"to": email})
        """
    files = {"shop/client.py": CLIENT, "shop/tasks.py": handler, "tests/test_only.py": OF_CLIENT}
    helpers.write_files(root, files)
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft, _ = draft_observed(reader, job, plan_watching(reader, job))
    (effect,) = draft.values["effects"]
    assert effect["call"] == "shop.client:Client.post"
    assert effect["key_arg"] == "headers.Idempotency-Key"
    assert effect["returns"] == {"http": {"status": 201, "json": {"id": "m-1"}}}


@pytest.mark.real
def test_settings_of_django_get_their_database_in_the_scratch(shop: Path) -> None:
    """Their tests run on one in memory, which no process of a proof would share."""
    reader = open_reader(shop)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft = draft_spec(reader, job)
    draft.values["proof"] = {"env": {"DJANGO_SETTINGS_MODULE": "shop.settings"}}
    memory = "file:memorydb_default?mode=memory&cache=shared"
    one = delivery(environ={}, before=(store(0, memory),), after=(store(1, memory),))
    assert add_observed(draft, seen(one), reader.project) is not None
    proof = draft.values["proof"]
    assert proof["env"] == {"DJANGO_SETTINGS_MODULE": "proof_settings", "PYTHONPATH": "{scratch}"}
    assert proof["database"] == "{scratch}/app.db"
    folder = shop / "scratch"
    folder.mkdir()
    command = proof["setup"].replace("{scratch}", str(folder))
    subprocess.run(["sh", "-c", command], check=True)
    lines = (folder / "proof_settings.py").read_text().splitlines()
    assert lines[0] == "from shop.settings import *"
    assert f"NAME='{folder}/app.db'" in lines[1]
    ast.parse("\n".join(lines))


BAD: dict[str, tuple[str, str]] = {
    "fails": ("def test_a():\n    import no_such_module\n", "tests fail"),
    "cannot be collected": ("import no_such_module\ndef test_a(): ...\n", "no_such_module"),
    "calls nothing": ("def test_a(): ...\n", "none of them calls the handler"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", BAD)
def test_tests_that_show_nothing_are_answered_with_one_line(
    name: str, home: Path, tmp_path: Path
) -> None:
    text, said = BAD[name]
    root = shops.shop(tmp_path / "shop")
    helpers.write_files(root, {"tests/test_only.py": text})
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    plan = plan_watching(reader, job)
    watched = type(plan)(**{**vars(plan), "tests": ("tests/test_only.py",)})
    found = watch_tests(watched)
    assert found.deliveries == ()
    assert found.problem is not None
    assert said in found.problem


def test_no_test_that_reaches_the_handler_starts_nothing(shop: Path) -> None:
    reader = open_reader(shop)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    plan = plan_watching(reader, job)
    watched = type(plan)(**{**vars(plan), "tests": ()})
    assert watch_tests(watched).problem == "no test reaches the handler"


UNKEYED_JOB = """
    import requests
    from celery import Celery

    app = Celery("b")


    @app.task
    def ping(x):
        requests.post("https://a.example/x", json={"x": x}, timeout=3)
    """
KEYED_JOB = UNKEYED_JOB.replace("ping(x)", "pong(x)").replace(
    'requests.post("https://a.example/x", json={"x": x}, timeout=3)',
    "deliver(x, idempotency_key=str(x))",
)
DELIVER = """


    def deliver(x, idempotency_key):
        requests.post("https://a.example/x", json={"x": x}, timeout=3)
    """
SHOW_NOTHING = {
    "no test": SeenInTests(problem="no test reaches the handler"),
    "a test that fails": SeenInTests(problem="the tests fail (exit 1)"),
    "the job is replaced": seen(delivery(raised="builtins:RuntimeError")),
}


def draft_of_pings(root: Path, job: str, shown: SeenInTests, **more: bool) -> Draft:
    """The draft of a job that calls out, as its tests show nothing of it."""
    helpers.build_tree(root, {"jobs.py": UNKEYED_JOB, "others.py": KEYED_JOB + DELIVER})
    reader = open_reader(root)
    found = find_job(reader.jobs, job)
    assert found is not None
    watched = plan_watching(reader, found)
    return draft_observed(reader, found, watched, lambda _: shown, **more)[0]


@pytest.mark.parametrize("name", SHOW_NOTHING)
def test_an_effect_without_a_key_is_a_guess_however_little_the_tests_show(
    name: str, home: Path, tmp_path: Path
) -> None:
    draft = draft_of_pings(tmp_path / "repo", "ping", SHOW_NOTHING[name])
    (effect,) = draft.values["effects"]
    assert (effect["guarantee"], effect["reason"]) == ("at_least_once", UNKEYED)
    assert "effects: post: at_least_once: it takes no key" in draft.guesses
    assert not any("takes no key" in decision for decision in draft.decisions)


def test_a_person_decides_on_a_draft_that_tests_show_nothing_of(home: Path, tmp_path: Path) -> None:
    shown = SHOW_NOTHING["no test"]
    draft = draft_of_pings(tmp_path / "repo", "ping", shown, guesses=False)
    assert "guarantee" not in draft.values["effects"][0]
    assert [one for one in draft.decisions if "takes no key" in one]


def test_an_effect_with_a_key_is_keyed_where_tests_show_nothing(home: Path, tmp_path: Path) -> None:
    draft = draft_of_pings(tmp_path / "repo", "pong", SHOW_NOTHING["no test"])
    assert draft.values["effects"][0]["guarantee"] == "keyed"
    assert [one for one in draft.guesses if "keyed" in one]


REPLACED = {
    "the records": (
        "import os, pathlib, skillrun_watching.records as w\n"
        "os.remove(w.SETTINGS['out']); os.symlink('/etc/passwd', w.SETTINGS['out'])\n"
        "def test_a(): ...\n"
    ),
    "their folder": (
        "import os, pathlib, skillrun_watching.records as w\n"
        "inside = pathlib.Path(w.SETTINGS['out']).parent\n"
        "inside.rename(inside.with_name('x')); os.symlink('/etc', inside)\n"
        "def test_a(): ...\n"
    ),
    "a pipe": (
        "import os, skillrun_watching.records as w\n"
        "os.remove(w.SETTINGS['out']); os.mkfifo(w.SETTINGS['out'])\n"
        "def test_a(): ...\n"
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REPLACED)
def test_what_the_tests_put_in_the_place_of_the_records_is_not_read(
    name: str, home: Path, tmp_path: Path
) -> None:
    root = shops.shop(tmp_path / "shop")
    helpers.write_files(root, {"tests/test_only.py": REPLACED[name]})
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    plan = plan_watching(reader, job)
    found = watch_tests(type(plan)(**{**vars(plan), "tests": ("tests/test_only.py",)}))
    assert found.deliveries == ()
    assert found.problem is not None


# -- the rows of a spec


def with_fixture(root: Path, content: str, **changes: str) -> Any:
    from skillrun.contract.job import Fixture

    file = root / "rows.sql"
    file.write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Fixture(**{"file": "rows.sql", "sha256": digest, **changes})


def test_rows_are_bound_to_their_digest(home: Path, tmp_path: Path) -> None:
    fixture = with_fixture(tmp_path, "create table a (b);")
    assert read_fixture(tmp_path, fixture) == b"create table a (b);"
    (tmp_path / "rows.sql").write_text("create table a (c);")
    with pytest.raises(Blocked) as refused:
        read_fixture(tmp_path, fixture)
    assert "holds other rows than the spec means" in refused.value.message
    assert refused.value.hint is not None
    assert "write: sha256: " in refused.value.hint


@pytest.mark.parametrize("file", ["../rows.sql", "/etc/hostname", "link.sql"])
def test_rows_from_elsewhere_are_refused(file: str, home: Path, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "link.sql").symlink_to("/etc/hostname")
    fixture = with_fixture(root, "x", file=file)
    with pytest.raises(Blocked, match="lies outside of the repository"):
        read_fixture(root, fixture)


def test_rows_that_are_not_there(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Blocked, match=r"(?i)no such file"):
        read_fixture(tmp_path, with_fixture(tmp_path, "x", file="other.sql"))


# -- the command


@pytest.mark.real
def test_a_job_without_a_spec_is_proved_and_nothing_is_written(tmp_path: Path) -> None:
    import fixtures_repos

    root = fixtures_repos.example_shop(tmp_path / "shop")
    (spec,) = (root / ".skillrun/jobs").glob("*.yaml")
    spec.unlink()
    helpers.commit(root, "No spec")
    asked = helpers.run_cli("prove", "shop.tasks:send_receipt", cwd=root)
    assert asked.returncode == 3
    assert "pytest tests/" in asked.stderr
    done = helpers.run_cli("prove", "send_receipt", "--trust", "--json", cwd=root)
    report = json.loads(done.stdout)
    assert (done.returncode, report["verdict"]) == (0, "proved"), done.stdout[:3000]
    assert "handler: shop.tasks:send_receipt" in report["drafted"]["spec"]
    assert helpers.git(root, "status", "--short") == ""
    for risk in report["risks"]:
        assert risk["replay"].startswith("skillrun prove send_receipt --schedule")


@pytest.mark.real
def test_a_job_whose_message_nobody_knows_is_one_line(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "",
        "app/tasks.py": (
            "from celery import shared_task\n\n\n@shared_task\ndef work(**fields):\n    ...\n"
        ),
        "tests/test_work.py": (
            "import no_such_module\nfrom app.tasks import work\n\n\n"
            "def test_work():\n    work(**no_such_module.made)\n"
        ),
    }
    root = helpers.build_tree(tmp_path / "repo", files)
    done = helpers.run_cli("prove", "work", "--trust", cwd=root)
    assert done.returncode == 3
    assert "no message of app.tasks:work is known: the tests" in done.stderr
    assert "no_such_module" in done.stderr
    assert "skillrun spec init --from app.tasks:work" in done.stderr


@pytest.mark.real
def test_drafts_of_two_repositories_are_two_files(shop: Path) -> None:
    """Both may have a job of this name, and be proved at once: each would prove the other's."""
    draft = observe(shop, seen(delivery()))
    here, there = (_keep_draft(draft, None, Path(root)) for root in ("/a", "/b"))
    assert here != there
    draft.values["handler"] = "shop.other:send_receipt"
    assert _keep_draft(draft, None, Path("/a")) != here


@pytest.mark.real
def test_a_job_that_is_not_there(shop: Path) -> None:
    done = helpers.run_cli("prove", "nope", cwd=shop)
    assert done.returncode == 2
    assert "jobs here: shop.tasks:send_receipt" in done.stderr


def test_a_handler_and_a_spec_are_two_answers(shop: Path) -> None:
    done = helpers.run_cli("prove", "send_receipt", "--spec", "x.yaml", cwd=shop)
    assert done.returncode == 2
    assert "which of them?" in done.stderr


@pytest.mark.real
def test_the_interpreter_that_a_person_names_is_the_one_of_the_tests_too(shop: Path) -> None:
    """Before anybody is asked whether they may run."""
    named = ("--set", "proof.python=.nowhere/bin/python")
    done = helpers.run_cli("prove", "send_receipt", *named, cwd=shop)
    assert done.returncode == 3
    assert "there is no interpreter .nowhere/bin/python" in done.stderr
    drafted = helpers.run_cli("spec", "init", "--from", "send_receipt", *named, cwd=shop)
    assert drafted.returncode == 3
    assert "there is no interpreter .nowhere/bin/python" in drafted.stderr
