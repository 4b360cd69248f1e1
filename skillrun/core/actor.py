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
        at_terminal = _at_terminal()
    else:
        at_terminal = terminal
    agent = _agent(env, at_terminal)
    service = _first_set(env, _CI)
    kind = _kind(agent, service, at_terminal)
    if kind is ActorKind.CI and service:
        name = _ci_name(env, service)
    else:
        name = _login()
    return _claimed(env.get("SKILLRUN_ACTOR", ""), Actor(name, kind, agent))


def person(action: str) -> Actor:
    """The caller of something that is for people. Raises Refused where it is an agent."""
    actor = who()
    if actor.is_agent:
        said = f"{action}: {actor.agent or actor.name} is an agent, and this is for people to do"
        raise Refused(said, hint="ask a person to do it")
    return actor


def host_id() -> str:
    """A short hash of the machine's name: tells machines apart without naming them. 12 hexadecimal
    digits.
    """
    from hashlib import sha256

    return sha256(os.uname().nodename.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _kind(agent: str | None, service: str | None, at_terminal: bool) -> ActorKind:
    if agent:
        return ActorKind.AGENT
    if service:
        return ActorKind.CI
    if at_terminal:
        return ActorKind.HUMAN
    return ActorKind.UNKNOWN


def _claimed(claim: str, seen: Actor) -> Actor:
    """What SKILLRUN_ACTOR says, on top of what was seen."""
    before, colon, after = claim.strip().partition(":")
    if not colon and before.strip().lower() == ActorKind.AGENT:
        # A kind alone. Of the kinds only this one takes a right away, so only this one is believed
        # without a name.
        return Actor("agent", ActorKind.AGENT, seen.agent or "agent")
    if not colon:
        return Actor(_clean(before) or seen.name, seen.kind, seen.agent)
    if before.strip().lower() not in set(ActorKind):
        raise Misuse(
            f"SKILLRUN_ACTOR: {_clean(claim)!r}: there is no actor of this kind",
            hint=f"write KIND:NAME with one of {', '.join(ActorKind)}",
        )
    kind = ActorKind(before.strip().lower())
    name = _clean(after) or seen.name
    agent = seen.agent or (name if kind is ActorKind.AGENT else None)
    return Actor(name, kind, agent)


def _agent(env: Mapping[str, str], at_terminal: bool) -> str | None:
    found = _first_set(env, _AGENTS) or _clean(env.get("AI_AGENT", "")) or _named_agent(env)
    if found is None and not at_terminal:
        found = _first_set(env, _EDITORS)
    return found


def _named_agent(env: Mapping[str, str]) -> str | None:
    """The agent in AGENT (goose and amp set it). The name is anybody's: only an agent that is known
    counts there.
    """
    said = env.get("AGENT", "").strip().lower()
    if said not in _AGENTS.values():
        return None
    return said


def _first_set(env: Mapping[str, str], names: Mapping[str, str]) -> str | None:
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


def _ci_name(env: Mapping[str, str], service: str) -> str:
    user = next((env[name] for name in _CI_USERS if env.get(name)), "")
    if user:
        return f"{service}:{_clean(user)}"
    return service


def _login() -> str:
    """The account's name; the environment could be lying about it, the user database is not."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _at_terminal() -> bool:
    return all(
        stream is not None and not stream.closed and stream.isatty()
        for stream in (sys.stdin, sys.stdout)
    )


def _clean(name: str) -> str:
    return visible(name.strip(), 100)
