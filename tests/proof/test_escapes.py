"""A handler that reaches beyond its proof: it is said with its line, and the victim got nothing."""

from __future__ import annotations

import ctypes
import json
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest
from plain_job import JOBS, SPEC, plain_repo, proof_of

from skillrun.probe.gate import can_ask
from skillrun.proof.result import Proof

pytestmark = pytest.mark.real

PLACE = '            send(order_id, key=f"order-{order_id}")\n'
IMPORTS = """
    import asyncio, ctypes, multiprocessing, multiprocessing.shared_memory, pathlib, shutil, socket
    import stat, subprocess, sys, tempfile, threading, uuid, platform, secrets, ssl, zoneinfo, locale
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
"""
VICTIM = "VICTIM"  # stands for the address or the file that a handler goes for


def repo_with(tmp_path: Path, code: str, victim: object = "", at_import: str = "") -> Path:
    """`code` comes right after the effect; `at_import` after the module's own imports."""
    lines = code.strip().splitlines()
    inside = PLACE + "".join(f"            {line}\n" for line in lines)
    above = "\n".join(f"    {line}" for line in at_import.strip().splitlines())
    jobs = IMPORTS + JOBS.replace("    class Away", above + "\n\n    class Away", 1).replace(
        PLACE, inside
    )
    return plain_repo(tmp_path / "repo", jobs=jobs.replace(VICTIM, str(victim)))


def proof_with(tmp_path: Path, code: str, victim: object = "", at_import: str = "") -> Proof:
    return proof_of(repo_with(tmp_path, code, victim, at_import))


def said_by(proof: Proof) -> list[str]:
    """What makes it less than proved."""
    return [judgement.message for judgement in proof.incomplete]


def check(proof: Proof, said: str) -> None:
    assert proof.verdict == "incomplete", (proof.verdict, said_by(proof))
    words = [message for message in said_by(proof) if message.startswith("undeclared")]
    assert any(said in message for message in words), said_by(proof)


# -- connections


class Sink:
    """A server that takes whatever comes, in threads of this process."""

    def __init__(self, server: socket.socket) -> None:
        self.server, self.got = server, 0
        server.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                self.server.accept()[0].close()
            except OSError:
                return
            self.got += 1


@pytest.fixture
def unix_sink(tmp_path: Path) -> Iterator[tuple[Sink, Path]]:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield Sink(server), path


@pytest.fixture
def tcp_sink() -> Iterator[tuple[Sink, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Sink(server), server.getsockname()[1]


UNIX = {
    "connect": "socket.socket(socket.AF_UNIX).connect('VICTIM')",
    "swallowed": (
        "try:\n    socket.socket(socket.AF_UNIX).connect('VICTIM')\nexcept Exception:\n    pass"
    ),
    "connect-ex": (
        "try:\n    socket.socket(socket.AF_UNIX).connect_ex('VICTIM')\nexcept OSError:\n    pass"
    ),
    "asyncio": (
        "try:\n    asyncio.run(asyncio.open_unix_connection('VICTIM'))\nexcept OSError:\n    pass"
    ),
    "thread": (
        "t = threading.Thread(target=lambda: socket.socket(socket.AF_UNIX).connect('VICTIM'))\n"
        "t.start()\nt.join()"
    ),
}


def test_an_abstract_socket_is_said(tmp_path: Path) -> None:
    code = (
        "try:\n    socket.socket(socket.AF_UNIX).connect('\\0skillrun-test')\nexcept"
        " BaseException:\n    pass"
    )
    check(proof_with(tmp_path, code), "undeclared network: @skillrun-test (jobs.py:")


@pytest.mark.parametrize("name", UNIX)
def test_a_unix_socket_of_the_machine_is_refused(
    name: str, tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    proof = proof_with(tmp_path, UNIX[name], path)
    check(proof, f"undeclared network: {path} (jobs.py:")
    assert sink.got == 0


def test_a_path_that_only_begins_like_a_proofs_server_is_foreign(
    tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    code = "run = os.path.dirname(os.path.dirname(DB)) + '/run'\n"
    code += "up = '/..' * run.count('/')\nos.chdir(run)\n"
    code += "socket.socket(socket.AF_UNIX).connect(os.path.relpath('VICTIM', run))"
    check(proof_with(tmp_path, code, path), "undeclared network: ")
    assert sink.got == 0


TCP = {
    "connect": (
        "try:\n    socket.create_connection(('127.0.0.1', VICTIM), 1)\nexcept OSError:\n    pass"
    ),
    "sendto": (
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', VICTIM))"
    ),
    "sendmsg": (
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendmsg([b'x'], [], 0,"
        " ('127.0.0.1', VICTIM))"
    ),
    "mail": (
        "import smtplib\ntry:\n    smtplib.SMTP('127.0.0.1', VICTIM, timeout=1)\nexcept OSError:\n "
        "   pass"
    ),
    "asyncio": (
        "try:\n    asyncio.run(asyncio.open_connection('127.0.0.1', VICTIM))\nexcept OSError:\n   "
        " pass"
    ),
}


@pytest.mark.parametrize("name", TCP)
def test_a_server_of_the_machine_is_refused(
    name: str, tmp_path: Path, tcp_sink: tuple[Sink, int]
) -> None:
    sink, port = tcp_sink
    check(proof_with(tmp_path, TCP[name], port), f"127.0.0.1:{port} (jobs.py:")
    assert sink.got == 0


def test_a_connection_that_is_opened_at_import_is_refused(
    tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    line = "HELD = socket.socket(socket.AF_UNIX); HELD.connect('VICTIM')"
    proof = proof_with(tmp_path, "HELD.send(b'x')", path, at_import=line)
    assert proof.verdict == "incomplete"
    assert sink.got == 0


# -- files

FILES = {
    "home": ("open('VICTIM', 'a').write('x')", "undeclared file: VICTIM (jobs.py:"),
    "chmod": ("os.chmod('VICTIM', 0o777)", "undeclared file: VICTIM (jobs.py:"),
    "utime": ("os.utime('VICTIM', (1, 1))", "undeclared file: VICTIM (jobs.py:"),
    "link": (
        (
            "os.link('VICTIM', os.environ['TMPDIR'] + '/y'); open(os.environ['TMPDIR'] + '/y',"
            " 'w').write('x')"
        ),
        "undeclared file: VICTIM (jobs.py:",
    ),
    "dir-fd": (
        (
            "os.chdir(os.environ['TMPDIR'])\nfolder = os.open(os.path.dirname('VICTIM'),"
            " os.O_RDONLY)\nos.write(os.open(os.path.basename('VICTIM'), os.O_WRONLY,"
            " dir_fd=folder), b'x')"
        ),
        "undeclared file: VICTIM (jobs.py:",
    ),
    "descriptor": (
        "os.chmod(os.open(__file__, os.O_RDONLY), 0o777)",  # the victim cannot even be seen
        "undeclared file: jobs.py (jobs.py:",
    ),
    "through-proc": (
        "open('/proc/self/root' + 'VICTIM', 'w').write('x')",
        "undeclared file: VICTIM (jobs.py:",
    ),
    "fifo": ("os.mkfifo('VICTIM.fifo')", "undeclared file: VICTIM.fifo (jobs.py:"),
    "temp": (
        "open(os.environ['TMPDIR'] + '/sent', 'a').write('x')",
        "undeclared file: {tmp}/sent, which stays (jobs.py:",
    ),
    "named-temp": (
        "open(tempfile.mkstemp(suffix='.sent')[1], 'w').write('x')",
        ".sent, which stays (jobs.py:",
    ),
    "own-home": (
        "pathlib.Path.home().joinpath('.sent').write_text('x')",
        "undeclared file: {home}/.sent, which stays (jobs.py:",
    ),
    "folder-as-lock": (
        "os.mkdir(os.environ['TMPDIR'] + '/done')",
        "undeclared file: {tmp}/done, which stays (jobs.py:",
    ),
    "key-log": (
        (
            "import ssl\nssl.create_default_context().keylog_filename = os.environ['HOME'] +"
            " '/keys.done'"
        ),
        "undeclared file: {home}/keys.done, which stays",
    ),
    "header": (
        (
            "import contextlib\nwith contextlib.closing(sqlite3.connect(DB, isolation_level=None))"
            " as own:\n    own.execute('pragma user_version = 7')"
        ),
        "undeclared store: PRAGMA user_version",
    ),
    "shared-memory": (
        "m = multiprocessing.shared_memory.SharedMemory('skillrun-test', create=True, size=8)",
        "undeclared file: /dev/shm/skillrun-test, which stays (jobs.py:",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_stays_is_said_and_a_foreign_one_is_as_it_was(
    name: str, tmp_path: Path
) -> None:
    victim = tmp_path / "authorized_keys"
    victim.write_text("mine")
    before = victim.stat()
    code, said = FILES[name]
    check(proof_with(tmp_path, code, victim), said.replace(VICTIM, str(victim)))
    after = victim.stat()
    assert victim.read_text() == "mine"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not victim.with_suffix(".fifo").exists()
    Path("/dev/shm/skillrun-test").unlink(missing_ok=True)


def test_a_file_that_is_held_open_since_the_import_is_said(tmp_path: Path) -> None:
    victim = tmp_path / "sent.txt"
    line = "HELD = open('VICTIM', 'a')"
    proof = proof_with(tmp_path, "HELD.write('x')", victim, at_import=line)
    check(proof, f"undeclared file: {victim}, opened at import (jobs.py:")


# -- databases

ATTACH = {
    "attach": "db.commit(); db.execute(\"attach 'VICTIM' as other\")",
    "parameter": "db.commit(); db.execute('/* x */ ATTACH DATABASE ? AS other', ('VICTIM',))",
    "expression": "db.commit(); db.execute(\"attach 'VICT' || 'IM' as other\")",
    "script": "db.executescript(\"attach 'VICTIM' as other; insert into other.t values (1)\")",
    "vacuum": "db.commit(); db.execute(\"vacuum into 'VICTIM.copy'\")",
    "class": "sqlite3.Connection('VICTIM').execute('insert into t values (1)').connection.commit()",
}


@pytest.mark.parametrize("name", ATTACH)
def test_another_database_is_said_and_not_opened(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "mine.db"
    with sqlite3.connect(victim) as mine:
        mine.execute("create table t (id integer)")
    mine.close()
    before = victim.read_bytes()
    code = ATTACH[name].replace("'VICT' || 'IM'", f"'{str(victim)[:5]}' || '{str(victim)[5:]}'")
    check(proof_with(tmp_path, code, victim), "undeclared store: ")
    assert victim.read_bytes() == before
    assert not victim.with_suffix(".db.copy").exists()


PAGES = {
    "scratch": "db.commit(); db.execute('attach ? as other', (DB + '.other',))",
    "backup": "db.commit(); db.backup(sqlite3.connect(DB + '.copy'))",
}


@pytest.mark.parametrize("name", PAGES)
def test_what_no_statement_shows_is_said(name: str, tmp_path: Path) -> None:
    check(proof_with(tmp_path, PAGES[name]), "undeclared store: ")


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
    check(proof, "undeclared ")  # a fork server is met before it begins: it listens
    assert any("(jobs.py:" in message for message in said_by(proof))
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


# -- what stays proved

HONEST = {
    "temp-file": "with tempfile.NamedTemporaryFile() as file:\n    file.write(b'attachment')",
    "nameless": "with tempfile.TemporaryFile() as file:\n    file.write(b'x')",
    "temp-folder": (
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    pathlib.Path(folder, 'a').mkdir()\n    pathlib.Path(folder, 'a', 'b').write_text('x')"
    ),
    "kept-and-removed": "fd, path = tempfile.mkstemp()\nos.close(fd)\nos.unlink(path)",
    "log": "log.warning('order_id=%s', order_id)",
    "machine": (
        "socket.gethostname(); socket.getfqdn(); platform.platform();"
        " platform.processor()\nuuid.uuid4(); uuid.uuid1(); uuid.getnode(); os.getpid();"
        " multiprocessing.cpu_count(); secrets.token_hex()"
    ),
    "look-up": "socket.getaddrinfo('127.0.0.1', 80); socket.getaddrinfo('localhost', 80)",
    "reads": "pathlib.Path(__file__).read_text(); pathlib.Path('/etc').stat(); os.listdir('/')",
    "tls": "ssl.create_default_context(); zoneinfo.ZoneInfo('UTC'); locale.getlocale()",
    "threads": "with ThreadPoolExecutor(2) as pool:\n    assert list(pool.map(len, ['a'])) == [1]",
    "asyncio": "asyncio.run(asyncio.sleep(0))",
    "pair": "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)",
    "devices": "open(os.devnull, 'w').write('x')",
    "memory": "other = sqlite3.connect(':memory:'); other.execute(\"attach ':memory:' as more\")",
    "lock": "open(os.environ['TMPDIR'] + '/job.lock', 'w').close()",
    "shared": (
        "m = multiprocessing.shared_memory.SharedMemory(create=True, size=8); m.close(); m.unlink()"
    ),
    "find-library": "import ctypes.util; ctypes.util.find_library('c')",
    "compress": "import gzip, io; gzip.GzipFile(fileobj=io.BytesIO(), mode='w').write(b'x')",
}


@pytest.mark.parametrize("name", HONEST)
def test_what_reaches_nobody_stays_proved(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, HONEST[name])
    assert proof.verdict == "proved", said_by(proof)


def test_a_process_of_a_declared_effect_is_no_undeclared_one(tmp_path: Path) -> None:
    jobs = IMPORTS + JOBS.replace(
        'raise RuntimeError("the real one must never run")', 'subprocess.run(["true"], check=True)'
    )
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=jobs))
    assert proof.verdict == "proved", said_by(proof)


def test_a_file_handler_of_the_log_is_no_file_that_stays(tmp_path: Path) -> None:
    code = (
        "log.addHandler(logging.FileHandler(os.environ['TMPDIR'] + '/app.log')); log.warning('x')"
    )
    proof = proof_with(tmp_path, code)
    assert proof.verdict == "proved", said_by(proof)


def test_a_log_handler_of_the_repositorys_own_is_the_repositorys_code(tmp_path: Path) -> None:
    above = """
class Sent(logging.Handler):
    def emit(self, record):
        open(os.environ['TMPDIR'] + '/sent', 'a').write('x')
"""
    code = "log.addHandler(Sent()); log.warning('x')"
    proof = proof_with(tmp_path, code, at_import=above)
    check(proof, "undeclared file: {tmp}/sent, which stays (jobs.py:")


# -- code that passes for another's

URLOPEN = (
    "import urllib.request\ndef go():\n    try:\n       "
    " urllib.request.urlopen('http://foreign.example')\n"
)
URLOPEN += "    except OSError:\n        pass\n"
SENDING = "import socket\ndef go():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
SENDING += (
    "    try:\n        s.sendto(b'x', ('192.0.2.1', 8125))\n    except OSError:\n        pass\n"
)
STARTING = "import subprocess\ndef go():\n    try:\n        subprocess.run(['touch', 'VICTIM'])\n"
STARTING += "    except OSError:\n        pass\n"
WRITING = "import os\ndef go():\n    open(os.environ['TMPDIR'] + '/app.log', 'a').write('x')\n"
# what it does, the file and the module that it claims to be
CLAIMS = {
    "logging-by-name": (URLOPEN, "'<shop>'", "'logging.shop'"),
    "logging-by-file": (SENDING, "logging.__file__", "'logging'"),
    "metrics-by-name": (SENDING, "'<shop>'", "'statsd.client'"),
    "uuid-by-name": (STARTING, "'<shop>'", "'uuid'"),
    "uuid-by-file": (STARTING, "uuid.__file__", "'uuid'"),
    "platform-by-name": (STARTING, "'<shop>'", "'platform'"),
    "a-log-by-file": (WRITING, "logging.__file__", "'logging'"),
    "frozen-by-file": (STARTING, "'<frozen importlib._bootstrap>'", "'platform'"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_code_that_says_it_is_a_librarys_is_the_repositorys(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "sent"
    text, file, module = CLAIMS[name]
    above = (
        f"space = {{'__name__': {module}}}\nexec(compile({text!r}, {file}, 'exec'), space)\ngo ="
        " space['go']"
    )
    check(proof_with(tmp_path, "go()", victim, at_import=above), "undeclared ")
    assert not victim.exists()


def test_native_code_is_the_repositorys_whatever_file_it_claims(tmp_path: Path) -> None:
    text = "import ctypes\ndef go():\n    ctypes.CDLL(None).getpid()\n"
    file = "'/usr/lib/python3/dist-packages/shop.py'"
    above = f"space = {{}}\nexec(compile({text!r}, {file}, 'exec'), space)\ngo = space['go']"
    check(proof_with(tmp_path, "go()", at_import=above), "undeclared native code: ctypes libc")


def test_a_handler_that_was_made_from_a_text_is_no_part_of_logging(tmp_path: Path) -> None:
    text = "import logging, os\nclass Sent(logging.Handler):\n    def emit(self, record):\n"
    text += "        open(os.environ['TMPDIR'] + '/sent.log', 'a').write('x')\n"
    above = f"space = {{}}\nexec(compile({text!r}, os.__file__, 'exec'), space)"
    code = "log.addHandler(space['Sent']()); log.warning('x')"
    check(
        proof_with(tmp_path, code, at_import=above),
        "undeclared file: {tmp}/sent.log, which stays (jobs.py:",
    )


METRICS_CLIENT = """
import socket
class StatsClient:
    def incr(self, name):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(name.encode(), ('192.0.2.1', 8125))
"""


COUNTS = (
    "from statsd.client import StatsClient\ntry:\n    StatsClient().incr('x')\nexcept OSError:\n   "
    " pass"
)
COUNTING = {"statsd/__init__.py": "", "statsd/client.py": METRICS_CLIENT}


def test_the_repositorys_own_module_with_a_metrics_librarys_name_is_said(tmp_path: Path) -> None:
    repo = repo_with(tmp_path, COUNTS)
    helpers.build_tree(repo, COUNTING)
    check(proof_of(repo), "undeclared network: 192.0.2.1:8125 (statsd/client.py:")


def test_a_library_that_counts_is_no_effect(tmp_path: Path) -> None:
    """As above, but installed: outside of the repository."""
    library = helpers.build_tree(tmp_path / "lib" / "site-packages", COUNTING)
    jobs = IMPORTS + JOBS.replace(
        PLACE, PLACE + "".join(f"            {x}\n" for x in COUNTS.splitlines())
    )
    environment = {**SPEC["proof"]["env"], "PYTHONPATH": str(library)}
    changed = {"proof": {**SPEC["proof"], "env": environment}}
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=jobs, changed=changed))
    assert proof.verdict == "proved", said_by(proof)


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
        proof = proof_with(tmp_path, f"{add}\n{code}", at_import=above)
    else:
        proof = proof_with(tmp_path, code, at_import=f"{above}\n{add}")
    check(proof, "undeclared ")
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


@pytest.mark.parametrize("name", QUIET_LOGS)
def test_a_log_of_the_application_stays_proved(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, "log.warning('order_id=%s', order_id)", at_import=QUIET_LOGS[name])
    assert proof.verdict == "proved", said_by(proof)


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


# -- the command line


@pytest.mark.real
def test_the_command_line_names_the_line_of_an_escape(
    tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    repo = repo_with(tmp_path, UNIX["swallowed"], path)
    done = helpers.run_cli("prove", "--trust", "--json", "--schedule", "once", cwd=repo)
    report: dict[str, Any] = json.loads(done.stdout)
    told = json.dumps(report)
    assert f"undeclared network: {path} (jobs.py:" in told, told[:3000]
    assert done.returncode != 0
    assert sink.got == 0


# -- C code

C_CONNECT = {
    "ctypes": (
        "import ctypes\n"
        "fd = socket.socket(socket.AF_UNIX).detach()\n"
        "raw = bytes([1, 0]) + b'VICTIM' + bytes(1)\n"
        "assert LIBC.connect(fd, raw, len(raw)) == -1"
    ),
    "psycopg2": (
        "import psycopg2.extensions\ntry:\n"
        '    psycopg2.extensions.connection("host=VICTIM_FOLDER port=1")\n'
        "except psycopg2.OperationalError:\n    pass"
    ),
    "psycopg": (
        'import psycopg\ntry:\n    psycopg.pq.PGconn.connect(b"host=VICTIM_FOLDER port=1")\nexcept'
        " psycopg.OperationalError:\n    pass"
    ),
}
needs_gate = pytest.mark.skipif(
    not can_ask(ctypes.CDLL(None)), reason="this kernel asks about no call"
)


@needs_gate
@pytest.mark.parametrize("name", C_CONNECT)
def test_a_connection_of_c_code_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.1"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        sink = Sink(server)
        code = C_CONNECT[name].replace("VICTIM_FOLDER", str(tmp_path))
        proof = proof_with(tmp_path, code, path, at_import="LIBC = ctypes.CDLL(None)")
        check(proof, f"undeclared network: {path} (jobs.py:")
        assert sink.got == 0


UNREADABLE = {
    "no-memory": ("LIBC.connect(fd, ctypes.c_void_p(1), 16)", 14),
    "kernel-memory": ("LIBC.connect(fd, ctypes.c_void_p(2**64 - 4096), 16)", 14),
    "at-the-end": ("LIBC.sendto(fd, b'x', 1, 0, ctypes.c_void_p(2**47 - 8), 16)", 14),
}


@needs_gate
@pytest.mark.parametrize("name", UNREADABLE)
def test_an_address_that_cannot_be_read_is_answered(name: str, tmp_path: Path) -> None:
    call, error = UNREADABLE[name]
    code = (
        f"fd = socket.socket().detach()\nassert {call} == -1\nassert ctypes.get_errno() == {error}"
    )
    proof = proof_with(tmp_path, code, at_import="LIBC = ctypes.CDLL(None, use_errno=True)")
    assert [said for said in said_by(proof) if "undeclared native code" not in said] == []


@needs_gate
def test_a_process_that_hides_its_memory_connects_with_nobody(
    tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    code = "LIBC.prctl(4, 0, 0, 0, 0)\n" + C_CONNECT["ctypes"]
    proof = proof_with(tmp_path, code, path, at_import="LIBC = ctypes.CDLL(None)")
    assert any("undeclared network: " in said for said in said_by(proof)), said_by(proof)
    assert sink.got == 0


DRIVERS = {
    "inside": (
        "try:\n    DRIVER.connect('host=VICTIM port=1')\nexcept DRIVER.OperationalError:\n    pass"
    ),
    "at-import": "",
}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("when", DRIVERS)
def test_the_developers_postgresql_is_never_reached(when: str, driver: str, tmp_path: Path) -> None:
    pytest.importorskip(driver)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / ".s.PGSQL.1"))
        sink = Sink(server)
        above = f"import {driver}"
        if when == "at-import":
            above += f"\nHELD = {driver}.connect('host=VICTIM port=1')"
        code = DRIVERS[when].replace("DRIVER", driver) or "HELD.cursor()"
        proof = proof_with(tmp_path, code, tmp_path, at_import=above)
        assert proof.verdict == "incomplete"
        assert any(f"PostgreSQL at {tmp_path}:1" in said for said in said_by(proof)), said_by(proof)
        assert sink.got == 0
