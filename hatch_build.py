"""What a build asks for: the version of a release is its tag (`v0.2.0`), and is written into what is installed.

A commit without a tag has the number that `skillrun/__init__.py` gives; an sdist has the one that it was made with.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent


def find_version(root: Path = ROOT) -> str:
    """The version of what is built in that folder."""
    return read_sdist(root) or read_tag(root) or read_package(root)


def read_sdist(root: Path) -> str | None:
    """The version that an sdist carries; None in a checkout."""
    file = root / "PKG-INFO"
    if not file.is_file():
        return None
    found = re.search(r"^Version: (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return found and found[1]


def read_tag(root: Path) -> str | None:
    """The number of the tag at HEAD, `0.2.0` of `v0.2.0`; None without one, without git and in
    a folder of somebody else's repository.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "describe", "--tags", "--exact-match", "--match", "v[0-9]*", "HEAD"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        return None
    return done.stdout.strip().removeprefix("v")


def read_package(root: Path) -> str:
    """The number that the package gives itself."""
    text = (root / "skillrun" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^ *__version__ = "([^"]+)"$', text, re.MULTILINE)
    assert found is not None, "skillrun/__init__.py has no __version__"
    return found[1]


class VersionHook(BuildHookInterface):
    """Puts `skillrun/_version.py` into a wheel; a checkout stays as it is."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self.folder = Path(tempfile.mkdtemp(prefix="skillrun-version-"))
        file = self.folder / "_version.py"
        number = self.metadata.version
        file.write_text(
            f'"""Written by the build."""\n\n__version__ = "{number}"\n', encoding="utf-8"
        )
        build_data["force_include"][str(file)] = "skillrun/_version.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self.folder, ignore_errors=True)
