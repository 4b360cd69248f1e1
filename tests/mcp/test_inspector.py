"""The MCP Inspector's command line: a client that nobody here wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

BIN = helpers.ROOT / ".node" / "node_modules" / ".bin"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (BIN / "mcp-inspector").exists(), reason="no MCP Inspector: make .node/.installed"
    ),
]


def inspect(repo: Path, *words: str) -> tuple[int, Any]:
    """(exit code, what it printed) of one call."""
    env = helpers.clean_env(repo.with_name(f"{repo.name}.home"))
    # It wants a newer Node than some machines have.
    env["PATH"] = os.pathsep.join((str(BIN), env["PATH"]))
    # The inspector hands no more of its environment on than it is told to.
    state = f"SKILLRUN_STATE_DIR={env['SKILLRUN_STATE_DIR']}"
    server = [sys.executable, "-m", "skillrun", "mcp"]
    command = [str(BIN / "mcp-inspector"), "--cli", *server, *words, "-e", state]
    done = subprocess.run(
        command, cwd=repo, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.returncode, (
        json.loads(done.stdout)
        if done.stdout.strip().startswith("{")
        else done.stdout + done.stderr
    )


def test_the_inspector_lists_the_tools(tmp_path: Path) -> None:
    code, listed = inspect(shops.shop(tmp_path / "shop"), "--method", "tools/list")
    assert code == 0
    assert {"run_advance", "work_order", "prove"} <= {tool["name"] for tool in listed["tools"]}


def test_the_inspector_drives_a_run(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    advance = (
        "--method",
        "tools/call",
        "--tool-name",
        "run_advance",
        "--tool-arg",
        f"skill={shops.SKILL}",
    )
    code, first = inspect(repo, *advance)
    assert code == 0, first
    assert first["structuredContent"]["outcome"] == "blocked"
    shops.run(repo, "--trust", code=0)
    code, second = inspect(repo, *advance)
    assert code == 0, second
    assert second["structuredContent"]["outcome"] == "success"


def test_the_inspector_sees_an_error_as_one(tmp_path: Path) -> None:
    call = ("--method", "tools/call", "--tool-name", "run_status")
    _, said = inspect(shops.shop(tmp_path / "shop"), *call)
    assert "blocked: " in str(said)
    assert "do: " in str(said)


CLIENT = """
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "typescript", version: "1" });
await client.connect(new StdioClientTransport({ command, args, env: process.env, cwd: process.env.REPO }));
const { tools } = await client.listTools();
const refused = await client.callTool({ name: "run_status", arguments: {} });
const answered = await client.callTool({ name: "detect", arguments: {} });
console.log(JSON.stringify({ tools: tools.length, refused, answered }));
await client.close();
"""


def test_the_typescript_client_takes_errors_and_answers(tmp_path: Path) -> None:
    """It checks structured content against the output schemas that it has listed."""
    repo = shops.shop(tmp_path / "shop")
    script = BIN.parent.parent / "skillrun-client.mjs"
    script.write_text(CLIENT)
    env = helpers.clean_env(tmp_path / "home", REPO=str(repo))
    env["PATH"] = os.pathsep.join((str(BIN), env["PATH"]))
    command = ["node", str(script), sys.executable, "-m", "skillrun", "mcp"]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["tools"] == 9
    assert said["refused"]["isError"] is True
    assert "structuredContent" not in said["refused"]
    assert said["refused"]["_meta"]["skillrun/error"]["exit_code"] == 3
    assert said["answered"]["structuredContent"]["schema_version"] == 1
