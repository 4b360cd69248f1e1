"""A process that has loaded skillrun, and forks for each command line that it is sent; see
`forks.py`.

A fork is a process as `python -m skillrun` would be, with its own folder, environment, pipes,
signals and end; it only need not load anything. `python fork_server.py FD`: requests come through
this socket, until it is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from unsynced import leave_disk_alone

# Rooms whose modules a command line may load. A list of modules would miss each that moves.
ROOMS = (
    *("agents", "cli", "contract", "core", "frameworks", "ledger"),
    *("repo", "reports", "runner", "skills", "validations", "wall"),
)
# Folders and modules that run elsewhere (in the target's interpreter, as a worker), and those that
# bring along more than most command lines need.
LEFT_OUT = frozenset(("probe", "supervisor", "confirm", "web", "mcp"))


def load_rooms() -> None:
    """Imports what a command line imports, and makes ready what each of them would work out."""
    for room in ROOMS:
        _load_package(f"skillrun.{room}")
    for name in ("skillrun.skills.job_worker.proving.prover", "skillrun.proof.breaking.judge"):
        importlib.import_module(name)
    registry = importlib.import_module("skillrun.frameworks.registry")
    # A survey of nothing compiles the globs of all recognisers, which are kept for the next one.
    tree = importlib.import_module("skillrun.repo.tree").Tree
    survey = importlib.import_module("skillrun.repo.survey")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        survey.survey_tree(tree(Path(folder)), registry.recognisers())


def _load_package(name: str) -> None:
    package = importlib.import_module(name)
    for found in pkgutil.iter_modules(package.__path__, f"{name}."):
        if found.name.rpartition(".")[2] in LEFT_OUT:
            continue
        with contextlib.suppress(ImportError):  # an extra is not installed
            if found.ispkg:
                _load_package(found.name)
            else:
                importlib.import_module(found.name)


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Answers requests; returns one in the process that is to be the command line, None at the
    end.
    """
    while header := _next(channel):
        length, descriptors = header
        request: dict[str, Any] = json.loads(channel.recv(length, socket.MSG_WAITALL))
        if os.fork() == 0:
            channel.close()
            return _kept(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    return None


def _next(channel: socket.socket) -> tuple[int, list[int]] | None:
    data, descriptors, _, _ = socket.recv_fds(channel, 8, 4)
    return (int.from_bytes(data, "big"), descriptors) if data else None


def _kept(request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Goes on in a fork; this process waits for it, and says its id and its end."""
    *standard, told = descriptors
    child = os.fork()
    if child:
        for descriptor in (0, 1, 2, *standard):
            os.close(descriptor)
        os.write(told, f"{child} ".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(told, f"{code}".encode())
        os._exit(0)
    os.close(told)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return request


def become(request: dict[str, Any]) -> None:
    """As `python -m skillrun`, started in that folder with that environment."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[0] = str(Path.cwd())
    sys.argv[1:] = request["args"]
    try:
        runpy.run_module("skillrun", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: int) -> NoReturn:
    """What Python does at its end, but for taking apart all that was loaded."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    load_rooms()
    leave_disk_alone()
    gc.collect()
    gc.freeze()  # a fork shares these pages
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        become(wanted)
