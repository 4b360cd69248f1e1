"""The files of a repository as they are, for queries that compare them with what runs saw."""

from __future__ import annotations

from pathlib import Path

from skillrun.core.canonical import canonical
from skillrun.core.errors import SkillrunError
from skillrun.ledger.store import Ledger
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.runner.target import own_files, repo_name


def query_params(repo_path: Path, ledger: Path, wanted: str | None = None) -> dict[str, str]:
    """The parameters `repo` and `tree` of a named query: JSON {path: sha256}, and under "*" the
    digest of all files.

    Empty where there is no repository, another one is `wanted`, or the ledger knows no run of it.
    """
    name = known_repo(repo_path, ledger)
    if name is None or wanted not in (None, "", name):
        return {}
    repo = open_repo(repo_path)
    tree = Tree(repo.root, without=own_files(repo, ledger))
    shas = {path: tree.sha256(path) or "" for path in tree.files}
    odd = {_as_stored(path): sha for path, sha in shas.items()}
    return {
        "repo": name,
        "tree": canonical({**shas, **odd, "*": tree.hash_everything()}).decode("utf-8"),
    }


def known_repo(repo_path: Path, ledger: Path) -> str | None:
    """The name of the repository that this folder is in; None where there is none, or the ledger
    knows no run of it.
    """
    try:
        name = repo_name(open_repo(repo_path))
    except SkillrunError:
        return None
    with Ledger.open(ledger, read_only=True) as opened:
        if not opened.runs(repo=name, limit=1):
            return None
        return name


def _as_stored(path: str) -> str:
    """A name that is not UTF-8 as the column of the ledger has it; JSON columns have it as Python
    does.
    """
    return path.encode("utf-8", "backslashreplace").decode()
