"""What a run and a proof need of the machine, and what there is of it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from skillrun.agents.doctor.check import Check
from skillrun.core.errors import RepoUnusable
from skillrun.core.extras import install_command

_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def machine_checks() -> Iterator[Check]:
    """Git, Python, SQLite, the command itself, servers for proofs, and the walls around a proof."""
    yield _check_git()
    yield Check("machine", "ok", f"Python {platform.python_version()} runs skillrun")
    yield _check_sqlite(sqlite3.sqlite_version_info, sqlite3.sqlite_version)
    yield _check_command()
    yield from _check_servers()
    yield from _check_sandbox()


def repository_checks(root: Path | None) -> Iterator[Check]:
    """The interpreter of the repository and its job libraries, read from folder names; nothing of
    it is run.
    """
    from skillrun.frameworks.registry import FRAMEWORKS
    from skillrun.proof.packages import find_python, installed

    if root is None:
        do = "skillrun doctor --repo PATH"
        yield Check(
            "repository",
            "note",
            "there is no git repository here: only the machine was looked at",
            do,
        )
        return
    python = find_python(root, None)
    matches = filter(None, map(_DISTRIBUTION.fullmatch, installed(python)))
    versions = {match["name"].lower().replace("_", "-"): match["version"] for match in matches}
    libraries = []
    for name in FRAMEWORKS:
        if name in versions:
            libraries.append(f"{name} {versions[name]}")
    whose = "the repository's own"
    if python == sys.executable:
        whose = "that of skillrun: the repository has no .venv"
    yield Check("repository", "ok", f"interpreter {python} ({whose})")
    yield _check_consent(root)
    if libraries:
        yield Check("repository", "ok", f"job libraries in it: {', '.join(libraries)}")
    else:
        do = "install the repository's requirements in .venv, or name proof.python in the spec"
        yield Check(
            "repository",
            "note",
            "no job library in it; a proof needs one, except for cron and pollers",
            do,
        )


def _check_consent(root: Path) -> Check:
    """Whether code of this working tree may run, and what agents may say in it."""
    from skillrun.repo.git import open_repo
    from skillrun.validations.consent import Consent

    consent = Consent(open_repo(root))
    record = consent.read()
    if not consent.covers_head():
        do = "skillrun trust shows what would run, and asks"
        return Check("repository", "note", "nobody has allowed its code to run at this commit", do)
    agents = "an agent's --trust does not count"
    if record.agents:
        agents = "agents may say --trust"
    return Check("repository", "ok", f"its code may run at this commit; {agents}")


def _check_git() -> Check:
    """A note of git's version; a problem where it cannot be started."""
    from skillrun.repo.git import run_git

    try:
        said = run_git(Path.cwd(), "--version").stdout.decode("utf-8", "replace").strip()
    except RepoUnusable as error:
        return Check("machine", "problem", error.message, error.hint)
    return Check("machine", "ok", said)


def _check_sqlite(version: tuple[int, int, int], name: str) -> Check:
    """What the ledger does about the WAL-reset bug, see ledger/connection.py."""
    from skillrun.ledger.connection import journal_mode

    if version < (3, 37, 0):
        return Check(
            "machine", "problem", f"SQLite {name}: the ledger needs 3.37", "use a newer Python"
        )
    if journal_mode(version) == "wal":
        return Check("machine", "ok", f"SQLite {name}, free of the WAL-reset bug")
    text = (
        f"SQLite {name} has the WAL-reset bug (3.7.0 to 3.51.2): the ledger uses a rollback journal"
        " instead"
    )
    return Check("machine", "note", text)


def _check_command() -> Check:
    """Whether a process finds skillrun by its name alone, as hooks and the MCP server are begun."""
    found = shutil.which("skillrun")
    if found and _is_of_environment(found):
        text = f"skillrun is on PATH while its environment is active: {found}"
        do = (
            "an agent that is started without it finds none: skillrun install AGENT --user names"
            " the full path"
        )
        return Check("machine", "note", text, do)
    if found:
        return Check("machine", "ok", f"skillrun is on PATH: {found}")
    do = "add the bin folder of the environment that has it to PATH"
    return Check(
        "machine",
        "note",
        "skillrun is not on PATH: hooks and MCP server of agents cannot start",
        do,
    )


def _is_of_environment(program: str) -> bool:
    """Whether it lies in an environment of Python that had to be activated."""
    environment = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    return environment is not None and Path(program).is_relative_to(environment)


def _check_servers() -> Iterator[Check]:
    """The servers that a proof begins for itself, a line each."""
    from skillrun.proof.services.find import find_postgres, find_redis_server

    found = {"redis": find_redis_server(), "postgresql": find_postgres()}
    redis = f"install redis-server, or {install_command('services')}"
    hints = {"redis": redis, "postgresql": "install postgresql"}
    for service, path in found.items():
        if path:
            yield Check("machine", "ok", f"{service} for proofs: {path}")
        else:
            yield Check(
                "machine",
                "note",
                f"no {service} server: only proofs with that service need it",
                hints[service],
            )


def _check_sandbox() -> Iterator[Check]:
    """What walls stand around a proof here; a line for each that is missing."""
    from skillrun.proof.sandbox.sandbox import machine_walls
    from skillrun.proof.sandbox.walls import explain_refusal

    walls = machine_walls()
    if walls.has_network:
        text = "proofs run in user, mount, PID and network namespaces of their own"
        yield Check("machine", "ok", text)
    for words in walls.missing:
        yield Check("machine", "note", f"proofs have {words}, and their verdicts say so")
    if walls.why:
        refusal = explain_refusal(walls.why)
        text = f"that is because this machine gives proofs no namespaces: {refusal.why}"
        yield Check("machine", "note", text, refusal.remedy)
