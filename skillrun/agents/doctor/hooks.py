"""Do the hooks answer: each hook command that an install wrote is run once with a canary; and does
Codex trust it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.agents.codex import HOOKS_FILE
from skillrun.agents.doctor.check import Answer, Check, run_briefly
from skillrun.agents.install.program import ON_PATH, own_program
from skillrun.agents.shapes import hook_command
from skillrun.core.canonical import sha256
from skillrun.core.opening import parse_json, parse_toml, read_file, read_json, read_utf8

if TYPE_CHECKING:
    from skillrun.agents.interface import Addition, Agent

# `skillrun hook` then answers with who it is, and decides nothing.
CANARY = "SKILLRUN_CANARY"
_LIMIT_S = 10.0
# A shell's exit code where it finds no such command.
_NOT_FOUND = 127
# As `shlex.quote` writes a path, in quotes where it needs them.
_BEFORE_HOOK = re.compile(r"('[^']*'|[^\s';]+) hook ")
NO_SKILLRUN = "make the command skillrun available on the PATH with which the agent starts"


def hook_checks(agent: Agent, base: Path, additions: tuple[Addition, ...]) -> Iterator[Check]:
    """One check for each hook found in the agent's files below `base`.

    A command is run only where it is exactly one that an install writes: anybody may have put
    others into the file.
    """
    json_files = {one.path for one in additions if one.path.endswith(".json")}
    for path in sorted(json_files):
        if _find_member(_json_file(base / path), "disableAllHooks") is True:
            text = f"{path} switches all hooks off"
            yield Check(agent.NAME, "problem", text, "remove disableAllHooks from it")
    for word, event in agent.EVENTS.items():
        ours = set[str]()
        found = set[str]()
        for one in additions:
            ours.update(_find_commands(one.value, agent.ID, word))
            if one.how == "file":
                ours.add(hook_command(agent.ID, word, _starts(one)))
            found.update(_in_file(base / one.path, one, agent.ID, word))
        for command in sorted(found):
            if command in ours:
                yield _check_answer(agent, word, command, base)
            else:
                yield _check_other(agent, f"hook {word} ({event})", command)


def _check_other(agent: Agent, hook: str, command: str) -> Check:
    """What is wrong with a command that is not run: nobody but its author knows what it does."""
    program = _find_program(command)
    if program == own_program() or not Path(program).is_absolute():
        text = f"{hook}: its command was changed, so it was not run"
        return Check(agent.NAME, "note", text, f"skillrun install {agent.ID} says which file")
    if Path(program).exists():
        text = f"{hook} starts another skillrun, {program}, so it was not run"
        return Check(agent.NAME, "note", text, f"{program} doctor tries its own hooks")
    text = f"{hook} starts {program}, which is not there"
    return Check(agent.NAME, "problem", text, f"skillrun install {agent.ID} --user")


def _find_program(command: str) -> str:
    """The word before `hook` in a command of a shell; "" where there is none."""
    found = _BEFORE_HOOK.search(command)
    if found is None:
        return ""
    return found[1].strip("'")


def _find_commands(value: Any, agent: str, word: str) -> Iterator[str]:
    """Every text in a value that calls this hook."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _find_commands(inner, agent, word)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_commands(inner, agent, word)
    elif isinstance(value, str) and "skillrun" in value and f" hook {agent} {word}" in value:
        yield value


def _in_file(path: Path, one: Addition, agent: str, word: str) -> Iterator[str]:
    """Every command that calls this hook from a file of the agent, as the file has it now."""
    if one.how != "file":
        yield from _find_commands(_json_file(path), agent, word)
    elif _read_bytes(path) == one.value.encode() and f'"{agent}", "{word}"' in one.value:
        # OpenCode's plugin starts it without a shell.
        yield hook_command(agent, word, _starts(one))


def _starts(plugin: Addition) -> str:
    """The program that a plugin starts."""
    if f'"{own_program()}"' in plugin.value:
        return own_program()
    return ON_PATH


def _json_file(path: Path) -> Any:
    """None for what cannot be read: that is told by whoever asks what is installed."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _read_bytes(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except OSError:
        return None


def _check_answer(agent: Agent, word: str, command: str, base: Path) -> Check:
    payload = {"cwd": str(base), "hook_event_name": agent.EVENTS[word]}
    env = os.environ | {CANARY: "1"}
    answer = run_briefly(
        ["sh", "-c", command], base, limit_s=_LIMIT_S, env=env, stdin=json.dumps(payload)
    )
    expected = {"skillrun": "canary", "agent": agent.ID, "event": word}
    if answer.code == 0 and _parse_or_none(answer.stdout) == expected:
        return Check(agent.NAME, "ok", f"hook {word} answers: {command}")
    on_path = _find_program(command) == ON_PATH
    if on_path and (answer.code == _NOT_FOUND or shutil.which(ON_PATH) is None):
        reason, do = "there is no skillrun on PATH", NO_SKILLRUN
    else:
        reason = _explain_answer(answer)
        do = f"try it: echo '{{}}' | {CANARY}=1 {command}"
    return Check(agent.NAME, "problem", f"hook {word} does not answer: {reason}: {command}", do)


def _parse_or_none(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _explain_answer(answer: Answer) -> str:
    if answer.code is None:
        return f"nothing within {_LIMIT_S:g} s"
    said = "said nothing"
    if answer.first_line:
        said = f"said {answer.first_line!r}"
    return f"it ended with {answer.code} and {said}"


def trust_checks(name: str, base: Path, home: Path, *, project: bool) -> Iterator[Check]:
    """Whether Codex runs the hooks of skillrun in `base`: a person must have trusted the project
    and each of them.

    The records are in Codex's own config.toml: `[projects."<path>"] trust_level`, and
    `[hooks.state."<hooks.json>:<event>:<group>:<handler>"] trusted_hash`. Their form is not
    documented; it and the hash
    are those that codex-cli 0.169.0 lists (`hooks/list` of its app server).
    """
    hooks = list(_codex_hooks(base))
    if not hooks:
        return
    config = Path(os.environ.get("CODEX_HOME") or home / ".codex") / "config.toml"
    do = "open codex, trust the project, type /hooks and trust both of skillrun"
    try:
        said = parse_toml(read_utf8(config))
    except FileNotFoundError:
        said = {}
    except (OSError, ValueError):
        yield Check(
            name, "note", f"whether Codex trusts the hooks is unknown: {config} cannot be read", do
        )
        return
    if False in (
        _find_member(said, "features", "hooks"),
        _find_member(said, "features", "codex_hooks"),
    ):
        yield Check(
            name,
            "problem",
            f"{config} switches all hooks off",
            "remove hooks = false from [features]",
        )
    levels = []
    for path in (base, base.resolve()):
        levels.append(_find_member(said, "projects", str(path), "trust_level"))
    if project and "trusted" not in levels:
        yield Check(
            name,
            "problem",
            f"Codex loads nothing of .codex here: the project is not trusted in {config}",
            do,
        )
    for event, key, digest in hooks:
        yield _check_trust(name, event, _find_member(said, "hooks", "state", key), digest, do)


def _check_trust(name: str, event: str, state: Any, digest: str, do: str) -> Check:
    trusted = _find_member(state, "trusted_hash")
    if trusted is None:
        return Check(name, "problem", f"Codex skips the hook {event}: nobody has trusted it", do)
    if _find_member(state, "enabled") is False:
        return Check(name, "problem", f"Codex skips the hook {event}: somebody switched it off", do)
    if trusted != digest:
        return Check(
            name,
            "problem",
            f"Codex skips the hook {event}: it has changed since it was trusted",
            do,
        )
    return Check(name, "ok", f"Codex trusts the hook {event}")


def _codex_hooks(base: Path) -> Iterator[tuple[str, str, str]]:
    """(event, key of its trust record, hash) of each hook of skillrun."""
    path = base / HOOKS_FILE
    try:
        for event, groups in _json_file(path)["hooks"].items():
            for number, group in enumerate(groups):
                for place, handler in enumerate(group["hooks"]):
                    if _starts_hook(handler["command"]):
                        key = f"{path.resolve()}:{_snake_case(event)}:{number}:{place}"
                        yield event, key, _codex_hash(event, group, handler)
    except (KeyError, TypeError, AttributeError):
        return


def _starts_hook(command: str) -> bool:
    return "skillrun" in command and " hook codex " in command


def _codex_hash(event: str, group: Any, handler: Any) -> str:
    """What Codex pins its trust to: event, matcher and one handler as canonical JSON."""
    normal = {"async": False, "timeout": 600, **handler}
    value = {"event_name": _snake_case(event), "hooks": [normal]}
    if group.get("matcher") is not None:
        value["matcher"] = group["matcher"]
    return "sha256:" + sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )


def _snake_case(event: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", event).lstrip("_").lower()


def _find_member(value: Any, *keys: str) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        else:
            value = None
    return value
