"""The command line as a fork of a process that has loaded it: all that a start would do, without
the loading.

One server for each process of pytest, started when it is first needed; `fork_server.py` is its
other half.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")
MOST_INPUT = 4_000  # a pipe takes as much before somebody reads it, everywhere
AT_START = ("PYTHON", "LANG", "LC_", "TERM", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TYPER")
START_ENV = {
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(SERVER.parent.parent),
    "PYTHONDONTWRITEBYTECODE": "1",
}
# Their process ids: who looks for what a test has left behind does not mean them.
servers: set[int] = set()
_asking = threading.Lock()


def is_enough(input: str, differs: Mapping[str, str]) -> bool:
    """Whether a fork is as good as a start: `differs` names no variable that is read while things
    are loaded.
    """
    return len(input) < MOST_INPUT and not any(name.startswith(AT_START) for name in differs)


def run_forked(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str], input: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, "-m", "skillrun", *args], env=env, capture_output=True,
    ...)`.
    """
    (stdin, given), (out, stdout), (err, stderr), (told, tell) = (os.pipe() for _ in range(4))
    os.write(given, input.encode(errors="surrogateescape"))
    os.close(given)
    _ask({"args": [*args], "cwd": os.fspath(cwd), "env": {**env}}, [stdin, stdout, stderr, tell])
    said = _read((told, out, err), timeout)
    if said is None:
        raise subprocess.TimeoutExpired(["skillrun", *args], timeout)
    texts = [data.decode(errors="surrogateescape").replace("\r\n", "\n") for data in said[1:]]
    return subprocess.CompletedProcess(["skillrun", *args], int(said[0].split()[1]), *texts)


def _ask(request: Mapping[str, object], descriptors: list[int]) -> None:
    """Hands over a request with the ends of pipes that are the fork's; here they are closed."""
    data = json.dumps(request).encode()
    with _asking:
        channel = _channel()
        socket.send_fds(channel, [len(data).to_bytes(8, "big")], descriptors)
        channel.sendall(data)
    for descriptor in descriptors:
        os.close(descriptor)


@functools.cache
def _channel() -> socket.socket:
    """The way to the server, which ends when this process does."""
    ours, theirs = socket.socketpair()
    command, pipe = [sys.executable, str(SERVER), str(theirs.fileno())], subprocess.PIPE
    process = subprocess.Popen(
        command, env=START_ENV, stdin=pipe, stdout=pipe, pass_fds=[theirs.fileno()]
    )
    theirs.close()
    servers.add(process.pid)
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _read(descriptors: Sequence[int], timeout: float) -> list[bytes] | None:
    """What they say until all of them are closed; None if that takes longer than `timeout`, and the
    fork is killed.

    The first of them says the fork's id, then its exit code.
    """
    said, end = dict.fromkeys(descriptors, b""), time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map() and (ready := selector.select(end - time.monotonic())):
            for key, _ in ready:
                data = os.read(key.fd, 65_536)
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
        is_over = not selector.get_map()
    for descriptor in descriptors:
        os.close(descriptor)
    if not is_over:
        os.kill(int(said[descriptors[0]].split()[0]), signal.SIGKILL)
    return list(said.values()) if is_over else None
