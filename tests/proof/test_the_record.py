"""The proof's own record and hooks, and what it takes for granted before a delivery begins."""

from __future__ import annotations

import enum
import io
import sqlite3
from collections.abc import Callable
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import helpers
import pytest
from escaping import IMPORTS, proof_with, said_by
from plain_job import JOBS, SPEC, plain_repo, proof_of

from skillrun.probe.effects import _has_name_for
from skillrun.probe.values import look_up, read_held, show_value
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.unknowns import merge_undeclared

CUT = """
sizes = {}
for fd in range(3, 64):
    try: sizes[fd] = os.fstat(fd).st_size
    except OSError: pass
try: open('/tmp/sent', 'w').write('x')
except BaseException: pass
for fd, n in sizes.items():
    try:
        if os.fstat(fd).st_size > n: os.ftruncate(fd, n); os.lseek(fd, n, 0)
    except OSError: pass
"""


@pytest.mark.real
def test_a_record_that_is_cut_is_said(tmp_path: Path) -> None:
    """It is read as cut, or, where the probe has written on behind the cut, as none of its words."""
    proof = proof_with(tmp_path, CUT)
    assert proof.verdict == "incomplete"
    said = " ".join(said_by(proof))
    words = ("the proof's own record of the delivery", "says what the probe never says")
    assert any(word in said for word in words)


@pytest.mark.real
@pytest.mark.parametrize(
    "line",
    [
        "sys.addaudithook = lambda hook: None",
        "H = []; sys.addaudithook = H.append; sys.audit = lambda *a: [h(a[0], a[1:]) for h in H]",
    ],
)
def test_audit_hooks_that_do_not_hear_are_said_in_one_line(line: str, tmp_path: Path) -> None:
    evil = tmp_path / "repo" / "evil"
    environment = {**SPEC["proof"]["env"], "PYTHONPATH": str(evil)}
    changed = {"proof": {**SPEC["proof"], "env": environment}}
    repo = plain_repo(tmp_path / "repo", changed=changed)
    helpers.write_files(evil, {"sitecustomize.py": f"import sys\n{line}\n"})
    proof = proof_of(repo)
    (message,) = said_by(proof)
    assert proof.verdict == "incomplete"
    assert "audit hooks have no effect" in message
    assert "\n" not in message


@pytest.mark.real
def test_a_process_that_setup_leaves_is_ended_and_said(tmp_path: Path) -> None:
    setup = "python schema.py && (setsid sleep 321 >/dev/null 2>&1 </dev/null &)"
    changed = {"proof": {**SPEC["proof"], "setup": setup}}
    proof = proof_of(plain_repo(tmp_path / "repo", changed=changed))
    said = "proof.setup: it left 1 process running, which had to be ended"
    assert [judgement.message for judgement in proof.incomplete] == [said]


KEYS = {
    "lying": "Key(f'order-{order_id}-{uuid.uuid4()}')",
    "gethostname": "f'order-{order_id}-{socket.gethostname()}'",
    "uname": "f'order-{order_id}-{os.uname().nodename}'",
    "node": "f'order-{order_id}-{platform.node()}'",
}
KEY = """
    class Key(str):
        def __repr__(self):
            return "'order'"
        __str__ = __repr__
        def __eq__(self, other):
            return True
        def __hash__(self):
            return 1
"""


@pytest.mark.real
@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_is_another_one_on_another_machine_is_refuted(name: str, tmp_path: Path) -> None:
    jobs = IMPORTS + KEY + JOBS.replace('f"order-{order_id}"', KEYS[name])
    only = "kill@after:send#1 fresh"
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=jobs), only=only)
    assert proof.verdict == "refuted", (proof.verdict, said_by(proof))


@pytest.mark.real
def test_the_name_of_the_machine_in_a_log_stays_proved(tmp_path: Path) -> None:
    jobs = IMPORTS + JOBS.replace(
        'started order_id=%s", order_id', 'started order_id=%s on %s", order_id, platform.node()'
    )
    only = "kill@after:send#1 fresh"
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=jobs), only=only)
    assert proof.verdict == "proved", said_by(proof)


class Lies(str):
    def __repr__(self) -> str:
        return "'nothing'"


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Lies("a"), "'a'"),
        ([Lies("a"), {"k": Lies("b")}], "['a', {'k': 'b'}]"),
        ((1,), "(1,)"),
        (Colour.RED, "1"),
        (True, "True"),
        ({"b", "a"}, "['a', 'b']"),
        (None, "None"),
        (b"x", "b'x'"),
    ],
)
def test_a_value_is_read_and_not_asked(value: Any, text: str) -> None:
    assert show_value(value) == text


class Letter:
    """An object as applications have them, without a text of its own."""

    def __init__(self, to: str) -> None:
        self.to, self._lines, self.at = to, [f"Dear {to}"], date(2028, 2, 29)


def make_letter(to: str) -> EmailMessage:
    letter = EmailMessage()
    letter["To"] = to
    letter.set_content(f"Dear {to}")
    letter.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="bill.pdf")
    return letter


@pytest.mark.parametrize(
    "make", [Letter, make_letter, lambda to: io.BytesIO(to.encode()), lambda to: [Letter(to)]]
)
def test_objects_without_a_text_are_told_apart_by_what_they_hold(
    make: Callable[[str], Any],
) -> None:
    assert show_value(make("ada")) == show_value(make("ada"))
    assert show_value(make("ada")) != show_value(make("bob"))
    assert " at 0x" not in show_value(make("ada"))


class Served:
    """A session, a client, a row of a mapper: it holds more than values."""

    def __init__(self, count: int) -> None:
        self.count, self._state = count, object()


def test_what_an_object_counts_that_does_something_tells_no_calls_apart() -> None:
    """SQLAlchemy numbers its sessions, and loads of a row what is asked for."""
    assert show_value(Served(1)) == show_value(Served(2))
    assert show_value([Served(1)]) == show_value([Served(2)])
    assert show_value(sqlite3.connect(":memory:")) == show_value(sqlite3.connect(":memory:"))


def said(*messages: str) -> list[str]:
    rows = [Judgement(Verdict.INCOMPLETE, "effect.undeclared", message) for message in messages]
    return [row.message for row in merge_undeclared(rows)]


def test_a_line_that_writes_a_file_for_each_order_is_one_row() -> None:
    files = [f"undeclared file: {{tmp}}/mail-{number} (jobs.py:3)" for number in range(50)]
    assert said(*files) == ["undeclared file: {tmp}/mail-0 (jobs.py:3) and 49 more"]


def test_other_lines_and_kinds_are_rows_of_their_own() -> None:
    rows = [
        "undeclared file: {tmp}/a (jobs.py:3)",
        "undeclared file: {tmp}/a (jobs.py:4)",
        "undeclared network: a.example (jobs.py:3)",
        "undeclared file: {tmp}/a, which stays",
        "undeclared file: {tmp}/b, which stays",
    ]
    assert said(*rows) == rows


class Unbound:
    """As an object that stands for the application of the request at hand, outside of any."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("working outside of the application's context")


def test_what_stands_for_nothing_now_has_no_attributes() -> None:
    assert look_up(Unbound(), "__dict__") is None
    assert read_held(Unbound()) == {}
    assert not _has_name_for({"current": Unbound()}, ValueError)
    assert _has_name_for({"current": Unbound(), "error": ValueError}, ValueError)
