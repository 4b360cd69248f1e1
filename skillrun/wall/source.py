"""Where a pipeline installs skillrun from: something that stays the same, and never a name of the
package index.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from skillrun.core.errors import Misuse
from skillrun.core.text import visible

_DISTRIBUTION = "skillrun-cli"
_ADDRESS = r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/[A-Za-z0-9._~/-]+"
# A branch or a tag can be moved by whoever may push there; a commit's id and a digest name what was
# looked at.
_COMMIT = re.compile(rf"git\+{_ADDRESS}@[0-9a-f]{{40}}")
_ARCHIVE = re.compile(rf"{_ADDRESS}#sha256=[0-9a-f]{{64}}")
# Nothing that a shell or YAML would read as more than a word.
_PLACE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._+/-]*")
_ARCHIVES = (".whl", ".tar.gz")
HINT = (
    "--source git+https://HOST/PATH@COMMIT (all 40 digits), an https archive with #sha256=DIGEST,"
    " or a path in here"
)


def read_source(given: str, root: Path) -> str:
    """What pip is told to install. A path lies in the repository, and is written with a leading
    `./`.

    Raises Misuse for anything that could be something else tomorrow.
    """
    if _COMMIT.fullmatch(given) or _ARCHIVE.fullmatch(given):
        return given
    name = given.removeprefix("./")
    if _PLACE.fullmatch(name) and _is_installable(root, name):
        return f"./{name}"
    raise Misuse(f"--source {visible(given, 200)}: no pinned source of skillrun", hint=HINT)


def _is_installable(root: Path, name: str) -> bool:
    """A folder with a pyproject.toml or an archive that pip installs, inside the repository."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        return False
    if path.is_dir():
        return (path / "pyproject.toml").is_file()
    return name.endswith(_ARCHIVES) and path.is_file()


def installed_source() -> str | None:
    """Where this skillrun was installed from, if that is a commit of a repository which others can
    reach.
    """
    try:
        text = distribution(_DISTRIBUTION).read_text("direct_url.json")
        return _pin(json.loads(text or "{}"))
    except (PackageNotFoundError, OSError, ValueError):
        return None


def _pin(record: Any) -> str | None:
    """PEP 610's record of an installation, as a source. None where it names no commit, or a part of
    a repository.
    """
    if not isinstance(record, dict) or "subdirectory" in record:
        return None
    version = record.get("vcs_info")
    if not isinstance(version, dict) or version.get("vcs") != "git":
        return None
    pinned = f"git+{record.get('url')}@{version.get('commit_id')}"
    return pinned if _COMMIT.fullmatch(pinned) else None
