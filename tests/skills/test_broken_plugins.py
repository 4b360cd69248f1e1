"""A plug-in that cannot be used is one line and exit code 4; what a repository holds is no
plug-in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from plugged_environment import HERE, Environment
from rows import real_but

MakeRepo = Callable[..., Path]

TEXT = (HERE / "changelog_entry" / "changelog_entry" / "SKILL.md").read_text("utf-8")
NAME = "changelog-entry"
COPY = {f".agents/skills/{NAME}/SKILL.md": TEXT}
HEAD = "from skillrun.runner.case import Case\nfrom skillrun.runner.coded import CodedSkill\n"
WRONG = "skillrun: the plug-in broken-skill 0.1 for the skill changelog-entry cannot be used: "

BROKEN = {
    "no module": ("nowhere:SKILL", "", "nowhere:SKILL fails: ModuleNotFoundError"),
    "an import error": ("plugged:SKILL", "import nowhere\n", "ModuleNotFoundError: No module"),
    "a syntax error": ("plugged:SKILL", "def (\n", "SyntaxError"),
    "an exit": ("plugged:SKILL", "raise SystemExit(0)\n", "SystemExit: 0"),
    "no such name": ("plugged:SKILL", "", "has no attribute 'SKILL'"),
    "another type": ("plugged:SKILL", "SKILL = {}\n", "plugged:SKILL is a dict, not a CodedSkill"),
    "another name": (
        "plugged:SKILL",
        f"{HEAD}SKILL = CodedSkill('other', lambda skill: (), Case)\n",
        "plugged:SKILL calls itself other",
    ),
    "stages that raise": (
        "plugged:SKILL",
        f"{HEAD}SKILL = CodedSkill('changelog-entry', lambda skill: 1 / 0, Case)\n",
        "stages fails: ZeroDivisionError: division by zero",
    ),
    "no stages": (
        "plugged:SKILL",
        f"{HEAD}SKILL = CodedSkill('changelog-entry', lambda skill: (), Case)\n",
        "it has no stages",
    ),
    "a stage that is none": (
        "plugged:SKILL",
        f"{HEAD}SKILL = CodedSkill('changelog-entry', lambda skill: ['a'], Case)\n",
        "'a' is no stage: it has no ID, TITLE, ANSWERS, READS, COSTLY, examine",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(BROKEN, "an exit", "no stages"))
def test_one_clear_line(name: str, bare: Environment, make_repo: MakeRepo) -> None:
    value, code, words = BROKEN[name]
    repo = make_repo(COPY)
    bare.register(NAME, value, code)
    out, said = bare.run(repo, NAME, code=4)
    assert out == ""
    first, hint = said.splitlines()
    assert first.startswith(WRONG)
    assert words in first
    assert hint == "  do: mend it, or: pip uninstall broken-skill"
    assert not (repo / ".skillrun" / "ledger.db").exists()


STAGE = """
class Stage:
    ID, TITLE, ANSWERS, READS, COSTLY = "changelog", "Changelog", wording("find"), (), False

    def examine(self, case):
        return FOUND

SKILL = CodedSkill("changelog-entry", lambda skill: (Stage(),), OPEN, measure=MEASURE, MORE)
"""
PASSED = "StageResult(Status.PASSED, None)"
FAILING = {
    "a stage": ({"FOUND": "1 / 0"}, "its stage changelog fails: ZeroDivisionError"),
    "a result": ({"FOUND": "None"}, "its stage changelog gave a NoneType, not a StageResult"),
    "the case": ({"OPEN": "lambda *given: 1 / 0"}, "open_case fails: ZeroDivisionError"),
    "telemetry": ({"MEASURE": "lambda seen: 1 / 0"}, "measure fails: ZeroDivisionError"),
    "settings": (
        {"MORE": "spec=SpecFormat(None, from_settings=lambda given: 1 / 0)"},
        "spec.from_settings fails: ZeroDivisionError",
    ),
    "what is attested": (
        {"MORE": "list_attestable=lambda case: 1 / 0"},
        "list_attestable fails: ZeroDivisionError",
    ),
    "the prover": ({"MORE": "prover=lambda: 1 / 0"}, "prover fails: ZeroDivisionError"),
}
USUAL = {"FOUND": PASSED, "OPEN": "Case", "MEASURE": "lambda seen: {}", "MORE": "checks=()"}


@pytest.mark.parametrize("name", real_but(FAILING, "a stage"))
def test_what_fails_in_a_run_is_said_of_the_plugin(
    name: str, bare: Environment, make_repo: MakeRepo
) -> None:
    changes, words = FAILING[name]
    code = f"{HEAD}from skillrun.runner.coded import SpecFormat, wording\n"
    code += f"from skillrun.core.verdict import StageResult, Status\n{STAGE}"
    for part, usual in USUAL.items():
        code = code.replace(part, changes.get(part, usual))
    bare.register(NAME, "plugged:SKILL", code)
    given = ("--set", "version=1.2") if name == "settings" else ()
    _, said = bare.run(make_repo(COPY), NAME, *given, code=4)
    assert said.startswith(f"{WRONG}{words}")
    assert "Traceback" not in said


@pytest.mark.real
def test_two_of_one_name_and_one_of_the_bundled_name(
    bare: Environment, make_repo: MakeRepo
) -> None:
    repo = make_repo(COPY)
    for distribution in ("first-skill", "second-skill"):
        bare.register(NAME, "plugged:SKILL", "SKILL = 1\n", distribution)
    _, said = bare.run(repo, NAME, code=4)
    assert said.splitlines()[0] == (
        "skillrun: changelog-entry: several plug-ins bring this skill:"
        " first-skill 0.1 and second-skill 0.1"
    )
    bare.register("job-worker-orchestration", "plugged:SKILL", "SKILL = 1\n", "third-skill")
    _, said = bare.run(repo, "job-worker-orchestration", code=4)
    assert "bring this skill: skillrun-cli and third-skill 0.1\n" in said


@pytest.mark.real
def test_a_broken_one_leaves_the_others_alone(bare: Environment, make_repo: MakeRepo) -> None:
    repo = make_repo({"README.md": "A shop.\n"})
    bare.register(NAME, "plugged:SKILL", "raise SystemExit(1)\n")
    assert bare.report(repo, "job-worker-orchestration", code=3)["outcome"] == "blocked"
    bare.run(repo, "list", code=0)


@pytest.mark.real
def test_what_lies_in_a_repository_registers_nothing(
    bare: Environment, make_repo: MakeRepo
) -> None:
    """Neither the metadata in the current folder, which `python -m` puts on the path, nor that on
    PYTHONPATH: the skill has no code, and its steps are attested.
    """
    ran = "import pathlib; pathlib.Path('ran').touch()\n"
    metadata = {
        "changelog.dist-info/METADATA": "Metadata-Version: 2.1\nName: changelog\nVersion: 1\n",
        "changelog.dist-info/entry_points.txt": f"[skillrun.skills]\n{NAME} = plugged:SKILL\n",
        "plugged.py": ran,
    }
    below = {f"src/{path}": text for path, text in metadata.items()}
    repo = make_repo({**COPY, **metadata, **below})
    env_path = f"{repo}:{repo / 'src'}"
    out, _ = bare.run(repo, NAME, "--json", code=3, path=env_path)
    stages = [stage["id"] for stage in json.loads(out)["stages"]]
    assert stages == ["inputs", "find-the-changelog", "write-an-entry-for-the-version"]
    assert not (repo / "ran").exists()


@pytest.mark.real
def test_a_module_of_the_repository_does_not_stand_before_the_plugins(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    ran = "import pathlib; pathlib.Path('ran').touch()\n"
    files = {"changelog_entry/__init__.py": ran, "changelog_entry/skill.py": ran}
    repo = make_repo({**files, "CHANGELOG.md": "## 1.2\n- It runs.\n"})
    report = with_changelog_entry.report(repo, NAME, "--set", "version=1.2", code=0)
    assert report["outcome"] == "success"
    assert not (repo / "ran").exists()


@pytest.mark.real
def test_code_without_its_text_is_said_by_list_and_run(
    bare: Environment, make_repo: MakeRepo
) -> None:
    """A build backend that takes modules alone along left the SKILL.md behind."""
    repo = make_repo({"README.md": "A shop.\n"})
    bare.register(NAME, "plugged:SKILL", "")
    listed = bare.run(repo, "list", code=0)[0]
    assert "there is no SKILL.md in its package" in listed
    out, said = bare.run(repo, NAME, code=4)
    assert said.startswith(f"skillrun: {NAME} is installed without its text: ")
    assert out == ""
    helpers.write_files(repo, COPY)
    assert "no SKILL.md in its package" not in bare.run(repo, "list", code=0)[0]
