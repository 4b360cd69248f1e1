"""What a build asks for: the version of a release is its tag (`v0.2.0`), and is written into what is installed.

A commit without a tag has the number that `skillrun/__init__.py` gives; an sdist has the one that it was made with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
# Versions that every installer takes; another tag, `v0.2.1-internal`, is no release.
_RELEASE = re.compile(r"v\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


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
    a folder of somebody else's repository. `0.2.0+dirty` where tracked files are changed.
    """
    if not (root / ".git").exists():
        return None
    tags = ask_git(root, "tag", "--points-at", "HEAD", "--sort=-version:refname") or ""
    releases = [tag.removeprefix("v") for tag in tags.split() if _RELEASE.fullmatch(tag)]
    if not releases:
        return None
    is_dirty = ask_git(root, "status", "--porcelain", "--untracked-files=no")
    return max(releases, key=_is_final) + ("+dirty" if is_dirty else "")


def _is_final(number: str) -> bool:
    """Whether a release is no candidate of one."""
    return number.replace(".", "").isdigit()


def ask_git(root: Path, *words: str) -> str | None:
    """What git says of that folder, whoever owns it; None without git, and where it fails."""
    git = shutil.which("git")
    if git is None:
        return None
    # A hook of git's that installs has GIT_DIR of another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = [git, "-c", "safe.directory=*", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=env)
    return None if done.returncode else done.stdout.strip()


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
