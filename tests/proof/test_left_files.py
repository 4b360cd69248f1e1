"""What a delivery leaves in its own folders is found by listing them, also where C code wrote it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from escaping import check, proof_with, said_by

from skillrun.probe.listing import Listing

FOLDER = "os.environ['TMPDIR']"
HISTORY = "import readline; readline.add_history('x'); readline.write_history_file({path})"
CFFI = "import cffi; ffi = cffi.FFI(); ffi.cdef({declared!r}); libc = ffi.dlopen(None)\n"
SYSTEM = CFFI.format(declared="int system(const char *c);")
CREAT = CFFI.format(declared="int creat(const char *p, int m);")
# what the handler does, what is said
LEFT = {
    "c-in-tmp": (HISTORY.format(path=f"{FOLDER} + '/letters'"), "file: {tmp}/letters, which"),
    "c-in-the-home": (
        HISTORY.format(path="os.path.expanduser('~/letters')"),
        "file: {home}/letters, which",
    ),
    "c-in-the-scratch": (
        HISTORY.format(path="os.path.dirname(DB) + '/letters'"),
        "file: {scratch}/letters, which",
    ),
    "c-in-shared-memory": (
        HISTORY.format(path="'/dev/shm/letters'"),
        "file: /dev/shm/letters, which",
    ),
    "c-of-a-library": (
        f"import pyarrow\nwith pyarrow.OSFile({FOLDER} + '/mail', 'wb') as f:\n    f.write(b'x')",
        "file: {tmp}/mail, which",
    ),
    "creat": (
        f"{CREAT}libc.creat(({FOLDER} + '/mail').encode(), 0o600)",
        "file: {tmp}/mail, which",
    ),
    "system-writes": (
        f"{SYSTEM}libc.system(('echo x > ' + {FOLDER} + '/mail').encode())",
        "file: {tmp}/mail, which",
    ),
    "system-alone": (f"{SYSTEM}libc.system(b'true')", "process: one that C code started"),
    "c-elsewhere-in-tmp": (
        HISTORY.format(path="'/var/tmp/letters'"),
        "file: {tmp}/letters, which stays and which C",
    ),
    "called-like-a-module": (
        f"open({FOLDER} + '/mail.pyc', 'w').write('x')",
        "file: {tmp}/mail.pyc, which stays (jobs.py:",
    ),
    "called-like-a-cached-module": (
        f"os.makedirs({FOLDER} + '/__pycache__')\n"
        f"open({FOLDER} + '/__pycache__/mail.pyc', 'w').write('x')",
        "file: {tmp}/__pycache__/mail.pyc, which stays (jobs.py:",
    ),
    "called-like-a-lock": (
        "open(os.path.expanduser('~/mail.lock'), 'w').write('To: x')",
        "file: {home}/mail.lock, which holds more than a lock does (jobs.py:",
    ),
    "called-like-a-pid-file": (
        "open(os.path.dirname(DB) + '/n.pid', 'w').write('1')",
        "file: {scratch}/n.pid, which holds more than a lock does (jobs.py:",
    ),
    "own-memory": ("open('/proc/self/mem', 'r+b', buffering=0)", "/mem (jobs.py:"),
    "own-settings": ("open('/proc/self/oom_score_adj', 'w')", "/oom_score_adj (jobs.py:"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_is_said(name: str, tmp_path: Path) -> None:
    code, said = LEFT[name]
    if "cffi" in code:
        pytest.importorskip("cffi")
    if "pyarrow" in code:
        pytest.importorskip("pyarrow")
    if name.startswith("own-"):
        code = "\n".join(("try:", f"    {code}", "except OSError:", "    pass"))
    check(proof_with(tmp_path, code), said)


@pytest.mark.real
def test_a_file_of_the_repository_that_is_meant_at_import_is_said(tmp_path: Path) -> None:
    lines = "try: open(os.path.dirname(__file__) + '/sent', 'w').write('x')\nexcept OSError: pass"
    proof = proof_with(tmp_path, "pass", at_import=lines)
    check(proof, "undeclared file: sent, at import (jobs.py:")


HONEST = {
    "c-removes-it": f"{HISTORY.format(path=FOLDER + ' + chr(47) + chr(97)')}\n"
    f"os.remove({FOLDER} + '/a')",
    "temporary": "d = tempfile.mkdtemp()\nopen(d + '/a', 'w').write('x')\nshutil.rmtree(d)",
    "named": "with tempfile.NamedTemporaryFile('w+') as f:\n    f.write('x'); f.flush()",
    "pid": f"open({FOLDER} + '/job.pid', 'w').write(str(os.getpid()))",
    "lock": "import fcntl\nf = open(os.path.dirname(DB) + '/job.lock', 'w'); fcntl.flock(f, 2)",
    "write-ahead": "other = sqlite3.connect(DB); other.execute('pragma journal_mode=wal')\n"
    "other.execute('select * from done').fetchall(); other.close()",
    "database-in-tmp-that-goes": f"p = {FOLDER} + '/x.db'; c = sqlite3.connect(p)\n"
    "c.execute('create table t(a)'); c.commit(); c.close(); os.remove(p)",
    "own-name": "open('/proc/self/comm', 'w').write('job')",
    "compiled": (
        "import importlib, py_compile\n"
        "sys.dont_write_bytecode = False; sys.pycache_prefix = " + FOLDER + " + '/pyc'\n"
        "sys.modules.pop('colorsys', None); import colorsys"
    ),
    "log-elsewhere": "logging.getLogger('else').warning('x')",
    "platform": "platform.processor()",
    "folder-that-is-there": "pass",
}
AT_IMPORT = {
    "folder-that-is-there": "os.makedirs(os.path.dirname(__file__), exist_ok=True)",
    "log-elsewhere": "import logging.handlers\n"
    "logging.getLogger('else').addHandler(logging.FileHandler('/var/tmp/app.log'))",
}


@pytest.mark.real
@pytest.mark.parametrize("name", HONEST)
def test_what_is_no_effect_stays_proved(name: str, tmp_path: Path) -> None:
    proof = proof_with(tmp_path, HONEST[name], at_import=AT_IMPORT.get(name, ""))
    assert proof.verdict == "proved", said_by(proof)


def test_a_listing_tells_what_nobody_announced(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    sqlite3.connect(tmp_path / "kept.db").execute("create table t (a)")
    listing = Listing((f"{tmp_path}/",), "")
    listing.begin_delivery()
    listing.announce_name(f"{tmp_path}/mine")
    for name in ("mine", "foreign", "kept.db-wal", "gone"):
        (tmp_path / name).write_text("y")
    (tmp_path / "old").write_text("other")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("z")
    (tmp_path / "kept.db").touch()
    (tmp_path / "gone").unlink()
    listing.collect_changes()
    names = sorted(os.path.relpath(name, tmp_path) for name in listing.still_there())
    assert names == ["folder/inner", "foreign", "old"]


def test_what_another_delivery_announced_is_its_own(tmp_path: Path) -> None:
    listing = Listing((f"{tmp_path}/",), "")
    listing.begin_delivery()
    if os.fork() == 0:
        listing.announce_name(f"{tmp_path}/temporary")
        os._exit(0)
    os.wait()
    (tmp_path / "temporary").write_text("of the other")
    listing.collect_changes()
    assert listing.still_there() == []
