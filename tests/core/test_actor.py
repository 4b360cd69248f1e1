"""Who calls, as the environment claims."""

from __future__ import annotations

import getpass
import subprocess
import sys
from pathlib import Path

import pytest

from skillrun.core.actor import Actor, ActorKind, host_id, who
from skillrun.core.errors import Misuse


@pytest.mark.parametrize(
    ("env", "agent"),
    [
        ({"CLAUDECODE": "1"}, "claude-code"),
        ({"CODEX_SANDBOX": "seatbelt"}, "codex"),
        ({"CODEX_THREAD_ID": "abc"}, "codex"),
        ({"CURSOR_AGENT": "1", "CURSOR_TRACE_ID": "x"}, "cursor"),
        ({"GEMINI_CLI": "1"}, "gemini-cli"),
        ({"COPILOT_AGENT_SOURCE_ENVIRONMENT": "production"}, "copilot"),
        ({"OPENCODE": "1"}, "opencode"),
        ({"AI_AGENT": "devin@1"}, "devin@1"),
        ({"AGENT": "goose"}, "goose"),
        ({"AGENT": "amp"}, "amp"),
        ({"PI_CODING_AGENT": "true"}, "pi"),
        ({"TRAE_AI_SHELL_ID": "7"}, "trae"),
        ({"CLAUDECODE": "1", "GITHUB_ACTIONS": "true", "CI": "true"}, "claude-code"),
    ],
)
def test_an_agent_is_recognised_with_and_without_a_terminal(
    env: dict[str, str], agent: str
) -> None:
    for terminal in (True, False):
        actor = who(env, terminal=terminal)
        assert (actor.kind, actor.agent) == (ActorKind.AGENT, agent)


@pytest.mark.parametrize(
    "env",
    [
        *(
            {"CODEX_HOME": "/x"},
            {"COPILOT_GITHUB_TOKEN": "x"},
            {"GEMINI_API_KEY": "x"},
            {"CLAUDECODE": "0"},
        ),
        *(
            {"AGENT": "build-17"},
            {"AGENT": "/usr/bin/ssh-agent"},
            {"AGENT": ""},
            {"PI_CODING_AGENT_DIR": "/x"},
        ),
        *({"REPL_ID": "x"}, {"GOOSE_PROVIDER": "openai"}, {"AIDER_MODEL": "x"}),
    ],
)
def test_a_users_setting_makes_no_agent(env: dict[str, str]) -> None:
    assert who(env, terminal=True).kind is ActorKind.HUMAN


def test_a_person_may_type_in_an_agents_editor() -> None:
    assert who({"CURSOR_TRACE_ID": "x"}, terminal=True).kind is ActorKind.HUMAN
    assert who({"CURSOR_TRACE_ID": "x"}, terminal=False).agent == "cursor"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"CI": "true"}, "ci"),
        (
            {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octocat"},
            "github-actions:octocat",
        ),
        ({"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "x\x1b[2J"}, r"gitlab-ci:x\x1b[2J"),
        ({"JENKINS_URL": "http://ci.example"}, "jenkins"),
    ],
)
def test_continuous_integration(env: dict[str, str], name: str) -> None:
    assert who(env, terminal=False) == Actor(name, ActorKind.CI)


def test_nothing_said_is_a_person_only_at_a_terminal() -> None:
    assert who({}, terminal=True).kind is ActorKind.HUMAN
    assert who({"CI": "false"}, terminal=False).kind is ActorKind.UNKNOWN
    assert who({}, terminal=False).name


def test_skillrun_actor_speaks_and_the_agent_stays_on_record() -> None:
    assert who({"SKILLRUN_ACTOR": "human:ada"}, terminal=False) == Actor("ada", ActorKind.HUMAN)
    assert who({"SKILLRUN_ACTOR": "agent:mine"}, terminal=True) == Actor(
        "mine", ActorKind.AGENT, "mine"
    )
    assert who({"SKILLRUN_ACTOR": "human:ada", "CLAUDECODE": "1"}) == Actor(
        "ada", ActorKind.HUMAN, "claude-code"
    )
    assert who({"SKILLRUN_ACTOR": "ada", "CI": "1"}) == Actor("ada", ActorKind.CI)


def test_a_kind_alone_is_believed_where_it_takes_a_right_away() -> None:
    for claim in ("agent", " Agent ", "agent:"):
        assert who({"SKILLRUN_ACTOR": claim}, terminal=True).is_agent
    assert who({"SKILLRUN_ACTOR": "agent", "CLAUDECODE": "1"}).agent == "claude-code"
    assert who({"SKILLRUN_ACTOR": "human"}, terminal=False).kind is ActorKind.UNKNOWN
    assert not who({"SKILLRUN_ACTOR": "agentha"}, terminal=True).is_agent


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Misuse, match=r"SKILLRUN_ACTOR: 'robot:x'") as caught:
        who({"SKILLRUN_ACTOR": "robot:x"})
    assert "human, agent, ci, unknown" in str(caught.value.hint)


def test_a_piped_process_without_any_sign_is_unknown() -> None:
    code = "from skillrun.core.actor import who; a = who(); print(a.kind, a.name)"
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["unknown", getpass.getuser()]


def test_the_machine_is_told_apart_without_its_name() -> None:
    assert host_id() == host_id()
    assert len(host_id()) == 12
    int(host_id(), 16)
