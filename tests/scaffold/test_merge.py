"""A module gets what it lacks, and everything that was there stays."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from merging import FUNCTION, JOB, REAL, STDLIB, merge, old_lines_stay, read

from skillrun.skills.job_worker.scaffold.editing.merge import CannotEdit, Merged, merge_module

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
