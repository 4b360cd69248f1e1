"""One more element in a literal: laid out as its neighbours are; twice is once; what is in the way
is named.
"""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from skillrun.frameworks.pieces import Entry, Section
from skillrun.skills.job_worker.scaffold.editing.merge import CannotEdit, add_entry, add_section

SCHEDULE = '{\n    "task": "shop.tasks.tick",\n    "schedule": crontab(minute=0),\n}'


def add(
    before: str, target: str, value: str, key: str | None = None, imports: tuple[str, ...] = ()
) -> str:
    """Added, and added again: the second time changes nothing."""
    entry = Entry("shop/settings.py", target, value, key, imports)
    after = add_entry(entry.path, before, entry)
    ast.parse(after.removeprefix("\ufeff"))
    assert add_entry(entry.path, after, entry) == after
    return after


ELEMENTS = {
    "one a line": (
        'APPS = [\n    "a",\n    "b",\n]\n',
        '"c"',
        'APPS = [\n    "a",\n    "b",\n    "c",\n]\n',
    ),
    "no trailing comma": (
        "APPS = [\n  'a',\n  'b'\n]\n",
        '"c"',
        "APPS = [\n  'a',\n  'b',\n  'c'\n]\n",
    ),
    "a comment behind the last": (
        "APPS = [\n    'a',\n    'b'  # why\n]\n",
        "'c'",
        "APPS = [\n    'a',\n    'b',  # why\n    'c'\n]\n",
    ),
    "a comment below the last": (
        "APPS = [\n    'a',\n    # 'b',\n]\n",
        "'c'",
        "APPS = [\n    'a',\n    # 'b',\n    'c',\n]\n",
    ),
    "one line": ('APPS = ["a", "b"]  # all\n', '"c"', 'APPS = ["a", "b", "c"]  # all\n'),
    "one line, spaces inside": ("APPS = [ 'a', 'b' ]\n", '"c"', "APPS = [ 'a', 'b', 'c' ]\n"),
    "empty": ("X = 'q'\nAPPS = []\n", '"c"', "X = 'q'\nAPPS = ['c']\n"),
    "empty over two lines": ("APPS = [\n]\n", '"c"', 'APPS = [\n    "c",\n]\n'),
    "a comment alone": (
        "APPS = [\n    # none yet\n]\n",
        '"c"',
        'APPS = [\n    # none yet\n    "c",\n]\n',
    ),
    "tuple of one": ('APPS = ("a",)\n', '"c"', 'APPS = ("a", "c")\n'),
    "tuple": ('APPS = (\n    "a",\n)\n', '"c"', 'APPS = (\n    "a",\n    "c",\n)\n'),
    "empty tuple": ("APPS = ()\n", '"c"', 'APPS = ("c",)\n'),
    "bare tuple": ("APPS = 'a', 'b'\n", '"c"', "APPS = 'a', 'b', 'c'\n"),
    "set": ("APPS = {'a', 'b'}\n", '"c"', "APPS = {'a', 'b', 'c'}\n"),
    "annotated": ('APPS: list[str] = ["a"]\n', '"c"', 'APPS: list[str] = ["a", "c"]\n'),
    "aligned": (
        "APPS = ['a',\n        'b']\n",
        '"c"',
        "APPS = ['a',\n        'b',\n        'c']\n",
    ),
    "no last newline": ("APPS = ['a']", '"c"', "APPS = ['a', 'c']"),
    "CRLF": ("APPS = [\r\n    'a',\r\n]\r\n", '"c"', "APPS = [\r\n    'a',\r\n    'c',\r\n]\r\n"),
    "BOM": ("\ufeffAPPS = ['a']\n", '"c"', "\ufeffAPPS = ['a', 'c']\n"),
    "tabs": (
        "if 1:\n\tAPPS = [\n\t\t'a',\n\t]\n",
        '"c"',
        "if 1:\n\tAPPS = [\n\t\t'a',\n\t\t'c',\n\t]\n",
    ),
    "a sum": ("APPS = BASE + ['a']\n", '"c"', "APPS = BASE + ['a', 'c']\n"),
    "named parts": (
        "ONE = ['a']\nOURS = ['b']\nAPPS = ONE + OURS\n",
        '"c"',
        "ONE = ['a']\nOURS = ['b', 'c']\nAPPS = ONE + OURS\n",
    ),
    "extended later": (
        "APPS = ['a']\nif DEBUG:\n    APPS += ['debug']\n",
        '"c"',
        "APPS = ['a', 'c']\nif DEBUG:\n    APPS += ['debug']\n",
    ),
    "in a part already": (
        "ONE = ['c']\nAPPS = ONE + ['b']\n",
        '"c"',
        "ONE = ['c']\nAPPS = ONE + ['b']\n",
    ),
    "extended by it already": (
        "APPS = ['a']\nAPPS += ['c']\n",
        '"c"',
        "APPS = ['a']\nAPPS += ['c']\n",
    ),
    "too long for a line": (
        f'APPS = ["{"a" * 40}", "{"b" * 30}"]\n',
        '"shop.receipts"',
        f'APPS = [\n    "{"a" * 40}",\n    "{"b" * 30}",\n    "shop.receipts",\n]\n',
    ),
    "too long for a line, below others": (
        f'X = 1\n\n\n# all\nAPPS = ["{"a" * 40}", "{"b" * 30}"]\n',
        '"shop.receipts"',
        (
            f'X = 1\n\n\n# all\nAPPS = [\n    "{"a" * 40}",\n    "{"b" * 30}",\n   '
            ' "shop.receipts",\n]\n'
        ),
    ),
    "set again later": ("APPS = ['a']\nAPPS = ['b']\n", '"c"', "APPS = ['a']\nAPPS = ['b', 'c']\n"),
}


@pytest.mark.parametrize("case", ELEMENTS)
def test_an_element(case: str) -> None:
    before, value, after = ELEMENTS[case]
    assert add(before, "APPS", value) == after


CELERY = """\
from celery import Celery

app = Celery('shop')
app.conf.timezone = 'UTC'
"""

ENTRIES = {
    "a new assignment": (
        CELERY,
        "app.conf.beat_schedule",
        CELERY.replace("Celery\n\n", "Celery\nfrom celery.schedules import crontab\n\n")
        + "\napp.conf.beat_schedule = {\n    'tick': {\n        'task': 'shop.tasks.tick',\n"
        "        'schedule': crontab(minute=0),\n    },\n}\n",
    ),
    "a schedule that is there": (
        CELERY
        + "app.conf.beat_schedule = {\n    'a': {'task': 'x', 'schedule': 1.0},  # a\n}\n\n\ndef"
        " f():\n    pass\n",
        "app.conf.beat_schedule",
        CELERY.replace("Celery\n\n", "Celery\nfrom celery.schedules import crontab\n\n")
        + "app.conf.beat_schedule = {\n    'a': {'task': 'x', 'schedule': 1.0},  # a\n    'tick':"
        " {\n        'task': 'shop.tasks.tick',\n        'schedule': crontab(minute=0),\n   "
        " },\n}\n\n\ndef f():\n    pass\n",
    ),
    "set by update": (
        (
            "from celery.schedules import crontab\napp = make()\napp.conf.update(\n   "
            " beat_schedule={},\n    x=1,\n)\n"
        ),
        "app.conf.beat_schedule",
        (
            "from celery.schedules import crontab\napp = make()\napp.conf.update(\n   "
            ' beat_schedule={\n        "tick": {\n            "task": "shop.tasks.tick",\n         '
            '   "schedule": crontab(minute=0),\n        },\n    },\n    x=1,\n)\n'
        ),
    ),
    "a keyword of update": (
        "from celery.schedules import crontab\napp = make()\napp.conf.update(\n    x='1',\n)\n",
        "app.conf.update(beat_schedule=)",
        (
            "from celery.schedules import crontab\napp = make()\napp.conf.update(\n    x='1',\n   "
            " beat_schedule={\n        'tick': {\n            'task': 'shop.tasks.tick',\n         "
            "   'schedule': crontab(minute=0),\n        },\n    },\n)\n"
        ),
    ),
    "its key is set": (
        (
            'app = make()\napp.conf.beat_schedule["tick"] = {"task": "shop.tasks.tick", "schedule":'
            " crontab(minute=0)}\n"
        ),
        "app.conf.beat_schedule",
        (
            'app = make()\napp.conf.beat_schedule["tick"] = {"task": "shop.tasks.tick", "schedule":'
            " crontab(minute=0)}\n"
        ),
    ),
    "tabs": (
        (
            "from celery.schedules import crontab\nBEAT = {\n\t'a': {\n\t\t'task':"
            " 'x',\n\t},\n}\nif BEAT:\n\tpass\n"
        ),
        "BEAT",
        (
            "from celery.schedules import crontab\nBEAT = {\n\t'a': {\n\t\t'task':"
            " 'x',\n\t},\n\t'tick': {\n\t\t'task': 'shop.tasks.tick',\n\t\t'schedule':"
            " crontab(minute=0),\n\t},\n}\nif BEAT:\n\tpass\n"
        ),
    ),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_an_entry_of_a_schedule(case: str) -> None:
    before, target, after = ENTRIES[case]
    assert (
        add(before, target, SCHEDULE, '"tick"', ("from celery.schedules import crontab",)) == after
    )


SETTINGS = {
    "an attribute of a class": (
        "class Settings:\n    x = 1\n    jobs = [a]  # all\n",
        "class Settings:\n    x = 1\n    jobs = [a, b]  # all\n",
    ),
    "one a line": (
        "class Settings:\n    jobs = [\n        a,\n    ]\n",
        "class Settings:\n    jobs = [\n        a,\n        b,\n    ]\n",
    ),
    "too long for a line": (
        f"X = 1\n\n\n# why\nclass Settings:\n    jobs = [{'a' * 70}, cde]\n    y = 2\n",
        (
            f"X = 1\n\n\n# why\nclass Settings:\n    jobs = [\n        {'a' * 70},\n        cde,\n "
            "       b,\n    ]\n    y = 2\n"
        ),
    ),
    "a name": (
        "JOBS = [a]\n\n\nclass Settings:\n    jobs = JOBS\n",
        "JOBS = [a, b]\n\n\nclass Settings:\n    jobs = JOBS\n",
    ),
    "set below the class": (
        "class Settings:\n    x = 1\n\n\nSettings.jobs = [a]\n",
        "class Settings:\n    x = 1\n\n\nSettings.jobs = [a, b]\n",
    ),
    "none yet": (
        "class Settings:\n    x = 1\n\n    def f(self):\n        pass\n",
        "class Settings:\n    x = 1\n    jobs = [b]\n\n    def f(self):\n        pass\n",
    ),
    "methods alone": (
        'class Settings:\n    """All."""\n    def f(self):\n        pass\n',
        'class Settings:\n    """All."""\n    jobs = [b]\n\n    def f(self):\n        pass\n',
    ),
    "tabs": (
        "class Settings:\n\tjobs = [\n\t\ta,\n\t]\n",
        "class Settings:\n\tjobs = [\n\t\ta,\n\t\tb,\n\t]\n",
    ),
    "another class": (
        "class Other:\n    jobs = []\n\n\nclass Settings:\n    jobs = []\n",
        "class Other:\n    jobs = []\n\n\nclass Settings:\n    jobs = [b]\n",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_an_attribute_of_a_class(case: str) -> None:
    before, after = SETTINGS[case]
    assert add(before, "Settings.jobs", "b") == after


CALLS = {
    "joins": (
        "app = Celery('x', include=['a'])\n",
        "app = Celery('x', include=['a', 'shop.tasks'])\n",
    ),
    "one a line": (
        "app = Celery(\n    'x',\n    include=[\n        'a',\n    ],\n)\n",
        "app = Celery(\n    'x',\n    include=[\n        'a',\n        'shop.tasks',\n    ],\n)\n",
    ),
    "a new keyword": ("app = Celery('x')\n", "app = Celery('x', include=['shop.tasks'])\n"),
    "a keyword that gets too long": (
        "app = Celery('shop', broker='redis://localhost/0', include=['shop.receipts', 'shop.x'])\n",
        (
            "app = Celery(\n    'shop',\n    broker='redis://localhost/0',\n"
            "    include=['shop.receipts', 'shop.x', 'shop.tasks'],\n)\n"
        ),
    ),
    "a new keyword that gets too long": (
        "app = Celery('shop', broker='redis://localhost/0', backend='redis://localhost/1')\n",
        (
            "app = Celery(\n    'shop',\n    broker='redis://localhost/0',\n   "
            " backend='redis://localhost/1',\n    include=['shop.tasks'],\n)\n"
        ),
    ),
    "arguments in one line": (
        (
            "app = Celery(\n    'shop', broker='redis://localhost/0', name='shop',"
            " include=['shop.more', 'a']\n)\n"
        ),
        (
            "app = Celery(\n    'shop',\n    broker='redis://localhost/0',\n    name='shop',\n"
            "    include=['shop.more', 'a', 'shop.tasks'],\n)\n"
        ),
    ),
    "no arguments": ("app = Celery()\n", 'app = Celery(include=["shop.tasks"])\n'),
    "a new keyword on a line": (
        'app = celery.Celery(\n    "x",\n    broker=URL,\n)\n',
        'app = celery.Celery(\n    "x",\n    broker=URL,\n    include=["shop.tasks"],\n)\n',
    ),
    "no trailing comma": (
        'app = Celery(\n    "x",\n    broker=URL  # here\n)\n',
        'app = Celery(\n    "x",\n    broker=URL,  # here\n    include=["shop.tasks"]\n)\n',
    ),
    "aligned": (
        'app = Celery("x",\n             broker=URL)\n',
        'app = Celery("x",\n             broker=URL,\n             include=["shop.tasks"])\n',
    ),
    "a name": (
        "MODULES = ['a']\napp = Celery('x', include=MODULES)\n",
        "MODULES = ['a', 'shop.tasks']\napp = Celery('x', include=MODULES)\n",
    ),
    "there": (
        "app = Celery('x', include=('shop.tasks',))\n",
        "app = Celery('x', include=('shop.tasks',))\n",
    ),
    "the one with it": (
        "a = Celery('a')\nb = Celery('b', include=[])\n",
        "a = Celery('a')\nb = Celery('b', include=['shop.tasks'])\n",
    ),
    "too long": (
        f"app = Celery(\n    'x',\n    include=['{'a' * 40}', '{'b' * 30}'],\n)\n",
        (
            f"app = Celery(\n    'x',\n    include=[\n        '{'a' * 40}',\n       "
            f" '{'b' * 30}',\n        'shop.tasks',\n    ],\n)\n"
        ),
    ),
    "within a try": (
        "try:\n    app = Celery(\n        'x',\n    )\nexcept E:\n    raise\n",
        (
            "try:\n    app = Celery(\n        'x',\n        include=['shop.tasks'],\n    )\nexcept"
            " E:\n    raise\n"
        ),
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_keyword_of_a_call(case: str) -> None:
    before, after = CALLS[case]
    assert add(before, "Celery(include=)", '"shop.tasks"') == after


REFUSED = {
    "another value": (
        "BEAT = {\n    'tick': 1,\n}\n",
        "BEAT",
        ":2: BEAT has another value for 'tick' already",
    ),
    "another value of its key": (
        "BEAT['tick'] = 1\nBEAT = {}\n",
        "BEAT",
        ":1: BEAT has another value",
    ),
    "no target": ("X = {}\n", "BEAT", ":1: BEAT is not set here"),
    "no root": ("X = {}\n", "app.conf.beat_schedule", ":1: app.conf.beat_schedule is not set here"),
    "no literal": (
        "X = 1\nBEAT = make()\n",
        "BEAT",
        ":2: BEAT is not written out as a literal here",
    ),
    "a comprehension": ("BEAT = {k: 1 for k in X}\n", "BEAT", ":1: BEAT is not written out"),
    "a list": ("BEAT = []\n", "BEAT", ":1: BEAT is no dict"),
    "no call": ("X = {}\n", "Celery(beat=)", ":1: no call of Celery for Celery(beat=)"),
    "two calls": ("a = Celery()\nb = Celery()\n", "Celery(beat=)", ":2: a second call of Celery"),
    "spread": (
        "a = Celery(**config)\n",
        "Celery(beat=)",
        ":1: the call takes **config, which may hold beat",
    ),
    "no literal in the call": (
        "\na = Celery(beat=x())\n",
        "Celery(beat=)",
        ":2: beat= of Celery is not written out",
    ),
    "a clash of imports": ("crontab = 1\nBEAT = {}\n", "BEAT", ":1: crontab is `crontab = 1` here"),
    "no Python": ("x = (\n", "BEAT", ":1: cannot be read as Python: '(' was never closed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_in_the_way(case: str) -> None:
    before, target, message = REFUSED[case]
    entry = Entry(
        "shop/settings.py", target, "crontab()", "'tick'", ("from celery.schedules import crontab",)
    )
    with pytest.raises(CannotEdit) as refused:
        add_entry(entry.path, before, entry)
    assert refused.value.message.startswith("shop/settings.py" + message)
    assert "\n" not in refused.value.message


# -- Markdown

SECTION = Section(
    "docs/operations.md", "## send-receipt", "## send-receipt\n\nRestart the worker.\n"
)
SECTIONS = {
    "no file": (None, "## send-receipt\n\nRestart the worker.\n"),
    "an empty file": ("\n", "## send-receipt\n\nRestart the worker.\n"),
    "below": ("# Jobs\n\nText\n", "# Jobs\n\nText\n\n## send-receipt\n\nRestart the worker.\n"),
    "no last newline": ("# Jobs", "# Jobs\n\n## send-receipt\n\nRestart the worker.\n"),
    "blank lines at the end": (
        "# Jobs\n\n\n\n",
        "# Jobs\n\n## send-receipt\n\nRestart the worker.\n",
    ),
    "CRLF": ("# Jobs\r\n", "# Jobs\r\n\r\n## send-receipt\r\n\r\nRestart the worker.\r\n"),
    "there": ("##  send-receipt ##\nmine", "##  send-receipt ##\nmine"),
    "another heading": (
        "## send-receipt-2\n",
        "## send-receipt-2\n\n## send-receipt\n\nRestart the worker.\n",
    ),
    "in a code block": (
        "```md\n## send-receipt\n```\n",
        "```md\n## send-receipt\n```\n\n## send-receipt\n\nRestart the worker.\n",
    ),
}


@pytest.mark.parametrize("case", SECTIONS)
def test_a_section(case: str) -> None:
    before, after = SECTIONS[case]
    assert add_section(before, SECTION) == after
    assert add_section(after, SECTION) == after


def test_a_section_without_its_heading_in_the_text() -> None:
    section = Section("RUNBOOK.md", "## tick", dedent("Runs hourly.\n"))
    assert add_section(None, section) == "## tick\n\nRuns hourly.\n"
