"""A module gets the imports that it lacks, by the names that it has."""

from __future__ import annotations

import pytest
from merging import JOB, merge

from skillrun.skills.job_worker.scaffold.editing.merge import CannotEdit, merge_module

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
