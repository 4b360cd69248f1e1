"""The repository's own tests are watched: what they show becomes the draft of a spec."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import helpers
import pytest
from watched_deliveries import SEND, SENT, call, delivery, observe, seen, store, table

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import EndSeen, SeenInTests, StoreSeen, Table
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.skills.job_worker.drafting import watching
from skillrun.skills.job_worker.drafting.classify import classify_effects, classify_errors
from skillrun.skills.job_worker.drafting.draft import Draft
from skillrun.skills.job_worker.drafting.observed import add_observed
from skillrun.skills.job_worker.drafting.rows_seen import find_dead_letters, write_state


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


@pytest.mark.real
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


@pytest.mark.real
def test_a_delivery_that_did_nothing_shows_its_message_alone(shop: Path) -> None:
    """Any other comes before it."""
    idle = delivery(calls=(), after=(store(0),))
    draft = observe(shop, seen(idle))
    assert draft.values["payload"]["examples"][0] == {"order_id": 7}
    assert any("nothing that the job does was seen" in guess for guess in draft.guesses)
    busy = delivery(test="t.py::test_other", arguments={"order_id": 9})
    draft = observe(shop, seen(idle, busy))
    assert draft.values["payload"]["examples"][0] == {"order_id": 9}


@pytest.mark.real
def test_a_passing_test_shows_more_than_a_failing_one(shop: Path) -> None:
    """A test that fails may fail because of the job: it is better than nothing."""
    red = delivery(test="tests/test_x.py::test_red", arguments={"order_id": 3})
    ends = {red.test: EndSeen(False, "no", ()), delivery().test: EndSeen(True, "", ())}
    draft = observe(shop, SeenInTests((red, delivery()), ends))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    alone = observe(shop, SeenInTests((red,), ends))
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


@pytest.mark.real
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


@pytest.mark.real
@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        # A stand-in that answers nothing would be no connection.
        ("fakeredis._server:FakeRedis", [SEND]),
        # A mock, and what the application itself makes of its answer, are answers.
        ("unittest.mock:Mock", [SEND, "shop.mailer:connect"]),
        ("shop.mailer:Answer", [SEND, "shop.mailer:connect"]),
    ],
)
def test_what_hands_out_a_librarys_client_is_no_effect(
    made: str, wanted: list[str], shop: Path
) -> None:
    mailer = shop / "shop/mailer.py"
    code = "def connect():\n    'A connection.'\n    return smtplib.SMTP('mail')\n"
    mailer.write_text(f"import smtplib\n{mailer.read_text()}\n\n{code}")
    maker = call(path="shop.mailer:connect", returned={"?": made}, arguments={})
    effects = observe(shop, seen(delivery(calls=(call(), maker)))).values["effects"]
    assert [effect["call"] for effect in effects] == wanted


def test_a_table_of_dead_jobs_that_is_left_empty_is_not_the_one(shop: Path) -> None:
    """A test's set-up may make it anew between two looks."""
    empty = StoreSeen("/tmp/a.db", "", {"dead_letters": table(), SENT: table()})
    full = StoreSeen("/tmp/a.db", "", {"failed_jobs": table((1, 7, "x")), SENT: table()})
    none = StoreSeen("/tmp/a.db", "", {SENT: table()})
    shown = seen(
        delivery(before=(none,), after=(empty,)),
        delivery(test="t.py::test_2", before=(none,), after=(full,), raised="ValueError"),
    )
    assert find_dead_letters(shown, ()) == ("failed_jobs", True)


def test_an_error_that_only_a_test_raises_is_tried(shop: Path) -> None:
    """The code names none of a library's errors, and the library's policy takes any."""
    refused = call(raised="builtins:LookupError", error_args=("no answer",))
    check = call(raised="builtins:AssertionError")
    draft = observe(shop, seen(delivery(), delivery(calls=(refused, check))))
    permanent = draft.values["failures"]["permanent"]
    assert {"type": "LookupError", "args": ["no answer"]} in permanent
    assert "LookupError" in draft.unsure
    assert draft.raised_by["LookupError"] == SEND
    assert not any("AssertionError" in str(one) for one in permanent)


def test_how_an_adapter_is_made_is_no_effect(shop: Path) -> None:
    """`patch.object(Client, "__init__", ...)` hands it a transport; a stand-in would make none."""
    mailer = shop / "shop/mailer.py"
    kind = "class Client:\n    def __init__(self, transport=None):\n        self.transport = transport\n"
    mailer.write_text(f"{mailer.read_text()}\n\n{kind}")
    made = call(path="shop.mailer:Client.__init__", arguments={}, returned=None)
    effects = observe(shop, seen(delivery(calls=(made, call())))).values["effects"]
    assert [effect["call"] for effect in effects] == [SEND]


def test_an_effect_that_writes_the_jobs_own_rows_is_none(shop: Path) -> None:
    """A stand-in for it would leave the rows out."""
    wide = call(path=SEND, is_replaced=False, wrote=True)
    narrow = call(path="shop.receipts:mark_sent", is_replaced=True, inside=(SEND,))
    draft = observe(shop, seen(delivery(calls=(narrow, wide))))
    assert [effect["call"] for effect in draft.values["effects"]] == ["shop.receipts:mark_sent"]


@pytest.mark.real
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


def test_what_reading_says_of_a_guarantee_gives_way_to_what_was_seen(shop: Path) -> None:
    """The tests show the key: "it takes no key" is no decision any more."""
    draft = observe(shop, SeenInTests())
    draft.values["effects"] = [{"name": "send", "call": SEND}]
    draft.decisions.append("effects.0.guarantee: send: it takes no key")
    add_observed(draft, seen(delivery()), open_reader(shop).project, guesses=False)
    assert draft.values["effects"][0]["guarantee"] == "keyed"
    assert not any("takes no key" in decision for decision in draft.decisions)


def test_what_a_decorator_hands_in_is_no_part_of_the_message(shop: Path) -> None:
    """The tests deliver the job without it."""
    draft = observe(shop, seen(delivery()), needed=("order_id", "log"))
    assert draft.values["payload"]["examples"] == [{"order_id": 7}]
    assert draft.values["payload"]["required"] == ["order_id"]


def test_two_deliveries_that_differ_in_their_context_are_one_job(shop: Path) -> None:
    first = delivery(arguments={"ctx": {"job_id": "a"}, "order_id": 7})
    second = delivery(arguments={"ctx": {"job_id": "b"}, "order_id": 7})
    draft = observe(shop, seen(first, second), needed=("order_id",))
    assert len(draft.values["payload"]["examples"]) == 1


@pytest.mark.parametrize(
    ("value", "is_made"),
    [
        ("f'order-{order_id}'", True),
        ("drawn", False),
        ("str(uuid4())", False),
        ("new_key(order_id)", False),
        ("f'{order_id}-{attempt}'", False),
        ("order_id", False),
        ("'fixed'", False),
    ],
)
def test_a_key_that_the_adapter_makes_itself(shop: Path, value: str, is_made: bool) -> None:
    """No stand-in for the adapter sees it; that the effect takes no key is not said."""
    mailer = shop / "shop/mailer.py"
    mailer.write_text(
        "import httpx\nfrom uuid import uuid4\n\n\nclass Unavailable(Exception):\n    pass\n\n\n"
        "def send(order_id):\n    drawn = str(uuid4())\n    headers = {'Idempotency-Key': "
        f"{value}}}\n    return httpx.post('https://m.example', headers=headers)\n"
    )
    tasks = shop / "shop/tasks.py"
    tasks.write_text(
        "from celery import shared_task\nfrom shop import mailer\n\n\n@shared_task\n"
        "def send_receipt(order_id):\n    mailer.send(order_id)\n"
    )
    sent = call(path="shop.mailer:send", arguments={"order_id": 7})
    draft = observe(shop, seen(delivery(calls=(sent,))))
    (effect,) = draft.values["effects"]
    assert (effect["call"], effect["guarantee"]) == ("shop.mailer:send", "at_least_once")
    assert (effect["reason"] != UNKEYED) is is_made


@pytest.mark.parametrize(
    ("trigger", "guesses", "is_guessed"),
    [
        ("'interval', seconds=config.load().seconds", True, True),
        ("'interval', seconds=config.load().seconds", False, False),
        ("'interval', hours=config.load().hours", True, False),
        ("'cron', hour=3", True, False),
    ],
    ids=["prove", "spec init", "hours", "cron"],
)
def test_a_clock_of_which_nobody_says_how_often_comes(
    home: Path, tmp_path: Path, trigger: str, *, guesses: bool, is_guessed: bool
) -> None:
    """Without a spec what one tick has left undone the next one finds; in a spec a person decides."""
    files = {
        "requirements.txt": "apscheduler\n",
        "app/__init__.py": "",
        "app/jobs.py": "def send_due(): ...\n",
        "app/clock.py": (
            "from apscheduler.schedulers.blocking import BlockingScheduler\n"
            "from app import config\nfrom app.jobs import send_due\n"
            "scheduler = BlockingScheduler()\n"
            f"scheduler.add_job(send_due, {trigger})\n"
        ),
    }
    root = helpers.build_tree(tmp_path / "repo", files)
    reader = open_reader(root)
    (job,) = reader.jobs
    watched = watching.plan_watching(reader, job)
    draft, _ = watching.draft_observed(
        reader, job, watched, lambda _: SeenInTests(), guesses=guesses
    )
    decided = [one for one in draft.decisions if one.startswith("trigger:")]
    if is_guessed:
        assert draft.values["trigger"] == {"type": "poller", "every": "60s"}
        assert draft.guesses[0] == (
            "trigger: a clock starts it (app/clock.py:5), and each minute is assumed"
        )
        assert not decided
    else:
        assert "trigger" not in draft.values
        assert decided
