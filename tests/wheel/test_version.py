"""The version of a release is its tag; a checkout without tags and an sdist have theirs, too."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import helpers
import pytest

PACKAGE = '__version__ = "0.1.0"\n'


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", helpers.ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tag(folder: Path, name: str) -> None:
    subprocess.run(["git", "tag", name], cwd=folder, check=True)


def test_a_release_is_its_tag(build: ModuleType, tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"skillrun/__init__.py": PACKAGE})
    tag(repo, "elsewhere")
    assert build.find_version(repo) == "0.1.0"
    tag(repo, "v0.2.0")
    assert build.find_version(repo) == "0.2.0"


def test_what_is_no_release_has_no_releases_number(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"skillrun/__init__.py": PACKAGE})
    other = helpers.build_tree(tmp_path / "other", {"skillrun/__init__.py": PACKAGE})
    tag(repo, "v0.2.1-internal")
    assert build.find_version(repo) == "0.1.0"
    tag(repo, "v0.2.1rc1")
    tag(other, "v9.0.0")
    # A hook of git's, in another repository.
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert build.find_version(repo) == "0.2.1rc1"
    (repo / "skillrun" / "__init__.py").write_text(PACKAGE + "# mine\n")
    assert build.find_version(repo) == "0.2.1rc1+dirty"
    monkeypatch.delenv("GIT_DIR")
    tag(repo, "v0.2.1")
    assert build.find_version(repo) == "0.2.1+dirty"


def test_an_sdist_keeps_its_version_in_somebody_elses_repository(
    build: ModuleType, tmp_path: Path
) -> None:
    files = {
        "vendor/skillrun/__init__.py": PACKAGE,
        "vendor/PKG-INFO": "Name: skillrun-cli\nVersion: 0.3.0\n",
    }
    repo = helpers.build_tree(tmp_path / "repo", files)
    tag(repo, "v9.0.0")
    assert build.find_version(repo / "vendor") == "0.3.0"
    (repo / "vendor" / "PKG-INFO").unlink()
    assert build.find_version(repo / "vendor") == "0.1.0"


@pytest.mark.real
def test_a_tagged_checkout_builds_wheel_and_sdist_of_that_version(tmp_path: Path) -> None:
    """And the wheel that is built from the sdist has it, too."""
    files = {"README.md": "# skillrun\n", "LICENSE": "MIT\n"}
    for name in ("pyproject.toml", "hatch_build.py", "skillrun/__init__.py"):
        files[name] = (helpers.ROOT / name).read_text(encoding="utf-8")
    for folder in ("schemas", "skills", "ledger"):
        files[f"{folder}/data.txt"] = folder
    repo = helpers.build_tree(tmp_path / "repo", files)
    tag(repo, "v0.2.0")
    built = tmp_path / "built"
    run_hatchling(repo, built, "sdist")
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.name == "skillrun_cli-0.2.0.tar.gz"
    shutil.unpack_archive(sdist, tmp_path)
    for source in (repo, tmp_path / "skillrun_cli-0.2.0"):
        run_hatchling(source, built / source.name, "wheel")
        (wheel,) = (built / source.name).glob("skillrun_cli-0.2.0-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            assert '"0.2.0"' in archive.read("skillrun/_version.py").decode()


def run_hatchling(source: Path, target: Path, kind: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", target, "-t", kind]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
