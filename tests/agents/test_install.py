"""An install merges into what is there, says what it did, and can be taken back to the last
byte.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import helpers
import pytest
from rows import real_but

from skillrun.agents.install.plan import SKILLS, list_additions, plan_install, plan_uninstall
from skillrun.agents.install.program import own_program
from skillrun.agents.install.tomltext import append_table, take_back
from skillrun.agents.registry import AGENTS, load_agent
from skillrun.core.files import Change, write

FOREIGN_JSON = """{
    "mine" : [1,2,  3],
    "hooks": {"Stop": [ {"hooks":[{"type":"command","command":"mine"}]} ], "agentStop": [],
              "BeforeTool": [{"hooks": []}], "stop":[{"command":"mine"}]},
    "mcpServers": { "other": {"command":"x", "args":[]} },
    "mcp": {}, "skillrun-like": "\\u00e4"
}"""
# Somebody edited the record: what stood between brackets is no text any more.
BLANK_IS_A_NUMBER = json.dumps(
    {
        "schema_version": 1,
        "entries": [
            {
                "path": ".codex/hooks.json",
                "how": "element",
                "keys": ["hooks", "Stop"],
                "value": {},
                "agents": ["codex"],
                "blank": 1,
            }
        ],
        "created": [],
        "folders": [],
    }
)
FOREIGN_TOML = '# mine\nmodel = "x" # and this\n\n[mcp_servers.other]\ncommand="y"'


def run(*args: str, repo: Path, code: int = 0, **options: Any) -> str:
    done = helpers.run_cli(*args, cwd=repo, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file's bytes, every link's target, every folder; git's own folder left out."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif name.split("/")[0] != ".git":
            found[name] = path.read_bytes() if path.is_file() else "folder"
    return found


def own_files(agent: str) -> list[str]:
    return list(dict.fromkeys(one.path for one in load_agent(agent).PROJECT))


def foreign(agent: str) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {"README.md": "shop\n"}
    for path in own_files(agent):
        if path.endswith((".json", ".toml")):
            files[path] = (FOREIGN_TOML if path.endswith(".toml") else FOREIGN_JSON).encode()
    return files


@pytest.mark.real
@pytest.mark.parametrize("agent", real_but(AGENTS, "claude", "codex"))
def test_into_an_empty_repository_and_back(agent: str, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    before = tree(repo)
    said = run("install", agent, repo=repo)
    for name in (
        *own_files(agent),
        *(f"{at}/{skill}/SKILL.md" for at in load_agent(agent).SKILLS for skill in SKILLS),
    ):
        assert (repo / name).is_file(), name
        assert f"created    {name}" in said
    for line in load_agent(agent).NEXT:
        assert line in said
    after = tree(repo)
    assert (
        str(tmp_path)
        not in b"".join(data for data in after.values() if isinstance(data, bytes)).decode()
    )
    assert "nothing was changed" in run("install", agent, repo=repo)
    assert tree(repo) == after
    run("uninstall", agent, repo=repo)
    assert tree(repo) == before


@pytest.mark.parametrize("agent", AGENTS)
def test_foreign_content_stays_byte_for_byte(agent: str, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", foreign(agent))
    before = tree(repo)
    shown = run("install", agent, "--dry-run", repo=repo)
    assert tree(repo) == before
    assert "\n+" in shown
    run("install", agent, repo=repo)
    for name, data in foreign(agent).items():
        check_only_added(
            name, data if isinstance(data, bytes) else data.encode(), (repo / name).read_bytes()
        )
    run("uninstall", agent, repo=repo)
    assert tree(repo) == before


def check_only_added(name: str, before: bytes, after: bytes) -> None:
    rest = iter(after)
    assert all(byte in rest for byte in before), name
    if name.endswith(".json"):
        assert contains(json.loads(after), json.loads(before)), name
        assert after != before
    if name.endswith(".toml"):
        assert after.startswith(before)
        assert tomllib.loads(after.decode())["mcp_servers"] == {
            "other": {"command": "y"},
            "skillrun": {"command": "skillrun", "args": ["mcp"]},
        }


def contains(larger: Any, smaller: Any) -> bool:
    if isinstance(smaller, dict):
        return all(key in larger and contains(larger[key], value) for key, value in smaller.items())
    if isinstance(smaller, list):
        return all(contains(large, small) for large, small in zip(larger, smaller, strict=False))
    return bool(larger == smaller)


def test_the_diff_of_a_dry_run(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {".mcp.json": b'{\n  "mcpServers": {}\n}\n'})
    shown = run("install", "agents", "--dry-run", repo=repo)
    assert (
        '--- a/.mcp.json\n+++ b/.mcp.json\n@@ -1,3 +1,10 @@\n {\n-  "mcpServers": {}\n+ '
        ' "mcpServers": {\n' in shown
    )
    assert "--- /dev/null\n+++ b/.agents/skills/skillrun/SKILL.md" in shown
    assert "nothing would change" in run("uninstall", "agents", "--dry-run", repo=repo)


def test_comments_in_settings_stay(tmp_path: Path) -> None:
    text = '{\n  // ours alone\n  "permissions": {} /* none */\n}\n'
    repo = helpers.build_tree(tmp_path / "repo", {".claude/settings.json": text})
    run("install", "claude", repo=repo)
    written = (repo / ".claude/settings.json").read_text()
    assert "// ours alone" in written
    assert "/* none */" in written
    assert "skillrun hook claude stop" in written
    run("uninstall", "claude", repo=repo)
    assert (repo / ".claude/settings.json").read_text() == text


@pytest.mark.parametrize(
    ("agent", "name", "text", "says"),
    (
        ("claude", ".claude/settings.json", '{"a": 1,}', "line 1: not JSON"),
        ("claude", ".mcp.json", '{\n// mine\n"a": 1,\n}', "line 4: not JSON"),
        ("claude", ".mcp.json", '{"mcpServers": []}', "mcpServers is not an object"),
        ("cursor", ".cursor/hooks.json", '{"hooks": {"stop": {}}}', "no array"),
        ("codex", ".codex/config.toml", "model = \n", "not TOML"),
        ("codex", ".codex/config.toml", "mcp_servers = {}\n", "not TOML"),
        ("gemini", ".gemini/settings.json", b"\xff", "not UTF-8"),
        ("opencode", "opencode.json", b"\xef\xbb\xbf{}", "not JSON"),
        ("codex", ".skillrun/installed.json", "{}", "not as skillrun wrote it"),
        ("codex", ".skillrun/installed.json", BLANK_IS_A_NUMBER, "not as skillrun wrote it"),
        ("codex", ".skillrun/installed.json", BLANK_IS_A_NUMBER, "not as skillrun wrote it"),
    ),
    ids=str,
)
def test_a_file_that_cannot_be_merged_is_refused(
    agent: str, name: str, text: str | bytes, says: str, tmp_path: Path
) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {name: text})
    before = tree(repo)
    done = helpers.run_cli("install", agent, cwd=repo)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"skillrun: {name}: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert tree(repo) == before


@pytest.mark.parametrize(
    "link", (".claude", ".claude/skills", ".claude/settings.json", ".skillrun")
)
def test_a_link_out_of_the_repository_is_refused(link: str, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    (tmp_path / "outside").mkdir()
    (repo / link).parent.mkdir(exist_ok=True)
    (repo / link).symlink_to(tmp_path / "outside" / ("x.json" if link.endswith("json") else ""))
    before, outside = tree(repo), tree(tmp_path / "outside")
    assert "symbolic link leads out" in run("install", "claude", repo=repo, code=4)
    assert tree(repo) == before
    assert tree(tmp_path / "outside") == outside


def test_a_link_into_git_is_refused(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    (repo / ".mcp.json").symlink_to(".git/mcp.json")
    assert "nothing was written" in run("install", "agents", repo=repo, code=4)
    assert not (repo / ".git/mcp.json").exists()


def test_a_link_inside_the_repository_is_followed(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {".agents/skills/own/SKILL.md": "mine\n"})
    (repo / ".claude").mkdir()
    (repo / ".claude/skills").symlink_to("../.agents/skills")
    before = tree(repo)
    run("install", "claude", repo=repo)
    assert (repo / ".claude/skills").is_symlink()
    run("uninstall", "claude", repo=repo)
    assert tree(repo) == before


def test_a_file_where_a_folder_must_be_stops_everything(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {".codex": "a file\n"})
    before = tree(repo)
    assert "nothing was" in run("install", "codex", repo=repo, code=4)
    assert tree(repo) == before


def test_all_or_nothing(tmp_path: Path) -> None:
    """The second file is not as it was read: the first is put back, and the new folder is gone."""
    helpers.write_files(tmp_path, {"a.txt": "a\n", "b.txt": "somebody else\n"})
    before = tree(tmp_path)
    changes = [
        Change("a.txt", tmp_path / "a.txt", b"a\n", b"new\n"),
        Change("new/c.txt", tmp_path / "new/c.txt", None, b"c\n"),
        Change("b.txt", tmp_path / "b.txt", b"b\n", b"new\n"),
    ]
    with pytest.raises(Exception, match=r"b\.txt: somebody else has just changed it"):
        write(tmp_path, changes)
    assert tree(tmp_path) == before


@pytest.mark.real
def test_a_death_in_between_leaves_a_record_that_says_too_much(tmp_path: Path) -> None:
    """The record is the first to be written and the last to be changed when things are taken
    back.
    """
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    before = tree(repo)
    plan = plan_install(load_agent("claude"), repo, user=False)
    assert plan.changes[0].name == ".skillrun/installed.json"
    write(repo, plan.changes[:3])
    run("install", "claude", repo=repo)
    assert "nothing was changed" in run("install", "claude", repo=repo)
    plan = plan_uninstall(load_agent("claude"), repo)
    assert plan.changes[-1].name == ".skillrun/installed.json"
    write(repo, plan.changes[:3])
    run("uninstall", "claude", repo=repo)
    assert tree(repo) == before


def test_the_mode_of_a_file_stays(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {".mcp.json": "{}\n"})
    (repo / ".mcp.json").chmod(0o600)
    run("install", "agents", repo=repo)
    assert (repo / ".mcp.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.real
def test_what_two_agents_share_stays_for_the_other(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    before = tree(repo)
    run("install", "claude", repo=repo)
    run("install", "copilot", repo=repo)
    said = run("uninstall", "claude", repo=repo)
    assert "note: .mcp.json: stays for copilot" in said
    assert (
        json.loads((repo / ".mcp.json").read_text())["mcpServers"]["skillrun"]["command"]
        == "skillrun"
    )
    assert not (repo / ".claude").exists()
    run("uninstall", "copilot", repo=repo)
    assert tree(repo) == before


def test_what_somebody_has_edited_stays(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    run("install", "claude", repo=repo)
    settings, skill = repo / ".claude/settings.json", repo / ".agents/skills/skillrun/SKILL.md"
    settings.write_text(settings.read_text().replace('"timeout": 120', '"timeout": 300'))
    skill.write_text(skill.read_text() + "mine\n")
    edited = tree(repo)
    said = run("install", "claude", repo=repo)
    assert "note: .claude/settings.json: edited since skillrun wrote it: left as it is" in said
    assert tree(repo) == edited
    said = run("uninstall", "claude", repo=repo)
    assert "note: .claude/settings.json: edited" in said
    assert "note: .agents/skills/skillrun/SKILL.md: edited" in said
    hooks = json.loads(settings.read_text())["hooks"]
    assert list(hooks) == ["Stop"]
    assert hooks["Stop"][0]["hooks"][0]["timeout"] == 300
    assert skill.read_text().endswith("mine\n")
    assert not (repo / ".mcp.json").exists()


def test_a_server_that_somebody_has_edited_stays(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    run("install", "agents", repo=repo)
    mine = (repo / ".mcp.json").read_text().replace('"mcp"', '"mcp", "--mine"')
    (repo / ".mcp.json").write_text(mine)
    assert "note: .mcp.json: edited" in run("uninstall", "agents", repo=repo)
    assert (repo / ".mcp.json").read_text() == mine


def test_what_others_have_put_into_a_file_of_ours_stays_valid(tmp_path: Path) -> None:
    """Cursor refuses a hooks file without its version."""
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    run("install", "cursor", repo=repo)
    path = repo / ".cursor/hooks.json"
    hooks = json.loads(path.read_text())
    hooks["hooks"]["stop"].append({"command": "mine"})
    path.write_text(json.dumps(hooks))
    run("uninstall", "cursor", repo=repo)
    assert json.loads(path.read_text()) == {"version": 1, "hooks": {"stop": [{"command": "mine"}]}}


def test_a_table_stands_apart_from_what_is_before_it(tmp_path: Path) -> None:
    for text in ('model = "x"', 'model = "x"\n'):
        new, added = append_table(text, ("a", "b"), "c = 1\n")
        assert new == 'model = "x"\n\n[a.b]\nc = 1\n'
        assert take_back(new, ("a", "b"), added) == text
        assert take_back(new + "mine = 2\n", ("a", "b"), added) is None


def test_without_skillrun_the_hooks_of_copilot_let_pass(tmp_path: Path) -> None:
    """Copilot denies every tool call where its hook fails, for everybody who has cloned the
    repository.
    """
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    run("install", "copilot", repo=repo)
    hooks = json.loads((repo / ".github/hooks/skillrun.json").read_text())["hooks"]
    (tmp_path / "bin").mkdir()
    for command in (hooks["preToolUse"][0]["bash"], hooks["agentStop"][0]["bash"]):
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"PATH": str(tmp_path / "bin")}, capture_output=True
        )
        assert (done.returncode, done.stdout) == (0, b"")


def test_what_was_there_before_is_not_taken_away(tmp_path: Path) -> None:
    """The same server by hand, and a skill of that name with another text."""
    mine = '{"mcpServers": {"skillrun": {"command": "skillrun", "args": ["mcp"]}}}\n'
    files = {".mcp.json": mine, ".agents/skills/skillrun/SKILL.md": "mine\n"}
    repo = helpers.build_tree(tmp_path / "repo", files)
    before = tree(repo)
    assert "note: .agents/skills/skillrun/SKILL.md: something else" in run(
        "install", "agents", repo=repo
    )
    run("uninstall", "agents", repo=repo)
    assert tree(repo) == before


def test_an_older_version_of_a_skill_is_replaced(tmp_path: Path) -> None:
    """The record knows what was written: a file that is still that is of skillrun."""
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    before = tree(repo)
    run("install", "agents", repo=repo)
    now = tree(repo)
    skill, recorded = repo / ".agents/skills/skillrun/SKILL.md", repo / ".skillrun/installed.json"
    from skillrun.core.canonical import sha256

    newest = sha256(skill.read_bytes())
    skill.write_text("an older version\n")
    recorded.write_text(recorded.read_text().replace(newest, sha256(b"an older version\n")))
    assert "changed    .agents/skills/skillrun/SKILL.md" in run("install", "agents", repo=repo)
    assert tree(repo) == now
    run("uninstall", "agents", repo=repo)
    assert tree(repo) == before


def test_a_record_cannot_make_an_uninstall_reach_outside(tmp_path: Path) -> None:
    from skillrun.core.canonical import sha256

    helpers.write_files(tmp_path, {"outside.txt": "precious\n"})
    entry = {
        "path": "../outside.txt",
        "how": "file",
        "keys": [],
        "value": sha256(b"precious\n"),
        "agents": ["claude"],
    }
    record = {"schema_version": 1, "entries": [entry], "created": ["../outside.txt"], "folders": []}
    repo = helpers.build_tree(tmp_path / "repo", {".skillrun/installed.json": json.dumps(record)})
    run("uninstall", "claude", repo=repo, code=4)
    assert (tmp_path / "outside.txt").read_text() == "precious\n"


@pytest.mark.parametrize("agent", AGENTS)
def test_in_the_home_folder(agent: str, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    home = tmp_path / "somebody"
    helpers.write_files(home, {"notes.txt": "mine\n"})
    before, before_home = tree(repo), tree(home)
    env = {"HOME": str(home), "SKILLRUN_STATE_DIR": str(tmp_path / "state")}
    run("install", agent, "--user", repo=repo, env=env)
    assert tree(repo) == before
    for one in load_agent(agent).USER:
        text = (home / one.path).read_text()
        assert own_program() in text or one.how == "default"
        assert "command -v skillrun" not in text
    assert "nothing was changed" in run("install", agent, "--user", repo=repo, env=env)
    assert (home / ".agents/skills/skillrun/SKILL.md").is_file()
    run("uninstall", agent, "--user", repo=repo, env=env)
    assert tree(home) == before_home


@pytest.mark.parametrize("agent", real_but(AGENTS, "codex"))
def test_a_home_folder_that_named_the_program_on_path(
    agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions before wrote it; what nobody has edited since is replaced."""
    with monkeypatch.context() as before:
        before.setattr("skillrun.agents.install.plan.own_program", lambda: "skillrun")
        write(tmp_path, plan_install(load_agent(agent), tmp_path, user=True).changes)
    plan = plan_install(load_agent(agent), tmp_path, user=True)
    assert plan.notes == ()
    write(tmp_path, plan.changes)
    for one in load_agent(agent).USER:
        assert own_program() in (tmp_path / one.path).read_text() or one.how == "default"
    assert plan_install(load_agent(agent), tmp_path, user=True).changes == ()


def test_a_path_with_a_space_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my tools/skillrun"
    helpers.write_files(tmp_path, {"my tools/skillrun": b"#!/bin/sh\necho $*\n"})
    program.chmod(0o755)
    monkeypatch.setattr("skillrun.agents.install.plan.own_program", lambda: str(program))
    for one in list_additions(load_agent("copilot"), user=True):
        if one.how == "element":
            done = subprocess.run(
                ["/bin/sh", "-c", one.value["bash"]], capture_output=True, text=True
            )
            assert done.stdout.startswith("hook copilot ")
    plan = plan_install(load_agent("codex"), tmp_path, user=True)
    write(tmp_path, plan.changes)
    config = tomllib.loads((tmp_path / ".codex/config.toml").read_text())
    assert config["mcp_servers"]["skillrun"]["command"] == str(program)
    assert plan_install(load_agent("codex"), tmp_path, user=True).changes == ()


def test_misuse_and_no_repository(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "shop\n"})
    assert "emacs: no such agent" in run("install", "emacs", repo=repo, code=2)
    (tmp_path / "empty").mkdir()
    assert "no git repository here" in run("install", "claude", repo=tmp_path / "empty", code=4)
    assert "skillrun has installed nothing" in run("uninstall", "claude", repo=repo)
