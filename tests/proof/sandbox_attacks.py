"""Attacks on a sandbox from within, on the standard library alone: any user and any Python can run
it.

    python sandbox_attacks.py FOLDER

Servers of "the machine" listen outside of the sandbox; a process inside tries to reach them, and
everything else. One JSON object on standard output: what stood around it, and for each attack
whether it came through.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from skillrun.proof.sandbox.sandbox import Sandbox
from skillrun.proof.sandbox.visible import make_plan

INSIDE = """
import ctypes, json, os, signal, socket, sys
given = json.loads(sys.argv[1])
def tried(attack):
    try:
        return bool(attack())
    except (OSError, AttributeError):
        return False
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        client.connect(address)
    return True
def send_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"mail", ("127.0.0.1", given["udp"]))
    return True
def send_first_packet():
    # TCP fast open connects without connect(2).
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.sendto(b"mail", 0x20000000, ("127.0.0.1", given["tcp"]))
    return True
def write(path):
    with open(path, "a") as file:
        file.write("x")
    return True
def become_root_again():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.unshare(0x10000000 | 0x00020000) == 0 and libc.mount(b"tmpfs", b"/etc", b"tmpfs", 0, None) == 0
print(json.dumps({
    "tcp": tried(lambda: connect(socket.AF_INET, ("127.0.0.1", given["tcp"]))),
    "udp": tried(send_datagram),
    "tcp fast open": tried(send_first_packet),
    "socket beside the repository": tried(lambda: connect(socket.AF_UNIX, given["beside"])),
    "socket in the repository": tried(lambda: connect(socket.AF_UNIX, given["within"])),
    "socket beside what is installed": tried(lambda: connect(socket.AF_UNIX, given["installed"])),
    "abstract socket": tried(lambda: connect(socket.AF_UNIX, "\\0" + given["abstract"])),
    "write into the repository": tried(lambda: write(given["root"] + "/shop.py")),
    "new file in the repository": tried(lambda: write(given["root"] + "/new.py")),
    "chmod in the repository": tried(lambda: os.chmod(given["root"] + "/shop.py", 0o777) or True),
    "read the home": tried(lambda: open(given["secret"]).read()),
    "write into the home": tried(lambda: write(given["secret"])),
    "write beside the scratch": tried(lambda: write(given["outside"])),
    "signal a process": tried(lambda: os.kill(given["pid"], 0) or True),
    "see a process": tried(lambda: open("/proc/%d/environ" % given["pid"], "rb").read()),
    "system setting": tried(lambda: write("/proc/sys/kernel/sysrq")),
    "more rights": tried(become_root_again),
    "write into the scratch": tried(lambda: write(given["scratch"] + "/app.db")),
    "read the repository": tried(lambda: open(given["root"] + "/shop.py").read()),
    "write into /tmp": tried(lambda: write("/tmp/of-the-proof")),
}))
"""


def main(folder: Path) -> None:
    """Sets up victims and sandbox, and reports."""
    root, run, home = folder / "repo", folder / "run", folder / "home"
    for path in (root, run, run / "scratch", run / "tmp", home):
        path.mkdir(mode=0o755, exist_ok=True)
    (root / "shop.py").write_text("answer = 42\n")
    (home / "secret").write_text("the key of the developer")
    (folder / "outside").write_text("")
    victims = [listen(str(folder / "beside.sock")), listen(str(root / "within.sock"))]
    # A folder that an editable install names is shown, and a server of the machine may have its
    # socket there.
    beside_install = folder / "lib"
    beside_install.mkdir(exist_ok=True)
    victims.append(listen(str(beside_install / "server.sock")))
    abstract = f"skillrun-attacked-{os.getpid()}"
    victims.append(listen("\0" + abstract))
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    given = {
        "tcp": tcp.getsockname()[1],
        "udp": udp.getsockname()[1],
        "beside": str(folder / "beside.sock"),
        "within": str(root / "within.sock"),
        "installed": str(beside_install / "server.sock"),
        "abstract": abstract,
        "root": str(root),
        "secret": str(home / "secret"),
        "outside": str(folder / "outside"),
        "scratch": str(run / "scratch"),
        "pid": os.getpid(),
    }
    plan = make_plan(
        mount_at=run / "root",
        root=root,
        pythons=[sys.executable],
        servers=[],
        writable=[run],
        temporary=run / "tmp",
    )
    for shown in (plan.readable, plan.searched):
        shown.append(str(beside_install))
    with Sandbox(plan, run) as sandbox:
        command = [
            *sandbox.prefix(root),
            sys.executable,
            "-I",
            "-S",
            "-c",
            INSIDE,
            json.dumps(given),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        try:
            came_through = json.loads(done.stdout)
        except ValueError:
            came_through = {"no answer": done.stdout + done.stderr}
        # A datagram goes anywhere, and a file of that name may be another one: the victims are
        # asked.
        came_through["udp"] = has_received(udp)
        came_through["write beside the scratch"] = bool((folder / "outside").read_text())
        print(json.dumps({"walls": asdict(sandbox.walls), "came through": came_through}))


def has_received(server: socket.socket) -> bool:
    """Whether a datagram has arrived."""
    server.setblocking(False)
    try:
        return bool(server.recv(16))
    except BlockingIOError:
        return False


def listen(address: str) -> socket.socket:
    """A server of the machine, for anybody."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address)
    if not address.startswith("\0"):
        Path(address).chmod(0o777)
    server.listen()
    return server


if __name__ == "__main__":
    main(Path(sys.argv[1]))
