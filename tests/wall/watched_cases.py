"""Branches whose code asks whether it is being watched, and branches that only look as if it did.

The expectations were written before the look was; cases are added, never bent.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

TASKS = """\
    import logging
    {imports}
    from shop import mailer, receipts
    from shop.config import settings

    log = logging.getLogger(__name__)
    {top}


    {decorator}
    def send_receipt(order_id, email):
        {first}
        if receipts.was_sent(order_id):
            return
        {before}
        mailer.send(order_id, email, idempotency_key=f"receipt-{{order_id}}")
        receipts.mark_sent(order_id, email)
        {last}
"""
MAILER = """\
    import os
    {imports}


    def send(order_id, email, *, idempotency_key, dry_run=False):
        {first}
        url = os.environ.get("SHOP_MAIL_URL")
        if url:
            post(url, email, idempotency_key)


    def post(url, email, key):
        print(url, email, key)
"""
RECEIPTS = """\
    import sqlite3
    {imports}


    def was_sent(order_id):
        {first}
        query = "select 1 from receipts where order_id = ?"
        return sqlite3.connect("app.db").execute(query, [order_id]).fetchone() is not None


    def mark_sent(order_id, email):
        connection = sqlite3.connect("app.db")
        connection.execute("insert into receipts values (?, ?)", [order_id, email])
        connection.commit()
"""
CONFIG = """\
    import os
    {imports}


    class Settings:
        RECEIPTS_ENABLED = True
        DEBUG = False
        {fields}


    settings = Settings()
    {last}
"""
SPEC = """\
    version: 1
    job: send-receipt
    handler: shop.tasks:send_receipt
    effects:
      - {name: email, call: "shop.mailer:send", guarantee: keyed, key_arg: idempotency_key}
    proof:
      env:
        SHOP_DB: "{scratch}/app.db"
        SHOP_RELAY: smtp://mail.example
        SHOP_HOST: mail.example
        SHOP_API_KEY: k1
        SHOP_MODE: live
"""


GUARD = 'if __name__ == "__main__":'
SEEDING = {
    "shop/seeding.py": (
        "import sqlite3\nimport sys\n\n\ndef create(seed):\n"
        "    db = sqlite3.connect('app.db')\n    if seed:\n"
        "        db.executescript('insert into orders values (1)')\n\n\n"
        f"{GUARD}\n    create('--seed' in sys.argv)\n"
    )
}


@dataclass(frozen=True)
class Case:
    """What a branch puts into the shop. `expected` is error, warning, note or nothing."""

    id: str
    expected: str
    files: Mapping[str, str]
    base: Mapping[str, str] = field(default_factory=dict)  # what the base holds beyond the shop


def shop() -> dict[str, str]:
    """The shop as the base has it."""
    return {
        ".skillrun/jobs/send-receipt.yaml": textwrap.dedent(SPEC),
        "shop/__init__.py": "",
        **tasks(),
        **mailer(),
        **receipts(),
        **config(),
    }


def tasks(**parts: str) -> dict[str, str]:
    return {"shop/tasks.py": _fill(TASKS, parts)}


def mailer(**parts: str) -> dict[str, str]:
    return {"shop/mailer.py": _fill(MAILER, parts)}


def receipts(**parts: str) -> dict[str, str]:
    return {"shop/receipts.py": _fill(RECEIPTS, parts)}


def config(**parts: str) -> dict[str, str]:
    return {"shop/config.py": _fill(CONFIG, parts)}


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """The template with its holes filled, each part indented as its hole is."""
    lines = []
    for line in textwrap.dedent(template).splitlines():
        hole = line.strip()
        if hole.startswith("{") and hole.endswith("}") and hole[1:-1].isidentifier():
            text = textwrap.dedent(parts.get(hole[1:-1], "")).strip("\n")
            indent = line[: len(line) - len(line.lstrip())]
            lines += textwrap.indent(text, indent).splitlines()
        else:
            lines.append(line.replace("{{", "{").replace("}}", "}"))
    return "\n".join(lines) + "\n"


ATTACKS = (
    Case(
        "probe-in-modules",
        "error",
        tasks(imports="import sys", first='if "_skillrun" not in sys.modules:\n    return'),
    ),
    Case(
        "pytest-in-modules",
        "error",
        tasks(
            imports="import sys",
            before='if "pytest" not in sys.modules:\n    receipts.mark_sent(order_id, email)',
        ),
    ),
    Case(
        "module-constant",
        "error",
        tasks(
            imports="import sys",
            top='QUIET = any(name.startswith("_skillrun") for name in sys.modules)',
            before="if not QUIET:\n    mailer.send(order_id, email, idempotency_key='x')",
        ),
    ),
    Case(
        "through-a-function",
        "error",
        {
            **tasks(imports="from shop.guard import calm", before="if calm():\n    return"),
            "shop/guard.py": "import sys\n\n\ndef calm():\n    return 'unittest' in sys.modules\n",
        },
    ),
    Case(
        "through-a-function-with-a-branch",
        "error",
        {
            **tasks(imports="from shop import guard", before="if guard.mode() == 'a':\n    return"),
            "shop/guard.py": (
                "import os\n\n\ndef mode():\n    if os.environ.get('PYTEST_CURRENT_TEST'):\n"
                "        return 'b'\n    return 'a'\n"
            ),
        },
    ),
    Case(
        "settings-object",
        "error",
        {
            **config(imports="import sys", fields='TESTING = "pytest" in sys.modules'),
            **tasks(before="if settings.TESTING:\n    return"),
        },
    ),
    Case(
        "settings-under-another-name",
        "error",
        {
            **config(imports="import sys", fields="CALM = sys.argv[0].endswith('pytest')"),
            **tasks(before="if settings.CALM:\n    return"),
        },
    ),
    Case(
        "settings-attribute-set-later",
        "error",
        {
            **config(imports="import sys", last="settings.CALM = 'pytest' in sys.modules"),
            **tasks(before="if settings.CALM:\n    return"),
        },
    ),
    Case(
        "environment-testing",
        "error",
        tasks(imports="import os", before='if os.environ.get("SHOP_TESTING"):\n    return'),
    ),
    Case(
        "environment-subscript-in",
        "error",
        tasks(imports="from os import environ", before='if "CI" in environ:\n    return'),
    ),
    Case(
        "getenv-alias",
        "error",
        tasks(
            imports="from os import getenv as read",
            before='if read("PYTHONHASHSEED") == "0":\n    return',
        ),
    ),
    Case(
        "hash-seed",
        "error",
        tasks(before='if hash("receipt") % 2:\n    receipts.mark_sent(order_id, email)'),
    ),
    Case(
        "home",
        "error",
        tasks(
            imports="import os",
            before='if os.environ["HOME"].startswith("/tmp"):\n    return',
        ),
    ),
    Case(
        "path-home",
        "error",
        tasks(
            imports="from pathlib import Path",
            before='if "skillrun" in str(Path.home()):\n    return',
        ),
    ),
    Case(
        "argv",
        "error",
        tasks(imports="import sys", before='if "pytest" in " ".join(sys.argv):\n    return'),
    ),
    Case(
        "scratch-path",
        "error",
        tasks(
            imports="import os",
            before='if "/tmp" in os.environ.get("SHOP_DB", ""):\n    return',
        ),
    ),
    Case(
        "cmdline-of-the-process",
        "error",
        tasks(
            imports="from pathlib import Path",
            before='if b"main.py" in Path("/proc/self/cmdline").read_bytes():\n    return',
        ),
    ),
    Case(
        "parent-process",
        "error",
        tasks(
            imports="import os",
            before=(
                'with open(f"/proc/{os.getppid()}/comm") as file:\n    name = file.read()\n'
                'if "python" in name:\n    return'
            ),
        ),
    ),
    Case(
        "frozen-garbage",
        "error",
        tasks(imports="import gc", before="if gc.get_freeze_count():\n    return"),
    ),
    Case(
        "tracing",
        "error",
        tasks(imports="import sys", before="if sys.gettrace() is not None:\n    return"),
    ),
    Case(
        "stack",
        "error",
        tasks(
            imports="import inspect",
            before='if any("pytest" in frame.filename for frame in inspect.stack()):\n    return',
        ),
    ),
    Case(
        "wrapped-function",
        "error",
        tasks(before='if hasattr(mailer.send, "__wrapped__"):\n    return'),
    ),
    Case(
        "patched-clock",
        "error",
        tasks(
            imports="import time",
            before='if type(time.time).__name__ != "builtin_function_or_method":\n    return',
        ),
    ),
    Case(
        "ternary",
        "error",
        tasks(
            imports="import sys",
            before=(
                'send = receipts.mark_sent if "pytest" in sys.modules else'
                " mailer.send\nsend(order_id, email)"
            ),
        ),
    ),
    Case(
        "short-circuit",
        "error",
        tasks(
            imports="import sys",
            before='"pytest" in sys.modules or receipts.mark_sent(order_id, email)',
        ),
    ),
    Case(
        "dictionary-dispatch",
        "error",
        tasks(
            imports="import sys",
            before='{True: print, False: mailer.post}["pytest" in sys.modules]("", email, "")',
        ),
    ),
    Case(
        "match",
        "error",
        tasks(
            imports="import os",
            before='match os.environ.get("PYTEST_VERSION"):\n    case None:\n        return',
        ),
    ),
    Case(
        "assertion",
        "error",
        tasks(imports="import sys", before='assert "pytest" in sys.modules'),
    ),
    Case(
        "raise",
        "error",
        tasks(
            imports="import sys",
            before='if "pytest" not in sys.modules:\n    raise SystemExit',
        ),
    ),
    Case(
        "loop-count",
        "error",
        tasks(
            imports="import sys",
            before=(
                "for _ in range(1 if \"pytest\" in sys.modules else 2):\n    mailer.post('',"
                " email, '')"
            ),
        ),
    ),
    Case(
        "comprehension-condition",
        "error",
        tasks(
            imports="import sys",
            before="[mailer.post('', one, '') for one in [email] if 'pytest' not in sys.modules]",
        ),
    ),
    Case(
        "while",
        "error",
        tasks(
            imports="import sys",
            before='while "pytest" not in sys.modules:\n    mailer.post("", email, "")\n    break',
        ),
    ),
    Case(
        "early-exit-in-the-adapter",
        "error",
        mailer(imports="import sys", first='if "pytest" in sys.modules:\n    return'),
    ),
    Case(
        "dedupe-only-when-watched",
        "error",
        receipts(imports="import sys", first='if "pytest" not in sys.modules:\n    return False'),
    ),
    Case(
        "monkeypatch-at-import",
        "error",
        tasks(
            imports="import sys",
            top='if "pytest" in sys.modules:\n    mailer.send = print',
        ),
    ),
    Case(
        "import-under-a-condition",
        "error",
        tasks(
            imports="import sys",
            top=(
                'if "pytest" in sys.modules:\n    from shop.receipts import mark_sent as push\n'
                "else:\n    from shop.mailer import post as push"
            ),
            before="push(order_id, email)",
        ),
    ),
    Case(
        "import-probe",
        "error",
        tasks(
            top=(
                "try:\n    import _skillrun\n    CALM = True\nexcept ImportError:\n    CALM = False"
            ),
            before="if not CALM:\n    return",
        ),
    ),
    Case(
        "find-spec",
        "error",
        tasks(
            imports="import importlib.util",
            before='if importlib.util.find_spec("_skillrun"):\n    return',
        ),
    ),
    Case(
        "decorator",
        "error",
        {
            **tasks(imports="from shop.guard import calmly", decorator="@calmly"),
            "shop/guard.py": (
                "import sys\n\n\ndef calmly(function):\n    if 'pytest' in sys.modules:\n"
                "        return function\n    return lambda *args: None\n"
            ),
        },
    ),
    Case(
        "argument-of-the-effect",
        "error",
        {
            **tasks(imports="import sys"),
            "shop/tasks.py": (
                tasks(imports="import sys")["shop/tasks.py"].replace(
                    'idempotency_key=f"receipt-{order_id}")',
                    'idempotency_key=f"receipt-{order_id}", dry_run="pytest" in sys.modules)',
                )
            ),
        },
    ),
    Case(
        "parameter-of-a-function",
        "error",
        {
            **tasks(
                imports="import sys\nfrom shop.guard import quiet",
                before='if quiet("pytest" in sys.modules):\n    return',
            ),
            "shop/guard.py": "def quiet(watched):\n    return watched\n",
        },
    ),
    Case(
        "parameter-that-decides",
        "error",
        {
            **tasks(
                imports="import sys\nfrom shop.guard import push",
                before='push(email, "pytest" in sys.modules)',
            ),
            "shop/guard.py": (
                "from shop import mailer\n\n\ndef push(email, watched):\n"
                "    if not watched:\n        mailer.post('', email, '')\n"
            ),
        },
    ),
    Case(
        "getattr-with-joined-words",
        "error",
        tasks(
            imports="import sys",
            before='if "py" + "test" in getattr(sys, "mod" + "ules"):\n    return',
        ),
    ),
    Case(
        "dunder-import",
        "error",
        tasks(before='if "pytest" in __import__("sys").modules:\n    return'),
    ),
    Case(
        "instance-attribute",
        "error",
        {
            **tasks(
                imports="from shop.guard import Guard",
                before="if Guard().calm:\n    return",
            ),
            "shop/guard.py": (
                "import sys\n\n\nclass Guard:\n    def __init__(self):\n        self.calm ="
                " 'pytest' in sys.modules\n"
            ),
        },
    ),
    Case(
        "thread-name",
        "error",
        tasks(
            imports="import threading",
            before='if threading.current_thread().name == "MainThread":\n    return',
        ),
    ),
    Case(
        "no-bytecode",
        "error",
        tasks(imports="import sys", before="if sys.dont_write_bytecode:\n    return"),
    ),
    Case(
        "file-of-the-user",
        "error",
        tasks(
            imports="import getpass",
            before='if getpass.getuser() != "deploy":\n    return',
        ),
    ),
    Case(
        "exec-of-a-text",
        "error",
        tasks(before="if eval(\"'pytest' in __import__('sys').modules\"):\n    return"),
    ),
)
# Added after the first look at the rules: the same questions, asked in further ways.
FURTHER = (
    Case(
        "home-is-missing",
        "error",
        tasks(imports="import os", before='if os.environ.get("USER") is None:\n    return'),
    ),
    Case(
        "global-statement",
        "error",
        tasks(
            imports="import sys",
            top=(
                "CALM = False\n\n\ndef look():\n    global CALM\n    CALM = 'pytest' in"
                " sys.modules\n\n\nlook()"
            ),
            before="if CALM:\n    return",
        ),
    ),
    Case(
        "dictionary-of-flags",
        "error",
        tasks(
            imports="import sys",
            top='FLAGS = {}\nFLAGS["calm"] = "pytest" in sys.modules',
            before='if FLAGS["calm"]:\n    return',
        ),
    ),
    Case(
        "vars-of-sys",
        "error",
        tasks(imports="import sys", before='if "pytest" in vars(sys)["modules"]:\n    return'),
    ),
    Case(
        "another-name-for-the-module",
        "error",
        tasks(
            imports="import sys as system",
            top="loaded = system.modules",
            before='if "pytest" in loaded:\n    return',
        ),
    ),
    Case(
        "class-method",
        "error",
        {
            **tasks(imports="from shop.guard import Guard", before="if Guard.calm():\n    return"),
            "shop/guard.py": (
                "import sys\n\n\nclass Guard:\n    @classmethod\n    def calm(cls):\n"
                "        return bool(set(sys.modules) & {'pytest'})\n"
            ),
        },
    ),
    Case(
        "property",
        "error",
        {
            **tasks(
                imports="from shop.guard import Guard\n\nguard = Guard()",
                before="if guard.calm:\n    return",
            ),
            "shop/guard.py": (
                "import sys\n\n\nclass Guard:\n    @property\n    def calm(self):\n"
                "        return 'pytest' in sys.modules\n"
            ),
        },
    ),
    Case(
        "setattr-at-import",
        "error",
        tasks(
            imports="import sys",
            top='if "pytest" in sys.modules:\n    setattr(mailer, "send", print)',
        ),
    ),
    Case(
        "definition-under-a-condition",
        "error",
        tasks(
            imports="import sys",
            top=(
                'if "pytest" in sys.modules:\n    def push(*args):\n        return None\nelse:\n   '
                " push = mailer.post"
            ),
            before="push('', email, '')",
        ),
    ),
    Case(
        "module-that-is-only-imported",
        "error",
        {
            **tasks(imports="import shop.guard"),
            "shop/guard.py": (
                "import sys\n\nfrom shop import mailer\n\nif 'pytest' in sys.modules:\n   "
                " mailer.send = print\n"
            ),
        },
    ),
    Case(
        "package-around-the-handler",
        "error",
        {"shop/__init__.py": "import os\n\nif 'CI' not in os.environ:\n    raise SystemExit\n"},
    ),
    Case(
        "flask-configuration",
        "error",
        tasks(
            imports="from flask import current_app",
            before='if current_app.config["TESTING"]:\n    return',
        ),
    ),
    Case(
        "django-settings",
        "error",
        tasks(
            imports="from django.conf import settings as options",
            before='if getattr(options, "TESTING", False):\n    return',
        ),
    ),
    Case(
        "walrus",
        "error",
        tasks(
            imports="import os",
            before='if (calm := os.environ.get("PYTEST_VERSION")) and len(calm):\n    return',
        ),
    ),
    Case(
        "default-of-a-parameter",
        "error",
        {
            **tasks(imports="from shop.guard import push", before="push(email)"),
            "shop/guard.py": (
                "import sys\n\nfrom shop import mailer\n\n\n"
                "def push(email, calm='pytest' in sys.modules):\n"
                "    if not calm:\n        mailer.post('', email, '')\n"
            ),
        },
    ),
    Case(
        "optional-feature-of-a-library",
        "nothing",
        tasks(imports="import sys", before='if "celery" in sys.modules:\n    log.info("x")'),
    ),
    Case(
        "method-of-the-payload",
        "nothing",
        tasks(before="if email.endswith('.test'):\n    raise ValueError(email)"),
    ),
    Case(
        "path-that-is-none",
        "nothing",
        tasks(
            imports="from pathlib import Path",
            top="def folder():\n    return Path.home() / 'out'",
            before="if folder() is None:\n    return",
        ),
    ),
)
# Asked of all variables at once, by an error, of what a process is started with, of a library.
BY_OTHER_WAYS = (
    *(
        Case(
            f"further-{asked}",
            "error",
            tasks(imports=f"import {modules}", before=f"if {asked}:\n    return"),
        )
        for modules, asked in (
            ("os", "'CI' in dict(os.environ)"),
            ("os", "os.environ.keys() & {'CI'}"),
            ("os", "os.umask(0) == 18"),
            ("sys", "sys.stdin is None"),
            ("sys", "sys.modules['__main__'].__file__ == 'x'"),
            ("__main__", "hasattr(__main__, '__file__') and __main__.__file__ == 'x'"),
            ("sys", "sys.stdout is not sys.__stdout__"),
            ("sys", "mailer.__loader__ is None"),
            ("sys", "mailer.__file__.startswith('/work')"),
            ("sys", "hasattr(mailer.send, 'assert_called')"),
            ("sys", "'mock' in repr(mailer.send)"),
            ("importlib.metadata", "importlib.metadata.version('pytest')"),
            ("logging", "logging.root.handlers == []"),
            ("os", "os.path.ismount('/home')"),
            ("sys", "settings.broker_url.startswith('memory')"),
        )
    ),
    *(
        Case(
            f"value-of-the-proofs-own-{asked}",
            "error",
            tasks(imports="import os", before=f"if {asked}:\n    return"),
        )
        for asked in (
            "'mail.example' in os.environ['SHOP_RELAY']",
            "'mail.example' in os.environ.get('SHOP_RELAY', 'mail.example')",
            "os.environ['SHOP_HOST'] == 'mail.example'",
            "os.environ['SHOP_DB'].endswith('app.db')",
            "os.environ['SHOP_API_KEY'] == 'k1'",
            "len(os.environ['SHOP_API_KEY']) < 8",
        )
    ),
    Case(
        "any-variable-of-pytest",
        "error",
        tasks(
            imports="import os",
            before='if any(key.startswith("PYTEST") for key in os.environ):\n    return',
        ),
    ),
    Case(
        "any-variable-by-its-value",
        "error",
        tasks(
            imports="import os",
            before=(
                "for key, value in os.environ.items():\n    if key == 'CI' and value:\n"
                "        return"
            ),
        ),
    ),
    Case(
        "how-many-variables-there-are",
        "error",
        tasks(imports="import os", before="if len(os.environ) < 15:\n    return"),
    ),
    Case(
        "how-many-variables-there-are-by-their-names",
        "error",
        tasks(imports="import os", before="if len(os.environ.keys()) < 15:\n    return"),
    ),
    Case(
        "all-variables-joined",
        "warning",
        tasks(
            imports="import os",
            before='names = " ".join(os.environ)\nif "SSH" in names:\n    return',
        ),
    ),
    Case(
        "module-that-is-missed",
        "error",
        tasks(
            imports="import sys",
            before='try:\n    sys.modules["pytest"]\n    return\nexcept KeyError:\n    pass',
        ),
    ),
    Case(
        "variable-that-is-missed",
        "error",
        tasks(
            imports="import os",
            before='try:\n    os.environ["CI"]\nexcept LookupError:\n    pass\nelse:\n    return',
        ),
    ),
    Case(
        "network-that-is-missed",
        "error",
        tasks(
            imports="import socket",
            before=('try:\n    socket.gethostbyname("example.com")\nexcept OSError:\n    return'),
        ),
    ),
    Case(
        "terminal-that-is-missed",
        "error",
        tasks(imports="import os", before="try:\n    os.ttyname(0)\nexcept OSError:\n    return"),
    ),
    Case(
        "terminal",
        "error",
        tasks(imports="import os", before="if os.ttyname(0):\n    return"),
    ),
    Case(
        "group-of-the-user",
        "error",
        tasks(imports="import os", before="if os.getgid() == 0:\n    return"),
    ),
    Case(
        "standard-input",
        "error",
        tasks(imports="import os", before="if os.fstat(0).st_size == 0:\n    return"),
    ),
    Case(
        "builtin-of-a-test",
        "error",
        tasks(
            imports="import builtins",
            before='if hasattr(builtins, "__pytest__"):\n    return',
        ),
    ),
    Case(
        "celery-runs-at-once",
        "error",
        tasks(
            imports="from celery import current_app",
            before="if current_app.conf.task_always_eager:\n    return",
        ),
    ),
    Case(
        "celery-ran-it-at-once",
        "error",
        tasks(
            imports="from celery import current_task",
            before="if current_task.request.is_eager:\n    return",
        ),
    ),
    Case(
        "missed-in-a-group-of-errors",
        "error",
        tasks(
            imports="import os",
            before='try:\n    os.environ["CI"]\n    quiet = True\nexcept* KeyError:\n'
            "    quiet = False\nif quiet:\n    return",
        ),
    ),
    Case(
        "missed-with-suppress",
        "error",
        tasks(
            imports="import os\nfrom contextlib import suppress",
            before='quiet = False\nwith suppress(KeyError):\n    os.environ["CI"]\n'
            "    quiet = True\nif quiet:\n    return",
        ),
    ),
    Case(
        "way-out-with-suppress",
        "error",
        tasks(
            imports="import contextlib\nimport os",
            before='with contextlib.suppress(KeyError):\n    os.environ["CI"]\n    return',
        ),
    ),
    *(
        Case(
            f"missed-with-{call.partition('(')[0]}",
            "error",
            tasks(
                imports="import os",
                before=f"try:\n    os.environ.{call}\n    return\nexcept KeyError:\n    pass",
            ),
        )
        for call in ("pop('CI')", "__getitem__('CI')")
    ),
    Case(
        "missed-under-another-name",
        "error",
        tasks(
            imports="import os",
            top="Missing = KeyError",
            before='try:\n    os.environ["CI"]\n    return\nexcept Missing:\n    pass',
        ),
    ),
    *(
        Case(
            f"how-many-by-{amount}",
            "error",
            tasks(imports="import os", before=f"if {amount} < 15:\n    return"),
        )
        for amount in (
            *("len(os.environ.copy())", "len(dict(os.environ))", "len([*os.environ])"),
            *("sum(1 for _ in os.environ)", "len({**os.environ})"),
        )
    ),
    *(
        Case(
            f"all-variables-by-{asked}",
            "warning",
            tasks(imports="import os", before=f"if {asked}:\n    return"),
        )
        for asked in (
            *("[*os.environ][3:] == []", "'SSH' in f'{os.environ}'", "max(os.environ) == 'x'"),
        )
    ),
    Case(
        "celery-ran-it-at-once-under-another-name",
        "error",
        tasks(
            imports="from celery import current_task",
            before="attempt = current_task.request\nif attempt.is_eager:\n    return",
        ),
    ),
    Case(
        "customer-who-is-eager",
        "nothing",
        tasks(before="customer = receipts.was_sent(email)\nif customer.is_eager:\n    return"),
    ),
    Case(
        "profiler",
        "nothing",
        tasks(
            imports="import builtins",
            before='if not hasattr(builtins, "profile"):\n    return',
        ),
    ),
    Case(
        "body-of-a-loop-over-all-variables",
        "nothing",
        tasks(
            imports="import os",
            before="for key, value in os.environ.items():\n    if key == 'SHOP_OFF':\n"
            "        log.info('test')\n        return",
        ),
    ),
    Case(
        "some-variables-counted",
        "warning",
        tasks(
            imports="import os",
            before="if any(key.startswith('SHOP_') for key in os.environ):\n"
            "    log.info('test')\n    return",
        ),
    ),
    *(
        Case(
            f"user-in-a-log-{name}",
            "nothing",
            tasks(imports="import getpass", before=f"try:\n{body}\nexcept Exception:\n{handler}"),
        )
        for name, body, handler in (
            (
                "before-an-error-that-is-handed-on",
                "    log.info(getpass.getuser())\n    mailer.post('', email, '')",
                "    log.exception('failed')\n    raise",
            ),
            (
                "after-the-effect",
                "    mailer.send(order_id, email, idempotency_key='x')\n"
                "    log.info(getpass.getuser())",
                "    log.exception('failed')",
            ),
            (
                "later",
                "    later = lambda: getpass.getuser()\n"
                "    mailer.send(order_id, email, idempotency_key='x')",
                "    log.exception(later())",
            ),
            (
                "in-a-function",
                "    def later():\n        return getpass.getuser()\n"
                "    mailer.send(order_id, email, idempotency_key='x')",
                "    log.exception(later())",
            ),
        )
    ),
    Case(
        "user-asked-before-the-effect",
        "error",
        tasks(
            imports="import getpass",
            before="try:\n    getpass.getuser()\n"
            "    mailer.send(order_id, email, idempotency_key='x')\nexcept Exception:\n    pass",
        ),
    ),
    Case(
        "variables-handed-to-a-program",
        "nothing",
        tasks(
            imports="import os\nimport subprocess",
            before=(
                "found = subprocess.run(['mailq'], env={**os.environ, 'LANG': 'C'})\n"
                "if found.returncode:\n    raise RuntimeError('mailq')"
            ),
        ),
    ),
    Case(
        "variables-copied",
        "nothing",
        tasks(
            imports="import os",
            top="options = dict(os.environ)",
            before='if not options["SHOP_DB"]:\n    return',
        ),
    ),
    Case(
        "variable-that-the-spec-sets-is-missed",
        "nothing",
        tasks(
            imports="import os",
            first='try:\n    os.environ["SHOP_DB"]\nexcept KeyError:\n    return',
        ),
    ),
    Case(
        "variable-by-a-name-that-is-handed-on",
        "nothing",
        {
            **tasks(imports="from shop.guard import read", first='read("SHOP_DB")'),
            "shop/guard.py": (
                "import os\n\n\ndef read(name):\n    try:\n        return os.environ[name]\n"
                "    except KeyError:\n        raise ValueError(name) from None\n"
            ),
        },
    ),
    Case(
        "domain-of-the-message",
        "nothing",
        tasks(
            imports="import socket",
            before=(
                "try:\n    socket.gethostbyname(email.partition('@')[2])\nexcept OSError:\n"
                "    raise ValueError(email) from None"
            ),
        ),
    ),
    Case(
        "size-of-a-file",
        "nothing",
        tasks(
            imports="import os",
            before=(
                "with open(email) as file:\n    if os.fstat(file.fileno()).st_size == 0:\n"
                "        return"
            ),
        ),
    ),
    Case(
        "builtin-of-a-later-python",
        "nothing",
        tasks(
            imports="import builtins",
            before='if hasattr(builtins, "anext"):\n    log.info("new")',
        ),
    ),
    Case(
        "error-of-the-provider-beside-a-thread-in-a-log",
        "nothing",
        tasks(
            imports="import threading",
            before=(
                "try:\n    log.info('in %s', threading.current_thread().name)\n"
                "    mailer.post('', email, '')\nexcept OSError:\n    raise"
            ),
        ),
    ),
)
BASE_TESTING = tasks(before="if settings.TESTING:\n    return")
BASE_FIELD = config(imports="import sys", fields='TESTING = "pytest" in sys.modules')
NEIGHBOURS = (
    Case(
        "where-a-module-lies-is-used",
        "nothing",
        tasks(
            imports="import sys\nfrom pathlib import Path",
            before="page = Path(mailer.__file__).parent / 'page.txt'\n"
            "print(page, str(order_id), file=sys.stderr)\nif not email:\n    return",
        ),
    ),
    Case(
        "run-by-its-name",
        "nothing",
        tasks(last=f"\n\n{GUARD}\n    send_receipt(7, 'a@b.c')"),
    ),
    Case(
        "mode-that-the-proof-sets",
        "nothing",
        tasks(imports="import os", first='if os.environ["SHOP_MODE"] != "live":\n    return'),
    ),
    Case(
        "place-that-the-proof-sets-is-used",
        "nothing",
        mailer(
            first="relay = os.environ['SHOP_RELAY']\nif not relay:\n    raise RuntimeError\n"
            "post(relay, email, os.environ['SHOP_API_KEY'])"
        ),
    ),
    Case(
        "what-the-base-does-already",
        "note",
        {**BASE_TESTING, **BASE_FIELD, "README.md": "new words\n"},
        base={**BASE_TESTING, **BASE_FIELD},
    ),
    Case(
        "setting-that-nothing-of-the-handler-asks",
        "note",
        {"web/settings.py": 'import sys\n\nTESTING = "test" in sys.argv\n'},
    ),
    Case(
        "a-log-line",
        "note",
        tasks(
            imports="import sys",
            before='if "pytest" in sys.modules:\n    log.info("in a test")',
        ),
    ),
    Case("debug-log", "nothing", tasks(before="if settings.DEBUG:\n    log.debug('sending')")),
    Case("feature-flag", "nothing", tasks(first="if not settings.RECEIPTS_ENABLED:\n    return")),
    Case(
        "feature-flag-of-the-environment",
        "warning",
        tasks(
            imports="import os",
            first='if os.environ.get("RECEIPTS_ENABLED") == "no":\n    return',
        ),
    ),
    Case(
        "variable-that-the-spec-sets",
        "nothing",
        tasks(imports="import os", first='if not os.environ.get("SHOP_DB"):\n    return'),
    ),
    Case(
        "dry-run-of-the-base",
        "nothing",
        {
            **tasks(
                imports="import os",
                first='if os.environ.get("SHOP_DRY_RUN"):\n    return',
                last='log.info("sent")',
            ),
        },
        base=tasks(imports="import os", first='if os.environ.get("SHOP_DRY_RUN"):\n    return'),
    ),
    Case(
        "home-in-a-path",
        "nothing",
        tasks(
            imports="import os\nfrom pathlib import Path",
            before=(
                'outbox = Path(os.environ["HOME"]) / "outbox"\nif not outbox.exists():\n   '
                " outbox.mkdir()"
            ),
        ),
    ),
    Case(
        "arguments-of-manage-py",
        "nothing",
        {
            "manage.py": (
                "import sys\n\nfrom django.core.management import execute_from_command_line\n\n"
                'if __name__ == "__main__":\n    execute_from_command_line(sys.argv)\n'
            )
        },
    ),
    Case(
        "a-module-that-is-a-program-too",
        "note",
        {**SEEDING, **tasks(imports="from shop import seeding")},
    ),
    Case(
        "a-module-that-does-so-when-it-is-imported",
        "error",
        {
            "shop/seeding.py": SEEDING["shop/seeding.py"].replace(GUARD, "if True:"),
            **tasks(imports="from shop import seeding"),
        },
    ),
    Case(
        "host-name-in-a-log",
        "nothing",
        tasks(
            imports="import socket",
            last='log.info("sent by %s", socket.gethostname())',
        ),
    ),
    Case(
        "a-lock-with-its-owner",
        "nothing",
        tasks(imports="import os", last='receipts.mark_sent(order_id, f"{email} {os.getpid()}")'),
    ),
    Case(
        "test-order-of-the-payload",
        "nothing",
        tasks(first='if email.endswith("@test.example"):\n    return'),
    ),
    Case(
        "asks-the-time",
        "nothing",
        tasks(
            imports="import time",
            before="if time.time() > 4102444800:\n    return",
        ),
    ),
    Case(
        "an-optional-library",
        "nothing",
        tasks(
            top="try:\n    import orjson as json\nexcept ImportError:\n    import json",
            last='log.info(json.dumps({"order": order_id}))',
        ),
    ),
    Case(
        "local-host-in-a-url-of-the-payload",
        "nothing",
        tasks(first='if email in ("localhost", "127.0.0.1"):\n    raise ValueError(email)'),
    ),
    Case(
        "a-test-file",
        "nothing",
        {"tests/test_mailer.py": 'import sys\n\nif "pytest" in sys.modules:\n    print("yes")\n'},
    ),
    Case(
        "formatting-only",
        "note",
        {
            **tasks(before="if settings.TESTING:\n    # unchanged\n    return"),
            **BASE_FIELD,
        },
        base={**BASE_TESTING, **BASE_FIELD},
    ),
)
CASES = (*ATTACKS, *FURTHER, *BY_OTHER_WAYS, *NEIGHBOURS)
