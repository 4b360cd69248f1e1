"""The stage handler: it exists, the framework knows it, something starts it, and it only
orchestrates.
"""

from __future__ import annotations

import textwrap

import pytest
from cases import FILES, GONE, build, examine, finding, has, rules

HEAD = "from shop import mailer\nfrom shop.celery import app\n"
SEND = "mailer.send(order_id, email, idempotency_key=f'receipt-{order_id}')"


def tasks(
    body,
    imports="",
    name="send_receipt",
    decorator='@app.task(bind=True, name="shop.send_receipt")',
):
    inside = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{imports}\n{HEAD}\n\n{decorator}\ndef {name}(self, order_id, email):\n{inside}\n"


def handler(root, body, imports="", changes=None, **files):
    more = {f"shop/{name}.py": text for name, text in files.items()}
    return examine("handler", build(root, {"shop/tasks.py": tasks(body, imports), **more}, changes))


def test_it_passes_with_places(tmp_path):
    result = examine("handler", build(tmp_path / "repo"))
    assert (result.status, result.grade) == ("passed", "static")
    assert "enqueued at shop/orders.py:4" in result.summary
    assert {e.path for e in result.evidence} == {"shop/tasks.py", "shop/orders.py"}


MISSING = {
    "not named": ({"handler": GONE}, "handler.not-named", ""),
    "no module": ({"handler": "shop.jobs:send"}, "handler.not-found", "no module shop.jobs"),
    "no function": (
        {"handler": "shop.tasks:send"},
        "handler.not-found",
        "shop/tasks.py has no send",
    ),
    "a letter less": (
        {"handler": "shop.tasks:send_receit"},
        "handler.not-found",
        "shop.tasks:send_receipt is there",
    ),
}


@pytest.mark.parametrize(("changes", "rule", "words"), MISSING.values(), ids=MISSING)
def test_blocks_where_it_is_missing(tmp_path, changes, rule, words):
    result = examine("handler", build(tmp_path / "repo", changes=changes))
    assert (result.status, rules(result)) == ("blocked", [rule])
    found = finding(result, rule)
    assert words in f"{found.message}: {found.hint}"
    assert found.path == ".skillrun/jobs/send-receipt.yaml" and found.line and found.hint


def test_a_plain_function_is_not_registered(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", {"shop/tasks.py": tasks(SEND, decorator="# plain")})
    )
    assert "handler.not-registered" in rules(result)


def test_a_class_based_task_is_registered(tmp_path):
    text = f"""
from celery import Task
{HEAD}
class SendReceipt(Task):
    name = "shop.send_receipt"

    def run(self, order_id, email):
        {SEND}

send_receipt = app.register_task(SendReceipt())
"""
    result = examine("handler", build(tmp_path / "repo", {"shop/tasks.py": text}))
    assert rules(result) == []


# Wiring


def test_blocks_where_nothing_starts_it(tmp_path):
    result = examine("handler", build(tmp_path / "repo", {"shop/orders.py": GONE}))
    assert rules(result) == ["handler.not-wired"]
    assert finding(result, "handler.not-wired").path == "shop/tasks.py"


def test_a_test_that_enqueues_is_not_enough(tmp_path):
    files = {"shop/orders.py": GONE, "tests/test_enqueue.py": FILES["shop/orders.py"]}
    result = examine("handler", build(tmp_path / "repo", files))
    assert "outside the tests" in finding(result, "handler.not-wired").message


def test_cron_must_be_scheduled(tmp_path):
    changes = {"trigger": {"type": "cron", "schedule": "30 2 * * *"}}
    result = examine("handler", build(tmp_path / "a", changes=changes))
    assert rules(result) == ["handler.not-scheduled"]
    scheduled = {"shop/beat.py": BEAT}
    assert rules(examine("handler", build(tmp_path / "b", scheduled, changes))) == []


BEAT = """
    from celery.schedules import crontab
    from shop.celery import app

    app.conf.beat_schedule = {"nightly": {"task": "shop.send_receipt", "schedule": crontab(minute=30, hour=2)}}
    """


def test_an_event_must_be_enqueued(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", {"shop/orders.py": GONE, "shop/beat.py": BEAT})
    )
    assert rules(result) == ["handler.not-enqueued"]


def test_a_poller_that_is_only_enqueued_is_said(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", changes={"trigger": {"type": "poller", "every": "5m"}})
    )
    assert finding(result, "handler.not-scheduled").severity == "warning"


@pytest.mark.real
def test_the_enqueuer_of_the_spec(tmp_path):
    good = build(tmp_path / "a", changes={"enqueue": {"call": "shop.orders:settle"}})
    assert not has(examine("handler", good), "handler.enqueuer-not-read")
    gone = build(tmp_path / "b", changes={"enqueue": {"call": "shop.orders:pay"}})
    assert rules(examine("handler", gone)) == ["handler.no-enqueuer"]
    other = build(tmp_path / "c", changes={"enqueue": {"call": "shop.dead_jobs:record"}})
    assert has(examine("handler", other), "handler.enqueuer-not-read")
    views = {
        "shop/views.py": (
            "from shop import orders\n\ndef pay(request):\n    orders.settle(7, request.email)\n"
        )
    }
    through = build(tmp_path / "d", views, {"enqueue": {"call": "shop.views:pay"}})
    assert not has(examine("handler", through), "handler.enqueuer-not-read")


# The message


@pytest.mark.parametrize(
    ("signature", "message", "differs"),
    [
        ("self, order_id, email", None, False),
        ("self, order_id, email=None, retry=False", None, False),
        ("task, order_id, email", None, False),
        ("self, payload", None, False),
        ("self, **fields", None, False),
        ("self, *, order_id, email", "kwargs", False),
        ("self, order, email", None, True),
        ("self, order_id", None, True),
        ("self, payload", "kwargs", True),
        ("self, order_id, email", "payload", True),
    ],
)
def test_the_handler_takes_the_message(tmp_path, signature, message, differs):
    text = (
        f"{HEAD}\n@app.task(bind=True, name='shop.send_receipt')\ndef send_receipt({signature}):\n "
        "   pass\n"
    )
    case = build(
        tmp_path / "repo", {"shop/tasks.py": text}, {"message": message} if message else {}
    )
    assert ("handler.signature-differs" in rules(examine("handler", case))) == differs


# Effects

OUTSIDE = {
    "requests": (
        "requests.post('https://x', json={})",
        "import requests",
        "http",
        "backend/integration-adapter",
    ),
    "requests session": (
        "session = requests.Session()\nsession.post('https://x')",
        "import requests",
        "http",
        "backend/integration-adapter",
    ),
    "requests session in with": (
        "with requests.Session() as session:\n    session.post('https://x')",
        "import requests",
        "http",
        "backend/integration-adapter",
    ),
    "from requests": (
        "post('https://x')",
        "from requests import post",
        "http",
        "backend/integration-adapter",
    ),
    "httpx client": (
        "with httpx.Client() as client:\n    client.put('https://x')",
        "import httpx",
        "http",
        "backend/integration-adapter",
    ),
    "urllib": (
        "urllib.request.urlopen('https://x')",
        "import urllib.request",
        "http",
        "backend/integration-adapter",
    ),
    "boto3": (
        "boto3.client('ses').send_email(Source='x')",
        "import boto3",
        "http",
        "backend/integration-adapter",
    ),
    "smtp": (
        "server = smtplib.SMTP('x')\nserver.sendmail('a', 'b', 'c')",
        "import smtplib",
        "smtp",
        "backend/integration-adapter",
    ),
    "django mail": (
        "send_mail('a', 'b', None, [email])",
        "from django.core.mail import send_mail",
        "smtp",
        "backend/integration-adapter",
    ),
    "subprocess": (
        "subprocess.run(['x'])",
        "import subprocess",
        "subprocess",
        "backend/integration-adapter",
    ),
    "os.system": ("os.system('x')", "import os", "subprocess", "backend/integration-adapter"),
    "publish": (
        "other.delay(order_id)",
        "from shop.other import other",
        "publish",
        "backend/integration-adapter",
    ),
    "sql": (
        "db.execute('UPDATE orders SET sent = 1 WHERE id = ?', (order_id,))",
        "import sqlite3\ndb = sqlite3.connect('x')",
        "sql",
        "backend/persistence-layer-change",
    ),
}
OTHER = "from shop.celery import app\n\n@app.task\ndef other(order_id): ...\n"


@pytest.mark.parametrize(("body", "imports", "kind", "skill"), OUTSIDE.values(), ids=OUTSIDE)
def test_finds_an_undeclared_effect(tmp_path, body, imports, kind, skill):
    result = handler(tmp_path / "repo", f"{SEND}\n{body}", imports, other=OTHER)
    found = finding(result, "handler.undeclared-effect")
    assert found.recommends == skill
    assert kind in found.message or kind == "sql"
    assert found.path == "shop/tasks.py" and found.line and found.hint


def test_finds_it_in_a_function_that_the_handler_calls(tmp_path):
    notify = "import requests\n\ndef tell(order_id):\n    requests.post('https://x')\n"
    result = handler(
        tmp_path / "repo",
        f"{SEND}\nnotify.tell(order_id)",
        "from shop import notify",
        notify=notify,
    )
    assert finding(result, "handler.undeclared-effect").path == "shop/notify.py"


ADAPTER = """
    import requests
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email, *, idempotency_key):
        _post({"to": email})

    def _post(mail):
        requests.post("https://mail", json=mail)
    """


def test_ignores_what_is_inside_a_declared_adapter(tmp_path):
    result = handler(tmp_path / "a", SEND, mailer=ADAPTER)
    assert rules(result) == []
    result = handler(tmp_path / "b", SEND, mailer=ADAPTER, changes={"effects": []})
    assert "handler.undeclared-effect" in rules(result)


def test_ignores_an_adapter_that_is_imported_under_another_name(tmp_path):
    result = handler(
        tmp_path / "repo",
        SEND.replace("mailer.send", "deliver"),
        "from shop.mailer import send as deliver",
    )
    assert rules(result) == []
    assert not has(result, "handler.effect-not-reached")


def test_ignores_an_adapter_that_is_a_method_of_an_object(tmp_path):
    mailer = """
        import requests
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...
        class Mailer:
            def send(self, order_id, email, *, idempotency_key):
                requests.post("https://mail")
        mail = Mailer()
        """
    body = "mailer.mail.send(order_id, email, idempotency_key='x')"
    result = handler(
        tmp_path / "repo", body, mailer=mailer, changes={"effects.0.call": "shop.mailer:mail.send"}
    )
    assert rules(result) == []
    assert not has(result, "handler.effect-not-reached")


INNOCENT = {
    "reading sql": (
        "db.execute('SELECT id FROM orders WHERE updated = 1')",
        "import sqlite3\ndb = sqlite3.connect('x')",
    ),
    "exceptions": ("try:\n    pass\nexcept requests.HTTPError:\n    pass", "import requests"),
    "retry": ("raise self.retry(countdown=3)", ""),
    "parsing": ("urllib.parse.quote(email)", "import urllib.parse"),
    "building a message": ("EmailMessage()", "from django.core.mail import EmailMessage"),
    "a list": ("x = []\nx.append(order_id)", ""),
}


@pytest.mark.parametrize(("body", "imports"), INNOCENT.values(), ids=INNOCENT)
def test_ignores_what_changes_nothing_outside(tmp_path, body, imports):
    result = handler(tmp_path / "repo", f"{SEND}\n{body}", imports)
    assert not has(result, "handler.undeclared-effect")


STUB = (
    "class Unavailable(Exception): ...\nclass BadAddress(Exception): ...\n"
    "def send(order_id, email, *, idempotency_key):\n"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('    """Sends."""\n    raise NotImplementedError("a stub")\n', True),
        ("    raise NotImplementedError\n", True),
        ("    raise Unavailable('always')\n", False),
        ("    print(order_id)\n", False),
    ],
)
def test_an_adapter_that_is_still_a_stub_is_said(tmp_path, body, said):
    result = handler(tmp_path / "repo", SEND, mailer=STUB + body)
    assert has(result, "handler.stub-adapter") is said
    assert result.status == "passed"


@pytest.mark.parametrize(
    ("due", "said"),
    [
        ('    raise NotImplementedError("a stub")\n', True),
        ("    return [1]\n", False),
        ("    if not orders:\n        raise NotImplementedError\n    return orders\n", False),
    ],
)
def test_a_stub_that_says_what_is_due_is_said(tmp_path, due, said):
    tick = f"from shop.tasks import send_receipt\n\ndef due(orders=None):\n{due}\n"
    tick += (
        "\ndef tick():\n    for order in due():\n        send_receipt.delay(order,"
        " 'a@example.com')\n"
    )
    result = handler(tmp_path / "repo", SEND, tick=tick)
    assert has(result, "handler.stub-source") is said


def test_an_adapter_that_does_not_exist_blocks(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", changes={"effects.0.call": "shop.post:send"})
    )
    found = finding(result, "handler.no-adapter")
    assert (result.status, found.recommends) == ("blocked", "backend/integration-adapter")


def test_a_misspelled_function_of_an_adapter_blocks(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", changes={"effects.0.call": "shop.mailer:sned"})
    )
    assert "handler.no-adapter" in rules(result)


@pytest.mark.real
def test_a_misspelled_function_blocks_although_the_handler_calls_it(tmp_path):
    """Spec and handler agree on a name that the adapter's module does not have."""
    tasks = FILES["shop/tasks.py"].replace("mailer.send(", "mailer.sned(")
    files = {"shop/tasks.py": tasks}
    changes = {"effects.0.call": "shop.mailer:sned"}
    result = examine("handler", build(tmp_path / "repo", files, changes))
    assert "handler.no-adapter" in rules(result)
    # A module that makes its names when they are asked for may have any.
    made = "\ndef __getattr__(name):\n    return send\n"
    files["shop/mailer.py"] = textwrap.dedent(FILES["shop/mailer.py"]) + made
    result = examine("handler", build(tmp_path / "made", files, changes))
    assert "handler.no-adapter" not in rules(result)


def test_an_adapter_that_is_not_called_is_said(tmp_path):
    result = handler(tmp_path / "repo", "pass")
    assert finding(result, "handler.effect-not-reached").severity == "warning"


def test_a_thick_handler_is_said(tmp_path):
    result = handler(
        tmp_path / "a", "\n".join(f"if order_id == {n}:\n    order_id += {n}" for n in range(20))
    )
    assert finding(result, "handler.not-thin").recommends == "backend/domain-logic-module"
    assert not has(handler(tmp_path / "b", SEND), "handler.not-thin")


def test_a_module_that_cannot_be_parsed_is_said_to_be_so(tmp_path):
    result = examine(
        "handler", build(tmp_path / "repo", {"shop/tasks.py": "x = 1\ndef send_receipt(:\n"})
    )
    assert (result.status, rules(result)) == ("blocked", ["handler.unreadable"])
    found = finding(result, "handler.unreadable")
    assert (found.path, found.line) == ("shop/tasks.py", 2)


def test_an_http_read_is_a_warning_and_a_write_an_error(tmp_path):
    reads = handler(tmp_path / "a", f"requests.get('http://x')\n{SEND}", imports="import requests")
    writes = handler(
        tmp_path / "b",
        f"requests.post('http://x').raise_for_status()\n{SEND}",
        imports="import requests",
    )
    assert [f.severity for f in reads.findings if f.rule == "handler.undeclared-effect"] == [
        "warning"
    ]
    assert [f.severity for f in writes.findings if f.rule == "handler.undeclared-effect"] == [
        "error"
    ]


def test_a_method_of_what_a_constructor_returned_can_be_declared(tmp_path):
    body = f"mail = EmailMessage('hello')\nmail.attach_alternative('x')\nmail.send()\n{SEND}"
    effect = {
        "name": "mail",
        "call": "django.core.mail:EmailMessage.send",
        "guarantee": "at_least_once",
        "reason": "no key",
    }
    spec = {
        "effects": [
            effect,
            {
                "name": "email",
                "call": "shop.mailer:send",
                "guarantee": "at_least_once",
                "reason": "x",
            },
        ]
    }
    result = handler(
        tmp_path / "repo", body, imports="from django.core.mail import EmailMessage", changes=spec
    )
    assert not has(result, "handler.undeclared-effect")
    assert not has(result, "handler.effect-not-reached")


LOOPS = {
    "a plain loop": ("for _ in range(3):\n    {}", "f'r-{order_id}'", True),
    "recipients with one key": ("for to in email:\n    {}", "f'r-{order_id}'", True),
    "recipients with a key each": ("for to in email:\n    {}", "f'r-{order_id}-{to}'", False),
    "tried until it succeeds": (
        (
            "for attempt in range(3):\n    try:\n        {}\n        break\n    except OSError:\n  "
            "      pass"
        ),
        "f'r-{order_id}'",
        False,
    ),
    "no loop around it": ("for to in email:\n    check(to)\n{}", "f'r-{order_id}'", False),
    "a comprehension": ("[{} for to in email]", "f'r-{order_id}'", True),
}


@pytest.mark.parametrize(("around", "key", "found"), LOOPS.values(), ids=LOOPS)
def test_an_effect_in_a_loop_is_repeated_by_a_retry(tmp_path, around, key, found):
    body = around.format(f"mailer.send(order_id, email, idempotency_key={key})")
    changes = {
        "effects": [{"name": "email", "call": "shop.mailer:send", "key_arg": "idempotency_key"}]
    }
    result = handler(tmp_path / "repo", body, changes=changes)
    assert has(result, "handler.effect-in-loop") == found
    if found:
        assert "differs per item" in finding(result, "handler.effect-in-loop").hint


def test_an_effect_in_a_function_that_a_loop_calls(tmp_path):
    helper = "def post(to, order_id):\n    mailer.send(order_id, to, idempotency_key={})\n"
    changes = {
        "effects": [{"name": "email", "call": "shop.mailer:send", "key_arg": "idempotency_key"}]
    }
    for number, (key, found) in enumerate({"f'r-{to}'": False, "'r'": True}.items()):
        text = tasks("for to in email:\n    post(to, order_id)") + "\n" + helper.format(key)
        result = examine(
            "handler", build(tmp_path / f"r{number}", {"shop/tasks.py": text}, changes)
        )
        assert has(result, "handler.effect-in-loop") == found
