"""A handler that writes beyond its proof: it is said with its line, and the file is as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from escaping import VICTIM, check, check_closed, proof_with

pytestmark = pytest.mark.real


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
    "times-of-the-store": (
        "os.utime(DB, (time.time(), int.from_bytes(os.urandom(3), 'big')))",
        "undeclared file: {scratch}/app.db (jobs.py:",
    ),
    "read-time-of-the-store": (
        "os.utime(DB, (int.from_bytes(os.urandom(3), 'big'), 1))",
        "undeclared file: {scratch}/app.db (jobs.py:",
    ),
    "attribute-of-the-store": (
        "os.setxattr(DB, 'user.sent', os.urandom(4))",
        "undeclared file: {scratch}/app.db (jobs.py:",
    ),
    # Two single runs are a minute from each other.
    "mode-of-the-store": (
        "os.chmod(DB, 0o600 if time.time() % 120 < 60 else 0o640)",
        "undeclared file: {scratch}/app.db (jobs.py:",
    ),
    "owner-of-the-store": (
        "os.chown(DB, -1, os.getgid() if time.time() % 120 < 60 else -1)",
        "undeclared file: {scratch}/app.db (jobs.py:",
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


# These go through what Landlock closes before anything is written: a folder, /dev/shm.
CLOSED = ("dir-fd", "shared-memory")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_stays_is_said_and_a_foreign_one_is_as_it_was(
    name: str, tmp_path: Path
) -> None:
    victim = tmp_path / "authorized_keys"
    victim.write_text("mine")
    before = victim.stat()
    code, said = FILES[name]
    checked = check_closed if name in CLOSED else check
    checked(proof_with(tmp_path, code, victim), said.replace(VICTIM, str(victim)))
    after = victim.stat()
    assert victim.read_text() == "mine"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not victim.with_suffix(".fifo").exists()
    Path("/dev/shm/skillrun-test").unlink(missing_ok=True)


def test_a_file_that_is_held_open_since_the_import_is_said(tmp_path: Path) -> None:
    victim = tmp_path / "sent.txt"
    line = "HELD = open('VICTIM', 'a')"
    proof = proof_with(tmp_path, "HELD.write('x')", victim, at_import=line)
    check_closed(proof, f"undeclared file: {victim}, opened at import (jobs.py:")


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
