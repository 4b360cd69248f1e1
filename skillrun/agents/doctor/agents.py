"""What works of each coding agent: its program, what of skillrun is installed for it, and its
hooks.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.agents.doctor.check import Check, ask
from skillrun.agents.doctor.hooks import hook_checks, trust_checks
from skillrun.agents.install import jsontext, present, record
from skillrun.agents.install.plan import wanted
from skillrun.agents.registry import AGENTS, load
from skillrun.core.errors import Refused
from skillrun.core.extras import install_hint
from skillrun.core.files import Files

if TYPE_CHECKING:
    from skillrun.agents.interface import Addition, Agent

_LIMIT_S = 5.0


def agent_checks(root: Path | None, home: Path) -> Iterator[Check]:
    """The checks of all agents, for the repository (None: there is none) and for the home
    folder.
    """
    for name in AGENTS:
        yield from _agent(load(name), root, home)


def _agent(agent: Agent, root: Path | None, home: Path) -> Iterator[Check]:
    program = next(filter(None, map(shutil.which, agent.PROGRAMS)), None)
    places = []
    for place in (("this repository", root), ("the home folder", home)):
        if place[1] is not None:
            places.append(place)
    found: list[Check] = []
    installed = []
    for where, base in places:
        if base:
            checks = list(_installed(agent, where, base, user=base == home))
        else:
            checks = []
        if checks:
            installed += [where]
        found += checks
    if not installed and program is None:
        yield Check(agent.NAME, "note", f"{_not_here(agent)}; formats: {agent.CHECKED}")
        return
    yield _program(agent, program, root or home)
    yield from found
    if not installed:
        yield Check(
            agent.NAME,
            "note",
            "nothing of skillrun is installed for it",
            f"skillrun install {agent.ID}",
        )
    if len(installed) > 1 and agent.EVENTS:
        do = f"skillrun uninstall {agent.ID} --user"
        yield Check(agent.NAME, "note", "installed in both places: its hooks run twice", do)
    open_ = ""
    if agent.UNVERIFIED:
        open_ = f"; not verified: {agent.UNVERIFIED}"
    yield Check(agent.NAME, "note" if open_ else "ok", f"formats: {agent.CHECKED}{open_}")


def _not_here(agent: Agent) -> str:
    if agent.PROGRAMS:
        return "not on PATH, and nothing installed for it"
    return "nothing installed for them"


def _program(agent: Agent, program: str | None, cwd: Path) -> Check:
    if program is None:
        what = "any program"
        if agent.PROGRAMS:
            what = "its program is not on PATH here"
        return Check(agent.NAME, "note" if agent.PROGRAMS else "ok", what)
    if Path(program).resolve().is_relative_to(cwd.resolve()):
        return Check(
            agent.NAME,
            "note",
            f"{program} is part of the repository, so it was not asked for its version",
        )
    try:
        answer = ask([program, "--version"], cwd, limit_s=_LIMIT_S, env=os.environ)
    except OSError as error:
        return Check(
            agent.NAME, "problem", f"{program} does not start: {error.strerror}", "install it again"
        )
    if answer.code is None:
        return Check(agent.NAME, "note", f"{program} --version said nothing within {_LIMIT_S:g} s")
    return Check(
        agent.NAME, "ok", f"{program}: {answer.first_line or 'it does not say its version'}"
    )


def _installed(agent: Agent, where: str, base: Path, *, user: bool) -> Iterator[Check]:
    """Nothing where nothing of this agent is here, by the record and by looking."""
    additions = wanted(agent, user=user)
    files = Files(base)
    try:
        entries = record.read(files.text(record.PATH)).of(agent.ID)
        states = {one: _state(files, one, must_fit=bool(entries)) for one in additions}
    except Refused as error:
        yield Check(agent.NAME, "problem", f"{where}: {error.message}", error.hint or "mend it")
        return
    if not entries and not any(states[one] == "same" and _is_hook(agent, one) for one in additions):
        return
    missing = sorted({one.path for one in additions if states[one] == "none"})
    other = sorted({one.path for one in additions if states[one] == "other"})
    if missing:
        text = f"{where}: missing in {', '.join(missing)}"
        yield Check(
            agent.NAME, "problem", text, f"skillrun install {agent.ID}{' --user' if user else ''}"
        )
    else:
        yield Check(agent.NAME, "ok", f"installed in {where}")
    if other:
        text = f"{where}: not as this version writes it: {', '.join(other)}"
        yield Check(agent.NAME, "note", text, "if nobody meant that: remove it, and install again")
    yield from _check_mcp(agent, additions)
    yield from hook_checks(agent, base, additions)
    if agent.ID == "codex":
        yield from trust_checks(agent.NAME, base, Path.home(), project=not user)


def _check_mcp(agent: Agent, additions: Iterable[Addition]) -> Iterator[Check]:
    """A problem where an MCP server was installed that this environment cannot start."""
    is_installed = any("mcp" in str(one.value) for one in additions)
    if is_installed and importlib.util.find_spec("mcp") is None:
        text = "its MCP server cannot start: the package mcp is missing"
        yield Check(agent.NAME, "problem", text, install_hint("mcp"))


def _state(files: Files, one: Addition, *, must_fit: bool) -> present.Presence:
    """A file that cannot be read matters only where something was installed."""
    try:
        return present.presence(files.text(one.path), one)
    except (jsontext.Unfit, Refused) as error:
        if not must_fit:
            return "none"
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"{one.path}: {error}", hint="mend the file: the agent cannot read it, either"
        ) from None


def _is_hook(agent: Agent, one: Addition) -> bool:
    return f"hook {agent.ID} " in str(one.value) or one.path.endswith("plugins/skillrun.js")
