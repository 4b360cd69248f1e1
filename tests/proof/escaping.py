"""A handler that reaches beyond its proof, and what is to be said of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_job import JOBS, plain_repo, proof_of

from skillrun.proof.result import Proof
from skillrun.proof.sandbox.sandbox import machine_walls

PLACE = '            send(order_id, key=f"order-{order_id}")\n'
IMPORTS = """
    import asyncio, ctypes, multiprocessing, multiprocessing.shared_memory, pathlib, shutil, socket
    import stat, subprocess, sys, tempfile, threading, uuid, platform, secrets, ssl, zoneinfo, locale
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
"""
HAS_NAMESPACES = machine_walls().has_network
# Without them a proof makes no socket but a Unix one, and /dev/shm is closed to it: see walls.py.
needs_namespaces = pytest.mark.skipif(
    not HAS_NAMESPACES, reason="this machine gives no namespaces to this user"
)
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


def network(address: str) -> str:
    """What is said of a connection with it: without namespaces its socket is not even made."""
    if HAS_NAMESPACES:
        return f"undeclared network: {address} ("
    return "undeclared network: a socket of AF_INET ("


def check_closed(proof: Proof, said: str) -> None:
    """As `check`; without namespaces the kernel refuses it before anybody has a word, and the
    verdict says where.
    """
    if HAS_NAMESPACES:
        check(proof, said)
        return
    assert proof.verdict == "incomplete", (proof.verdict, said_by(proof))
    assert any(
        "Permission denied" in message and "(jobs.py:" in message for message in said_by(proof)
    ), said_by(proof)


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
