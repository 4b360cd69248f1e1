"""The template for GitLab: as its published schema has it, with a source that stays the same, and
its script as a runner would run it.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import helpers
import jsonschema
import pytest
import yaml

TEXT = (helpers.ROOT / "templates" / "skillrun.yml").read_text(encoding="utf-8")
HEAD, PIPELINE = yaml.safe_load_all(TEXT)
INPUTS: dict[str, dict[str, Any]] = HEAD["spec"]["inputs"]
JOB: dict[str, Any] = PIPELINE["skillrun"]
SOURCE = f"git+https://git.example.org/tools/skillrun.git@{'0a' * 20}"
# A Python that makes an environment of nothing but words that are written down.
RECORDS = """#!/usr/bin/env bash
printf '%s\\n' "$0 $*" >>"$RECORD"
if [ "$3" = venv ]; then
    mkdir -p "$4/bin"
    cp "$0" "$4/bin/python"
    cp "$0" "$4/bin/skillrun"
fi
"""


def test_it_satisfies_the_published_schema() -> None:
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas")
    schema = schemas.get_builtin_schema("vendor.gitlab-ci")
    whole = {**PIPELINE, "spec": HEAD["spec"]}
    assert list(jsonschema.Draft7Validator(schema).iter_errors(whole)) == []
    broken = {"skillrun": {**JOB, "scripts": [], "script": 1}}
    assert list(jsonschema.Draft7Validator(schema).iter_errors(broken)) != []


def test_a_pipeline_without_a_source_is_refused_by_gitlab() -> None:
    """An input without a default has to be given, and the pattern decides what passes."""
    assert "default" not in INPUTS["source"]
    pattern = re.compile(INPUTS["source"]["regex"])
    assert pattern.search(SOURCE)
    for given in (
        "skillrun-cli",
        SOURCE.replace("0a" * 20, "main"),
        SOURCE.replace("https", "http"),
        SOURCE.replace("https://", "https://user:word@"),
        f"{SOURCE}; curl x",
        f"{SOURCE} --index-url https://x.example.org",
    ):
        assert not pattern.search(given), given
    install = re.compile(INPUTS["install"]["regex"])
    assert install.search("ci/install.sh")
    assert install.search("")
    assert not install.search("x; touch pwned")


def test_no_input_is_part_of_a_commands_text() -> None:
    assert "$[[" not in json.dumps(JOB["script"])


def test_its_script_installs_and_verifies(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(RECORDS)
    (tmp_path / "bin" / "python3").chmod(0o755)
    (tmp_path / "install.sh").write_text('echo installed >>"$RECORD"\n')
    record = tmp_path / "record"
    env = helpers.clean_env(tmp_path / "home")
    env |= {"PATH": f"{tmp_path / 'bin'}:{env['PATH']}", "RECORD": str(record)}
    env |= {"CI_BUILDS_DIR": str(tmp_path / "builds"), "SKILLRUN_SOURCE": SOURCE}
    script = "\n".join(JOB["script"])
    for install in ("", "install.sh"):
        whole = env | {"SKILLRUN_INSTALL": install}
        command = ["sh", "-ec", script]
        done = subprocess.run(command, cwd=tmp_path, env=whole, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    said = record.read_text().replace(str(tmp_path), "").splitlines()
    assert said[:3] == [
        "/bin/python3 -I -m venv /builds/skillrun",
        f"/builds/skillrun/bin/python -I -m pip install --quiet {SOURCE}",
        "/builds/skillrun/bin/skillrun verify --ci --format junit --output skillrun.junit.xml"
        " --format json --output skillrun.json --format markdown --output skillrun.md",
    ]
    assert said[3] == "installed"
