"""`skillrun jobs` reads what a house writes around its library: its own decorators, outboxes, clients
that a worker hands over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helpers
import pytest
from jsonschema import Draft202012Validator

from skillrun.cli.commands.jobs import open_reader, read_document

SCHEMA = Draft202012Validator(json.loads((helpers.ROOT / "schemas/jobs.v1.json").read_text()))
BANK = """import httpx
class Bank:
    def order_transfer(self, reference):
        httpx.post("https://bank.example/transfers", json={}, headers={"Idempotency-Key": reference})
"""
ACTOR = "import dramatiq\nfrom shop.{module} import {name}\n@dramatiq.actor\ndef pay(ref):\n    {body}\n"


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    return tmp_path / "repo"


def read_rows(root: Path, files: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The jobs of a repository with these files, by handler."""
    for path, text in {"requirements.txt": "dramatiq\n", "shop/__init__.py": "", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    helpers.git(root, "init", "-q")
    document = read_document(open_reader(root))
    SCHEMA.validate(document)
    return {job["handler"]: job for job in document["jobs"]}


def list_effects(row: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(effect["name"], effect["keyed"]) for effect in row["effects"]]


@pytest.mark.parametrize(
    "value", ["bank or Bank()", "Bank() if bank is None else bank", "bank if bank else Bank()"]
)
def test_client_that_may_be_handed_in_is_its_default(place: Path, value: str) -> None:
    service = (
        "from shop.bank import Bank\nclass Payments:\n"
        f"    def __init__(self, bank=None):\n        self.bank = {value}\n"
        "    def pay(self, ref):\n        self.bank.order_transfer(ref)\n"
    )
    actor = ACTOR.format(module="payments", name="Payments", body="Payments().pay(ref)")
    rows = read_rows(
        place,
        {"shop/bank.py": BANK, "shop/payments.py": service, "shop/tasks.py": actor},
    )
    assert list_effects(rows["shop.tasks:pay"]) == [("shop.bank.Bank.order_transfer", True)]


def test_client_of_which_two_are_made_is_nobody(place: Path) -> None:
    """Which of them it is nobody can tell; the name of a method alone says what it does then."""
    other = BANK.replace("Bank", "Test").replace("order_transfer", "note")
    service = (
        "from shop.bank import Bank\nfrom shop.other import Test\nclass Payments:\n"
        "    def __init__(self, live):\n        self.bank = Bank() if live else Test()\n"
        "    def pay(self, ref):\n        self.bank.note(ref)\n"
    )
    actor = ACTOR.format(module="payments", name="Payments", body="Payments(True).pay(ref)")
    files = {"shop/bank.py": BANK, "shop/other.py": other, "shop/payments.py": service}
    rows = read_rows(place, {**files, "shop/tasks.py": actor})
    assert rows["shop.tasks:pay"]["effects"] == []


def test_object_that_is_called_does_its_work_in_call(place: Path) -> None:
    service = (
        "from shop.bank import Bank\nclass Pay:\n"
        "    def __init__(self):\n        self.bank = Bank()\n"
        "    def __call__(self, ref):\n        self.bank.order_transfer(ref)\n"
    )
    actor = ACTOR.format(module="payments", name="Pay", body="Pay()(ref)")
    rows = read_rows(
        place,
        {"shop/bank.py": BANK, "shop/payments.py": service, "shop/tasks.py": actor},
    )
    assert list_effects(rows["shop.tasks:pay"]) == [("shop.bank.Bank.order_transfer", True)]


def test_method_of_an_object_that_the_worker_hands_over(place: Path) -> None:
    """One class alone has it: it is that one."""
    actor = ACTOR.format(module="held", name="held", body='held["bank"].order_transfer(ref)')
    files = {"shop/bank.py": BANK, "shop/held.py": "held = {}\n", "shop/tasks.py": actor}
    rows = read_rows(place, files)
    assert list_effects(rows["shop.tasks:pay"]) == [("shop.bank.Bank.order_transfer", True)]


def test_method_that_two_classes_have_is_not_followed(place: Path) -> None:
    actor = ACTOR.format(module="held", name="held", body='held["bank"].order_transfer(ref)')
    files = {"shop/bank.py": BANK, "shop/held.py": "held = {}\n", "shop/tasks.py": actor}
    rows = read_rows(place, {**files, "shop/old_bank.py": BANK})
    assert rows["shop.tasks:pay"]["effects"] == []


@pytest.mark.parametrize(
    ("decorator", "name"),
    [("@dramatiq.actor", "pay"), ('@dramatiq.actor(actor_name="shop.pay")', "shop.pay")],
)
def test_job_whose_name_lies_in_an_outbox_is_sent(place: Path, decorator: str, name: str) -> None:
    files = {
        "shop/tasks.py": f"import dramatiq\n{decorator}\ndef pay(ref): ...\n",
        "shop/orders.py": "from shop import outbox\n"
        f'def settle(ref):\n    outbox.add("{name}", ref)\n',
    }
    row = read_rows(place, files)["shop.tasks:pay"]
    assert row["trigger"] == "event, by its name"
    assert [(sent["path"], sent["line"]) for sent in row["sent_at"]] == [("shop/orders.py", 3)]


def test_name_in_a_test_sends_nothing(place: Path) -> None:
    files = {
        "shop/tasks.py": "import dramatiq\n@dramatiq.actor\ndef pay(ref): ...\n",
        "tests/test_pay.py": 'def test_pay(broker):\n    broker.send("pay")\n',
    }
    assert read_rows(place, files)["shop.tasks:pay"]["trigger"] == "no sender read"


@pytest.mark.parametrize("lock", ["FOR UPDATE SKIP LOCKED", "for update nowait", "FOR UPDATE OF o"])
def test_row_lock_is_no_table(place: Path, lock: str) -> None:
    files = {
        "shop/tasks.py": "import dramatiq\n@dramatiq.actor\ndef pay(db, ref):\n"
        f'    db.execute("SELECT id FROM orders o {lock}")\n'
        "    db.execute(\"UPDATE orders SET state = 'paid' WHERE id = %s\", (ref,))\n"
    }
    remembered = read_rows(place, files)["shop.tasks:pay"]["remembers"]
    assert [one["what"] for one in remembered] == ["table orders"]


def test_what_makes_a_process_ready_is_no_job_of_a_clock(place: Path) -> None:
    """The web server's module calls it when it is imported; the clock's command calls it first."""
    files = {
        "requirements.txt": "django\n",
        "shop/log.py": "def configure_logging(): ...\n",
        "shop/wsgi.py": "from shop.log import configure_logging\nconfigure_logging()\n",
        "shop/sweeps.py": "def requeue(): ...\n",
        "shop/management/commands/requeue.py": "from shop.log import configure_logging\n"
        "from shop.sweeps import requeue\nclass Command:\n    def handle(self):\n"
        "        configure_logging()\n        requeue()\n",
        "deploy/crontab": "*/5 * * * * root python manage.py requeue\n",
        "manage.py": "import django\n",
    }
    assert list(read_rows(place, files)) == ["shop.sweeps:requeue"]


@pytest.mark.parametrize(
    ("script", "started"),
    [
        ({"shop/sweep.py": "{body}\nsweep()\n"}, "shop.sweep"),
        (
            {
                "shop/sweep.py": "{body}",
                "shop/nightly.py": "from shop.sweep import sweep\nsweep()\n",
            },
            "shop.nightly",
        ),
    ],
)
def test_script_that_works_when_it_is_imported_is_a_job(
    place: Path, script: dict[str, str], started: str
) -> None:
    body = "import httpx\ndef sweep():\n    httpx.post('https://bank.example/charge')\n"
    files = {path: text.replace("{body}", body) for path, text in script.items()}
    crontab = f"*/5 * * * * root python -m {started}\n"
    rows = read_rows(place, {"requirements.txt": "httpx\n", "deploy/crontab": crontab, **files})
    assert list_effects(rows["shop.sweep:sweep"]) == [("httpx.post", False)]


@pytest.mark.parametrize("method", ["post", "save", "request"])
def test_method_of_a_client_is_not_somebody_elses(place: Path, method: str) -> None:
    """`Orders.post` answers a browser, and is none of the bank's client."""
    views = f"class Orders:\n    def {method}(self, request):\n        return request.path\n"
    actor = ACTOR.format(
        module="held", name="held", body=f'held["bank"].{method}("https://bank.example/charge")'
    )
    files = {"shop/views.py": views, "shop/held.py": "held = {}\n", "shop/tasks.py": actor}
    effects = [name for name, _ in list_effects(read_rows(place, files)["shop.tasks:pay"])]
    assert not any("Orders" in name for name in effects)
    assert bool(effects) is (method == "post")


def test_client_that_a_setting_chooses_is_nobodys(place: Path) -> None:
    service = (
        "import os\nfrom shop.bank import Bank\nlive = None\nclass Payments:\n    def __init__(self):\n"
        "        self.bank = Bank() if os.environ.get('TESTING') else live\n"
        "    def pay(self, ref):\n        self.bank.order_transfer(ref)\n"
    )
    actor = ACTOR.format(module="payments", name="Payments", body="Payments().pay(ref)")
    other = BANK.replace("Bank", "Mint")  # so that two classes have the method
    files = {"shop/bank.py": BANK, "shop/mint.py": other, "shop/payments.py": service}
    rows = read_rows(place, {**files, "shop/tasks.py": actor})
    assert rows["shop.tasks:pay"]["effects"] == []


def test_job_by_a_decorator_of_the_house_that_asks_for_the_current_job(place: Path) -> None:
    """The queue is given a path out of a row: what a row says of its tries nobody can read."""
    files = {
        "requirements.txt": "rq\n",
        "house/__init__.py": "",
        "house/jobs.py": "import functools\nfrom rq import Queue, Retry, get_current_job\n"
        "def house_job(function):\n    @functools.wraps(function)\n    def perform(*args):\n"
        "        print(get_current_job().id)\n        function(*args)\n    return perform\n"
        "def enqueue(run):\n    Queue().enqueue(run.path, retry=Retry(max=4))\n",
        "shop/tasks.py": "from house.jobs import house_job\n"
        "@house_job\ndef pay(ref): ...\n\ndef tidy(ref): ...\n",
    }
    rows = read_rows(place, files)
    assert list(rows) == ["shop.tasks:pay"]
    assert rows["shop.tasks:pay"]["policy"]["words"].startswith("tries not read")


@pytest.mark.parametrize(
    ("lines", "is_effect"),
    [
        ("urllib.request.urlopen(URL, json.dumps({}).encode())", True),
        ("urllib.request.urlopen(urllib.request.Request(URL, data=b'{}'), timeout=10)", True),
        (
            "asked = urllib.request.Request(URL, method='PUT')\n    urllib.request.urlopen(asked)",
            True,
        ),
        ("urllib.request.urlopen(URL, timeout=10)", False),
        ("asked = urllib.request.Request(URL, None)\n    urllib.request.urlopen(asked)", False),
    ],
)
def test_urlopen_with_a_body_changes_something(place: Path, lines: str, is_effect: bool) -> None:
    head = "import dramatiq, json, urllib.request\nURL = 'https://cards.example/charges'\n"
    files = {"shop/tasks.py": f"{head}@dramatiq.actor\ndef pay(ref):\n    {lines}\n"}
    effects = list_effects(read_rows(place, files)["shop.tasks:pay"])
    assert effects == ([("urllib.request.urlopen", False)] if is_effect else [])


GATEWAY = """import httpx
class Gateway:
    def send(self, to, text):
        httpx.post("https://sms.example/messages", json={"to": to, "text": text})
"""
CLOCK = """import dramatiq
from shop.gateway import Gateway
@dramatiq.actor
def chores():
    for chore in CHORES:
        chore.send({given})
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "chore.send"), ("'+1', text='hello'", "shop.gateway.Gateway.send")],
    ids=["fewer arguments than it takes", "what it takes"],
)
def test_a_method_is_not_one_that_a_call_does_not_fit(
    place: Path, given: str, expected: str
) -> None:
    files = {"shop/gateway.py": GATEWAY, "shop/tasks.py": CLOCK.format(given=given)}
    rows = read_rows(place, files)
    assert [effect["name"] for effect in rows["shop.tasks:chores"]["effects"]] == [expected]


@pytest.mark.parametrize("name", ["end_to_end_id", "transmission_no"])
def test_a_key_under_the_name_that_its_trade_gives_it(place: Path, name: str) -> None:
    bank = f"import httpx\ndef debit({name}):\n    httpx.post('https://b.example', json={{}})\n"
    body = f"debit({name}=f'dues-{{ref}}')"
    actor = ACTOR.format(module="bank", name="debit", body=body)
    rows = read_rows(place, {"shop/bank.py": bank, "shop/tasks.py": actor})
    assert list_effects(rows["shop.tasks:pay"]) == [("shop.bank.debit", True)]


ONCE = "objects.get_or_create(ref=ref)"
REMEMBERED = {
    "where it is noted": (f"    Receipt.{ONCE}\n", [True]),
    "a dead letter": (f"    DeadLetter.{ONCE}\n", [False]),
    "a log": (f"    AuditEntry.{ONCE}\n", [False]),
    "in an except clause": (
        f"    try:\n        send(ref)\n    except OSError:\n        Gone.{ONCE}\n",
        [False],
    ),
    "by a function of an except clause": (
        "    try:\n        send(ref)\n    except OSError:\n        give_up(ref)\n",
        [False],
    ),
    "where a repetition is caught": (
        f"    try:\n        send(ref)\n    except IntegrityError:\n        Receipt.{ONCE}\n",
        [True],
    ),
}


@pytest.mark.parametrize("case", REMEMBERED)
def test_where_failures_lie_is_no_memory_of_what_is_done(place: Path, case: str) -> None:
    body, expected = REMEMBERED[case]
    files = {
        "shop/tasks.py": "import dramatiq\nfrom django.db import IntegrityError\n"
        "from shop.models import AuditEntry, DeadLetter, Gone, Receipt\n"
        f"def give_up(ref):\n    Gone.{ONCE}\n"
        f"@dramatiq.actor\ndef pay(ref):\n{body}"
    }
    remembered = read_rows(place, files)["shop.tasks:pay"]["remembers"]
    assert [one["once"] for one in remembered] == expected


KEYED = {
    "a header of its own": ('requests.post(URL, headers={"X-Declaration-Id": ref})', True),
    "a reference in the body": ('requests.post(URL, json={"customer_reference": ref})', True),
    "a PUT at its number": ('requests.put(f"https://a.example/parcels/{ref}", json={})', True),
    "a PUT at one address": ('requests.put("https://a.example/parcels", json={})', False),
    "a POST at a number": ('requests.post(f"https://a.example/{ref}/mails", json={})', False),
    "an API's key": ('requests.post(URL, headers={"X-Api-Id": ref})', False),
    "a header of the attempt": ('requests.post(URL, headers={"X-Call-Id": uuid4().hex})', False),
}


@pytest.mark.parametrize("case", KEYED)
def test_a_key_in_a_header_a_body_or_an_address_is_seen(place: Path, case: str) -> None:
    call, expected = KEYED[case]
    files = {
        "shop/tasks.py": "import dramatiq, requests\nfrom uuid import uuid4\n"
        f'URL = "https://a.example"\n@dramatiq.actor\ndef pay(ref):\n    {call}\n'
    }
    (effect,) = read_rows(place, files)["shop.tasks:pay"]["effects"]
    assert effect["keyed"] is expected
