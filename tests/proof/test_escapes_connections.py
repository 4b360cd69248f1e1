"""A handler that connects with what is not of its proof: it is said with its line, and the victim got
nothing."""

from __future__ import annotations

import ctypes
import socket
from pathlib import Path

import pytest
from escaping import HAS_NAMESPACES, UNIX, Sink, check, network, proof_with, said_by

from skillrun.probe.gate import can_ask

pytestmark = pytest.mark.real


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
    said = f"127.0.0.1:{port} (jobs.py:"
    if name != "mail":  # which is met where the client of SMTP is made, before its socket
        said = f"{network(f'127.0.0.1:{port}')}jobs.py:"
    check(proof_with(tmp_path, TCP[name], port), said)
    assert sink.got == 0


def test_a_connection_that_is_opened_at_import_is_refused(
    tmp_path: Path, unix_sink: tuple[Sink, Path]
) -> None:
    sink, path = unix_sink
    line = "HELD = socket.socket(socket.AF_UNIX); HELD.connect('VICTIM')"
    proof = proof_with(tmp_path, "HELD.send(b'x')", path, at_import=line)
    assert proof.verdict == "incomplete"
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
    family = "" if HAS_NAMESPACES else "socket.AF_UNIX"
    code = f"fd = socket.socket({family}).detach()\nassert {call} == -1\nassert ctypes.get_errno() == {error}"
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
