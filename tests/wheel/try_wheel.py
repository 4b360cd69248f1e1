"""The wheel as a newcomer gets it: built, installed into an empty environment, and used from an
empty folder.

Run by `make wheel`, once for each Python that is there. Each environment is made outside of the
checkout, HOME is empty, and nothing of the checkout is on the path: what only works in a checkout
fails here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
# Beside skillrun with what `mcp` and `ledger serve` need: what the demo's shop is made of.
SHOP_NEEDS = ("celery", "pytest")
# Bounds for what hangs, and no measure: on two busy cores the demo alone takes five minutes.
_INSTALL_S, _COMMAND_S, _START_S = 1200, 1800, 60


class Wrong(Exception):
    """Something did not come out as a newcomer may expect."""


@dataclass(frozen=True)
class Place:
    """An environment with the wheel in it, an empty folder to work in, and an empty HOME."""

    python: Path
    work: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's but what a shell needs; nobody's git configuration."""
        return {
            "PATH": os.pathsep.join([str(self.python.parent), os.defpath, "/usr/local/bin"]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.home.parent),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, *words: str, code: int = 0, cwd: Path | None = None) -> str:
        """The output of a command, which has to end with `code`."""
        done = subprocess.run(
            words,
            cwd=cwd or self.work,
            env=self.environment,
            text=True,
            timeout=_COMMAND_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != code:
            raise Wrong(
                f"{' '.join(words)} ended with {done.returncode}, not"
                f" {code}:\n{done.stdout[-4000:]}"
            )
        return done.stdout

    def skillrun(self, *words: str, code: int = 0, cwd: Path | None = None) -> str:
        """The installed command."""
        return self.run(str(self.python.parent / "skillrun"), *words, code=code, cwd=cwd)


def main(arguments: list[str]) -> int:
    """Tries the Pythons that are named, else each of VERSIONS that is there. Returns 1 where one
    fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="skillrun-wheel-"))
    try:
        wheel = build(folder / "built")
        results = [
            try_python(wheel, python, folder / f"python{n}")
            for n, python in enumerate(find_pythons(arguments))
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not results:
        print("wheel: no Python to try it with")
    return 0 if results and all(results) else 1


def find_pythons(named: list[str]) -> list[str]:
    """Programs that are Pythons with venv. Those of VERSIONS that are missing are said."""
    if named:
        return named
    found = []
    for version in VERSIONS:
        program = _usable(version)
        if program is None:
            print(
                f"wheel: Python {version} with venv is not here, the wheel was not tried on it",
                flush=True,
            )
        else:
            found.append(program)
    return found


def _usable(version: str) -> str | None:
    """The first program of that name on PATH, or below pyenv, that runs and has venv."""
    candidates = [
        Path(folder, f"python{version}")
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
    ]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for candidate in candidates:
        if candidate.is_file() and _answers(candidate):
            return str(candidate)
    return None


def _answers(python: Path) -> bool:
    """A shim of pyenv is there for versions that are not switched on, and ends with an error."""
    done = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True)
    return done.returncode == 0


def build(folder: Path) -> Path:
    """The wheel of the checkout, made from its sdist as an index would; both are checked."""
    sdist = run_hatchling(ROOT, folder, "sdist")
    shutil.unpack_archive(sdist, folder)
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    wheel = run_hatchling(unpacked, folder, "wheel")
    for checker in (["twine", "check", "--strict", sdist, wheel], ["check_wheel_contents", wheel]):
        subprocess.run([sys.executable, "-m", *checker], cwd=ROOT, check=True, timeout=_COMMAND_S)
    return wheel


def run_hatchling(source: Path, folder: Path, kind: str) -> Path:
    """The file of that kind (`sdist`, `wheel`) that is built from a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", folder, "-t", kind]
    subprocess.run(command, cwd=source, check=True, timeout=_INSTALL_S)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def try_python(wheel: Path, python: str, folder: Path) -> bool:
    """Whether all that a newcomer tries works on that Python."""
    begun = time.monotonic()
    place = install(wheel, python, folder)
    version = place.run(str(place.python), "--version").strip()
    for attempt in ATTEMPTS:
        try:
            attempt(place)
        except (Wrong, subprocess.TimeoutExpired) as error:
            print(f"wheel: {version}: {attempt.__name__}: {error}", flush=True)
            return False
    names = ", ".join(attempt.__name__.removeprefix("try_") for attempt in ATTEMPTS)
    print(f"wheel: {version}: {names}: fine ({time.monotonic() - begun:.0f} s)", flush=True)
    return True


def install(wheel: Path, python: str, folder: Path) -> Place:
    """A new environment with the wheel, as `pip install` leaves it: compiled, and not editable."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True, timeout=_INSTALL_S)
    place = Place(folder / "venv/bin/python", folder / "work", folder / "home")
    place.work.mkdir()
    place.home.mkdir()
    command = [place.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = [f"{wheel}[mcp,web]", *SHOP_NEEDS]
    subprocess.run(
        [*command, "-c", ROOT / "constraints.txt", *wanted], check=True, timeout=_INSTALL_S
    )
    return place


# -- what a newcomer tries, in this order; the demo leaves the shop that the others use


def try_help(place: Place) -> None:
    """It says what it is, from the environment and not from a checkout."""
    where = place.run(str(place.python), "-c", "import skillrun; print(skillrun.__file__)").strip()
    _expect(
        where.startswith(str(place.python.parent.parent)), f"skillrun was imported from {where}"
    )
    _expect(
        re.fullmatch(r"skillrun \d+\.\d+\S*", place.skillrun("--version").strip()), "no version"
    )
    _expect("Commands:" in place.skillrun("-h"), "no help")


def try_demo(place: Place) -> None:
    """Blocked, partial, success; the repository is kept."""
    said = place.skillrun("demo")
    outcomes = re.findall(r"Exit code \d: (\w+), as it should be", said)
    _expect(outcomes == ["blocked", "partial", "success"], f"the demo said {outcomes}:\n{said}")
    _expect(
        re.search(
            r"^success: 4 proved \(\d+ schedules\), 2 executed, 3 read(; risks: [\w ,]+)?$",
            said,
            re.MULTILINE,
        ),
        said,
    )
    _expect(f"The repository is kept: {_shop(place)}\n" in said, said)
    place.run(
        "git",
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.invalid",
        "commit",
        "-qam",
        "Done",
        cwd=_shop(place),
    )


def try_prove(place: Place) -> None:
    """The shop's handler is proved; one that forgets its key is refuted."""
    said = place.skillrun("prove", "--trust", "--repo", str(_shop(place)), "--json")
    _expect(json.loads(said)["verdict"] == "proved", said[-2000:])
    tasks = _shop(place) / "shop" / "tasks.py"
    before = tasks.read_text()
    tasks.write_text(before.replace("idempotency_key=key", "idempotency_key=str(id(object()))"))
    _expect(
        tasks.read_text() != before,
        "the shop's handler has changed: this script breaks it by its text",
    )
    said = place.skillrun("prove", "--trust", "--repo", str(_shop(place)), "--json", code=1)
    _expect(json.loads(said)["verdict"] == "refuted", said[-2000:])
    tasks.write_text(before)


def try_verify(place: Place) -> None:
    """Every committed spec, from scratch. There is no base branch to compare with, and --base says
    which to take.
    """
    said = place.skillrun("verify", "--ci", "--base", "HEAD", "--repo", str(_shop(place)))
    counted = re.search(r"^success: \d+ proved \(\d+ schedules\), ", said, re.MULTILINE)
    _expect(counted is not None, said[-3000:])


def try_mcp(place: Place) -> None:
    """A client of the official library lists the tools and calls one."""
    script = place.work / "client.py"
    script.write_text(CLIENT)
    said = json.loads(place.run(str(place.python), str(script), str(_shop(place))).splitlines()[-1])
    _expect({"run_advance", "work_order", "prove"} <= set(said["tools"]), str(said))
    _expect(said["outcome"] == "success", str(said))


CLIENT = """
import asyncio, json, shutil, sys
from mcp import Client, StdioServerParameters


async def main():
    command = StdioServerParameters(command=shutil.which("skillrun"), args=["mcp"], cwd=sys.argv[1])
    async with Client(command) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("run_status", {})
    print(json.dumps({"tools": tools, "outcome": (answer.structured_content or {}).get("outcome")}))


asyncio.run(main())
"""


def try_serve(place: Place) -> None:
    """The ledger answers HTTP on the loopback address, until it is interrupted."""
    command = [
        str(place.python.parent / "skillrun"),
        "ledger",
        "serve",
        "--port",
        "0",
        "--repo",
        str(_shop(place)),
    ]
    with subprocess.Popen(
        command,
        cwd=place.work,
        env=place.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", first)
            _expect(
                address,
                "ledger serve said:"
                f" {first}{server.stdout.read() if server.poll() is not None else ''}",
            )
            assert address is not None
            with urllib.request.urlopen(address[0], timeout=_START_S) as answer:
                _expect(
                    answer.status == 200 and b"telemetry" in answer.read(),
                    "the first page is not that of a ledger",
                )
        finally:
            server.terminate()


def _shop(place: Place) -> Path:
    """The repository that the demo keeps."""
    (found,) = place.home.parent.glob("skillrun-demo-*/celery-shop")
    return found


def _expect(held: object, otherwise: str) -> None:
    if not held:
        raise Wrong(otherwise)


ATTEMPTS: tuple[Callable[[Place], None], ...] = (
    try_help,
    try_demo,
    try_prove,
    try_verify,
    try_mcp,
    try_serve,
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
