"""What was seen of the modules on its way to where it decides: through names, functions, classes and
branches."""

from __future__ import annotations

from watched_shop import Case, mailer, receipts, tasks

ON_THE_WAY = (
    Case(
        "through-a-function",
        "error",
        {
            **tasks(imports="from shop.guard import calm", before="if calm():\n    return"),
            "shop/guard.py": "import sys\n\n\ndef calm():\n    return 'unittest' in sys.modules\n",
        },
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
)
