"""A template merged into a module: what it lacked is there, and every line that was there still is,
in its order.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sysconfig
from pathlib import Path

import pytest

from skillrun.skills.job_worker.scaffold.editing.merge import CannotEdit, Merged, merge_module

STDLIB = Path(sysconfig.get_paths()["stdlib"])
REAL = sorted((*STDLIB.glob("*.py"), *STDLIB.glob("asyncio/*.py"), *STDLIB.glob("email/*.py")))
FUNCTION = '''\
def send_receipt(order_id: int) -> None:
    """Send the receipt of an order."""
    print(order_id)
'''


def read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def merge(path: str, existing: str | None, wanted: str) -> Merged:
    """Merged, and merged again: the second time changes nothing."""
    merged = merge_module(path, existing, wanted)
    ast.parse(merged.text.removeprefix("\ufeff"))
    again = merge_module(path, merged.text, wanted)
    assert again.text == merged.text
    assert again.added == ()
    return merged


def old_lines_stay(old: str, new: str) -> bool:
    """Whether every line of `old` is in `new`, in its order; a missing end of the last line may
    have been added.
    """
    lines = iter(io.StringIO(new, newline=""))
    return all(
        any(line == other or line == other.rstrip("\r\n") for other in lines)
        for line in io.StringIO(old, newline="")
    )


# -- real modules


def name_of(path: Path) -> str:
    return path.relative_to(STDLIB).as_posix()


def check_real(path: Path) -> None:
    text = read(path)
    assert merge_module(path.name, text, text) == Merged(text, (), ())
    merged = merge(path.name, text, FUNCTION)
    assert merged.added == ("send_receipt",)
    assert old_lines_stay(text, merged.text)


@pytest.mark.real
@pytest.mark.parametrize("path", REAL[::10], ids=name_of)
def test_a_real_module(path: Path) -> None:
    check_real(path)


@pytest.mark.long
@pytest.mark.parametrize("path", REAL[1::4], ids=name_of)
def test_more_real_modules(path: Path) -> None:
    check_real(path)


@pytest.mark.real
@pytest.mark.parametrize("path", REAL[5::20], ids=name_of)
def test_what_was_taken_out_of_a_real_module_comes_back(path: Path) -> None:
    """Every third function or class is cut out; the whole module, merged, brings all of them and
    nothing else.
    """
    text = read(path)
    lines = text.splitlines(keepends=True)
    bodies = [
        one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef | ast.ClassDef)
    ]
    names = [one.name for one in bodies]
    cut = [one for one in bodies[::3] if names.count(one.name) == 1]
    for one in reversed(cut):
        start = min([one.lineno, *(decorator.lineno for decorator in one.decorator_list)])
        del lines[start - 1 : one.end_lineno]
    merged = merge(path.name, "".join(lines), text)
    assert merged.added == tuple(one.name for one in cut)
    assert merged.kept == ()
    assert sorted(map(ast.dump, ast.parse(merged.text).body)) == sorted(
        map(ast.dump, ast.parse(text).body)
    )


# -- what is added, and where

JOB = '''\
import logging

from celery import shared_task

from shop import mailer

logger = logging.getLogger(__name__)


@shared_task
def send_receipt(order_id):
    """Send.

    Once.
    """
    logger.info("send_receipt %s", order_id)
    mailer.send(
        order_id,
    )
'''
TASK = JOB[JOB.index("@shared_task") :]
HEAD = JOB[: JOB.index("logger =")]

PLACED = {
    "tasks in black style": (
        (
            '"""Tasks."""\n\nimport os\n\nfrom celery import shared_task\n\nfrom shop.models import'
            " Order\n\n\n@shared_task\ndef other():\n    return os.sep, Order\n"
        ),
        '"""Tasks."""\n\nimport logging\nimport os\n\nfrom celery import shared_task\n\nfrom shop'
        " import mailer\nfrom shop.models import Order\n\nlogger ="
        " logging.getLogger(__name__)\n\n\n@shared_task\ndef other():\n    return os.sep,"
        " Order\n\n\n" + TASK,
    ),
    "a main block, no last newline": (
        "import sys\n\n\ndef main():\n    pass\n\n# run\nif '__main__' == __name__:\n    main()",
        "import logging\nimport sys\n\nfrom celery import shared_task\n\nfrom shop import"
        " mailer\n\nlogger = logging.getLogger(__name__)\n\n\ndef main():\n    pass\n\n\n"
        + TASK
        + "\n\n# run\nif '__main__' == __name__:\n    main()",
    ),
    "comments at the end": (
        HEAD + "logger = logging.getLogger(__name__)\nx = 1\n# the end\n\n",
        HEAD + "logger = logging.getLogger(__name__)\nx = 1\n# the end\n\n\n" + TASK,
    ),
    "a logger, but no import": (
        "x = 1",
        "import logging\n\nfrom celery import shared_task\n\nfrom shop import mailer\n\n"
        "logger = logging.getLogger(__name__)\n\nx = 1\n\n\n" + TASK,
    ),
    "a docstring alone": (
        '"""Tasks."""\n',
        '"""Tasks."""\n\n' + JOB,
    ),
    "comments alone": ("# Tasks.", "# Tasks.\n\n" + JOB),
    "empty": ("\n\n", JOB),
    "a header, and a comment on the first statement": (
        "#!/usr/bin/env python\n# (c)\n\n# one\nx = 1\n",
        "#!/usr/bin/env python\n# (c)\n\n"
        + HEAD
        + "logger = logging.getLogger(__name__)\n\n# one\nx = 1\n\n\n"
        + TASK,
    ),
    "within try and if": (
        (
            "try:\n    from celery import shared_task\nexcept ImportError:\n    shared_task ="
            " None\nif True:\n    import logging\n    logger = logging.getLogger(__name__)\n"
        ),
        "from shop import mailer\n\n"
        "try:\n    from celery import shared_task\nexcept ImportError:\n    shared_task = None\n"
        "if True:\n    import logging\n    logger = logging.getLogger(__name__)\n\n\n" + TASK,
    ),
    "CRLF": (
        "import os\r\n\r\nx = '''a\r\nb'''\r\n",
        (
            "import logging\nimport os\n\nfrom celery import shared_task\n\nfrom shop import"
            " mailer\n\nlogger = logging.getLogger(__name__)\n\nx = '''a\nb'''\n\n\n" + TASK
        ).replace("\n", "\r\n"),
    ),
    "BOM": (
        "\ufeff" + HEAD + "x = 1\n",
        "\ufeff" + HEAD + "logger = logging.getLogger(__name__)\n\nx = 1\n\n\n" + TASK,
    ),
    "tabs": (
        HEAD + "def f():\n\tpass\n",
        HEAD
        + "logger = logging.getLogger(__name__)\n\n\ndef f():\n\tpass\n\n\n"
        + TASK.replace("    ", "\t"),
    ),
    "two spaces": (
        HEAD + "def f():\n  pass\n",
        HEAD
        + "logger = logging.getLogger(__name__)\n\n\ndef f():\n  pass\n\n\n"
        + TASK.replace("    ", "  "),
    ),
    "a setting before the app": (
        (
            'import os\n\nfrom celery import Celery\n\nos.environ.setdefault("A", "b")\n\napp ='
            ' Celery("shop")\napp.autodiscover_tasks()\n'
        ),
        "import logging\nimport os\n\nfrom celery import Celery, shared_task\n\nfrom shop import"
        ' mailer\n\nlogger = logging.getLogger(__name__)\n\nos.environ.setdefault("A", "b")\n\napp'
        ' = Celery("shop")\napp.autodiscover_tasks()\n\n\n' + TASK,
    ),
    "a late import": (
        HEAD + "def f():\n    pass\n\n\nfrom shop import late\n",
        HEAD + "logger = logging.getLogger(__name__)\n\n\ndef f():\n    pass\n\n\nfrom shop import"
        " late\n\n\n" + TASK,
    ),
}


@pytest.mark.parametrize("case", PLACED)
def test_a_task_is_added(case: str) -> None:
    before, after = PLACED[case]
    merged = merge("shop/tasks.py", before, JOB)
    assert merged.text == after
    assert merged.kept == ()
    assert "send_receipt" in merged.added


def test_no_module() -> None:
    assert merge("shop/tasks.py", None, JOB) == Merged(JOB, ("logger", "send_receipt"), ())


# -- imports

IMPORTS = {
    "joins in order": ("from a import b, d\n", "from a import c", "from a import b, c, d\n"),
    "joins in no order": ("from a import d, b\n", "from a import c", "from a import d, b, c\n"),
    "classes before functions": (
        "from a import Z, a\n",
        "from a import B",
        "from a import B, Z, a\n",
    ),
    "joins with a comment": (
        "from a import b  # noqa\n",
        "from a import c",
        "from a import b, c  # noqa\n",
    ),
    "in parentheses": ("from a import (b, d)\n", "from a import c", "from a import (b, c, d)\n"),
    "one a line": (
        "from a import (\n    b,  # the b\n    # the d\n    d,\n)\n",
        "from a import c",
        "from a import (\n    b,  # the b\n    c,\n    # the d\n    d,\n)\n",
    ),
    "one a line, first": (
        "from a import (\n    c,\n    d\n)\n",
        "from a import b",
        "from a import (\n    b,\n    c,\n    d\n)\n",
    ),
    "one a line, last": (
        "from a import (\n    b,\n    c\n)\n",
        "from a import d",
        "from a import (\n    b,\n    c,\n    d\n)\n",
    ),
    "trailing comma": (
        "from a import (\n    b,\n)\n",
        "from a import d",
        "from a import (\n    b,\n    d,\n)\n",
    ),
    "hanging": (
        "from a import (b,\n               c)\n",
        "from a import d",
        "from a import (b,\n               c,\n               d)\n",
    ),
    "backslash": (
        "from a import b, \\\n    c\n",
        "from a import d",
        "from a import b, \\\n    c, d\n",
    ),
    "too long": (
        f"from a import {'b' * 50}, {'c' * 20}\n",
        "from a import dddd",
        f"from a import (\n    {'b' * 50},\n    {'c' * 20},\n    dddd,\n)\n",
    ),
    "renamed": (
        "from a import b\n",
        "from a import c as d",
        "from a import b\nfrom a import c as d\n",
    ),
    "a star": ("from a import *\n", "from a import c", "from a import *\nfrom a import c\n"),
    "the same, renamed": ("import a.b as b\n", "from a import b", "import a.b as b\n"),
    "the same, relative": (
        "from . import mailer\n",
        "from shop import mailer",
        "from . import mailer\n",
    ),
    "the same, from above": (
        "from ..x import mailer\n",
        "from shop.x import mailer",
        "from ..x import mailer\n",
    ),
    "the same in try": (
        "try:\n    from a import b\nexcept ImportError:\n    from c import b\n",
        "from a import b",
        "try:\n    from a import b\nexcept ImportError:\n    from c import b\n",
    ),
    "a module within": ("import os.path\n", "import os", "import os.path\n"),
    "one more module within": ("import os\n", "import os.path", "import os\nimport os.path\n"),
    "for types only": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from shop import mailer\n",
        "from shop import mailer",
        (
            "from typing import TYPE_CHECKING\n\nfrom shop import mailer\n\n"
            "if TYPE_CHECKING:\n    from shop import mailer\n"
        ),
    ),
    "import before from": (
        "import b\nfrom a import x\n",
        "import c",
        "import b\nimport c\nfrom a import x\n",
    ),
    "mixed order": (
        "from a import x\nimport b\n",
        "import c",
        "from a import x\nimport b\nimport c\n",
    ),
    "no order": ("import c\nimport a\n", "import b", "import c\nimport a\nimport b\n"),
    "a group between": (
        "import os\n\nfrom shop import x\n",
        "import celery",
        "import os\n\nimport celery\n\nfrom shop import x\n",
    ),
    "a group before": ("import celery\n", "import os", "import os\n\nimport celery\n"),
    "a group after": (
        "import os\n\nX = 1\n",
        "from shop import x",
        "import os\n\nfrom shop import x\n\nX = 1\n",
    ),
    "relative last": (
        "from shop import x\n",
        "from . import y",
        "from shop import x\n\nfrom . import y\n",
    ),
    "no groups": (
        "import os\nimport celery\nX = 1\n",
        "from shop import x",
        "import os\nimport celery\nfrom shop import x\nX = 1\n",
    ),
    "a heading of its group": (
        "# Standard\nimport re\n\n# Others\nimport celery\n",
        "import attr",
        "# Standard\nimport re\n\n# Others\nimport celery\nimport attr\n",
    ),
    "future": (
        '"""Doc."""\nimport os\n',
        "from __future__ import annotations\nx = 1",
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport os\n\nx = 1\n',
    ),
    "future, before a statement": (
        "X = 1\nimport os\n",
        "from __future__ import annotations\nx = 1",
        "from __future__ import annotations\n\nX = 1\nimport os\n\nx = 1\n",
    ),
    "a comment on a template's line": (
        "import os\n",
        "import re  # noqa: F401",
        "import os\nimport re  # noqa: F401\n",
    ),
    "a block for types": (
        "import os\n\nX = 1\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import b\n    import c\n",
        (
            "import os\nfrom typing import TYPE_CHECKING\n\n"
            "if TYPE_CHECKING:\n    import c\n    from a import b\n\nX = 1\n"
        ),
    ),
    "a block for types that is there": (
        (
            "import typing as t\nif t.TYPE_CHECKING:\n    from a import (\n        b,\n    )\n   "
            " from d import e\n"
        ),
        "if TYPE_CHECKING:\n    from a import c\n    from b import x\n",
        (
            "import typing as t\nif t.TYPE_CHECKING:\n    from a import (\n        b,\n        c,\n"
            "    )\n    from b import x\n    from d import e\n"
        ),
    ),
    "two of one module": (
        "import os\n\nX = 1\n",
        "from a import c, b",
        "import os\n\nfrom a import c, b\n\nX = 1\n",
    ),
    "one of two": (
        "from a import b as c\n",
        "from a import c2, d",
        "from a import b as c\nfrom a import c2, d\n",
    ),
    "below a header": ("# (c)\nimport os\n", "import abc", "# (c)\nimport abc\nimport os\n"),
    "beside a semicolon": (
        "import os; import re\n",
        "import abc",
        "import abc\n\nimport os; import re\n",
    ),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_an_import(case: str) -> None:
    before, wanted, after = IMPORTS[case]
    path = "shop/jobs/tasks.py" if "from .." in before else "src/shop/tasks.py"
    assert merge(path, before, wanted).text == after


def test_packages_of_the_repository_are_told() -> None:
    merged = merge_module(
        "tests/test_x.py", "import pytest\n", "from shop import x\n", own=("shop",)
    )
    assert merged.text == "import pytest\n\nfrom shop import x\n"


def test_how_long_a_line_may_be_is_told() -> None:
    merged = merge_module(
        "x.py", "from shop import aaaa, bbbb\n", "from shop import c\n", line_length=20
    )
    assert merged.text == "from shop import (\n    aaaa,\n    bbbb,\n    c,\n)\n"


CLASHES = {
    "another module": (
        "import os\nfrom a import mailer\n",
        ":2: mailer is `from a import mailer` here",
    ),
    "a definition": ("\n\ndef mailer():\n    pass\n", ":3: mailer is `def mailer():` here"),
    "a variable": ("mailer = 1\n", ":1: mailer is `mailer = 1` here"),
}


@pytest.mark.parametrize("case", CLASHES)
def test_a_name_that_means_something_else(case: str) -> None:
    before, message = CLASHES[case]
    with pytest.raises(CannotEdit) as refused:
        merge_module("shop/tasks.py", before, JOB)
    assert refused.value.message.startswith("shop/tasks.py" + message)


PASSED_ON = {
    "another place of the library": (
        "from sqlalchemy.sql import func\n",
        "from sqlalchemy import func\n\nX = func\n",
    ),
    "a module of the repository": (
        "from .base import Mapped\n",
        "from sqlalchemy.orm import Mapped\n\nX = Mapped\n",
    ),
    "the other way round": ("import logging\n", "from shop.base import logging\n\nX = logging\n"),
}
RE_EXPORTS = {"shop.base.Mapped": "sqlalchemy.orm.Mapped", "shop.base.logging": "logging"}


@pytest.mark.parametrize("case", PASSED_ON)
def test_a_name_that_another_module_passes_on_is_the_same(case: str) -> None:
    before, wanted = PASSED_ON[case]
    merged = merge_module(
        "shop/tasks.py", before, wanted, follow=lambda name: RE_EXPORTS.get(name, name)
    )
    assert merged.text.startswith(before)
    assert merged.text.count("import") == 1


@pytest.mark.parametrize("before", ["import datetime\n", "from datetime import date as datetime\n"])
def test_a_module_is_not_what_it_holds(before: str) -> None:
    with pytest.raises(CannotEdit):
        merge_module("shop/tasks.py", before, "from datetime import datetime\n\nX = datetime\n")


# -- what is there already

KEPT = {
    "another body": ("def f():\n    return 1\n", "def f():\n    return 2\n", (1, "f")),
    "another decorator": ("x = 1\n\n@a\ndef f(): ...\n", "@b\ndef f(): ...\n", (3, "f")),
    "another docstring": ('def f():\n    """A."""\n', 'def f():\n    """B."""\n', (1, "f")),
    "another value": ("\nX = 1\n", "X = 2\n", (2, "X")),
    "another annotation": ("X: int = 1\n", "X: float = 1\n", (1, "X")),
    "imported": ("from a import f\n", "def f(): ...\n", (1, "f")),
    "in if": ("if 1:\n    def f():\n        return 1\n", "def f():\n    return 2\n", (2, "f")),
    "in except": ("try:\n    import f\nexcept E:\n    f = None\n", "def f(): ...\n", (2, "f")),
    "one of a tuple": ("a, (b, *c) = x\n", "c = 1\n", (1, "c")),
    "an attribute": ("app.conf.x = 1\n", "app.conf.x = 2\n", (1, "app.conf.x")),
    "a main block": (
        "if __name__ == '__main__':\n    f()\n",
        'if __name__ == "__main__":\n    g()\n',
        (1, 'if __name__ == "__main__"'),
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_differs_is_left_alone(case: str) -> None:
    before, wanted, (line, name) = KEPT[case]
    merged = merge("shop/tasks.py", before, wanted)
    assert merged.text == before
    assert [(kept.line, kept.name) for kept in merged.kept] == [(line, name)]
    assert merged.kept[0].diff.startswith("--- a/shop/tasks.py\n+++ b/shop/tasks.py\n@@")


SAME = {
    "quotes and layout": ("def f():\n    return ( 'a', )\n", 'def f():\n    return ("a",)\n'),
    "the docstring's margin": (
        'def f():\n\t"""A.\n\n\tB.\n\t"""\n',
        'def f():\n    """A.\n\n    B."""\n',
    ),
    "comments": ("X = 1  # mine\n", "X = 1\n"),
    "an annotation": ("log: L = get('x')\n", 'log = get("x")\n'),
    "in if": ("if 1:\n    X = 1\n", "X = 1\n"),
    "one of two": ("if 1:\n    X = 2\nelse:\n    X = 1\n", "X = 1\n"),
    "a call": ("if 1:\n    s.connect( f )\n", "s.connect(f)\n"),
    "a docstring of the module": ('"""A."""\nx = 1\n', '"""B."""\nx = 1\n'),
    "a module without a docstring": ("x = 1\n", '"""B."""\nx = 1\n'),
    "overloads": ("@o\ndef f(a): ...\n@o\ndef f(b): ...\ndef f(c): ...\n",) * 2,
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_equal_is_there(case: str) -> None:
    before, wanted = SAME[case]
    assert merge("shop/tasks.py", before, wanted) == Merged(before, (), ())


OTHERS = {
    "a name for types only": (
        "if TYPE_CHECKING:\n    from a import f\n",
        "def f(): ...\n",
        "if TYPE_CHECKING:\n    from a import f\n\n\ndef f(): ...\n",
    ),
    "order is kept": (
        "def a(): ...\n",
        "X = compute()\ns.connect(X)\ndef b(): ...\ns.connect(b)\n",
        "def a(): ...\n\n\nX = compute()\n\ns.connect(X)\n\n\ndef b(): ...\n\n\ns.connect(b)\n",
    ),
    "a constant that nothing new uses": (
        "import os\n\n\ndef a(): ...\n",
        "X = 1\n",
        "import os\n\n\ndef a(): ...\n\n\nX = 1\n",
    ),
    "a constant that a new function uses": (
        "import os\n\n\ndef a(): ...\n",
        "X = (1, -2)\nY: int = 60 * 60\n\n\ndef b():\n    return X, Y\n",
        (
            "import os\n\nX = (1, -2)\nY: int = 60 * 60\n\n\ndef a(): ...\n\n\ndef b():\n    return"
            " X, Y\n"
        ),
    ),
    "what is made by calls of the module stays below": (
        "import os\n\n\ndef a(): ...\n",
        "X = a()\n\n\ndef b():\n    return X\n",
        "import os\n\n\ndef a(): ...\n\n\nX = a()\n\n\ndef b():\n    return X\n",
    ),
    "comments go along": (
        "x = 1\n",
        "# -- part\n\n\n# f\ndef f(): ...  # F\n",
        "x = 1\n\n\n# f\ndef f(): ...  # F\n",
    ),
    "a new main block": (
        "x = 1\n",
        "if __name__ == '__main__':\n    f()\n",
        "x = 1\n\nif __name__ == '__main__':\n    f()\n",
    ),
    "no docstring": ("import os\n", '"""Doc."""\nx = 1\n', "import os\n\nx = 1\n"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_statements(case: str) -> None:
    before, wanted, after = OTHERS[case]
    assert merge("shop/tasks.py", before, wanted).text == after


def test_an_import_that_only_an_edited_function_used_stays_out() -> None:
    edited = "def send_receipt(order_id):\n    mine(order_id)\n"
    merged = merge("shop/tasks.py", edited, JOB.replace("logger", "LOG"))
    assert "mailer" not in merged.text
    assert [kept.name for kept in merged.kept] == ["send_receipt"]


def test_the_diff_of_what_is_kept_applies(tmp_path: Path) -> None:
    before = "import os\n\n\nif os:\n    @a\n    def f():\n        return 1\n\n\nx = 1\n"
    kept = merge_module("tasks.py", before, "def f():\n    return 2\n").kept[0]
    (tmp_path / "tasks.py").write_text(before)
    (tmp_path / "kept.diff").write_text(kept.diff)
    subprocess.run(["git", "apply", "kept.diff"], cwd=tmp_path, check=True)
    assert (tmp_path / "tasks.py").read_text() == before.replace("    @a\n", "").replace(
        "return 1", "return 2"
    )


UNREADABLE = {
    "syntax": ("x = 1\ndef f(:\n", ":2: cannot be read as Python"),
    "tabs and spaces": ("def f():\n\tif 1:\n        pass\n", ":3: cannot be read as Python"),
    "Python 2": ("x = 1\n\nprint 'x'\n", ":3: cannot be read as Python"),
    "a null byte": ("x = 1\0\n", ":1: cannot be read as Python"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read(case: str) -> None:
    before, message = UNREADABLE[case]
    with pytest.raises(CannotEdit) as refused:
        merge_module("shop/tasks.py", before, JOB)
    assert refused.value.message.startswith("shop/tasks.py" + message)
    assert "\n" not in refused.value.message


def test_what_libcst_drops_is_put_back() -> None:
    before = "try:\n    x = 1\nexcept (A, B) :\n    pass\n\x0cy = 2\n"
    assert merge("tasks.py", before, FUNCTION).text == before + "\n\n" + FUNCTION
