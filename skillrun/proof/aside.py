"""The databases of the repository, seen from outside of a proof: files in the scratch folder stand
in for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillrun.repo.git import run_git

_PROBE = Path(__file__).parent.parent / "probe" / "aside.py"
_ENDINGS = ("*.db", "*.db3", "*.sqlite", "*.sqlite3")

_HOOK = """import importlib.util as _util

_spec = _util.spec_from_file_location("_skillrun_aside", {path!r})
_aside = _util.module_from_spec(_spec)
_spec.loader.exec_module(_aside)
_aside.install_aside(_aside.Aside({root!r}, {scratch!r}, {free!r}, {kept!r}))
"""


def committed(root: Path) -> list[str]:
    """The SQLite files that git keeps: reference data, which a handler may need."""
    done = run_git(root, "ls-files", "-z", "--", *_ENDINGS)
    return [
        name for name in os.fsdecode(done.stdout).split("\0") if name and (root / name).is_file()
    ]


def hook(folder: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which every Python process opens the stand-ins. `config`: what the zygote
    is told.
    """
    folder.mkdir(exist_ok=True)
    text = _HOOK.format(
        path=str(_PROBE), **{name: config[name] for name in ("root", "scratch", "free", "kept")}
    )
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    paths = os.pathsep.join(filter(None, (str(folder), env.get("PYTHONPATH"))))
    return {**env, "PYTHONPATH": paths}


def standing(scratch: Path, name: str) -> Path:
    """The file of `proof.database`; of one that stands in for another the last part of the path is
    enough.
    """
    here = scratch / name
    if here.exists():
        return here
    found = [
        path
        for path in scratch.rglob(here.name)
        if path.is_file() and str(path).endswith(f"/{name}")
    ]
    if len(found) == 1:
        return found[0]
    return here
