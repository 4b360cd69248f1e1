"""Handlers of `logging` that send or keep what is no log."""

from __future__ import annotations

from pathlib import Path

import pytest
from escaping import check, check_closed, needs_namespaces, proof_with, repo_with, said_by
from plain_job import proof_of

pytestmark = pytest.mark.real


# -- the handlers of the standard library

SENDERS = {
    "mail": "logging.handlers.SMTPHandler('192.0.2.1', 'a@x.org', ['b@x.org'], 'ship')",
    "http": "logging.handlers.HTTPHandler('192.0.2.1', '/ship')",
    "http-name": "logging.handlers.HTTPHandler('foreign.example', '/ship')",
    "socket": "logging.handlers.SocketHandler('192.0.2.1', 9)",
    "datagram": "logging.handlers.DatagramHandler('192.0.2.1', 9)",
    "syslog": "logging.handlers.SysLogHandler(('192.0.2.1', 514))",
}


@pytest.mark.parametrize("when", ["inside", "at-import"])
@pytest.mark.parametrize("name", SENDERS)
def test_a_log_handler_that_sends_is_said(name: str, when: str, tmp_path: Path) -> None:
    above = "import logging.handlers\nloud = logging.getLogger('ship')\nloud.propagate = False"
    add = f"loud.addHandler({SENDERS[name]})"
    code = "loud.error('ship order %s', order_id)"
    if when == "inside":
        check(proof := proof_with(tmp_path, f"{add}\n{code}", at_import=above), "undeclared ")
    else:
        proof = proof_with(tmp_path, code, at_import=f"{above}\n{add}")
        # Of these syslog alone makes its socket when it is made itself.
        (check_closed if name == "syslog" else check)(proof, "undeclared ")
    assert any("(jobs.py:" in message for message in said_by(proof))


CHARGES = "logging.FileHandler(os.path.dirname(DB) + '/charges.csv')"
KEPT = {
    "emit": (f"{CHARGES}.emit(logging.makeLogRecord({{'msg': 'x'}}))", ""),
    "logger": (f"log.addHandler({CHARGES}); log.warning('x')", ""),
    "delayed": (f"{CHARGES[:-1]}, delay=True).emit(logging.makeLogRecord({{'msg': 'x'}}))", ""),
    "at-import": ("CHARGES.emit(logging.makeLogRecord({'msg': 'x'}))", f"CHARGES = {CHARGES}"),
    "named-as-a-log": (
        CHARGES.replace(".csv", ".log") + ".emit(logging.makeLogRecord({'msg': 'x'}))",
        "",
    ),
    "temp": ("logging.FileHandler(os.environ['TMPDIR'] + '/charges.csv')", ""),
    "read-again": (
        (
            "kept = os.environ['TMPDIR'] + '/kept.log'\nlog.addHandler(logging.FileHandler(kept))\n"
            "log.warning('x')\nopen(kept).read()"
        ),
        "",
    ),
    "read-by-itself": (
        "logging.FileHandler(os.environ['TMPDIR'] + '/kept.log', 'a+').stream.read()",
        "",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_file_of_logging_that_is_no_log_is_said(name: str, tmp_path: Path) -> None:
    code, above = KEPT[name]
    # In the scratch it is held against the single run: a death has a second delivery add to it.
    repo = repo_with(tmp_path, code, "", above)
    check(proof_of(repo, "kill@before:commit#1"), "undeclared file: ")


def test_a_file_of_logging_elsewhere_is_said_and_as_it_was(tmp_path: Path) -> None:
    victim = tmp_path / "authorized_keys"
    victim.write_text("mine")
    check(
        proof_with(tmp_path, "logging.FileHandler('VICTIM', 'w')", victim),
        f"undeclared file: {victim} (jobs.py:",
    )
    assert victim.read_text() == "mine"


QUIET_LOGS = {
    "scratch-at-import": "log.addHandler(logging.FileHandler(os.path.dirname(DB) + '/app.log'))",
    "scratch-delayed": (
        "log.addHandler(logging.FileHandler(os.path.dirname(DB) + '/app.log', delay=True))"
    ),
    "rotating": (
        "import"
        " logging.handlers\nlog.addHandler(logging.handlers.RotatingFileHandler(os.environ['TMPDIR']"
        " + '/app.log', 'a', 9, 2))"
    ),
    "console": "log.addHandler(logging.StreamHandler(sys.stdout))",
    "syslog": "import logging.handlers\nlog.addHandler(logging.handlers.SysLogHandler())",
    "queue": (
        "import logging.handlers,"
        " queue\nlog.addHandler(logging.handlers.QueueHandler(queue.Queue()))"
    ),
    "memory": "import logging.handlers\nlog.addHandler(logging.handlers.MemoryHandler(9))",
}


SENDS_AT_IMPORT = ("syslog",)  # which takes a network of the proof's own


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs_namespaces) if name in SENDS_AT_IMPORT else name
        for name in QUIET_LOGS
    ],
)
def test_a_log_of_the_application_stays_proved(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, "log.warning('order_id=%s', order_id)", at_import=QUIET_LOGS[name])
    assert proof.verdict == "proved", said_by(proof)
