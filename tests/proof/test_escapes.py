"""A handler that reaches nobody stays proved; code that passes for another's is the repository's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helpers
import pytest
from escaping import (
    IMPORTS,
    PLACE,
    UNIX,
    Sink,
    check,
    needs_namespaces,
    network,
    proof_with,
    repo_with,
    said_by,
)
from plain_job import JOBS, SPEC, plain_repo, proof_of

pytestmark = pytest.mark.real


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
    "reads": "pathlib.Path(__file__).read_text(); pathlib.Path('/etc').stat(); os.listdir('/etc')",
    "tls": "ssl.create_default_context(); zoneinfo.ZoneInfo('UTC'); locale.getlocale()",
    "threads": "with ThreadPoolExecutor(2) as pool:\n    assert list(pool.map(len, ['a'])) == [1]",
    "asyncio": "asyncio.run(asyncio.sleep(0))",
    "pair": "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)",
    "devices": "open(os.devnull, 'w').write('x')",
    "memory": "other = sqlite3.connect(':memory:'); other.execute(\"attach ':memory:' as more\")",
    "lock": "open(os.environ['TMPDIR'] + '/job.lock', 'w').close()",
    "find-library": "import ctypes.util; ctypes.util.find_library('c')",
    "compress": "import gzip, io; gzip.GzipFile(fileobj=io.BytesIO(), mode='w').write(b'x')",
}


# What Landlock closes: the folder above all others, and memory that processes share.
NEEDS_FILES = {
    "lists the root": "os.listdir('/')",
    "shared": (
        "m = multiprocessing.shared_memory.SharedMemory(create=True, size=8); m.close(); m.unlink()"
    ),
}


@needs_namespaces
@pytest.mark.parametrize("name", NEEDS_FILES)
def test_so_does_what_a_file_system_of_its_own_has(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, NEEDS_FILES[name])
    assert proof.verdict == "proved", said_by(proof)


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
    check(proof_of(repo), f"{network('192.0.2.1:8125')}statsd/client.py:")


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
