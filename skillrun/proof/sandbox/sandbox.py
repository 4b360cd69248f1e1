"""Where a proof's processes run: they see the repository, the interpreter and their scratch, and
nobody else.

User, mount, PID and network namespaces where the machine gives them; else Landlock, where the
kernel has it; else nothing but the audit hooks of the probe. `missing` says which, for the verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import skillrun
from skillrun.proof.sandbox.visible import Plan, landlock_rules
from skillrun.proof.sandbox.walls import NO_PROCESSES, Walls, next_best

_START_S = 30.0
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); from skillrun.proof.sandbox.{module} import"
    " main; main()"
)


class Sandbox:
    """The sandbox of one proof. Use as a context manager, or call `close`."""

    def __init__(self, plan: Plan, run: Path) -> None:
        """`run`: a folder for its own files, which the processes inside may see."""
        self.plan = plan
        self.walls = Walls("hooks")
        self._holder: subprocess.Popen[bytes] | None = None
        self._life = -1
        self._first = 0  # process 1, as it is known out here
        self._rules = "-"
        self._start(run)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def prefix(self, cwd: Path | str, identity: tuple[int, int] | None = None) -> list[str]:
        """Goes before a command (its first word is a path) to start it inside; empty off Linux,
        where no wall is.

        `identity`: (user, group) that root becomes.
        """
        if not sys.platform.startswith("linux"):
            return []
        holder = str(self._first) if self._first else "-"
        words = "-" if identity is None else f"{identity[0]}:{identity[1]}"
        return [*_script("enter"), holder, self._rules, words, str(cwd)]

    @property
    def changes_identity(self) -> bool:
        """Whether `prefix` makes root somebody else."""
        return sys.platform.startswith("linux")

    def outer_pid(self, inner: int) -> int:
        """The number out here of a process inside; 0 where it is gone."""
        if not self._first:
            return inner
        space = _namespace(self._first)
        for name in os.listdir("/proc"):
            if name.isdigit() and _inner_pid(name) == inner and _namespace(int(name)) == space:
                return int(name)
        return 0

    def outer_child(self, parent: int, inner: int) -> int:
        """As `outer_pid`, for a child of a process whose number out here is known: without looking
        at all of them.
        """
        if not self._first:
            return inner
        for child in _children(parent):
            if _inner_pid(child) == inner:
                return int(child)
        return 0

    def close(self) -> None:
        """Ends everything inside."""
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        if self._holder is None:
            return
        try:
            self._holder.wait(10)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder = None
        self._first = 0

    def _start(self, run: Path) -> None:
        answer = self._hold(run)
        if "ready" in answer:
            self._first = answer["ready"]
            missing = (NO_PROCESSES,) if "processes" in answer["missing"] else ()
            self.walls = Walls("namespaces", missing)
            return
        self.close()
        why = str(answer.get("failed") or "no answer")
        self.walls = next_best(why)
        if self.walls.kind == "landlock":
            rules = run / "landlock.json"
            rules.write_text(json.dumps(landlock_rules(self.plan)), encoding="utf-8")
            self._rules = str(rules)

    def _hold(self, run: Path) -> dict[str, Any]:
        """Starts the holder; what it says."""
        if not sys.platform.startswith("linux"):
            return {"failed": f"{sys.platform} has no namespaces"}
        file = run / "sandbox.json"
        file.write_text(json.dumps(asdict(self.plan)), encoding="utf-8")
        Path(self.plan.mount_at).mkdir(exist_ok=True)
        report, report_end = os.pipe()
        life_end, self._life = os.pipe()
        try:
            self._holder = subprocess.Popen(
                [*_script("holder"), str(report_end), str(life_end), str(file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(report_end, life_end),
                start_new_session=True,
                env={"LC_ALL": "C"},
                cwd="/",
            )
        finally:
            os.close(report_end)
            os.close(life_end)
        try:
            return _read_answer(report)
        finally:
            os.close(report)


def _script(module: str) -> list[str]:
    """A module of this package as a process of skillrun's interpreter, without anything of its
    environment.
    """
    home = str(Path(skillrun.__file__).parent.parent)
    return [sys.executable, "-I", "-S", "-B", "-c", _BOOT.format(module=module), home]


def _read_answer(fd: int) -> dict[str, Any]:
    ready, _, _ = select.select([fd], [], [], _START_S)
    data = os.read(fd, 1 << 16) if ready else b""
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        return {"failed": "no namespaces were made"}
    return answer


def _namespace(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return ""


def _inner_pid(pid: str) -> int:
    """The number that a process has in its innermost PID namespace: proc_pid_status(5)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return -1


def _children(pid: int) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += file.read().split()
    return found


@cache
def machine_walls() -> Walls:
    """What this machine gives a proof, tried once in an empty sandbox."""
    with tempfile.TemporaryDirectory(prefix="skillrun-walls-") as folder:
        run = Path(folder)
        with Sandbox(Plan(str(run / "root"), readable=["/usr"]), run) as sandbox:
            return sandbox.walls
