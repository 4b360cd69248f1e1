"""A clean checkout of a commit in a temporary folder, with the interpreter of the original and
nothing else of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from skillrun.core.errors import Blocked, RepoUnusable, SkillrunError
from skillrun.core.opening import read_json, read_utf8
from skillrun.core.text import visible
from skillrun.repo.git import Repo, git_output, run_git
from skillrun.validations.environment import find_python
from skillrun.wall.commit import Contents, find_conversions, read_entries, write_entries
from skillrun.wall.strays import Strays
from skillrun.wall.surroundings import list_packages

# What a repository's commands need and git does not hold.
_INSTALLED = (".venv", "venv", "node_modules")
_WHOLE = ("-c", "core.sparseCheckout=false")


@dataclass(frozen=True)
class Checkout:
    """`root` is the clean checkout, `ledgers` a folder for ledgers that nobody has written to.

    `python_path` has its source folders where an editable install would lead to those of the
    original; `contents` and `strays` say whether it still is the commit; `variables` are those that
    its commands need, None takes one away; `notes` say in what it differs from a usual checkout.
    """

    root: Path
    ledgers: Path
    python_path: str | None
    contents: Contents
    strays: Strays
    variables: Mapping[str, str | None]
    notes: tuple[str, ...] = ()


@contextmanager
def clean_checkout(
    repo: Repo,
    commit: str,
    pythons: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Checkout]:
    """A checkout as `make_checkout` has it, whose variables are those of this process meanwhile.

    Of two at once each needs `environ`, as it was before either.
    """
    with (
        make_checkout(repo, commit, pythons, environ) as checkout,
        _changed_environment(checkout.variables),
    ):
        yield checkout


@contextmanager
def make_checkout(
    repo: Repo,
    commit: str,
    pythons: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Checkout]:
    """A linked worktree of the commit, and a state folder without consent or kept proofs; all gone
    afterwards. The environment of this process stays as it is.

    `pythons` are the interpreters that the specs name, relative to the repository; `environ` is the
    user's environment, None: this process's. Raises Blocked where there is no room, RepoUnusable
    where git makes no worktree.
    """
    environ = os.environ if environ is None else environ
    pythons = tuple(pythons)
    place = _new_folder()
    # Git names the worktree after its folder: so two at once never meet.
    root = place / f"{place.name}-repo"
    try:
        contents = _check_out(repo.root, root, commit)
        notes = tuple(find_conversions(repo.root, root, contents.entries))
        _link_installed(repo.root, root, pythons)
        (place / "ledgers").mkdir()
        # What the repository's commands leave in it goes, too.
        (place / "tmp").mkdir()
        python_path = _python_path(repo.root, root, environ.get("PYTHONPATH", ""))
        variables = {
            "SKILLRUN_STATE_DIR": str(place / "state"),
            "SKILLRUN_LEDGER": None,
            "PYTHONPATH": python_path,
            "TMPDIR": str(place / "tmp"),
        }
        strays = Strays(root, contents.entries, find_interpreter_folders(repo.root, pythons))
        yield Checkout(root, place / "ledgers", python_path, contents, strays, variables, notes)
    finally:
        _remove_worktree(repo.root, root, place)


def _check_out(original: Path, root: Path, commit: str) -> Contents:
    """A worktree whose files are those of the commit, byte for byte."""
    added = run_git(
        original, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(root), commit
    )
    if added.returncode:
        raise _explain_failure(original, added.stderr)
    # Git refuses paths here that lead out of a checkout. A sparse one would leave out what the
    # commit holds.
    git_output(root, *_WHOLE, "read-tree", commit)
    entries = read_entries(root, commit)
    write_entries(root, root, entries)
    # With what the files look like in the index, nobody's git has to read them again. 1: one would
    # be converted.
    run_git(root, *_WHOLE, "update-index", "-q", "--refresh")
    return Contents(root, commit, entries)


def _explain_failure(original: Path, stderr: bytes) -> SkillrunError:
    """Why git made no worktree."""
    if b"No space left on device" in stderr:
        said = f"{original}: the clean checkout cannot be written: the disk is full"
        return Blocked(
            said, hint="make room in its .git, and in the folder for temporary files (TMPDIR)"
        )
    if b"Read-only file system" in stderr or b"Permission denied" in stderr:
        said = f"{original}: the clean checkout cannot be made: its .git cannot be written"
        return Blocked(said, hint="make it writable, or verify in a clone")
    lines = stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    said = visible(lines[-1], 200).removeprefix("fatal: ")
    return RepoUnusable(
        f"{original}: git makes no worktree for a clean checkout: {said}",
        hint="run git status there",
    )


def _new_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="skillrun-verify-")).resolve()
    except OSError as error:
        said = f"no temporary folder can be made in {tempfile.gettempdir()}: {error.strerror}"
        raise Blocked(said, hint="make room there, or set TMPDIR to a folder with room") from error


def _remove_worktree(repo: Path, root: Path, place: Path) -> None:
    """Git first, so that its own note of the worktree goes too; once more where an interrupt left
    half of it.
    """
    if run_git(repo, "worktree", "remove", "--force", "--force", str(root)).returncode:
        shutil.rmtree(root, ignore_errors=True)
        run_git(repo, "worktree", "remove", "--force", "--force", str(root))
    shutil.rmtree(place, ignore_errors=True)


def find_environments(original: Path, pythons: tuple[str, ...]) -> dict[str, Path]:
    """Name -> folder of the environments in which code of the repository would run: those that are
    linked, and the one of an interpreter from elsewhere, also where that is the system's, as in a
    container.
    """
    found = _list_installed(original, pythons)
    for folder in find_interpreter_folders(original, pythons):
        is_environment = (folder / "pyvenv.cfg").is_file() or bool(list_packages(folder))
        if folder not in found.values() and is_environment:
            found[str(folder)] = folder
    return {name: folder.resolve() for name, folder in found.items()}


def find_interpreter_folders(original: Path, pythons: Iterable[str]) -> tuple[Path, ...]:
    """The environment of each interpreter that runs code of the repository, its spec's and its own,
    and the Python that a virtual environment was made from where it shows its packages.
    """
    folders = {}
    for python in (*pythons, find_python(original)):
        folder = (original / python).parent.parent
        folders[folder] = True
        base = _find_shown_base(folder)
        if base is not None:
            folders[base] = True
    return tuple(folders)


def _find_shown_base(environment: Path) -> Path | None:
    """As `python -m venv --system-site-packages` writes it down."""
    try:
        lines = read_utf8(environment / "pyvenv.cfg").splitlines()
    except (OSError, ValueError):
        return None
    told = {}
    for line in lines:
        name, _, value = line.partition("=")
        told[name.strip().lower()] = value.strip()
    if told.get("include-system-site-packages", "").lower() != "true" or not told.get("home"):
        return None
    return Path(told["home"]).parent


def _list_installed(original: Path, pythons: Iterable[str]) -> dict[str, Path]:
    """Name -> folder of what is linked."""
    named = {os.path.normpath(Path(python).parent.parent) for python in pythons}
    found = {}
    for name in sorted({*_INSTALLED, *named}):
        inside = not name.startswith((os.pardir, os.sep)) and name != os.curdir
        if inside and (original / name).is_dir():
            found[name] = original / name
    return found


def _link_installed(original: Path, root: Path, pythons: Iterable[str]) -> None:
    """Links to the environments of the original checkout, where the commit itself holds nothing of
    that name.
    """
    for name, there in _list_installed(original, pythons).items():
        here = root / name
        if not os.path.lexists(here):
            here.parent.mkdir(parents=True, exist_ok=True)
            # One link alone leads there: of a chain the middle lies in the original checkout, which
            # a sandbox does not show.
            here.symlink_to(there.resolve())


def _python_path(original: Path, root: Path, given: str) -> str | None:
    """The PYTHONPATH that was given, with the clean checkout in the place of the original; an editable install would
    import that.
    """
    path = []
    for project in _find_editable(original, root):
        for folder in (root / project / "src", root / project):
            if folder.is_dir():
                path.append(str(folder))
    for entry in given.split(os.pathsep):
        if Path(entry).is_relative_to(original):
            path.append(str(root / Path(entry).relative_to(original)))
        elif entry:
            path.append(entry)
    return os.pathsep.join(dict.fromkeys(path)) or None


def _find_editable(original: Path, root: Path) -> Iterator[Path]:
    """The projects of the original checkout that its environment holds as editable installs (PEP
    610), relative.
    """
    for name in _INSTALLED[:2]:
        records = (root / name).glob("lib/python3*/site-packages/*.dist-info/direct_url.json")
        for record in sorted(records):
            folder = _editable_folder(record)
            if folder is not None and folder.is_relative_to(original):
                yield folder.relative_to(original)


def _editable_folder(record: Path) -> Path | None:
    try:
        value = read_json(record)
        url = urlsplit(value["url"])
        editable = value["dir_info"]["editable"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not editable or url.scheme != "file":
        return None
    return Path(unquote(url.path))


@contextmanager
def _changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """These variables for a while; None takes one away."""
    before = {name: os.environ.get(name) for name in changes}
    _set_variables(changes)
    try:
        yield
    finally:
        _set_variables(before)


def _set_variables(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
