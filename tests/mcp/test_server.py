"""The MCP server with the SDK's own client over stdio: the documents of the command line, errors,
progress, ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import helpers
import jsonschema
import pytest
import shops
from mcp import Client, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

pytestmark = pytest.mark.real

TOOLS = {
    *(
        "skill_list",
        "skill_show",
        "run_advance",
        "run_status",
        "work_order",
        "attest",
        "prove",
        "detect",
    ),
    "ledger_query",
}
READING = TOOLS - {"run_advance", "attest", "prove"}
STEPS = """
    ---
    name: release-notes
    description: Writes release notes.
    ---
    # Release notes
    ## Workflow
    1. Write the notes
    2. Tell the team
    """


@contextlib.asynccontextmanager
async def connected(repo: Path, **options: Any) -> AsyncIterator[Client]:
    """A client of a server that was started in a folder."""
    env = helpers.clean_env(repo.with_name(f"{repo.name}.home"))
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "skillrun", "mcp"], cwd=repo, env=env
    )
    async with Client(command, **options) as client:
        yield client


def call(repo: Path, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
    """One call in a session of its own."""

    async def work() -> Any:
        async with connected(repo, **options) as client:
            return await client.call_tool(tool, arguments or {})

    return anyio.run(work)


def trusted(repo: Path) -> None:
    """The user has allowed the commands before."""
    shops.run(repo, "--trust", code=0)


def test_the_tools_with_their_schemas_and_hints(tmp_path: Path) -> None:
    async def work() -> Any:
        async with connected(tmp_path) as client:
            assert client.server_info.name == "skillrun"
            assert "Never say of the\nwork" in (client.instructions or "")
            return await client.list_tools()

    found = {tool.name: tool for tool in anyio.run(work).tools}
    assert set(found) == TOOLS
    for name, tool in found.items():
        assert tool.description
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name in READING)
        assert not tool.annotations.destructive_hint
        assert "trust" not in tool.input_schema["properties"]


def test_a_run_says_what_the_command_line_says(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    trusted(repo)
    answer = call(repo, "run_advance", {"skill": shops.SKILL})
    assert not answer.is_error
    report = shops.report(repo, code=0)
    mine = answer.structured_content
    assert mine["outcome"] == "success"
    assert mine["stages"] == report["stages"]
    assert mine["checks"] == report["checks"]
    assert json.loads(answer.content[0].text) == mine
    assert shops.telemetry(shops.ledger_of(repo))[-2]["actor_kind"] == "agent"


@pytest.mark.parametrize(
    ("tool", "arguments", "command", "code"),
    [
        ("run_status", {}, "status", 0),
        ("work_order", {}, "next", 0),
        ("detect", {}, "detect", 0),
        ("ledger_query", {"query": "recent-runs"}, "ledger query recent-runs", 0),
        ("skill_show", {"skill": shops.SKILL}, f"show {shops.SKILL}", 0),
    ],
)
def test_what_only_reads_says_what_the_command_says(
    tool: str, arguments: dict[str, Any], command: str, code: int, tmp_path: Path
) -> None:
    repo = shops.shop(tmp_path / "shop")
    trusted(repo)
    answer = call(repo, tool, arguments)
    assert not answer.is_error
    assert answer.structured_content == shops.asked(repo, command, code=code)


def test_lists_come_below_a_name(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    skills = call(repo, "skill_list").structured_content["skills"]
    assert "backend/job-worker-orchestration" in {skill["id"] for skill in skills}
    assert "recent-runs" in call(repo, "ledger_query").structured_content["queries"]


def test_no_consent_can_be_given(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    for arguments in ({}, {"trust": True}, {"set": {"trust": "true"}}):
        answer = call(repo, "prove", arguments)
        assert answer.is_error
        assert (answer.meta or {}).get("skillrun/error", {}).get("error") in (
            "blocked",
            "refused",
            None,
        )
    report = call(repo, "run_advance", {"skill": shops.SKILL}).structured_content
    assert report["outcome"] != "success"
    assert "consent" in {action["action"] for action in report["next"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "kind"),
    [
        ("run_status", {"repo": "/there/is/none"}, "refused"),
        ("run_status", {}, "blocked"),
        ("run_advance", {"skill": "no-such-skill"}, "refused"),
        ("run_advance", {"skill": shops.SKILL, "until": "lunch"}, "misuse"),
        ("run_advance", {"skill": "--json"}, "refused"),
        ("ledger_query", {"query": "drop table run"}, "refused"),
    ],
)
def test_errors_have_a_kind_a_message_and_what_to_do(
    tool: str, arguments: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    repo = shops.shop(tmp_path / "shop")
    answer = call(repo, tool, arguments)
    assert answer.is_error
    error = answer.meta["skillrun/error"]
    assert set(error) == {"error", "exit_code", "message", "do"}
    assert error["error"] == kind, error
    assert error["message"]
    assert answer.content[0].text.startswith(f"{kind}: ")
    assert f"do: {error['do']}" in answer.content[0].text


def test_an_answer_fits_the_output_schema_or_has_no_structured_content(tmp_path: Path) -> None:
    """Clients learn the schemas when they list the tools; some hold every structured content to
    them.
    """
    repo = shops.shop(tmp_path / "shop")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("run_status", {}),
        ("work_order", {"repo": "/there/is/none"}),
        ("run_advance", {"skill": "no-such-skill"}),
        ("run_advance", {}),
        ("ledger_query", {"query": "drop table run"}),
        ("ledger_query", {"limit": "many"}),
        ("prove", {}),
        ("attest", {**ATTEST, "step": "lunch"}),
        ("detect", {}),
        ("skill_list", {}),
    ]

    async def work() -> list[tuple[bool, bool]]:
        async with connected(repo) as client:
            schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
            seen = []
            for tool, arguments in calls:
                answer = await client.call_tool(tool, arguments)
                content = answer.structured_content
                if content is not None:
                    jsonschema.validate(content, schemas[tool] or {})
                seen.append((bool(answer.is_error), content is None))
            return seen

    assert anyio.run(work) == [(True, True)] * 8 + [(False, False)] * 2


def test_progress_grows_and_names_the_stage(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    trusted(repo)
    (repo / "shop" / "tasks.py").write_text((repo / "shop" / "tasks.py").read_text() + "# more\n")
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async def work() -> None:
        async with connected(repo) as client:
            await client.call_tool("run_advance", {"skill": shops.SKILL}, progress_callback=note)

    anyio.run(work)
    steps = [progress for progress, _ in told]
    assert steps == sorted(set(steps))
    assert "validate: passed" in {message for _, message in told}


def below(repo: Path) -> list[int]:
    """Processes of skillrun that work on a repository, the server itself left out."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            mine = b"sleep 600" in b" ".join(words) or (b"run" in words and b"skillrun" in words)
            if mine and (entry / "cwd").readlink().is_relative_to(repo):
                found.append(int(entry.name))
    return found


def until(what: Any, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def slow_shop(folder: Path) -> Path:
    """A shop whose validation sleeps, which the user has allowed before."""
    repo = shops.shop(folder, makefile="lint:\n\ttrue\n\ntest:\n\ttest -e fast || sleep 600\n")
    (repo / "fast").write_text("")
    trusted(repo)
    (repo / "fast").unlink()
    return repo


def test_a_cancelled_call_ends_what_it_began(tmp_path: Path) -> None:
    repo = slow_shop(tmp_path / "shop")

    async def work() -> None:
        async with connected(repo) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "run_advance", {"skill": shops.SKILL})
            with anyio.fail_after(60):
                while not any("sleep" in command for command in commands(repo)):
                    await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await anyio.to_thread.run_sync(until, lambda: not below(repo))
                answer = await client.call_tool("run_status", {})
                assert answer.structured_content["outcome"] in ("partial", "success")

    anyio.run(work)


def commands(repo: Path) -> list[str]:
    found = []
    for pid in below(repo):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_that_vanishes_leaves_nothing_running(number: int, tmp_path: Path) -> None:
    repo = slow_shop(tmp_path / "shop")
    script = f"""
import sys, anyio
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_server import connected
async def work():
    async with connected(Path({str(repo)!r})) as client:
        await client.call_tool("run_advance", {{"skill": {shops.SKILL!r}}})
anyio.run(work)
"""
    paths = os.pathsep.join((str(helpers.ROOT), str(helpers.ROOT / "tests")))
    client = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}
    )
    assert until(lambda: any("sleep" in command for command in commands(repo)), 60)
    client.send_signal(number)
    client.wait()
    assert until(lambda: not below(repo), 60)


def test_two_clients_at_once(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    trusted(repo)
    (repo / "shop" / "tasks.py").write_text((repo / "shop" / "tasks.py").read_text() + "# more\n")
    outcomes: list[str] = []

    async def one() -> None:
        async with connected(repo) as client:
            answer = await client.call_tool("run_advance", {"skill": shops.SKILL})
            outcomes.append(answer.structured_content["outcome"])

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)

    anyio.run(work)
    assert outcomes == ["success", "success"]
    assert shops.asked(repo, "ledger verify")["integrity"] == "whole"


# -- attestations and elicitation


def skill_repo(folder: Path) -> Path:
    return helpers.build_tree(
        folder, {".agents/skills/release-notes/SKILL.md": STEPS, "NOTES.md": "written\n"}
    )


ATTEST = {
    "skill": "release-notes",
    "step": "write-the-notes",
    "statement": "They are in NOTES.md.",
    "evidence": ["NOTES.md"],
}


def attested(repo: Path) -> list[dict[str, Any]]:
    return (
        shops.events(shops.ledger_of(repo), "attestation.given")
        if shops.ledger_of(repo).exists()
        else []
    )


def test_without_elicitation_an_attestation_is_the_agents_word(tmp_path: Path) -> None:
    repo = skill_repo(tmp_path / "repo")
    answer = call(repo, "attest", ATTEST)
    assert not answer.is_error, answer
    assert shops.stages(answer.structured_content, "grade")["write-the-notes"] == "declared"
    (event,) = attested(repo)
    assert event["actor_kind"] == "agent"


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("action", "says", "recorded"),
    [("accept", True, 1), ("accept", False, 0), ("decline", None, 0)],
)
def test_with_elicitation_the_user_has_the_last_word(
    action: str, says: bool | None, recorded: int, protocol: str, tmp_path: Path
) -> None:
    repo, asked = skill_repo(tmp_path / "repo"), list[str]()

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content=None if says is None else {"is_so": says})

    result = call(repo, "attest", ATTEST, elicitation_callback=answer, mode=protocol)
    assert "They are in NOTES.md." in asked[0]
    assert result.is_error is not bool(recorded)
    assert len(attested(repo)) == recorded


# -- resources


def test_resources(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    trusted(repo)

    async def work() -> tuple[str, str]:
        async with connected(repo) as client:
            skill = await client.read_resource("skillrun://skill/job-worker-orchestration")
            report = await client.read_resource("skillrun://report")
            return skill.contents[0].text, report.contents[0].text

    skill, report = anyio.run(work)
    assert skill.startswith("---\nname: job-worker-orchestration")
    assert json.loads(report)["outcome"] == "success"
