"""What a person has allowed in one working tree: that code of the repository runs, and what agents
may say there.

The answer is kept in the user's state folder, under the working tree's real path, device, inode and
user. It fits only while the tree's git folder carries the random mark that was written there with
it: a later clone at the same place can have the same inodes. It names the commit that the tree
stood on. It holds for that commit, for whatever is edited in the tree, and for commits that are
made in it on top of that commit. Commits that came from elsewhere (pull, merge, rebase, checkout)
are asked for again, also while git is still at work on them. The same is asked of each submodule
that is checked out: `git submodule update --remote` brings commits that HEAD does not name.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from skillrun.core.actor import Actor, who
from skillrun.core.canonical import digest
from skillrun.core.errors import Blocked, Refused
from skillrun.core.opening import read_beginning
from skillrun.core.state import hold_own_folder, lies_in, read_own, state_dir, write_own
from skillrun.core.text import masked, visible
from skillrun.repo.git import Repo, find_submodules, is_checkout, read_head, run_git
from skillrun.validations.provenance import UNBORN, find_arrivals, find_commits_made_here

TRUST = "--trust"
ONCE = "once"
"""The answer of whoever allows it now and not for later: it is kept nowhere."""
# An answer remembers so many commits, the newest ones. One that is forgotten is asked for again.
_MOST_COMMITS = 2000
_ELSEWHERE = "set SKILLRUN_STATE_DIR to a folder outside the repository that you can write"


@dataclass(frozen=True)
class CommandPlan:
    """Commands of the repository that would run, and what for.

    Whatever shows them or keeps them takes `shown`, in which a secret of a command line is masked.
    """

    purpose: str
    commands: tuple[str, ...]
    shown: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", tuple(map(masked, self.commands)))


@dataclass(frozen=True)
class Question:
    """What a person is asked: whether these plans may run in this working tree, on this commit."""

    root: Path
    head: str | None
    plans: tuple[CommandPlan, ...]

    @property
    def commit(self) -> str:
        """The commit, as a person is told of it."""
        if not self.head:
            return "before its first commit"
        return f"at commit {self.head[:12]}"


class Asked(Protocol):
    """Who can be asked, and who is told what runs."""

    def may_run(self, question: Question) -> str | None:
        """Asks a person; the means by which the answer was yes, or None."""

    def runs(self, plan: CommandPlan) -> None:
        """This plan runs now: it was allowed."""


@dataclass
class Record:
    """The answers for one working tree. `commits`: the id of a commit that may run -> the id of its
    tree.
    """

    commits: dict[str, str] = field(default_factory=dict)
    agents: bool = False  # whether agents may say --trust here
    agent_waivers: bool = False  # whether agents may waive items here
    scripts: bool = False  # whether CI and scripts may attest here what only a person can
    given: list[dict[str, Any]] = field(default_factory=list)
    token: str = ""  # what is written in the working tree's git folder; see `_Mark`
    # Path of a submodule -> the commits of its own that may run, as `commits` has them.
    submodules: dict[str, dict[str, str]] = field(default_factory=dict)


class Consent:
    """The answers for the working tree of a repository, and the only place where they are read and
    written.
    """

    def __init__(self, repo: Repo, store: Path | None = None) -> None:
        self.repo = repo
        if store is None:
            self.store = state_dir() / "consent"
        else:
            self.store = store
        self.identity = _identify_worktree(repo.root)
        self.path = self.store / f"{digest(self.identity)}.json"
        self.mark = _Mark(repo.root, digest([self.identity, os.path.realpath(self.store)]))

    def read(self) -> Record:
        """The answers; none where nobody gave any, or somebody else could have written them."""
        if self._is_in_repository():
            return Record()
        content = read_own(self.path)
        if content is None:
            return Record()
        try:
            record = _parse_record(json.loads(content), self.identity)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Record()
        if self.mark.carries(record.token):
            return record
        return Record()

    def covers_head(self) -> bool:
        """Whether somebody allowed what HEAD is, and what is being merged or picked on top of it.

        That very commit was allowed, or one that its own commits were made on.
        """
        record = self.read()
        made_here = _find_new_commits(self.repo.root, record.commits)
        if made_here is None:
            return False
        made_in = _find_new_in_submodules(self.repo.root, record)
        if made_in is None:
            return False
        # The reflog forgets; the answer must not depend on that later.
        return not (made_here or made_in) or self._remember_commits(made_here, made_in, record)

    def give(self, how: str, commands: Iterable[str] = ()) -> None:
        """Keeps a yes for HEAD, and for what is being merged or picked there; `how` says by what
        means.

        Raises Blocked where it cannot be kept.
        """
        head = self.repo.head or UNBORN
        at = datetime.now(UTC).isoformat(timespec="seconds")
        shown = list(map(masked, commands))
        with self._change_record() as record:
            for arrival in find_arrivals(self.repo.root):
                for commit in arrival.commits:
                    record.commits.setdefault(commit, "")
            # The newest answer comes last.
            record.commits.pop(head, None)
            record.commits[head] = _find_tree(self.repo.root, self.repo.head)
            _add_submodules(self.repo.root, record)
            record.given.append({"commit": head, "how": how, "commands": shown, "at": at})

    def allow_agents(self, *, trust: bool = False, waive: bool = False) -> None:
        """Keeps that agents may say --trust, or waive, in this working tree. Raises Blocked."""
        with self._change_record() as record:
            record.agents |= trust
            record.agent_waivers |= waive

    def allow_scripts(self) -> None:
        """Keeps that callers without a terminal may attest in this working tree what only a person
        can. Raises Blocked.
        """
        with self._change_record() as record:
            record.scripts = True

    def revoke(self) -> bool:
        """Takes every answer for this working tree away. False where there was none. Raises
        Refused.
        """
        try:
            self.path.lstat()
            with hold_own_folder(self.store):
                self.path.unlink()
        except FileNotFoundError:
            return False
        except NotADirectoryError as error:
            said = f"{self.store}: the state folder cannot be used: {error.strerror}"
            raise Refused(said, hint=_ELSEWHERE) from error
        except OSError as error:
            said = f"{self.path}: the consent cannot be taken back: {error.strerror or error}"
            raise Refused(said, hint=f"remove it: rm {shlex.quote(str(self.path))}") from error
        self.mark.remove()
        return True

    def _remember_commits(
        self,
        made_here: Mapping[str, str],
        made_in: Mapping[str, Mapping[str, str]],
        seen: Record,
    ) -> bool:
        """Adds commits to the answers that were read. False where somebody has taken these back
        meanwhile.
        """
        try:
            with self._change_record() as record:
                if not record.commits.keys() & seen.commits.keys():
                    return False
                record.commits |= made_here
                for path, commits in made_in.items():
                    record.submodules.setdefault(path, {}).update(commits)
        except Blocked:
            # Where nothing can be written, nothing was taken back either.
            pass
        return True

    @contextlib.contextmanager
    def _change_record(self) -> Iterator[Record]:
        """Gives the answers to be changed, and keeps what has changed; nobody else changes them
        meanwhile. Raises Blocked.
        """
        if self._is_in_repository():
            raise Blocked(
                f"{self.store}: the consent cannot be kept inside of the repository",
                hint=_ELSEWHERE,
            )
        try:
            with hold_own_folder(self.store):
                record = self.read()
                before = self._render_record(record)
                yield record
                if self._render_record(record) == before:
                    return
                # The mark is written into git's folder with the first answer, never by whoever only
                # reads.
                record.token = record.token or self.mark.make()
                write_own(self.path, self._render_record(record))
        except OSError as error:
            said = f"{self.store}: the consent cannot be kept: {error.strerror or error}"
            raise Blocked(said, hint=_ELSEWHERE) from error

    def accepts_trust(self, actor: Actor) -> bool:
        """Whether a `--trust` of this caller counts: that of an agent only where a person allowed
        it. Where it does not, one line says why.
        """
        if not actor.is_agent or self.read().agents:
            return True
        print(_explain_distrust(actor), file=sys.stderr, flush=True)
        return False

    def _render_record(self, record: Record) -> bytes:
        """The answers as the text of their file."""
        submodules = {}
        for path, own in record.submodules.items():
            submodules[path] = _take_newest(own)
        value = {
            "schema_version": 3,
            "worktree": self.identity,
            "token": record.token,
            "commits": _take_newest(record.commits),
            "submodules": submodules,
            "agents": record.agents,
            "agent_waivers": record.agent_waivers,
            "scripts": record.scripts,
            "given": record.given[-_MOST_COMMITS:],
        }
        return json.dumps(value, indent=1).encode()

    def _is_in_repository(self) -> bool:
        """Whether the state folder lies in the repository: then it could have come with it."""
        return lies_in(self.store, self.repo.root)


@dataclass
class Gate:
    """What stands before code of a repository: it asks once, and tells each time what runs.

    `plans` gives everything that would run later as well, so that one question shows all of it.
    `on_given` is told of
    a new yes: by what means, and the commands that were shown.
    """

    repo: Repo
    trust: bool
    watcher: Asked
    plans: Callable[[], Sequence[CommandPlan]] = tuple
    on_given: Callable[[str, tuple[str, ...]], None] | None = None
    actor: Actor = field(default_factory=who)
    said_no: bool = False  # a person is asked once in an invocation

    def allows(self, plan: CommandPlan) -> bool:
        """Whether the plan may run. Raises Blocked where a yes cannot be kept."""
        if not Consent(self.repo).covers_head() and not self._ask_person(plan):
            return False
        self.watcher.runs(plan)
        return True

    def _ask_person(self, plan: CommandPlan) -> bool:
        if self.said_no:
            return False
        plans = tuple(remove_repetition([plan, *self.plans()]))
        how = self._find_answer(plans)
        if how is None:
            self.said_no = True
            return False
        if how == ONCE:
            return True
        commands = _join_commands(plans)
        Consent(self.repo).give(how, commands)
        if self.on_given is not None:
            self.on_given(how, commands)
        return True

    def _find_answer(self, plans: tuple[CommandPlan, ...]) -> str | None:
        """By what means somebody says yes; None for a no."""
        if self.trust and Consent(self.repo).accepts_trust(self.actor):
            return TRUST
        return self.watcher.may_run(Question(self.repo.root, self.repo.head, plans))


def _join_commands(plans: Iterable[CommandPlan]) -> tuple[str, ...]:
    """The commands of all plans, as they are shown."""
    commands: tuple[str, ...] = ()
    for plan in plans:
        commands += plan.shown
    return commands


def _explain_distrust(actor: Actor) -> str:
    """Why the `--trust` of an agent does not count, and what a person does about it."""
    name = visible(actor.agent or actor.name)
    said = f"{name} is an agent, and nobody has allowed it to say that here"
    return (
        f"skillrun: --trust does not count: {said}\n  do: ask a person to run: skillrun trust"
        " --agents"
    )


def _take_newest(commits: Mapping[str, str]) -> dict[str, str]:
    return dict(list(commits.items())[-_MOST_COMMITS:])


def _find_new_commits(root: Path, known: Mapping[str, str]) -> dict[str, str] | None:
    """The commits that were made in this working tree on top of known ones; None where HEAD, or
    what is being merged or picked on top of it, is neither known nor one of these.
    """
    head = read_head(root) or UNBORN
    arrivals = find_arrivals(root)
    if head in known and not arrivals:
        return {}
    made_here = find_commits_made_here(root, known)
    accepted = {**known, **made_here}
    if head not in accepted:
        return None
    for arrival in arrivals:
        if not arrival.is_accepted(accepted):
            return None
    return made_here


def _find_new_in_submodules(root: Path, record: Record) -> dict[str, dict[str, str]] | None:
    """Path of a submodule -> its commits that were made here on top of known ones; None where
    commits came into one from elsewhere.
    """
    made_in: dict[str, dict[str, str]] = {}
    for path, folder in find_checked_out(root).items():
        found = _find_new_commits(folder, record.submodules.get(path, {}))
        if found is None:
            return None
        if found:
            made_in[path] = found
    return made_in


def _add_submodules(root: Path, record: Record) -> None:
    """Adds to the answers what stands in each submodule, and what HEAD names for those that are not
    checked out yet.
    """
    for path, commit in find_submodules(root).items():
        record.submodules.setdefault(path, {}).setdefault(commit, "")
    for path, folder in find_checked_out(root).items():
        _add_submodule(path, folder, record)


def _add_submodule(path: str, folder: Path, record: Record) -> None:
    """Adds to the answers what stands in one submodule now, and what it names of its own."""
    commits = record.submodules.setdefault(path, {})
    for inner, commit in find_submodules(folder).items():
        record.submodules.setdefault(f"{path}/{inner}", {}).setdefault(commit, "")
    for arrival in find_arrivals(folder):
        commits |= dict.fromkeys(arrival.commits, "")
    head = read_head(folder)
    commits[head or UNBORN] = _find_tree(folder, head)


def find_checked_out(root: Path) -> dict[str, Path]:
    """Path of each submodule that is checked out -> its folder; those within submodules as well."""
    found: dict[str, Path] = {}
    left = [("", root)]
    while left:
        above, folder = left.pop()
        for path in find_submodules(folder):
            if is_checkout(folder / path):
                found[above + path] = folder / path
                left.append((f"{above}{path}/", folder / path))
    return found


def _find_tree(root: Path, head: str | None) -> str:
    """The id of HEAD's tree; empty before the first commit."""
    if head is None:
        return ""
    done = run_git(root, "rev-parse", "--verify", "--quiet", f"{head}^{{tree}}")
    return done.stdout.decode().strip()


def _identify_worktree(root: Path) -> dict[str, Any]:
    """What tells a working tree from all others, also from a later one at the same path."""
    real = Path(os.path.realpath(root))
    name = os.fsencode(real).decode("utf-8", "backslashreplace")
    # Git makes .git (a folder, or a file in a linked worktree) anew with each clone.
    inodes = [_find_inode(real), _find_inode(real / ".git")]
    return {"path": name, "device": real.stat().st_dev, "inodes": inodes, "uid": os.geteuid()}


class _Mark:
    """A random token in the git folder of a working tree: no clone brings it along.

    Each state folder has a mark of its own, so that two users of one tree do not undo each other's
    answers.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._folder = _find_git_folder(root)
        self._file = self._folder / f"skillrun-{name[:16]}"

    def carries(self, token: str) -> bool:
        """Whether the mark is this token. An empty one was written only where nobody could write
        the folder, as still nobody can.
        """
        if not token:
            return not os.access(self._folder, os.W_OK)
        try:
            opened = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            status = os.fstat(opened)
            is_own_file = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            return is_own_file and os.read(opened, 100) == token.encode()
        finally:
            os.close(opened)

    def make(self) -> str:
        """Writes a new token in the place of whatever is there, and returns it; empty where the
        folder cannot be written.
        """
        token = secrets.token_hex(16)
        try:
            write_own(self._file, token.encode())
        except OSError:
            return ""
        return token

    def remove(self) -> None:
        """Takes the mark away, where there is one."""
        with contextlib.suppress(OSError):
            self._file.unlink()


def _find_git_folder(root: Path) -> Path:
    """The folder that is git's own for this working tree alone; a linked worktree names it in a
    file.
    """
    entry = root / ".git"
    try:
        said = os.fsdecode(read_beginning(entry, 5000))
    except OSError:
        return entry
    return root / said.removeprefix("gitdir:").strip()


def _find_inode(path: Path) -> int:
    """The inode of a file; 0 where there is none, as where git's own folder lies elsewhere."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _parse_record(value: Any, identity: Mapping[str, Any]) -> Record:
    """The record in a file. Raises ValueError, KeyError or TypeError for anything else."""
    if value["schema_version"] != 3 or value["worktree"] != identity:
        raise ValueError("the answers for another working tree")
    commits = dict[str, str](value["commits"])
    given = [dict(one) for one in value["given"]]
    # An answer of an earlier release has neither of these.
    submodules = {path: dict(own) for path, own in value.get("submodules", {}).items()}
    scripts = value.get("scripts") is True
    return Record(
        commits,
        agents=value["agents"] is True,
        agent_waivers=value["agent_waivers"] is True,
        scripts=scripts,
        given=given,
        token=str(value["token"]),
        submodules=submodules,
    )


def remove_repetition(plans: Iterable[CommandPlan]) -> Iterator[CommandPlan]:
    """The plans without those commands that an earlier one has."""
    shown: set[str] = set()
    for plan in plans:
        new: list[str] = []
        for command in plan.commands:
            if command not in shown:
                new.append(command)
        shown.update(plan.commands)
        if new:
            yield CommandPlan(plan.purpose, tuple(new))
