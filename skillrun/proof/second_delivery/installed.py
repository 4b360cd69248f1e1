"""Installed packages in a scratch copy: linked, since they are large."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# What lies in a working tree, is ignored by git, and is needed to run.
_RUBYS = ("vendor/bundle", ".bundle")
_NODES = "node_modules"
_MANIFESTS = ("package.json", "Gemfile")
# Of node_modules' own folders; the others (`.cache`, `.vite`) are written to by what runs.
_KEPT_HIDDEN = (".bin", ".pnpm", ".store", ".modules.yaml", ".package-lock.json")


def link_installed(root: Path, files: Iterable[str], repo: Path) -> None:
    """Links the installed packages of each folder with a manifest into the copy. A package of the
    repository's own workspace is the copy's, and not the one that nothing was broken in.
    """
    folders = {""}
    for path in files:
        folder, _, name = path.rpartition("/")
        if name in _MANIFESTS:
            folders.add(folder)
    for folder in sorted(folders):
        for name in _RUBYS:
            _link(root / folder / name, repo / folder / name)
        if (root / folder / _NODES).is_dir():
            _link_packages(root, root / folder / _NODES, repo, repo / folder / _NODES)


def _link_packages(root: Path, source: Path, repo: Path, target: Path) -> None:
    """A folder of its own with a link for each package: what is written beside them stays here."""
    with suppress(OSError):
        target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        name = entry.name
        if name.startswith(".") and name not in _KEPT_HIDDEN:
            continue
        # `@shop` holds packages: `@shop/mailer`
        if name.startswith("@") and entry.is_dir() and not entry.is_symlink():
            _link_packages(root, entry, repo, target / name)
            continue
        own = _find_own(root, entry)
        if own is None:
            _link(entry, target / name)
        else:
            _link_to(repo / own, target / name)


def _find_own(root: Path, entry: Path) -> Path | None:
    """The place in the repository of a package that is a link to its own code; else None."""
    with suppress(OSError, ValueError):
        place = entry.resolve().relative_to(root.resolve())
        if _NODES not in place.parts:
            return place
    return None


def _link(source: Path, target: Path) -> None:
    if source.exists():
        _link_to(source.resolve(), target)


def _link_to(place: Path, target: Path) -> None:
    if os.path.lexists(target):
        return
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(place)
