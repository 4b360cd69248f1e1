"""What works of each coding agent: its program, what of skillrun is installed for it, and its
hooks.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.agents.doctor.check import Check, run_briefly
from skillrun.agents.doctor.hooks import NO_SKILLRUN, hook_checks, trust_checks
from skillrun.agents.install import jsontext, present, record
from skillrun.agents.install.plan import list_additions
from skillrun.agents.install.program import ON_PATH, own_program
from skillrun.agents.registry import AGENTS, load_agent
from skillrun.core.errors import Refused
from skillrun.core.extras import install_hint
from skillrun.core.files import Files

if TYPE_CHECKING:
    from skillrun.agents.interface import Addition, Agent

_LIMIT_S = 5.0
# It loads a good part of skillrun, on a busy machine for seconds.
_SERVER_LIMIT_S = 20.0
# The first key of an MCP server's entry, in every agent's file.
_SERVERS = ("mcp", "mcpServers", "mcp_servers")
_GREETING = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion":'
    ' "2025-06-18", "capabilities": {}, "clientInfo": {"name": "doctor", "version": "1"}}}\n'
)


def agent_checks(root: Path | None, home: Path) -> Iterator[Check]:
    """The checks of all agents, for the repository (None: there is none) and for the home
    folder.
    """
    for name in AGENTS:
        yield from _check_agent(load_agent(name), root, home)


def _check_agent(agent: Agent, root: Path | None, home: Path) -> Iterator[Check]:
    """The checks of one agent: its program, what is installed for it and where, its formats."""
    program = next(filter(None, map(shutil.which, agent.PROGRAMS)), None)
    places = [("the home folder", home)]
    if root is not None:
        places.insert(0, ("this repository", root))
    found: list[Check] = []
    installed = []
    for where, base in places:
        checks = list(_check_installed(agent, where, base, user=base == home))
        if checks:
            installed.append(where)
        found += checks
    if not installed and program is None:
        yield Check(agent.NAME, "note", f"{_not_here(agent)}; formats: {agent.CHECKED}")
        return
    yield _check_program(agent, program, root or home)
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
    if agent.UNVERIFIED:
        text = f"formats: {agent.CHECKED}; not verified: {agent.UNVERIFIED}"
        yield Check(agent.NAME, "note", text)
    else:
        yield Check(agent.NAME, "ok", f"formats: {agent.CHECKED}")


def _not_here(agent: Agent) -> str:
    if agent.PROGRAMS:
        return "not on PATH, and nothing installed for it"
    return "nothing installed for them"


def _check_program(agent: Agent, program: str | None, cwd: Path) -> Check:
    """A program's version as it says it; one that lies in the repository is not started: anybody
    may have put it there.
    """
    if program is None:
        if agent.PROGRAMS:
            return Check(agent.NAME, "note", "its program is not on PATH here")
        return Check(agent.NAME, "ok", "any program")
    if Path(program).resolve().is_relative_to(cwd.resolve()):
        return Check(
            agent.NAME,
            "note",
            f"{program} is part of the repository, so it was not asked for its version",
        )
    try:
        answer = run_briefly([program, "--version"], cwd, limit_s=_LIMIT_S, env=os.environ)
    except OSError as error:
        return Check(
            agent.NAME, "problem", f"{program} does not start: {error.strerror}", "install it again"
        )
    if answer.code is None:
        return Check(agent.NAME, "note", f"{program} --version said nothing within {_LIMIT_S:g} s")
    return Check(
        agent.NAME, "ok", f"{program}: {answer.first_line or 'it does not say its version'}"
    )


def _check_installed(agent: Agent, where: str, base: Path, *, user: bool) -> Iterator[Check]:
    """What is missing of an install, what differs, and whether its hooks answer; nothing where
    nothing of this agent is here, by the record and by looking.
    """
    additions = list_additions(agent, user=user)
    files = Files(base)
    try:
        entries = record.read_record(files.text(record.PATH)).entries_of(agent.ID)
        states = {one: _find_presence(files, one, must_fit=bool(entries)) for one in additions}
    except Refused as error:
        yield Check(agent.NAME, "problem", f"{where}: {error.message}", error.hint or "mend it")
        return
    hooks = [one for one in additions if _is_hook(agent, one)]
    # Somebody may have copied the hooks here, or lost the record.
    has_hooks = any(states[one] == "same" for one in hooks)
    if not entries and not has_hooks:
        return
    yield from _check_files(agent, where, states, user=user)
    if _has_server(states):
        yield _check_mcp(agent, base, own_program() if user else ON_PATH)
    yield from hook_checks(agent, base, additions)
    if agent.ID == "codex":
        yield from trust_checks(agent.NAME, base, Path.home(), project=not user)


def _check_files(
    agent: Agent, where: str, states: Mapping[Addition, present.Presence], *, user: bool
) -> Iterator[Check]:
    """What of an install is missing, and what is not as it was written."""
    missing = _list_paths(states, "none")
    other = _list_paths(states, "other")
    if missing:
        text = f"{where}: missing in {', '.join(missing)}"
        do = f"skillrun install {agent.ID}"
        if user:
            do += " --user"
        yield Check(agent.NAME, "problem", text, do)
    else:
        yield Check(agent.NAME, "ok", f"installed in {where}")
    if other:
        text = f"{where}: not as this version writes it: {', '.join(other)}"
        yield Check(agent.NAME, "note", text, "if nobody meant that: remove it, and install again")


def _list_paths(states: Mapping[Addition, present.Presence], wanted: str) -> list[str]:
    return sorted({one.path for one, state in states.items() if state == wanted})


def _has_server(states: Mapping[Addition, present.Presence]) -> bool:
    """Whether the entry of the MCP server is there as an install writes it: only then it is
    started.
    """
    found = {one.keys[0] for one, state in states.items() if one.keys and state == "same"}
    return not found.isdisjoint(_SERVERS)


def _check_mcp(agent: Agent, base: Path, program: str) -> Check:
    """Starts the MCP server as the agent does, and greets it."""
    if importlib.util.find_spec("mcp") is None:
        text = "its MCP server cannot start: the package mcp is missing"
        return Check(agent.NAME, "problem", text, install_hint("mcp"))
    if shutil.which(program) is None:
        text = f"its MCP server does not start: there is no {program}"
        return Check(agent.NAME, "problem", text, NO_SKILLRUN)
    command = ["/bin/sh", "-c", f"exec {shlex.quote(program)} mcp"]
    answer = run_briefly(command, base, limit_s=_SERVER_LIMIT_S, env=os.environ, stdin=_GREETING)
    if '"serverInfo"' in answer.stdout:
        return Check(agent.NAME, "ok", f"its MCP server answers: {program} mcp")
    said = answer.first_line or "said nothing"
    text = f"its MCP server does not answer: {said}"
    return Check(agent.NAME, "problem", text, f"try it: {program} mcp < /dev/null")


def _find_presence(files: Files, one: Addition, *, must_fit: bool) -> present.Presence:
    """A file that cannot be read matters only where something was installed."""
    try:
        return present.find_presence(files.text(one.path), one)
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
