"""What the environment of a process says, alone, counted or through the settings."""

from __future__ import annotations

from watched_shop import Case, config, tasks

VARIABLES = (
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
        "match",
        "error",
        tasks(
            imports="import os",
            before='match os.environ.get("PYTEST_VERSION"):\n    case None:\n        return',
        ),
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
        "method-of-the-payload",
        "nothing",
        tasks(before="if email.endswith('.test'):\n    raise ValueError(email)"),
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
        "variable-that-is-missed",
        "error",
        tasks(
            imports="import os",
            before='try:\n    os.environ["CI"]\nexcept LookupError:\n    pass\nelse:\n    return',
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
)
