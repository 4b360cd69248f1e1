"""Who calls: a claim read from the environment and recorded as one, not a proof of identity."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from skillrun.core.errors import Misuse, Refused
from skillrun.core.text import visible


class ActorKind(StrEnum):
    """What kind of caller."""

    HUMAN = "human"
    AGENT = "agent"
    CI = "ci"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Actor:
    """The caller of an invocation. `agent` stays recorded even where SKILLRUN_ACTOR claims a
    human.
    """

    name: str
    kind: ActorKind
    agent: str | None = None

    @property
    def is_agent(self) -> bool:
        """Whether the environment or the claim says so."""
        return self.agent is not None or self.kind is ActorKind.AGENT


# Variables that an agent sets for the commands it starts. Variables that its *user* sets
# (CODEX_HOME, COPILOT_GITHUB_TOKEN, GEMINI_API_KEY) say nothing about who types. A trailing *
# matches any ending.
_AGENTS = {
    "CLAUDECODE": "claude-code",
    "CLAUDE_CODE_ENTRYPOINT": "claude-code",
    "CODEX_SANDBOX": "codex",
    "CODEX_SANDBOX_NETWORK_DISABLED": "codex",
    "CODEX_THREAD_ID": "codex",
    "CODEX_CI": "codex",
    "CURSOR_AGENT": "cursor",
    "GEMINI_CLI": "gemini-cli",
    "ANTIGRAVITY_AGENT": "antigravity",
    "COPILOT_CLI": "copilot",
    "COPILOT_AGENT_*": "copilot",
    "OPENCODE": "opencode",
    "OPENCODE_CLIENT": "opencode",
    "QWEN_CODE": "qwen-code",
    "AUGMENT_AGENT": "augment",
    "CLINE_ACTIVE": "cline",
    "CRUSH": "crush",
    "GOOSE_TERMINAL": "goose",
    "AMP_CURRENT_THREAD_ID": "amp",
    "TRAE_AI_SHELL_ID": "trae",
    "PI_CODING_AGENT": "pi",
}
# Set in the agent's editor also for a person's terminal: they count only where no terminal is
# attached.
_EDITORS = {"CURSOR_TRACE_ID": "cursor", "ANTIGRAVITY_*": "antigravity", "REPL_ID": "replit"}
_CI = {
    "GITHUB_ACTIONS": "github-actions",
    "GITLAB_CI": "gitlab-ci",
    "JENKINS_URL": "jenkins",
    "BUILDKITE": "buildkite",
    "CIRCLECI": "circleci",
    "TRAVIS": "travis",
    "TF_BUILD": "azure-pipelines",
    "TEAMCITY_VERSION": "teamcity",
    "BITBUCKET_BUILD_NUMBER": "bitbucket",
    "CODEBUILD_BUILD_ID": "codebuild",
    "APPVEYOR": "appveyor",
    "DRONE": "drone",
    "CI": "ci",
}
_CI_USERS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR", "CIRCLE_USERNAME")
_OFF = ("", "0", "false", "no", "off")


def who(env: Mapping[str, str] | None = None, *, terminal: bool | None = None) -> Actor:
    """The caller as the environment tells it: SKILLRUN_ACTOR, else an agent, else CI, else a person
    at a terminal.

    `SKILLRUN_ACTOR` is `kind:name` or a name alone. Raises Misuse for a kind that there is not.
    """
    if env is None:
        env = os.environ
    if terminal is None:
        at_terminal = _is_at_terminal()
    else:
        at_terminal = terminal
    agent = _find_agent(env, at_terminal)
    service = _find_first_set(env, _CI)
    kind = _choose_kind(agent, service, at_terminal)
    if kind is ActorKind.CI and service:
        name = _name_ci_user(env, service)
    else:
        name = _read_login()
    return _apply_claim(env.get("SKILLRUN_ACTOR", ""), Actor(name, kind, agent))


def person(action: str) -> Actor:
    """The caller of something that is for people. Raises Refused where it is an agent."""
    actor = who()
    if actor.is_agent:
        said = f"{action}: {actor.agent or actor.name} is an agent, and this is for people to do"
        raise Refused(said, hint="ask a person to do it")
    return actor


def sits_at_terminal(actor: Actor) -> bool:
    """Whether a person can have typed this: no agent is seen, and input and output are a terminal.
    What SKILLRUN_ACTOR claims does not count, since whoever starts a command can set it.
    """
    return not actor.is_agent and _is_at_terminal()


def host_id() -> str:
    """A short hash of the machine's name: tells machines apart without naming them. 12 hexadecimal
    digits.
    """
    from hashlib import sha256

    return sha256(os.uname().nodename.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _choose_kind(agent: str | None, service: str | None, at_terminal: bool) -> ActorKind:
    """What kind of actor an agent, a CI service or a terminal makes of the caller."""
    if agent:
        return ActorKind.AGENT
    if service:
        return ActorKind.CI
    if at_terminal:
        return ActorKind.HUMAN
    return ActorKind.UNKNOWN


def _apply_claim(claim: str, seen: Actor) -> Actor:
    """The actor that was seen, with what SKILLRUN_ACTOR says on top of it."""
    before, colon, after = claim.strip().partition(":")
    if not colon and before.strip().lower() == ActorKind.AGENT:
        # A kind alone. Of the kinds only this one takes a right away, so only this one is believed
        # without a name.
        return Actor("agent", ActorKind.AGENT, seen.agent or "agent")
    if not colon:
        return Actor(_clean_name(before) or seen.name, seen.kind, seen.agent)
    if before.strip().lower() not in set(ActorKind):
        raise Misuse(
            f"SKILLRUN_ACTOR: {_clean_name(claim)!r}: there is no actor of this kind",
            hint=f"write KIND:NAME with one of {', '.join(ActorKind)}",
        )
    kind = ActorKind(before.strip().lower())
    name = _clean_name(after) or seen.name
    agent = seen.agent or (name if kind is ActorKind.AGENT else None)
    return Actor(name, kind, agent)


def _find_agent(env: Mapping[str, str], at_terminal: bool) -> str | None:
    """The agent that the environment tells of; None where it tells of none. An editor counts as one
    away from a terminal.
    """
    found = (
        _find_first_set(env, _AGENTS)
        or _clean_name(env.get("AI_AGENT", ""))
        or _find_named_agent(env)
    )
    # At a terminal of an editor a person types as well.
    if found is None and not at_terminal:
        found = _find_first_set(env, _EDITORS)
    return found


def _find_named_agent(env: Mapping[str, str]) -> str | None:
    """The agent in AGENT (goose and amp set it). The name is anybody's: only an agent that is known
    counts there.
    """
    said = env.get("AGENT", "").strip().lower()
    if said not in _AGENTS.values():
        return None
    return said


def _find_first_set(env: Mapping[str, str], names: Mapping[str, str]) -> str | None:
    """What the first variable means that is set; None where none is. A name that ends in `*` stands
    for all that begin so.
    """
    for name, meaning in names.items():
        if name.endswith("*"):
            matching = []
            for key in env:
                if key.startswith(name[:-1]):
                    matching.append(key)
        else:
            matching = [name]
        if any(env.get(key, "").lower() not in _OFF for key in matching):
            return meaning
    return None


def _name_ci_user(env: Mapping[str, str], service: str) -> str:
    """The CI service, with the user that it runs for where it tells it."""
    user = next((env[name] for name in _CI_USERS if env.get(name)), "")
    if user:
        return f"{service}:{_clean_name(user)}"
    return service


def _read_login() -> str:
    """The name of the account. The environment could lie about it, the user database does not."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _is_at_terminal() -> bool:
    """Whether both input and output are a terminal."""
    return all(
        stream is not None and not stream.closed and stream.isatty()
        for stream in (sys.stdin, sys.stdout)
    )


def _clean_name(name: str) -> str:
    """A name as it may be shown and kept."""
    return visible(name.strip(), 100)
