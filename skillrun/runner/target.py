"""What an invocation is about: repository, skill file, spec file and ledger; nothing is parsed
yet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skillrun.contract.spec_format import SpecFormat
from skillrun.contract.specfile import MAX_BYTES, specs_in
from skillrun.core.canonical import digest, sha256
from skillrun.core.errors import LedgerUnusable, Misuse, SkillInvalid
from skillrun.core.opening import read_beginning, read_json
from skillrun.core.text import visible
from skillrun.ledger.connection import BUSY_MS
from skillrun.ledger.store import Ledger
from skillrun.repo.git import Repo, open_repo
from skillrun.runner.plugins import plugin_version, skill_code

FOLDER = ".skillrun"
# What the ledger calls a run that is about nothing in particular.
NO_JOB = "-"
_IGNORED = (
    "# Written by skillrun: its ledger stays out of the repository, specs do"
    " not.\nledger.db*\nlocks/\n.gitignore\n"
)
_WAIT_S = 60.0


@dataclass(frozen=True)
class Request:
    """The options of one invocation, as the command line or a tool gave them."""

    skill: str
    repo: Path = Path()
    spec: Path | None = None
    skill_path: Path | None = None
    ledger: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)  # --set PATH=VALUE
    waive: Mapping[str, str] = field(default_factory=dict)  # ITEM -> reason
    attest: Mapping[str, str] = field(default_factory=dict)  # STEP -> statement
    evidence: Mapping[str, Sequence[str]] = field(default_factory=dict)  # STEP -> paths
    until: str | None = None
    new_run: bool = False
    trust: bool = False


@dataclass(frozen=True)
class RunTarget:
    """Found and hashed, not yet parsed."""

    repo: Repo
    skill_file: Path
    skill_sha: str
    code_version: str  # of the plug-in that answers to the skill; else empty
    spec_file: Path | None
    spec_sha: str | None
    ledger_path: Path

    @property
    def own_files(self) -> tuple[str, ...]:
        """Beginnings of the paths of ledger and locks, where they lie in the repository: not part
        of the work.
        """
        return own_files(self.repo, self.ledger_path)

    @property
    def repo_name(self) -> str:
        """How the ledger names the repository: the main checkout's root."""
        return repo_name(self.repo)

    @property
    def spec_name(self) -> str | None:
        """The spec's path: relative to the repository where it lies inside."""
        if not self.spec_file:
            return None
        return shown(self.repo.root, self.spec_file)


def repo_name(repo: Repo) -> str:
    """The main checkout's root as text that any database takes, whatever bytes the path is made
    of.
    """
    return os.fsencode(repo.common_root).decode("utf-8", "backslashreplace")


def find_target(request: Request) -> RunTarget:
    """Raises what the design calls refused: no repository, no skill, an unreadable spec. Misuse:
    several specs.
    """
    from skillrun.contract.locate import find_skill, peek_name

    repo = open_repo(request.repo)
    skill_file = find_skill(request.skill, repo.root, request.skill_path)
    name = peek_name(skill_file)
    spec = skill_code(name).spec
    spec_file = request.spec
    if spec_file is None:
        spec_file = the_only_spec(repo, spec)
    return RunTarget(
        repo=repo,
        skill_file=skill_file,
        skill_sha=_hash_of_skill(skill_file),
        code_version=plugin_version(name),
        spec_file=spec_file,
        spec_sha=spec.hash_file(spec_file) if spec_file is not None else None,
        ledger_path=ledger_path(repo, request.ledger),
    )


def the_only_spec(repo: Repo, specs: SpecFormat) -> Path | None:
    """The one spec of this format in a repository, or None. Raises Misuse where there are
    several.
    """
    if specs.folder is None:
        return None
    found = specs_in(repo.root, specs.folder)
    if len(found) > 1:
        listed = ", ".join(visible(shown(repo.root, path)) for path in found)
        first = visible(shown(repo.root, found[0]))
        raise Misuse(f"several {specs.title}s: {listed}", hint=f"name one: --spec {first}")
    if not found:
        return None
    return found[0]


def ledger_path(repo: Repo, given: Path | None) -> Path:
    """`--ledger`, else SKILLRUN_LEDGER, else the profile's `ledger`, else the main checkout's
    `.skillrun/ledger.db`.

    What the repository itself says leads nowhere outside of it and through no symlink; raises
    LedgerUnusable otherwise.
    """
    if given is not None:
        return given.absolute()
    from_environment = os.environ.get("SKILLRUN_LEDGER")
    if from_environment:
        return Path(from_environment).absolute()
    relative = _profile_ledger(repo.root) or f"{FOLDER}/ledger.db"
    path = Path(os.path.normpath(repo.common_root / relative))
    if not path.is_relative_to(repo.common_root) or path == repo.common_root:
        hint = "correct ledger in REPO_PROFILE.json, or name a ledger with --ledger"
        raise LedgerUnusable(
            f"REPO_PROFILE.json: ledger: {relative} leads out of the repository", hint=hint
        )
    above = path.parents[: len(path.relative_to(repo.common_root).parts) - 1]
    for part in (path, lock_folder(path), *above):
        if part.is_symlink():
            raise LedgerUnusable(
                f"{part}: a symbolic link", hint="remove it, or name a ledger with --ledger"
            )
    return path


def _profile_ledger(root: Path) -> str | None:
    """The `ledger` of REPO_PROFILE.json; a profile that cannot be read is refused later, with its
    reasons.
    """
    try:
        profile = read_json(root / "REPO_PROFILE.json")
    except (OSError, ValueError):
        return None
    said = None
    if isinstance(profile, dict):
        said = profile.get("ledger")
    if isinstance(said, str) and said:
        return said
    return None


def own_files(repo: Repo, ledger: Path) -> tuple[str, ...]:
    """Beginnings of the paths of a ledger, its journals and its locks, relative to the checkout; ()
    where outside.
    """
    if not ledger.is_relative_to(repo.root):
        return ()
    relative = ledger.relative_to(repo.root)
    return (relative.as_posix(), lock_folder(relative).as_posix() + "/")


def prepare_ledger_folder(repo: Repo, path: Path) -> None:
    """Makes `.skillrun/` ignore its ledger, before the first ledger is written there."""
    folder = repo.common_root / FOLDER
    ignore = folder / ".gitignore"
    if path.parent != folder or ignore.exists():
        return
    draft = folder / f"ledger.db.ignore-{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        draft.write_text(_IGNORED, encoding="utf-8")
        # At once whole: another process may look at the tree now.
        draft.replace(ignore)
    except OSError as error:
        with contextlib.suppress(OSError):
            # A full disk lets a name be made, and nothing be written in it.
            draft.unlink()
        hint = "name a ledger elsewhere: --ledger FILE, or SKILLRUN_LEDGER"
        raise LedgerUnusable(f"{folder}: cannot be written: {error.strerror}", hint=hint) from None


def patience_s() -> float:
    """How long to wait for another process: SKILLRUN_WAIT_S, else a minute. Raises Misuse for what
    is no number.
    """
    given = os.environ.get("SKILLRUN_WAIT_S", "")
    try:
        return max(float(given or _WAIT_S), 0.0)
    except ValueError:
        raise Misuse(
            f"SKILLRUN_WAIT_S={given}: not a number of seconds", hint="unset it, or give e.g. 10"
        ) from None


def open_ledger(path: Path, *, read_only: bool = False) -> Ledger:
    """The ledger, waited for no longer than `patience_s`."""
    return Ledger.open(path, read_only=read_only, busy_ms=min(BUSY_MS, int(patience_s() * 1000)))


def lock_path(target: RunTarget, identity: Sequence[str]) -> Path:
    """One lock for each run (its skill and job) in each repository, beside the ledger."""
    name = digest([*identity, target.repo_name])[:16]
    return lock_folder(target.ledger_path) / f"{name}.lock"


def lock_folder(ledger: Path) -> Path:
    """Beside the ledger; what skillrun writes there is ignored by git."""
    return ledger.parent / "locks"


def shown(root: Path, path: Path) -> str:
    """A path for people: relative to the repository where it lies inside."""
    if path.is_absolute():
        absolute = path
    else:
        absolute = Path.cwd() / path
    try:
        return absolute.relative_to(root).as_posix()
    except ValueError:
        return str(path)


def _hash_of_skill(path: Path) -> str:
    """sha256 of a SKILL.md, of its first MB where it is larger: such a file is refused when it is
    read.
    """
    try:
        return sha256(read_beginning(path, MAX_BYTES + 1))
    except OSError as error:
        hint = "--skill takes a SKILL.md or its folder"
        raise SkillInvalid(f"{path}: cannot be read: {error.strerror}", hint=hint) from None
