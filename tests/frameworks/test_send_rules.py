"""The rules about sends over every library: what they say follows from the send, not from the
library.
"""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
import textwrap
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from framework_shop import Shop, findings, opened

from skillrun.core.verdict import Severity
from skillrun.frameworks.interface import (
    find_wiring,
)
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.repo.uses import FrameworkUse

ERROR, WARNING = Severity.ERROR, Severity.WARNING
REFUSED = (ERROR, "JSON cannot carry it")
COPIED = (WARNING, "JSON refuses it, or carries a copy")
STALE = (WARNING, "it is pickled as it is now, and stale when the job runs")
ANY = (WARNING, "its serializer refuses it, or it is stale when the job runs")


@dataclass(frozen=True)
class Library:
    """How a job is written with one library; `{}` in a text is where a serializer is given."""

    app: str  # shop/app.py
    tasks: str  # shop/tasks.py, with send_receipt(order)
    send: str  # a statement in `settle(order: Order)`
    head: str = "from shop.tasks import send_receipt"
    # What the default is taken for, then (text for `{}`) -> the same; None: there is no other.
    default: tuple[Severity, str] = REFUSED
    json: str | None = None
    pickle: str | None = None
    unread: str | None = None
    json_is: tuple[Severity, str] = REFUSED
    sends_in: str = "def"
    in_transaction: str = "publish-in-transaction"
    # The row of its queue is part of the transaction.
    waits_for_commit: bool = False
    # Text for `{}` with plain JSON, where it is another than `json`.
    plain_json: str | None = None
    # Names of VALUES that its JSON carries, and why.
    carries: tuple[str, ...] = ()
    why_carried: str = ""


WIRE = """\
import json

def read(data):
    return unpack(data)

class JSONSerializer:
    def serialize(self, data):
        return json.dumps(data)

class JSONWithDates:
    def serialize(self, data):
        return json.dumps(data, default=str)

def dump(data):
    return json.dumps(data, default=str)
"""
# What JSON as such has no form for -> how a value of it is written.
VALUES = {
    "datetime": "datetime.datetime.now()",
    "now": "timezone.now()",
    "date": "datetime.date(2026, 1, 1)",
    "timedelta": "datetime.timedelta(1)",
    "Decimal": "decimal.Decimal('1.5')",
    "UUID": "uuid.uuid4()",
    "set": "set()",
    "Path": "pathlib.Path('a')",
}
# Libraries that pickle, and nothing else.
PICKLED_ALONE = {"django-q2"}
LIBRARIES = {
    "celery": Library(
        app="from celery import Celery\napp = Celery('shop')\n{}\n",
        tasks="from shop.app import app\n@app.task\ndef send_receipt(order): ...\n",
        send="send_receipt.delay(order)",
        json="app.conf.task_serializer = 'json'",
        pickle="app.conf.task_serializer = 'pickle'",
        unread="app.conf.task_serializer = 'shop-rows'",
        carries=("datetime", "date", "Decimal", "UUID", "now"),
        why_carried="kombu writes their type beside them, and reads them back (kombu/utils/json.py)",
    ),
    "arq": Library(
        app=(
            "import json, pickle\nfrom shop import tasks, wire\nclass WorkerSettings:\n"
            "    functions = [tasks.send_receipt]\n    {}\n"
        ),
        tasks="async def send_receipt(ctx, order): ...\n",
        send="await redis.enqueue_job('send_receipt', order)",
        default=STALE,
        json="job_deserializer = json.loads",
        pickle="job_deserializer = lambda data: pickle.loads(data)",
        unread="job_deserializer = wire.read",
        sends_in="async def",
    ),
    "saq": Library(
        app=(
            "import json, pickle\nfrom saq import Queue\nfrom shop import tasks, wire\n"
            "queue = Queue.from_url('redis://localhost'{})\n"
            "app = {'queue': queue, 'functions': [tasks.send_receipt]}\n"
        ),
        tasks="async def send_receipt(ctx, order): ...\n",
        send="await queue.enqueue('send_receipt', order=order)",
        head="from shop.app import queue",
        json=", load=json.loads",
        pickle=", load=pickle.loads",
        unread=", load=wire.read",
        sends_in="async def",
    ),
    "dramatiq": Library(
        app="import dramatiq\nfrom shop import wire\n{}\n",
        tasks="import dramatiq\n@dramatiq.actor\ndef send_receipt(order): ...\n",
        send="send_receipt.send(order)",
        json="dramatiq.set_encoder(dramatiq.JSONEncoder())",
        pickle="dramatiq.set_encoder(dramatiq.PickleEncoder())",
        unread="dramatiq.set_encoder(wire.Encoder())",
        in_transaction="send-in-transaction",
    ),
    "taskiq": Library(
        app=(
            "from taskiq import InMemoryBroker\nfrom taskiq.serializers import JSONSerializer,"
            " PickleSerializer\nfrom shop import wire\nbroker = InMemoryBroker(){}\n"
        ),
        tasks="from shop.app import broker\n@broker.task\nasync def send_receipt(order): ...\n",
        send="await send_receipt.kiq(order)",
        default=COPIED,
        json=".with_serializer(JSONSerializer())",
        json_is=COPIED,
        pickle=".with_serializer(PickleSerializer())",
        unread=".with_serializer(wire.Serializer())",
        sends_in="async def",
        carries=("datetime", "date", "Decimal", "UUID", "now", "timedelta", "set", "Path"),
        why_carried="pydantic makes texts of them (`model_dump` in ProxyFormatter.dumps)",
    ),
    "huey": Library(
        app="from huey import RedisHuey\nfrom shop import wire\napp = RedisHuey('shop'{})\n",
        tasks="from shop.app import app\n@app.task()\ndef send_receipt(order): ...\n",
        send="send_receipt(order)",
        default=STALE,
        json=", serializer=JSONSerializer()",
        pickle=", serializer=SignedSerializer(secret='x')",
        unread=", serializer=wire.Serializer()",
        plain_json=", serializer=wire.JSONSerializer()",
    ),
    "procrastinate": Library(
        app=(
            "import procrastinate\n"
            "app = procrastinate.App(connector=procrastinate.PsycopgConnector())\n"
        ),
        tasks="from shop.app import app\n@app.task()\ndef send_receipt(order): ...\n",
        send="send_receipt.defer(order=order)",
    ),
    "django-q2": Library(
        app="Q_CLUSTER = {'redis': 'redis://localhost'}\napp = Q_CLUSTER\n",
        tasks="def send_receipt(order): ...\n",
        send="async_task('shop.tasks.send_receipt', order)",
        head="from django_q.tasks import async_task",
        default=STALE,
    ),
    "django-tasks": Library(
        app="TASKS = {'default': {'BACKEND': 'django_tasks_db.DatabaseBackend'}}\napp = TASKS\n",
        tasks="from django.tasks import task\n@task()\ndef send_receipt(order): ...\n",
        send="send_receipt.enqueue(order)",
        waits_for_commit=True,
    ),
    "rq": Library(
        app=(
            "from redis import Redis\nfrom rq import Queue\nfrom shop import wire\n"
            "queue = Queue(connection=Redis(){})\n"
        ),
        tasks="def send_receipt(order): ...\n",
        send="queue.enqueue(send_receipt, order)",
        head="from shop.app import queue\nfrom shop.tasks import send_receipt",
        default=STALE,
        json=", serializer=JSONSerializer",
        pickle=", serializer=DefaultSerializer",
    ),
}


def open_library(
    root: Path,
    name: str,
    serializer: str,
    body: str,
    *,
    in_views: bool = False,
    in_handler: str = "...",
    sends_in: str = "",
) -> Shop:
    """A shop of that library, whose `settle(order: Order)` has that body."""
    library = LIBRARIES[name]
    files: Mapping[str, str] = {
        "shop/__init__.py": "",
        "shop/app.py": library.app.replace("{}", serializer),
        "shop/tasks.py": library.tasks.replace("...", in_handler),
        "shop/wire.py": WIRE,
        "shop/models.py": "from django.db import models\nclass Order(models.Model): ...\n",
        "shop/settings.py": (
            "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n"
            f"DATABASES = {{'default': {{'ATOMIC_REQUESTS': {in_views}}}}}\n"
        ),
        f"shop/{'views' if in_views else 'orders'}.py": (
            "import datetime, decimal, pathlib, uuid\nfrom django.utils import timezone\n"
            f"from django.db import transaction\nfrom shop.models import Order\n{library.head}\n"
            f"{sends_in or library.sends_in} settle(order: Order):\n{textwrap.indent(body, '    ')}\n"
        ),
    }
    use = FrameworkUse(name, app="shop/app.py:app", apps=("shop/app.py:app",))
    return opened(root, FRAMEWORKS[name], use, files)


def find_object_arguments(shop: Shop) -> list[tuple[Severity, str]]:
    """(severity, consequence) of each finding."""
    found = findings(shop, "object-argument")
    return [(one.severity, one.message) for one in found]


def test_every_library_with_the_rule_has_a_row() -> None:
    with_rule = set()
    for name, framework in FRAMEWORKS.items():
        if f"{name}.object-argument" in {rule.id for rule in framework.list_rules()}:
            with_rule.add(name)
    assert with_rule == LIBRARIES.keys()


def list_cases() -> list[tuple[str, str, str, tuple[Severity, str]]]:
    """(library, name of a serializer, text that gives it, what a row then comes to)."""
    found = []
    for name, library in LIBRARIES.items():
        given = {
            "default": ("", library.default),
            "json": (library.json, library.json_is),
            "pickle": (library.pickle, STALE),
            "unread": (library.unread, ANY),
        }
        for serializer, (text, expected) in given.items():
            if text is not None:
                found.append((name, serializer, text, expected))
    return found


@pytest.mark.parametrize(("name", "serializer", "text", "expected"), list_cases())
def test_a_row_is_judged_by_the_serializer(
    tmp_path: Path, name: str, serializer: str, text: str, expected: tuple[Severity, str]
) -> None:
    """Pickle carries a copy that is stale, JSON carries none: no library says one under the
    other.
    """
    send = LIBRARIES[name].send
    shop = open_library(tmp_path / "row", name, text, send)
    ((severity, message),) = find_object_arguments(shop)
    assert (severity, expected[1] in message) == (expected[0], True), message
    assert message.startswith("order is a row of shop.models.Order, given to ")
    keyed = send.replace("order)", "order.pk)")
    assert find_object_arguments(open_library(tmp_path / "key", name, text, keyed)) == []


# A variable that is bound twice -> whether it is still a row when it is sent.
BOUND_AGAIN = {
    "order = order.pk\n": False,
    "order = Order.objects.get(pk=1)\norder = str(order.pk)\n": False,
    "order = Order.objects.get(pk=order.pk)\n": True,
    "try:\n    order = Order.objects.get(pk=1)\nexcept Exception:\n"
    "    order = Order.objects.create()\n": True,
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_row_whose_variable_is_bound_again(tmp_path: Path, name: str) -> None:
    """One that has become its key is left alone, one that is another row of its kind is not."""
    library = LIBRARIES[name]
    for number, (before, is_row) in enumerate(BOUND_AGAIN.items()):
        shop = open_library(tmp_path / str(number), name, "", before + library.send)
        assert bool(find_object_arguments(shop)) == is_row, before


def read_plain_json(name: str) -> str:
    """The text for `{}` that gives a library JSON as its messages."""
    library = LIBRARIES[name]
    if library.plain_json is not None:
        return library.plain_json
    return library.json or ""


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in PICKLED_ALONE])
def test_what_json_has_no_form_for(tmp_path: Path, name: str) -> None:
    """A date, a Decimal or a UUID is judged alike in all libraries but those that say why not."""
    library = LIBRARIES[name]
    assert bool(library.carries) == bool(library.why_carried)
    refused = set()
    for value, written in VALUES.items():
        send = library.send.replace("order)", f"{written})")
        shop = open_library(tmp_path / value, name, read_plain_json(name), send)
        found = find_object_arguments(shop)
        if found:
            assert [one[0] for one in found] == [ERROR]
            assert "is no JSON (" in found[0][1] and "raises" in found[0][1]
            refused.add(value)
    assert refused == VALUES.keys() - set(library.carries)


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in PICKLED_ALONE])
def test_a_text_made_of_it_and_a_pickled_one_are_left_alone(tmp_path: Path, name: str) -> None:
    library = LIBRARIES[name]
    text = library.send.replace("order)", "datetime.datetime.now().isoformat())")
    plain = read_plain_json(name)
    assert find_object_arguments(open_library(tmp_path / "text", name, plain, text)) == []
    if library.pickle is not None:
        date = library.send.replace("order)", f"{VALUES['datetime']})")
        pickled = open_library(tmp_path / "pickled", name, library.pickle, date)
        assert find_object_arguments(pickled) == []


# A variable that is made a text before it is sent -> (what stands before the send, its name).
MADE_A_TEXT = {
    "a date": ("when = datetime.datetime.now()\nwhen = when.isoformat()\n", "when"),
    "an id": ("key = uuid.uuid4()\nkey = str(key)\n", "key"),
    "a parameter": ("key: uuid.UUID\nkey = str(key)\n", "key"),
    "where it is none yet": (
        "when: datetime.datetime\nif isinstance(when, datetime.datetime):\n"
        "    when = when.isoformat()\n",
        "when",
    ),
    "a set": ("ids = set()\nids.add(1)\nids = list(ids)\n", "ids"),
}


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in PICKLED_ALONE])
def test_a_variable_that_is_made_a_text_is_left_alone(tmp_path: Path, name: str) -> None:
    """One that is bound once is not."""
    library, plain = LIBRARIES[name], read_plain_json(name)
    for case, (before, variable) in MADE_A_TEXT.items():
        send = before + library.send.replace("order)", f"{variable})")
        assert find_object_arguments(open_library(tmp_path / case, name, plain, send)) == [], case
    once = "when = datetime.timedelta(1)\n" + library.send.replace("order)", "when)")
    found = find_object_arguments(open_library(tmp_path / "once", name, plain, once))
    assert bool(found) == ("timedelta" not in library.carries)


# Library -> text for `{}`: JSON that somebody has made carry more.
EXTENDED = {
    "arq": "job_deserializer = json.loads\n    job_serializer = wire.dump",
    "saq": ", load=json.loads, dump=wire.dump",
    "huey": ", serializer=wire.JSONWithDates()",
    "rq": ", serializer=wire.JSONWithDates",
    "celery": "from kombu.utils.json import register_type",
}


@pytest.mark.parametrize("name", EXTENDED)
def test_json_that_carries_more(tmp_path: Path, name: str) -> None:
    send = LIBRARIES[name].send.replace("order)", f"{VALUES['timedelta']})")
    shop = open_library(tmp_path / "more", name, EXTENDED[name], send)
    assert find_object_arguments(shop) == []


def encode_with(name: str, value: object) -> object:
    """What the installed library itself makes of a value as an argument of a job."""
    if name == "celery":
        from kombu import serialization

        return serialization.dumps([[value], {}, {}], "json")
    if name == "dramatiq":
        from dramatiq.encoder import JSONEncoder

        return JSONEncoder().encode({"args": [value]})
    if name == "rq":
        from rq.serializers import JSONSerializer

        return JSONSerializer.dumps([value])
    if name == "taskiq":
        from taskiq import InMemoryBroker
        from taskiq.message import TaskiqMessage

        message = TaskiqMessage(
            task_id="1", task_name="a", labels={}, labels_types={}, args=[value], kwargs={}
        )
        return InMemoryBroker().formatter.dumps(message)
    if name == "django-tasks":
        from django_tasks.utils import normalize_json

        return normalize_json([value])
    # arq, SAQ, Huey's houses and Procrastinate call json.dumps.
    return json.dumps([value])


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name in LIBRARIES if name not in PICKLED_ALONE])
def test_the_installed_library_refuses_the_same(name: str) -> None:
    names = {"datetime": datetime, "decimal": decimal, "uuid": uuid, "pathlib": pathlib}
    for value, written in VALUES.items():
        if value == "now":
            continue
        made = eval(written, names)
        if value in LIBRARIES[name].carries:
            encode_with(name, made)
        else:
            with pytest.raises(Exception, match=r"JSON serializable|Unsupported type"):
                encode_with(name, made)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_send_in_a_transaction_is_told_from_one_after_it(tmp_path: Path, name: str) -> None:
    library = LIBRARIES[name]
    inside = f"with transaction.atomic():\n    save(order)\n    {library.send}"
    after = f"with transaction.atomic():\n    save(order)\n{library.send}"
    rule = library.in_transaction
    found = findings(open_library(tmp_path / "inside", name, "", inside), rule)
    assert [one.severity for one in found] == ([] if library.waits_for_commit else [ERROR])
    assert all("may start before the commit" in one.message for one in found)
    assert findings(open_library(tmp_path / "after", name, "", after), rule) == []
    if library.sends_in == "def":
        later = f"with transaction.atomic():\n    transaction.on_commit(lambda: {library.send})"
        assert findings(open_library(tmp_path / "later", name, "", later), rule) == []


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name != "django-tasks"])
def test_a_send_in_a_view_is_told_where_requests_are_atomic(tmp_path: Path, name: str) -> None:
    shop = open_library(tmp_path / "r", name, "", LIBRARIES[name].send, in_views=True)
    (finding,) = findings(shop, LIBRARIES[name].in_transaction)
    assert (finding.severity, "ATOMIC_REQUESTS" in finding.message) == (WARNING, True)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_job_that_only_publishes_itself_is_not_wired(tmp_path: Path, name: str) -> None:
    library = LIBRARIES[name]
    shop = open_library(tmp_path / "own", name, "", "pass", in_handler=library.send)
    assert find_wiring(shop.framework.find_sends(shop.project, shop.use, shop.handler)) == ()
    other = open_library(tmp_path / "other", name, "", library.send, in_handler=library.send)
    wiring = find_wiring(other.framework.find_sends(other.project, other.use, other.handler))
    assert [(send.kind, send.place.path) for send in wiring] == [("enqueue", "shop/orders.py")]


def test_a_serializer_that_one_call_asks_for_is_that_of_its_message(tmp_path: Path) -> None:
    call = "send_receipt.apply_async((order,), serializer='pickle')"
    ((severity, message),) = find_object_arguments(open_library(tmp_path / "r", "celery", "", call))
    assert (severity, STALE[1] in message) == (WARNING, True)


def list_with(rule: str) -> list[str]:
    """The libraries that have a rule of that name."""
    found = []
    for name, framework in FRAMEWORKS.items():
        if f"{name}.{rule}" in {one.id for one in framework.list_rules()}:
            found.append(name)
    return found


@pytest.mark.parametrize("name", list_with("wrong-arguments"))
def test_an_argument_that_the_job_does_not_take_is_found(tmp_path: Path, name: str) -> None:
    send = LIBRARIES[name].send
    more = send.replace("order)", "order, extra=1)")
    (finding,) = findings(open_library(tmp_path / "more", name, "", more), "wrong-arguments")
    assert (finding.severity, "extra" in finding.message) == (ERROR, True)
    if "order=order" not in send:
        many = send.replace("order)", "order, 1)")
        (finding,) = findings(open_library(tmp_path / "many", name, "", many), "wrong-arguments")
        assert (finding.severity, "2 arguments" in finding.message) == (ERROR, True)
    right = open_library(tmp_path / "right", name, "", send)
    assert findings(right, "wrong-arguments") == []
    unread = send.replace("order)", "**order.fields())").replace("order=**", "**")
    assert findings(open_library(tmp_path / "unread", name, "", unread), "wrong-arguments") == []


# Where the plain send is no coroutine, the one that is.
COROUTINES = {
    "procrastinate": "send_receipt.defer_async(order=order)",
    "django-tasks": "send_receipt.aenqueue(order)",
}


@pytest.mark.parametrize("name", list_with("not-awaited"))
def test_a_coroutine_that_nobody_awaits_is_found(tmp_path: Path, name: str) -> None:
    send = COROUTINES.get(name, LIBRARIES[name].send.removeprefix("await "))
    lost = open_library(tmp_path / "lost", name, "", send, sends_in="async def")
    (finding,) = findings(lost, "not-awaited")
    assert (finding.severity, "await" in finding.message) == (ERROR, True)
    for number, kept in enumerate((f"await {send}", f"return {send}", f"waiting = {send}")):
        shop = open_library(tmp_path / str(number), name, "", kept, sends_in="async def")
        assert findings(shop, "not-awaited") == []


@pytest.mark.parametrize("name", list_with("pickle-serializer"))
def test_messages_that_are_pickled_are_found(tmp_path: Path, name: str) -> None:
    library = LIBRARIES[name]
    pickle = "" if library.default is STALE else library.pickle or ""
    pickled = findings(open_library(tmp_path / "pickle", name, pickle, "pass"), "pickle-serializer")
    assert [one.severity != ERROR for one in pickled] == [True]
    assert "pickle" in pickled[0].message
    json = open_library(tmp_path / "json", name, library.json or "", "pass")
    assert findings(json, "pickle-serializer") == []


def test_every_library_with_a_rule_about_sends_has_a_row() -> None:
    for rule in ("wrong-arguments", "not-awaited", "pickle-serializer", "publish-unkeyed"):
        assert set(list_with(rule)) <= LIBRARIES.keys(), rule
