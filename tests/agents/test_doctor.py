"""Doctor says what works, and finds what does not: missing programs, silent hooks, hooks that
nobody has trusted.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.agents.doctor.check import run_briefly
from skillrun.agents.doctor.machine import _check_command, _check_sandbox, _check_sqlite
from skillrun.agents.install.program import own_program
from skillrun.proof.sandbox.walls import explain_refusal, next_best

pytestmark = pytest.mark.real

# The command itself, as a name on PATH.
REAL = f'#!/bin/sh\nexec {sys.executable} -m skillrun "$@"\n'
# What codex-cli 0.169.0 lists (`hooks/list` of its app server) as the hashes of the hooks that an
# install writes.
CODEX_HASHES = {
    "stop:0:0": "sha256:b2a0c7630ef8031feb89d9ab7c29dc6fa89cf3c81df8d4d429da0f6370901b30",
    "pre_tool_use:0:0": "sha256:741e0c3eaaefc33e961a7ae9f4646fb4137addd6f1622807da4ff695a982c69f",
}


class Machine:
    """A repository, a home folder, and a PATH with nothing but git, a shell and the programs that a
    test puts there.
    """

    def __init__(self, root: Path) -> None:
        self.repo = helpers.build_tree(root / "repo", {"README.md": "shop\n"})
        self.home, self.bin = root / "somebody", root / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        for name in ("git", "sh", "cat", "sleep"):
            (self.bin / name).symlink_to(shutil.which(name) or name)

    def program(self, name: str, script: str, folder: Path | None = None) -> Path:
        path = (folder or self.bin) / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def env(self) -> dict[str, str]:
        state = str(self.home / "state")
        return {"HOME": str(self.home), "PATH": str(self.bin), "SKILLRUN_STATE_DIR": state}

    def run(self, *args: str, code: int = 0, cwd: Path | None = None) -> str:
        done = helpers.run_cli(*args, cwd=cwd or self.repo, env=self.env())
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def checks(self, area: str, code: int = 0) -> list[dict[str, Any]]:
        document = json.loads(self.run("doctor", "--json", code=code))
        assert document["problems"] == sum(
            check["level"] == "problem" for check in document["checks"]
        )
        return [check for check in document["checks"] if check["area"] == area]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def levels(checks: list[dict[str, Any]], word: str) -> list[str]:
    return [check["level"] for check in checks if word in check["text"]]


def test_a_machine_without_agents(machine: Machine) -> None:
    shown = machine.run("doctor")
    for name in (
        "Claude Code",
        "Codex",
        "Cursor",
        "GitHub Copilot",
        "Gemini CLI",
        "Antigravity",
        "OpenCode",
    ):
        assert f"\n{name}\n  note     not on PATH, and nothing installed for it; formats: " in shown
    assert "git version" in shown
    assert "no problems" in shown
    assert "note     skillrun is not on PATH" in shown
    assert "interpreter" in shown


def test_outside_of_a_repository(machine: Machine) -> None:
    assert "there is no git repository here" in machine.run("doctor", cwd=machine.home)
    done = helpers.run_cli("doctor", "--repo", "nowhere", cwd=machine.repo)
    assert (done.returncode, done.stdout) == (4, "")


def test_a_program_and_its_version(machine: Machine) -> None:
    machine.program("claude", "#!/bin/sh\necho '2.1.197 (Claude Code)'\necho more\n")
    machine.program("codex", "#!/bin/sh\necho 'warning' >&2\necho 'codex-cli 0.169.0'\n")
    checks = machine.checks("Claude Code")
    assert [check["text"] for check in checks if check["level"] == "ok"] == [
        f"{machine.bin}/claude: 2.1.197 (Claude Code)"
    ]
    assert [check["do"] for check in checks if check["do"]] == ["skillrun install claude"]
    assert levels(machine.checks("Codex"), "codex: codex-cli 0.169.0") == ["ok"]


def test_a_program_of_the_repository_is_not_run(machine: Machine) -> None:
    folder = machine.repo / "node_modules"
    folder.mkdir()
    machine.program("claude", "#!/bin/sh\n: > ran\n", folder)
    (machine.bin / "claude").symlink_to(folder / "claude")
    assert levels(machine.checks("Claude Code"), "not asked for its version") == ["note"]
    assert not (machine.repo / "ran").exists()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = tmp_path / "slow"
    script.write_text("#!/bin/sh\nsleep 600 & echo $! > pid; wait\n")
    script.chmod(0o755)
    answer = run_briefly([str(script)], tmp_path, limit_s=4, env=os.environ)
    assert answer.code is None
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 30  # it was killed; the kernel may take a moment
    while time.monotonic() < deadline and not is_gone(pid):
        time.sleep(0.05)
    assert is_gone(pid)


@pytest.mark.parametrize(
    "agent", ("claude", "cursor", "copilot", "gemini", "antigravity", "opencode")
)
def test_hooks_that_answer(agent: str, machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", agent)
    shown = machine.run("doctor")
    words = {"antigravity": ["stop"], "opencode": ["pre-tool"]}.get(agent, ["stop", "pre-tool"])
    for word in words:
        assert f"ok       hook {word} answers: " in shown
    assert shown.count("ok       hook ") == len(words)
    assert "ok       its MCP server answers: skillrun mcp" in shown
    assert "ok       installed in this repository" in shown


def test_hooks_in_the_home_folder(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude", "--user")
    shown = machine.run("doctor")
    assert "ok       installed in the home folder" in shown
    assert shown.count(" answers: ") == 2
    machine.run("install", "claude")
    assert "installed in both places: its hooks run twice" in machine.run("doctor")


@pytest.mark.parametrize(
    ("script", "says"),
    (
        (None, "there is no skillrun on PATH"),
        ("#!/bin/sh\ncat > /dev/null\n", "it ended with 0 and said nothing"),
        (
            "#!/bin/sh\ncat > /dev/null\necho no such command >&2\nexit 2\n",
            "it ended with 2 and said 'no such command'",
        ),
        (
            '#!/bin/sh\necho \'{"skillrun": "canary", "agent": "codex"}\'\n',
            "it ended with 0 and said",
        ),
    ),
    ids=("missing", "silent", "another version", "somebody else"),
)
@pytest.mark.parametrize("agent", ("claude", "copilot"))
def test_hooks_that_do_not_answer(
    agent: str, script: str | None, says: str, machine: Machine
) -> None:
    if script:
        machine.program("skillrun", script)
    machine.run("install", agent)
    shown = machine.run("doctor", code=1)
    for word in ("stop", "pre-tool"):
        assert f"problem  hook {word} does not answer: {says}" in shown
    assert shown.count("\n           do: ") >= 2


def test_a_command_that_somebody_else_wrote_is_not_run(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    settings = machine.repo / ".claude/settings.json"
    settings.write_text(settings.read_text().replace("claude stop", "claude stop; : > ran"))
    checks = machine.checks("Claude Code")
    assert levels(checks, "its command was changed, so it was not run") == ["note"]
    assert levels(checks, "hook pre-tool answers") == ["ok"]
    assert not (machine.repo / "ran").exists()


def test_hooks_that_are_switched_off(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    settings = machine.repo / ".claude/settings.json"
    settings.write_text(json.dumps({"disableAllHooks": True, **json.loads(settings.read_text())}))
    assert levels(machine.checks("Claude Code", code=1), "switches all hooks off") == ["problem"]
    machine.run("install", "codex")
    trust(machine, CODEX_HASHES)
    config = machine.home / ".codex/config.toml"
    config.write_text(config.read_text() + "[features]\nhooks = false\n")
    assert levels(machine.checks("Codex", code=1), "switches all hooks off") == ["problem"]


def test_what_is_gone_since_the_install(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    (machine.repo / ".mcp.json").unlink()
    (machine.repo / ".agents/skills/skillrun/SKILL.md").write_text("mine\n")
    checks = machine.checks("Claude Code", code=1)
    assert levels(checks, "missing in .mcp.json") == ["problem"]
    assert levels(checks, "not as this version writes it: .agents/skills/skillrun/SKILL.md") == [
        "note"
    ]
    assert [check["do"] for check in checks if check["level"] == "problem"] == [
        "skillrun install claude"
    ]


def test_a_file_that_the_agent_cannot_read(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    (machine.repo / ".claude/settings.json").write_text("{,}")
    checks = machine.checks("Claude Code", code=1)
    assert levels(checks, ".claude/settings.json: line 1: not JSON") == ["problem"]


def trust(
    machine: Machine, hashes: dict[str, str], *, project: str = "trusted", more: str = ""
) -> None:
    hooks = machine.repo / ".codex/hooks.json"
    text = f'[projects."{machine.repo}"]\ntrust_level = "{project}"\n'
    for key, digest in hashes.items():
        text += f'[hooks.state."{hooks}:{key}"]\ntrusted_hash = "{digest}"\n{more}'
    helpers.write_files(machine.home, {".codex/config.toml": text.encode()})


def test_codex_trusts_what_somebody_has_trusted(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "codex")
    trust(machine, CODEX_HASHES)
    checks = machine.checks("Codex")
    assert levels(checks, "Codex trusts the hook") == ["ok", "ok"]


def test_codex_skips_what_nobody_has_trusted(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "codex")
    checks = machine.checks("Codex", code=1)
    assert levels(checks, "the project is not trusted") == ["problem"]
    assert levels(checks, "nobody has trusted it") == ["problem", "problem"]
    assert all("/hooks" in check["do"] for check in checks if check["level"] == "problem")
    trust(machine, CODEX_HASHES, project="untrusted")
    assert levels(machine.checks("Codex", code=1), "the project is not trusted") == ["problem"]
    trust(machine, CODEX_HASHES | {"stop:0:0": "sha256:00"})
    assert levels(machine.checks("Codex", code=1), "hook Stop: it has changed since") == ["problem"]
    trust(machine, CODEX_HASHES, more="enabled = false\n")
    assert levels(machine.checks("Codex", code=1), "switched it off") == ["problem", "problem"]
    helpers.write_files(machine.home, {".codex/config.toml": "model = \n"})
    assert levels(machine.checks("Codex"), "unknown") == ["note"]


def test_the_note_on_sqlite() -> None:
    """As ledger/connection.py decides: https://sqlite.org/wal.html"""
    assert _check_sqlite((3, 46, 1), "3.46.1").level == "note"
    assert "WAL-reset" in _check_sqlite((3, 46, 1), "3.46.1").text
    assert _check_sqlite((3, 51, 3), "3.51.3").level == "ok"
    assert _check_sqlite((3, 36, 0), "3.36.0").level == "problem"


def test_job_libraries_are_read_from_folder_names(machine: Machine) -> None:
    """An interpreter that would leave a mark if it were started."""
    bin_folder = machine.repo / ".venv/bin"
    bin_folder.mkdir(parents=True)
    machine.program("python", "#!/bin/sh\n: > ran\n", bin_folder)
    (machine.repo / ".venv/lib/python3.12/site-packages/celery-5.4.0.dist-info").mkdir(parents=True)
    checks = machine.checks("repository")
    assert levels(checks, "job libraries in it: celery 5.4.0") == ["ok"]
    assert levels(checks, "the repository's own") == ["ok"]
    assert not (machine.repo / "ran").exists()


@pytest.mark.skipif(shutil.which("node") is None, reason="OpenCode's plugin is JavaScript")
@pytest.mark.parametrize(
    ("answer", "ends"),
    (
        ('{"deny": "because"}', "Error: because"),
        ("", "went on"),
        ("junk", "went on"),
        (None, "went on"),
    ),
)
def test_the_plugin_of_opencode(answer: str | None, ends: str, machine: Machine) -> None:
    machine.run("install", "opencode")
    if answer is not None:
        machine.program("skillrun", f"#!/bin/sh\ncat > asked\nprintf '%s' '{answer}'\n")
    plugin = machine.repo / "plugin.mjs"
    plugin.write_bytes((machine.repo / ".opencode/plugins/skillrun.js").read_bytes())
    script = (
        f"import {{ Skillrun }} from '{plugin}'\nconst hooks = await Skillrun({{ directory:"
        " process.cwd() })\nconst ask = (tool) => hooks['tool.execute.before']({ tool,"
        " sessionID: 's' }, { args: { command: 'ls' } })\nawait ask('read')\ntry { await"
        " ask('bash'); console.log('went on') } catch (error) { console.log(String(error)) }\n"
    )
    node = shutil.which("node")
    assert node
    command = [node, "--input-type=module", "--eval", script]
    env = {"PATH": str(machine.bin), "HOME": str(machine.home)}
    done = subprocess.run(
        command, cwd=machine.repo, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ends
    if answer is not None:
        asked = json.loads((machine.repo / "asked").read_text())
        assert asked == {
            "cwd": str(machine.repo),
            "session": "s",
            "tool": "bash",
            "args": {"command": "ls"},
        }


def test_doctor_changes_nothing(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    helpers.commit(machine.repo)
    machine.run("doctor")
    assert helpers.git(machine.repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("agent", ("claude", "codex", "opencode"))
def test_the_mcp_server_is_started_and_greeted(agent: str, machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", agent)
    assert "ok       its MCP server answers: skillrun mcp" in shown(machine)
    machine.program("skillrun", "#!/bin/sh\necho no such module >&2\nexit 1\n")
    assert "problem  its MCP server does not answer: no such module" in shown(machine)
    (machine.bin / "skillrun").unlink()
    assert "problem  its MCP server does not start: there is no skillrun" in shown(machine)


def shown(machine: Machine) -> str:
    done = helpers.run_cli("doctor", cwd=machine.repo, env=machine.env())
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_server_that_somebody_else_wrote_is_not_started(machine: Machine) -> None:
    machine.program("skillrun", REAL)
    machine.run("install", "claude")
    settings = machine.repo / ".mcp.json"
    settings.write_text(settings.read_text().replace('"mcp"', '"mcp", "--mine"'))
    assert "its MCP server" not in machine.run("doctor")


@pytest.mark.parametrize("agent", ("claude", "copilot", "opencode"))
def test_in_a_home_folder_no_path_is_needed(agent: str, machine: Machine) -> None:
    """An agent that was started from a menu, say, has no environment that was activated."""
    machine.run("install", agent, "--user")
    text = machine.run("doctor")
    words = {"opencode": 1}.get(agent, 2)
    assert text.count(f" answers: {own_program()} hook {agent} ") == words or agent == "copilot"
    assert text.count("hook ") >= words
    assert "does not answer" not in text


def test_a_program_that_is_gone_since_is_a_problem(machine: Machine) -> None:
    machine.run("install", "claude", "--user")
    settings = machine.home / ".claude/settings.json"
    settings.write_text(settings.read_text().replace(own_program(), "/opt/gone/bin/skillrun"))
    checks = machine.checks("Claude Code", code=1)
    assert levels(checks, "starts /opt/gone/bin/skillrun, which is not there") == ["problem"] * 2
    other = machine.program("skillrun", "#!/bin/sh\n: > ran\n")
    settings.write_text(settings.read_text().replace("/opt/gone/bin/skillrun", str(other)))
    checks = machine.checks("Claude Code")
    assert levels(checks, "starts another skillrun") == ["note"] * 2
    assert not (machine.repo / "ran").exists()


def test_a_command_of_an_active_environment_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is started without that environment finds no skillrun."""
    monkeypatch.setenv("PATH", str(Path(own_program()).parent))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    found = _check_command()
    assert found.level == "note"
    assert "skillrun install AGENT --user" in (found.do or "")
    monkeypatch.delenv("VIRTUAL_ENV")
    assert _check_command().level == "ok"


def test_an_mcp_server_whose_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillrun.agents.doctor import agents
    from skillrun.agents.registry import load_agent

    monkeypatch.setattr(agents.importlib.util, "find_spec", lambda name: None)
    found = agents._check_mcp(load_agent("claude"), tmp_path, "skillrun")
    assert found.level == "problem"
    assert "pip install 'mcp" in (found.do or "")


def test_the_remedy_for_missing_namespaces_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = next_best("[Errno 28] No space left on device")
    monkeypatch.setattr("skillrun.proof.sandbox.sandbox.machine_walls", lambda: walls)
    checks = list(_check_sandbox())
    assert len(checks) == len(walls.missing) + 1
    assert [check.do for check in checks if check.do] == [
        "raise it: sysctl user.max_user_namespaces=15000"
    ]
    assert not [check for check in checks if "Errno" in check.text]
    assert explain_refusal("no answer").why == "no answer"
