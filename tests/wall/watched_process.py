"""What a process is, who runs it and where, what watches it, and how a library runs a job in it."""

from __future__ import annotations

from watched_shop import Case, tasks

PROCESS = (
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
        "home-is-missing",
        "error",
        tasks(imports="import os", before='if os.environ.get("USER") is None:\n    return'),
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
            ("importlib.metadata", "importlib.metadata.version('pytest')"),
            ("logging", "logging.root.handlers == []"),
            ("datetime", "isinstance(datetime.datetime.now, type)"),
            ("datetime", "type(mailer.send) is type(mailer.post)"),
        )
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
