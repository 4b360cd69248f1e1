"""Branches that only look as if they asked: beside each sign what an honest change does with it."""

from __future__ import annotations

from watched_shop import GUARD, SEEDING, Case, config, mailer, tasks

BASE_TESTING = tasks(before="if settings.TESTING:\n    return")
BASE_FIELD = config(imports="import sys", fields='TESTING = "pytest" in sys.modules')
NEIGHBOURS = (
    *(
        Case(
            f"plain-{asked}",
            "nothing",
            tasks(imports=f"import {modules}", before=f"{given}\nif {asked}:\n    return"),
        )
        for modules, given, asked in (
            ("datetime", "now = datetime.datetime.now()", "str(now.year) == order_id"),
            (
                "datetime",
                "due = datetime.datetime.fromisoformat(email)",
                "str(due.year) == order_id",
            ),
            ("sqlite3", "rows = sqlite3.connect('a').execute(email)", "str(rows.rowcount) == '0'"),
            (
                "sqlite3",
                "rows = sqlite3.connect('a').execute(email)",
                "isinstance(rows.lastrowid, str)",
            ),
            ("os", "size = os.stat(email)", "str(size.st_size) == '0'"),
            ("uuid", "number = uuid.UUID(email)", "str(number.version) != '4'"),
            ("os", "mode = os.environ['SHOP_MODE']", "str(mode) == 'dry'"),
            ("os", "mode = os.environ['SHOP_MODE']", "isinstance(mode, bytes)"),
            ("os", "mode = os.environ['SHOP_MODE']", "len(mode) < 1"),
            ("os", "", "isinstance(os.sep, bytes)"),
            ("os", "", "os.environ.get('SHOP_API_KEY') is None"),
            ("os", "", "'SHOP_API_KEY' not in os.environ"),
            ("os", "", "os.environ['SHOP_API_KEY'].strip() == ''"),
            ("os", "", "order_id != os.environ['SHOP_API_KEY']"),
            ("os", "", "email == os.environ['SHOP_HOST']"),
            ("os", "", "os.environ['SHOP_DB'].startswith('postgres')"),
            ("os", "", "not os.environ['SHOP_RELAY'].startswith('smtp')"),
            ("os", "", "settings.broker_url.startswith('sqs')"),
            ("os", "", "settings.result_backend is None"),
            ("os", "", "not os.path.ismount('/mnt/exports')"),
            ("os", "", "order_id.__spec__ == 1"),
            ("os", "", "email.__file__.startswith('/x')"),
            ("os", "", "getattr(email, 'called', False)"),
        )
    ),
    Case(
        "length-of-a-setting",
        "nothing",
        {
            **config(fields='MODE = os.environ["SHOP_MODE"]'),
            **tasks(before="if len(settings.MODE) < 1:\n    return"),
        },
    ),
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
