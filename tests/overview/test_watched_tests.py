"""The repository's own tests are watched: what they show becomes the draft of a spec."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import helpers
import pytest
import shops

from skillrun.cli.commands.drafts import _keep_draft
from skillrun.cli.commands.jobs import open_reader
from skillrun.contract.spec import load_spec
from skillrun.core.errors import Blocked
from skillrun.frameworks.common.reading import import_path, spell_import_path
from skillrun.proof.fixtures.load import read_fixture
from skillrun.proof.fixtures.marking import mark_handler, mark_stand_ins
from skillrun.proof.fixtures.seen import CallSeen, DeliverySeen, EndSeen, Seen, StoreSeen, Table
from skillrun.proof.fixtures.watch import watch_tests
from skillrun.skills.job_worker.drafting.annotated import write_annotated
from skillrun.skills.job_worker.drafting.classify import classify_effects, classify_errors
from skillrun.skills.job_worker.drafting.draft import Draft, draft_spec
from skillrun.skills.job_worker.drafting.observed import add_observed
from skillrun.skills.job_worker.drafting.rows_seen import write_state
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

SENT = "sent"
SEND = "shop.mailer:send"


def table(*rows: tuple[Any, ...]) -> Table:
    columns = (("id", "INTEGER", True), ("order_id", "INTEGER", False), ("at", "TEXT", False))
    return Table(columns, rows)


def store(rows: int, name: str = "/tmp/pytest-1/app.db", dead: int = 0) -> StoreSeen:
    made = [(number, 7 + number, "2026-01-02 03:04:05") for number in range(rows)]
    lost = [(number, 7, "2026-01-02") for number in range(dead)]
    tables = {SENT: table(*made), "dead_jobs": table(*lost)}
    return StoreSeen(name, "create table sent (id);", tables)


def call(**changes: Any) -> CallSeen:
    given = {"order_id": 7, "idempotency_key": "order-7"}
    plain: dict[str, Any] = {
        "path": SEND,
        "is_stand_in": False,
        "is_replaced": True,
        "wrote": False,
        "inside": (),
        "arguments": given,
        "returned": "m-1",
        "raised": None,
        "error_args": (),
    }
    return CallSeen(**{**plain, **changes})


def delivery(**changes: Any) -> DeliverySeen:
    plain: dict[str, Any] = {
        "test": "tests/test_x.py::test_sends",
        "arguments": {"order_id": 7},
        "environ": {"SHOP_DB": "/tmp/pytest-1/app.db", "TZ": "UTC"},
        "before": (store(0),),
        "after": (store(1),),
        "raised": None,
        "is_ended": True,
        "calls": (call(),),
    }
    return DeliverySeen(**{**plain, **changes})


def seen(*deliveries: DeliverySeen) -> Seen:
    tests = {one.test: EndSeen(True, "", one.after) for one in deliveries}
    return Seen(deliveries, tests)


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Path:
    """The shop with tests of its job, and without a spec."""
    root = shops.shop(tmp_path / "shop")
    (root / shops.SPEC).unlink()
    return root


def observe(root: Path, what: Seen, **options: Any) -> Draft:
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_receipt")
    assert job is not None
    draft = draft_spec(reader, job)
    add_observed(draft, what, reader.project, **options)
    draft.name_places()
    return draft


# -- what is seen becomes the draft


def test_rows_messages_and_answers_are_the_fixtures(shop: Path) -> None:
    draft = observe(shop, seen(delivery()))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    assert draft.values["effects"][0]["returns"] == "m-1"
    proof = draft.values["proof"]
    assert proof["env"]["SHOP_DB"] == "{scratch}/app.db"
    assert "TZ" not in proof["env"]
    # Neither the number that the database gives, nor a time, is the same in two runs.
    assert proof["state"] == {SENT: "select order_id, at is not null from sent order by 1, 2"}
    assert "setup" not in proof
    assert draft.seen["payload.examples"] == "delivered by tests/test_x.py::test_sends"


def test_two_jobs_of_one_test_are_two_examples(shop: Path) -> None:
    other = delivery(arguments={"order_id": 8}, before=(store(1),), after=(store(2),))
    alone = delivery(test="tests/test_x.py::test_alone", arguments={"order_id": 3})
    draft = observe(shop, seen(alone, delivery(), other))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}, {"order_id": 8}]


def test_a_column_of_the_message_is_no_count_of_tries() -> None:
    """An answer that comes late may leave an older version than the job's."""
    columns = (("meter", "TEXT", True), ("version", "INTEGER", False))
    before = StoreSeen("app.db", "", {SENT: Table(columns, ())})
    after = StoreSeen("app.db", "", {SENT: Table(columns, (("M-1", 2),))})
    changed = delivery(before=(before,), after=(after,))
    assert write_state([changed], "app.db", ["version"])[SENT].startswith("select meter, version ")
    assert write_state([changed], "app.db")[SENT].startswith("select meter from")


@pytest.mark.parametrize(
    "changes",
    [
        {"raised": "builtins:ValueError"},
        {"is_ended": False},
        {"calls": (call(raised="builtins:TimeoutError"),)},
    ],
)
def test_a_delivery_that_was_disturbed_is_no_example(changes: dict[str, Any], shop: Path) -> None:
    draft = observe(shop, seen(delivery(**changes)))
    assert "no test lets the handler come to its end undisturbed" in draft.guesses[-1]


def test_a_delivery_that_did_nothing_shows_its_message_alone(shop: Path) -> None:
    """Any other comes before it."""
    idle = delivery(calls=(), after=(store(0),))
    draft = observe(shop, seen(idle))
    assert draft.values["payload"]["examples"][0] == {"order_id": 7}
    assert any("nothing that the job does was seen" in guess for guess in draft.guesses)
    busy = delivery(test="t.py::test_other", arguments={"order_id": 9})
    draft = observe(shop, seen(idle, busy))
    assert draft.values["payload"]["examples"][0] == {"order_id": 9}


def test_a_passing_test_shows_more_than_a_failing_one(shop: Path) -> None:
    """A test that fails may fail because of the job: it is better than nothing."""
    red = delivery(test="tests/test_x.py::test_red", arguments={"order_id": 3})
    ends = {red.test: EndSeen(False, "no", ()), delivery().test: EndSeen(True, "", ())}
    draft = observe(shop, Seen((red, delivery()), ends))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    alone = observe(shop, Seen((red,), ends))
    assert alone.values["payload"]["examples"] == [{"order_id": 3}]
    assert "payload: from tests/test_x.py::test_red, which fails" in alone.guesses


def test_a_second_delivery_of_a_job_is_no_beginning(shop: Path) -> None:
    """The first one, which was disturbed, may have left half of the work done."""
    first = delivery(calls=(call(raised="builtins:TimeoutError"),))
    draft = observe(shop, seen(first, delivery()))
    assert "undisturbed" in draft.guesses[-1]


def test_numbers_of_tries_and_times_are_no_state(shop: Path) -> None:
    columns = (("order_id", "INT", True), ("n", "int", False), ("due", "real", False))
    more = (("till", "real", False), ("sent", "int", False))
    made = Table((*columns, *more), ((7, 1, 0.0, 1.8e9, 1),))
    before = StoreSeen("a", "x", {SENT: Table((*columns, *more), ())})
    after = StoreSeen("a", "x", {SENT: made})
    proof = observe(shop, seen(delivery(before=(before,), after=(after,)))).values["proof"]
    asked = "select order_id, till is not null, sent from sent order by 1, 2, 3"
    assert proof["state"] == {SENT: asked}


def test_what_only_failures_fill_holds_the_dead_jobs(shop: Path) -> None:
    def bin_of(rows: int) -> StoreSeen:
        columns = (("what", "text", True),)
        given = tuple((str(number),) for number in range(rows))
        return StoreSeen("a", "x", {"bin": Table(columns, given), SENT: table()})

    failed = delivery(
        test="tests/test_x.py::test_refused",
        before=(bin_of(0),),
        after=(bin_of(1),),
        calls=(call(raised="shop.mailer:BadAddress"),),
    )
    draft = observe(shop, seen(delivery(before=(store(0),), after=(store(1),)), failed))
    assert draft.values["proof"]["dead_letters"] == "select count(*) from bin"


def test_an_effect_that_a_death_keeps_from_taking_place_is_at_most_once() -> None:
    draft = Draft()
    draft.values["effects"] = [{"name": "sms", "guarantee": "at_least_once"}]
    died = SimpleNamespace(died=True)
    history = SimpleNamespace(runs=[died], events=[])
    tried = SimpleNamespace(schedule=SimpleNamespace(faults=(1,)), history=history)
    proof: Any = SimpleNamespace(tried=[tried])
    assert classify_effects(draft, lambda schedule: proof)
    assert draft.values["effects"][0]["guarantee"] == "at_most_once"


@pytest.mark.parametrize(("times", "expected"), [(1, "at_most_once"), (2, "at_least_once")])
def test_an_effect_that_is_repeated_after_an_error_is_not_at_most_once(
    times: int, expected: str
) -> None:
    """A lease that the dead one held keeps the next delivery away, for a while."""
    draft = Draft()
    draft.values["effects"] = [{"name": "sms", "guarantee": "at_least_once"}]
    draft.values["failures"] = {"transient": ["shop.sms:Away"], "permanent": []}
    asked: list[str] = []

    def prove_one(schedule: str) -> Any:
        asked.append(schedule)
        done = ["sms"] * times * schedule.startswith("raise")
        history = SimpleNamespace(
            runs=[SimpleNamespace(died=True)], events=[], performed=lambda name: done
        )
        tried = SimpleNamespace(schedule=SimpleNamespace(faults=(1,)), history=history)
        return SimpleNamespace(tried=[tried], histories=[history])

    assert classify_effects(draft, prove_one) is (expected == "at_most_once")
    assert draft.values["effects"][0]["guarantee"] == expected
    death = "kill@before:sms#1 lose wait=90000 re-enqueue"
    assert asked == [death, "raise=shop.sms:Away@after:sms#1"]


def test_the_table_of_dead_jobs_is_the_one_that_a_test_fills(shop: Path) -> None:
    given_up = delivery(after=(store(0, dead=1),), calls=(call(raised="shop.mailer:BadAddress"),))
    draft = observe(shop, seen(delivery(), given_up))
    assert draft.values["dead_letter"] == {"kind": "table", "where": "dead_jobs"}
    assert draft.values["proof"]["dead_letters"] == "select count(*) from dead_jobs"


def test_an_error_after_which_the_library_is_asked_for_another_try_is_transient(
    shop: Path,
) -> None:
    away = call(raised="shop.mailer:Unavailable", error_args=("503",))
    again = delivery(raised="arq.worker:Retry", calls=(away,))
    failures = observe(shop, seen(delivery(), again)).values["failures"]
    assert {"type": "shop.mailer:Unavailable", "args": ["503"]} in failures["transient"]


def test_a_key_may_have_a_name_that_says_little(shop: Path) -> None:
    """What is handed on as it came is the subject of the call."""
    given = {"order_id": 7, "url": "https://x", "webhook_id": "7:acme"}
    hooked = call(path="shop.receipts:mark_sent", arguments=given)
    draft = observe(shop, seen(delivery(calls=(hooked,))))
    assert draft.values["effects"][0]["key_arg"] == "webhook_id"
    assert "payload: one job alone is known" in " ".join(draft.guesses)


def test_a_stand_in_without_a_name_is_known_by_its_arguments(shop: Path) -> None:
    fake = call(
        path="tests/test_x.py:Fake.send",
        is_stand_in=True,
        arguments={"order_id": 7, "email": "a@b", "idempotency_key": "k"},
    )
    draft = observe(shop, seen(delivery(calls=(fake,))))
    assert [effect["call"] for effect in draft.values["effects"]] == [SEND]


def test_what_hands_out_a_stand_in_is_no_effect(shop: Path) -> None:
    maker = call(path="shop.mailer:connect", returned={"?": "test_x:Fake"}, arguments={})
    fake = call(path="tests/test_x.py:Fake.send", is_stand_in=True)
    draft = observe(shop, seen(delivery(calls=(maker, fake))))
    assert [effect["call"] for effect in draft.values["effects"]] == [SEND]


def test_an_effect_that_writes_the_jobs_own_rows_is_none(shop: Path) -> None:
    """A stand-in for it would leave the rows out."""
    wide = call(path=SEND, is_replaced=False, wrote=True)
    narrow = call(path="shop.receipts:mark_sent", is_replaced=True, inside=(SEND,))
    draft = observe(shop, seen(delivery(calls=(narrow, wide))))
    assert [effect["call"] for effect in draft.values["effects"]] == ["shop.receipts:mark_sent"]


def test_nobody_has_said_what_a_second_time_costs(shop: Path) -> None:
    unkeyed = call(path="shop.receipts:mark_sent", arguments={"order_id": 7})
    guessed = observe(shop, seen(delivery(calls=(unkeyed,))))
    assert guessed.values["effects"][0]["guarantee"] == "at_least_once"
    asked = observe(shop, seen(delivery(calls=(unkeyed,))), guesses=False)
    assert "guarantee" not in asked.values["effects"][0]
    assert any(one.startswith("effects: mark_sent") for one in asked.decisions)


def test_an_error_within_an_effect_does_not_come_out_of_it(shop: Path) -> None:
    """The adapter turns what its client raises into an error of its own."""
    inner = call(path="smtplib:SMTP.send_message", raised="smtplib:SMTPServerDisconnected")
    inner = replace(inner, inside=(SEND,))
    outer = call(raised="shop.mailer:Unavailable")
    failed = delivery(calls=(inner, outer), raised="celery.exceptions:Retry", after=(store(0),))
    failures = observe(shop, seen(delivery(), failed)).values["failures"]
    listed = json.dumps(failures)
    assert "shop.mailer:Unavailable" in json.dumps(failures["transient"])
    assert "SMTPServerDisconnected" not in listed


def test_an_error_of_which_nothing_is_known_is_tried(shop: Path) -> None:
    draft = Draft(unsure=("app.mail:Down", "app.orders:Unknown", "app.mail:Shown"))
    draft.values["effects"] = [{"name": "send", "call": "app.mail:send"}]
    shown = {"type": "app.mail:Shown", "args": [1]}
    draft.values["failures"] = {"transient": [shown], "permanent": [*draft.unsure[:2]]}
    tried: list[str] = []

    class Once:
        tried: tuple[Any, ...] = ()

    def prove(schedule: str) -> Any:
        tried.append(schedule)
        return Once()

    assert classify_errors(draft, prove)
    assert tried == ["raise=app.mail:Down@before:send#1"]
    failures = draft.values["failures"]
    # The handler itself raises it: no effect does.
    assert failures["permanent"] == ["app.mail:Down", {"type": "app.orders:Unknown", "effects": []}]


@pytest.mark.parametrize("again", [True, False])
def test_where_no_error_is_known_nobody_answers(again: bool) -> None:
    """Else no effect would ever fail, and what becomes of its job was not tried."""
    draft = Draft(clients={"app.pay:charge": "httpx.Client().post"})
    draft.values["effects"] = [
        {"name": "charge", "call": "app.pay:charge"},
        {"name": "tell", "call": "app.chat:tell"},
    ]
    draft.values["failures"] = {"transient": [], "permanent": []}
    runs = (1, 2) if again else (1,)
    history = SimpleNamespace(runs=runs)
    one = SimpleNamespace(schedule=SimpleNamespace(faults=(1,)), history=history)
    proof: Any = SimpleNamespace(tried=(one,), incomplete=())
    assert classify_errors(draft, lambda schedule: proof)
    failures = draft.values["failures"]
    listed = failures["transient" if again else "permanent"]
    assert [(error["type"], error["effects"]) for error in listed] == [
        ("httpx:ConnectTimeout", ["charge"]),
        ("ConnectionError", ["tell"]),
    ]
    assert not failures["permanent" if again else "transient"]


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


REPLACED = {
    "the records": (
        "import os, pathlib, skillrun_watching as w\n"
        "os.remove(w.SETTINGS['out']); os.symlink('/etc/passwd', w.SETTINGS['out'])\n"
        "def test_a(): ...\n"
    ),
    "their folder": (
        "import os, pathlib, skillrun_watching as w\n"
        "inside = pathlib.Path(w.SETTINGS['out']).parent\n"
        "inside.rename(inside.with_name('x')); os.symlink('/etc', inside)\n"
        "def test_a(): ...\n"
    ),
    "a pipe": (
        "import os, skillrun_watching as w\n"
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


def test_drafts_of_two_repositories_are_two_files(shop: Path) -> None:
    """Both may have a job of this name, and be proved at once: each would prove the other's."""
    draft = observe(shop, seen(delivery()))
    here, there = (_keep_draft(draft, None, Path(root)) for root in ("/a", "/b"))
    assert here != there
    draft.values["handler"] = "shop.other:send_receipt"
    assert _keep_draft(draft, None, Path("/a")) != here


def test_a_job_that_is_not_there(shop: Path) -> None:
    done = helpers.run_cli("prove", "nope", cwd=shop)
    assert done.returncode == 2
    assert "jobs here: shop.tasks:send_receipt" in done.stderr


def test_a_handler_and_a_spec_are_two_answers(shop: Path) -> None:
    done = helpers.run_cli("prove", "send_receipt", "--spec", "x.yaml", cwd=shop)
    assert done.returncode == 2
    assert "which of them?" in done.stderr


def test_the_interpreter_that_a_person_names_is_the_one_of_the_tests_too(shop: Path) -> None:
    """Before anybody is asked whether they may run."""
    named = ("--set", "proof.python=.nowhere/bin/python")
    done = helpers.run_cli("prove", "send_receipt", *named, cwd=shop)
    assert done.returncode == 3
    assert "there is no interpreter .nowhere/bin/python" in done.stderr
