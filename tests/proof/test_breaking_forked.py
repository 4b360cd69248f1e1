"""Several breaks in one process: the tests are collected once, and each fork finds everything as it
was.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from breaking_repo import CODE, HAPPY, RETRYABLE, TERMINAL, breaks, tried

from skillrun.proof.breaking import runs

pytestmark = pytest.mark.real

ALL = (HAPPY, RETRYABLE, TERMINAL)
NOTICED = {
    "effect-dropped": "noticed",
    "transient-swallowed": "noticed",
    "permanent-retried": "noticed",
}
CONFTEST = "tests/conftest.py"


def starting(tmp_path: Path, code: str = "") -> dict[str, str]:
    """A conftest that counts how often it is imported, and does something at that."""
    head = f"        open({str(tmp_path / 'starts')!r}, 'a').write('x')\n"
    head += "".join(f"        {line}\n" for line in code.splitlines())
    return {CONFTEST: head + CODE[CONFTEST]}


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text())


def test_the_tests_are_collected_once(tmp_path: Path) -> None:
    result = tried(tmp_path / "repo", *ALL, files=starting(tmp_path))
    assert (result.status, breaks(result), starts(tmp_path)) == ("passed", NOTICED, 1)


SHARED = {
    "a thread": (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    ),
    "a socket": "import socket\nheld = socket.socketpair()",
    "an event loop": "import asyncio\nloop = asyncio.new_event_loop()",
    "an open file": "held = open(__file__)",
    "a link": "import os\nos.symlink(__file__, 'link.py')",
}


@pytest.mark.parametrize("shared", SHARED)
def test_what_forks_would_share_gives_each_break_a_process(tmp_path: Path, shared: str) -> None:
    result = tried(tmp_path / "repo", *ALL, files=starting(tmp_path, SHARED[shared]))
    assert (result.status, breaks(result), starts(tmp_path)) == ("passed", NOTICED, 5)


LEAVES = """
def test_happy(mail):
    from pathlib import Path
    import pytest
    assert not Path("left").exists() and not Path("made/left").exists()
    assert Path("kept.txt").read_text() == "as it was" and Path("gone.txt").exists()
    assert Path("born.txt").read_text() == "at import"
    Path("left").write_text("x")
    Path("made").mkdir(exist_ok=True)
    Path("made/left").write_text("x")
    Path("kept.txt").write_text("changed")
    Path("born.txt").write_text("changed")
    Path("gone.txt").unlink()
    assert run(send_receipt, 7, "a") == "sent"
"""


BLIND = """
def test_retryable(mail):
    mail.failures = [mailer.Unavailable("down")]
    assert run(send_receipt, 7, "a") != "away"

def test_terminal(mail):
    mail.failures = [mailer.BadAddress("a")] * 9
    assert run(send_receipt, 7, "a") in ("dead", "sent", None)
"""


def test_what_one_break_leaves_behind_is_not_there_for_the_next(tmp_path: Path) -> None:
    born = starting(tmp_path, "open('born.txt', 'w').write('at import')")
    result = tried(
        tmp_path / "repo", LEAVES, BLIND, files={"kept.txt": b"as it was", "gone.txt": b"x", **born}
    )
    assert set(breaks(result).values()) == {"missed"}


ENDLESS = """
def test_happy(mail):
    while not mail.outbox:
        run(send_receipt, 7, "a")
    assert mail.outbox
"""


def test_a_break_without_an_end_is_ended_and_the_others_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LEAST_S", 5.0)
    monkeypatch.setattr(runs, "TIMES_LONGER", 1.0)
    result = tried(tmp_path / "repo", ENDLESS, RETRYABLE, TERMINAL, files=starting(tmp_path))
    assert (breaks(result), starts(tmp_path)) == (NOTICED, 1)
    seen = [item.detail["seen"] for item in result.evidence if item.role == "command"]
    assert seen[1] == "noticed: the tests do not end"


ENDS = {"an exit": ("os._exit(3)", "exit 3"), "a signal": ("os.abort()", "ended by signal 6")}


@pytest.mark.parametrize("how", ENDS)
def test_tests_that_end_their_process_say_how(tmp_path: Path, how: str) -> None:
    code, said = ENDS[how]
    dies = f"\ndef test_dies(mail):\n    import os\n    run(send_receipt, 7, 'a')\n    {code}\n"
    result = tried(tmp_path / "repo", *ALL, dies, files=starting(tmp_path))
    assert f"the tests did not come to an end ({said})" in str(result.findings)
    assert starts(tmp_path) == 1
