"""A handler that starts processes or signals others: it is said with its line, and nothing began."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from escaping import HAS_NAMESPACES, check, check_closed, proof_with, said_by

pytestmark = pytest.mark.real


# -- processes

CHILD = "import pathlib; pathlib.Path('VICTIM').write_text('sent')"
PROCESSES = {
    "subprocess": f'subprocess.run([sys.executable, "-c", "{CHILD}"])',
    "system": "os.system('touch VICTIM')",
    "popen": "os.popen('touch VICTIM').read()",
    "spawnv": "os.spawnv(os.P_WAIT, '/usr/bin/touch', ['touch', 'VICTIM'])",
    "posix-spawn": (
        "os.waitpid(os.posix_spawn('/usr/bin/touch', ['touch', 'VICTIM'], os.environ), 0)"
    ),
    "fork-exec": (
        "import _posixsubprocess\nfrom multiprocessing import util\n"
        "util.spawnv_passfds(b'/usr/bin/touch', [b'touch', b'VICTIM'], [])"
    ),
    "fork": (
        "p = multiprocessing.get_context('fork').Process(target=touch,"
        " args=('VICTIM',))\np.start()\np.join()"
    ),
    "spawn": (
        "p = multiprocessing.get_context('spawn').Process(target=touch,"
        " args=('VICTIM',))\np.start()\np.join()"
    ),
    "forkserver": (
        "p = multiprocessing.get_context('forkserver').Process(target=touch, args=('VICTIM',))\n"
        "p.start()\np.join()"
    ),
    "pool": "with ProcessPoolExecutor(1) as pool:\n    pool.submit(touch, 'VICTIM').result()",
    "asyncio": "asyncio.run(asyncio.create_subprocess_exec('/usr/bin/touch', 'VICTIM'))",
    "swallowed": "try:\n    subprocess.run(['touch', 'VICTIM'])\nexcept Exception:\n    pass",
}
TOUCH = "def touch(path):\n    pathlib.Path(path).write_text('sent')"


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_said_and_never_begins(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "sent"
    proof = proof_with(tmp_path, PROCESSES[name], victim, at_import=TOUCH)
    # A fork server is met before it begins: it listens. A pool begins with a lock in /dev/shm.
    if name == "pool":
        check_closed(proof, "undeclared ")
    else:
        check(proof, "undeclared ")
    assert any("(jobs.py:" in message for message in said_by(proof))
    if HAS_NAMESPACES or name != "pool":
        assert not any("in neither list of failures" in message for message in said_by(proof))
    assert not victim.exists()


def test_an_interpreter_of_its_own_is_said(tmp_path: Path) -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    code = f"import {name} as own\ntry:\n    own.create()\nexcept BaseException:\n    pass"
    check(proof_with(tmp_path, code), "undeclared process: an interpreter of its own (jobs.py:")


def test_a_process_that_is_there_since_the_import_is_said(tmp_path: Path) -> None:
    line = "HELPER = subprocess.Popen(['sleep', '300'], stdin=subprocess.PIPE)"
    check(
        proof_with(tmp_path, "pass", at_import=line),
        "undeclared process: sleep 300, started at import",
    )


NATIVE = {
    "inside": ("ctypes.CDLL(None).getpid()", ""),
    "at-import": ("LIBC.getpid()", "LIBC = ctypes.CDLL(None)"),
}


@pytest.mark.parametrize("name", NATIVE)
def test_native_code_of_the_repositorys_own_is_said(name: str, tmp_path: Path) -> None:
    code, above = NATIVE[name]
    check(proof_with(tmp_path, code, at_import=above), "undeclared native code: ctypes libc")


# -- signals

SIGNALS = {
    "kill": "os.kill(PID, 15)",
    "group": "os.killpg(PID, 15)",
    "minus": "os.kill(-PID, 15)",
    "everybody": "os.kill(-1, 15)",
    "parent": "os.kill(os.getppid(), 15)",
    "descriptor": "import signal\nsignal.pidfd_send_signal(os.pidfd_open(PID), 15)",
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_to_a_foreign_process_is_said(name: str, tmp_path: Path) -> None:
    """Where the proof has its own processes the number stands for nobody; elsewhere the process
    lives on.
    """
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as other:
        try:
            lines = SIGNALS[name].replace("PID", str(other.pid)).splitlines()
            inside = "".join(f"    {line}\n" for line in lines)
            code = f"try:\n{inside}except OSError:\n    pass"
            proof = proof_with(tmp_path, code)
            if name != "descriptor" or any("undeclared" in message for message in said_by(proof)):
                check(proof, "undeclared process: signal 15 to process ")
            assert other.poll() is None
        finally:
            other.kill()


OWN_SIGNALS = {
    "itself": (
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\nos.kill(os.getpid(),"
        " signal.SIGUSR1)"
    ),
    "group": (
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\nos.killpg(os.getpgrp(),"
        " signal.SIGUSR1)"
    ),
    "is-it-there": "os.kill(os.getppid(), 0)",
    "timer": "import signal\nsignal.alarm(60); signal.alarm(0)",
}


@pytest.mark.parametrize("name", OWN_SIGNALS)
def test_a_signal_to_itself_stays_proved(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, OWN_SIGNALS[name])
    assert proof.verdict == "proved", said_by(proof)
