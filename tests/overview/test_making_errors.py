"""With what an error is made: what it holds is what its class has made of its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest
from watched_deliveries import call, delivery, observe, seen

from skillrun.cli.commands.jobs import open_reader
from skillrun.skills.job_worker.drafting.making_errors import find_making

ERRORS = """
    class Busy(Exception):
        def __init__(self, retry_after):
            super().__init__(f"asks for {retry_after} s")
            self.retry_after = retry_after


    class StillBusy(Busy):
        pass


    class Plain(Exception):
        pass


    class Optional(Exception):
        def __init__(self, text="nothing"):
            super().__init__(text)
    """


def make_shop(root: Path, code: str) -> Path:
    files = {
        "shop/__init__.py": "",
        "shop/errors.py": ERRORS,
        "shop/mailer.py": "from shop.errors import Busy, Optional, Plain, StillBusy\n" + code,
    }
    return helpers.build_tree(root, files)


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("def f(wait): raise Busy(int(wait) if wait.isdigit() else 60)", {"args": [60]}),
        ("def f(wait): raise Busy(retry_after=7.5)", {"kwargs": {"retry_after": 7.5}}),
        # The place that says it counts more than one that stands before it.
        ("def f(e): raise Busy(str(e))\ndef g(): raise Busy(30)", {"args": [30]}),
        ("def f(e): raise Busy(f'HTTP {e}')", {"args": ["as the code tells it"]}),
        # A number may decide what the handler does: none is made up.
        ("def f(wait): raise Busy(int(wait))", None),
        ("def f(given): raise Busy(*given)", None),
        ("def f(given): raise Busy(**given)", None),
    ],
)
def test_the_place_that_makes_it_says_with_what(
    home: Path, tmp_path: Path, code: str, made: dict[str, Any] | None
) -> None:
    project = open_reader(make_shop(tmp_path / "shop", code)).project
    assert find_making(project, "shop.errors:Busy") == made


def test_a_base_may_be_what_asks(home: Path, tmp_path: Path) -> None:
    project = open_reader(make_shop(tmp_path / "shop", "def f(): raise StillBusy(9)")).project
    assert find_making(project, "shop.errors:StillBusy") == {"args": [9]}


@pytest.mark.parametrize("name", ["Plain", "Optional"])
def test_what_asks_for_nothing_is_made_of_nothing(home: Path, tmp_path: Path, name: str) -> None:
    project = open_reader(make_shop(tmp_path / "shop", f"def f(): raise {name}('x')")).project
    assert find_making(project, f"shop.errors:{name}") is None


def test_what_an_error_holds_is_not_what_it_was_given(shop: Path) -> None:
    """Made of `error.args`, `retry_after` was a sentence."""
    mailer = shop / "shop/mailer.py"
    begins = "    def __init__(self, retry_after):\n        super().__init__('busy')\n"
    text = mailer.read_text()
    text += f"\n\nclass Busy(Exception):\n{begins}\n\ndef look():\n    raise Busy(45)\n"
    mailer.write_text(text)
    refused = call(raised="shop.mailer:Busy", error_args=("busy",))
    again = delivery(calls=(refused,), raised="celery.exceptions:Retry")
    failures = observe(shop, seen(delivery(), again)).values["failures"]
    assert {"type": "shop.mailer:Busy", "args": [45]} in failures["transient"]
