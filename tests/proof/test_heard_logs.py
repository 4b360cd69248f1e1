"""Which records a proof counts as told: those that a worker with the application's own settings of
logging would write.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrun.probe.logs import is_heard

INFO, ERROR = logging.INFO, logging.ERROR


@pytest.fixture
def tree() -> Iterator[dict[str, logging.Logger]]:
    """A root, a package and a module of their own, as `logging` links them."""
    root = logging.RootLogger(logging.WARNING)
    manager = logging.Manager(root)
    shop, tasks = manager.getLogger("shop"), manager.getLogger("shop.tasks")
    yield {"root": root, "shop": shop, "tasks": tasks}


def heard(tree: dict[str, logging.Logger], level: int, *, root: bool = True) -> bool:
    return is_heard(tree["tasks"], level, root)


def make_handler(level: int) -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setLevel(level)
    return handler


def test_what_comes_to_the_root_is_heard_where_the_worker_has_a_handler_there(
    tree: dict[str, logging.Logger],
) -> None:
    assert heard(tree, INFO)


def test_a_logger_that_is_cut_off_is_not_heard(tree: dict[str, logging.Logger]) -> None:
    tree["shop"].propagate = False
    assert not heard(tree, ERROR)
    tree["shop"].addHandler(logging.NullHandler())
    assert not heard(tree, ERROR)


def test_a_logger_with_a_handler_of_its_own_is_heard(tree: dict[str, logging.Logger]) -> None:
    tree["shop"].propagate = False
    tree["shop"].addHandler(make_handler(INFO))
    assert heard(tree, INFO)


def test_a_handler_takes_what_has_its_level(tree: dict[str, logging.Logger]) -> None:
    tree["root"].addHandler(make_handler(ERROR))
    assert heard(tree, ERROR, root=False)
    assert not heard(tree, INFO, root=False)


def test_a_worker_that_replaces_the_roots_handlers_writes_all(
    tree: dict[str, logging.Logger],
) -> None:
    """Celery does: an application's own handler there is gone by the time that a job runs."""
    tree["root"].addHandler(make_handler(ERROR))
    assert heard(tree, INFO, root=True)


WRITES = """
import contextlib, contextvars, json, logging
from skillrun.probe.logs import Logs

class Recorder:
    is_delivery, root, told = True, "/nowhere", []
    quiet = quiet_log = contextlib.nullcontext
    def emit(self, kind, **data):
        self.told.append(data["extra"])

JOB = contextvars.ContextVar("job", default="al-7")

class AsJson(logging.Formatter):
    def format(self, record):
        fields = {"time": "1", "alarm_id": JOB.get(), "message": record.getMessage()}
        return json.dumps(fields)

handler = logging.StreamHandler()
handler.setFormatter(FORMATTER)
logging.basicConfig(handlers=[handler], level=logging.INFO)
recorder = Recorder()
Logs(recorder).install()
logging.getLogger("shop").info("delivered", extra={"receipt": "r-1"})
print(json.dumps(recorder.told))
"""


@pytest.mark.parametrize(
    ("formatter", "told"),
    [
        ("AsJson()", {"receipt": "r-1", "alarm_id": "al-7"}),
        ("logging.Formatter('al-7 %(message)s')", {"receipt": "r-1"}),
        ("logging.Formatter('{%(message)s')", {"receipt": "r-1"}),
    ],
    ids=["JSON", "a plain line", "no JSON"],
)
def test_what_a_formatter_puts_into_its_line_is_told(formatter: str, told: dict[str, str]) -> None:
    """A formatter may know the job from a context variable, and say so in each line."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES.replace("FORMATTER", formatter)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [told]


ENDS = """
import contextlib, json, logging
from skillrun.probe.logs import Logs

class Recorder:
    is_delivery, root, told = True, ROOT, []
    quiet = quiet_log = contextlib.nullcontext
    def emit(self, kind, **data):
        self.told.append(data["handled"])

class Refused(Exception):
    def __str__(self):
        return self.words  # which it may not have

logging.basicConfig(level=logging.INFO)
recorder = Recorder()
Logs(recorder).install()
try:
    try:
        raise OSError("550 no such box")
    except OSError:
        refused = Refused()
        refused.words = "the box is gone"
        raise refused from None
except Refused:
    logging.info("buried")
logging.info("next")
try:
    raise Refused()
except Refused:
    logging.info("says nothing")
print(json.dumps(recorder.told))
"""


def test_an_error_that_is_handled_where_a_record_is_written_stands_beside_it(
    tmp_path: Path,
) -> None:
    """With what it was made of, whatever it can say of itself."""
    (tmp_path / "ends.py").write_text(ENDS.replace("ROOT", repr(f"{tmp_path}/")))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "ends.py")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = [
        ["__main__:Refused", "the box is gone", True],
        ["builtins:OSError", "550 no such box", False],
    ]
    assert json.loads(done.stdout) == [made, [], [["__main__:Refused", "", True]]]
