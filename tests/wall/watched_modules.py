"""Which modules a process has, and how code comes to know it: a proof and a test have some that
production has not."""

from __future__ import annotations

from watched_shop import Case, tasks

MODULES = (
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
        "exec-of-a-text",
        "error",
        tasks(before="if eval(\"'pytest' in __import__('sys').modules\"):\n    return"),
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
        "optional-feature-of-a-library",
        "nothing",
        tasks(imports="import sys", before='if "celery" in sys.modules:\n    log.info("x")'),
    ),
    Case(
        "module-that-is-missed",
        "error",
        tasks(
            imports="import sys",
            before='try:\n    sys.modules["pytest"]\n    return\nexcept KeyError:\n    pass',
        ),
    ),
)
