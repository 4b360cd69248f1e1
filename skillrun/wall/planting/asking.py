"""Runs the checks of one commit over a file with a fault in it, in clean checkouts of the wall's
own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.errors import SkillrunError
from skillrun.core.opening import read_file
from skillrun.repo.git import git_output
from skillrun.repo.profile import Profile, load_profile
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.stages.validate import telling_lines
from skillrun.validations.environment import command_env
from skillrun.validations.run import CommandResult, run_command
from skillrun.wall.checkout import Checkout
from skillrun.wall.planting.collecting import Listener
from skillrun.wall.planting.faults import Fault, plant

# What reads code. The others (tests, a build) are asked last, where a fault would count as lost.
READING = ("lint", "typecheck")
FURTHER = ("build", "test")
TESTING = ("test",)
_NO_COMMAND = ("none", "unknown")
_SHOWN = 160  # characters of what a check said


class NotAsked(Exception):
    """Why the checks were not asked, in words for a person."""


class NoTimeLeft(NotAsked):
    """The deadline has passed: nothing else is asked either."""


@dataclass(frozen=True)
class Answer:
    """What the checks made of a file. `said` None: all of them passed, and left it as it was."""

    said: str | None = None

    @property
    def is_found(self) -> bool:
        """Whether some check found fault with it."""
        return self.said is not None


class Asker:
    """The checks of one commit. Its checkout is made when it is first needed, and anew where a
    check has left another file otherwise than the commit holds it.
    """

    def __init__(
        self,
        check_out: Callable[[], AbstractContextManager[Checkout]],
        name: str,
        deadline: float,
        limit_s: float,
        say: Callable[[str], None],
    ) -> None:
        """`name`: of what is planted; `deadline`: on the monotonic clock, no check begins behind
        it; `limit_s`: of a check whose repository says none.
        """
        self._check_out, self._name, self._deadline = check_out, name, deadline
        self._limit_s, self._say = limit_s, say
        self._stack = ExitStack()
        self._checkout: Checkout | None = None
        self._written_s = 0

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def list_commands(self, kinds: tuple[str, ...]) -> dict[str, str]:
        """Kind -> the command that this commit declares for it."""
        return dict(_list_commands(self._open().root, kinds))

    def ask(
        self,
        path: str,
        fault: Fault | None,
        kinds: tuple[str, ...] = READING,
        instead: Mapping[str, bytes | None] | None = None,
    ) -> Answer:
        """What the checks say to the file with the fault in it; None plants nothing. `instead`:
        what other files hold meanwhile, None takes one away.

        Raises NotAsked where there is no time, or a check comes to no end.
        """
        checkout = self._open()
        as_committed = _read(checkout.root / path)
        try:
            for other, content in (instead or {}).items():
                self._put(checkout.root, other, content)
            planted = _read(checkout.root / path)
            if fault is not None:
                planted = plant(planted, fault, self._name)
                # Whether the file is as git has it is no question of lint: git shows no difference.
                git_output(checkout.root, "update-index", "--assume-unchanged", "--", path)
                self._put(checkout.root, path, planted)
            commands = dict(_list_commands(checkout.root, kinds))
            return self._run(checkout, commands, path, planted)
        except OSError as error:
            raise NotAsked(f"{path}: {error.strerror or error}") from error
        finally:
            self._put_back(checkout, path, as_committed)

    def list_collected(self, instead: Mapping[str, bytes | None] | None = None) -> frozenset[str]:
        """The tests that the declared command would run, where that is pytest's; none runs.
        `instead` as in `ask`. Raises NotAsked as well.
        """
        checkout = self._open()
        root = checkout.root
        try:
            for path, content in (instead or {}).items():
                self._put(root, path, content)
            with Listener(self._name, root) as listener:
                env = listener.add_to(_make_environment(checkout))
                for kind, command in _list_commands(root, TESTING):
                    self._run_command(kind, command, root, env)
                return listener.read_tests()
        except OSError as error:
            raise NotAsked(str(error)) from error
        finally:
            self._take_back(checkout)

    def _run(
        self, checkout: Checkout, commands: Mapping[str, str], path: str, planted: bytes
    ) -> Answer:
        root, env = checkout.root, _make_environment(checkout)
        for kind, command in commands.items():
            ran = self._run_command(kind, command, root, env)
            if not ran.ok:
                said = telling_lines(ran.tail).replace(f"{root}/", "")[:_SHOWN]
                return Answer(f"{command} ({ran.words}): {said}")
            # A command that mends what it finds has found it. In the stage, that is an error.
            if not _is_as_planted(root / path, planted):
                return Answer(f"{command} changes the file")
        return Answer()

    def _run_command(
        self, kind: str, command: str, root: Path, env: dict[str, str]
    ) -> CommandResult:
        if time.monotonic() > self._deadline:
            raise NoTimeLeft("there was no time left")
        self._say(f"{kind}: {command}")
        limit_s = _find_limit(root) or self._limit_s
        ran = run_command(command, cwd=root, env=env, timeout_s=limit_s, on_line=self._say)
        if ran.timed_out:
            raise NotAsked(f"{command}: {ran.words}")
        return ran

    def _put(self, root: Path, path: str, content: bytes | None) -> None:
        """Each time with another second: bytecode of the file before would count as this one's, and
        a check that compiles what is new would find nothing.
        """
        self._written_s = max(int(time.time()), self._written_s + 1)
        _put(root, path, content, self._written_s)

    def _open(self) -> Checkout:
        if self._checkout is None:
            self._checkout = self._stack.enter_context(self._check_out())
        return self._checkout

    def _put_back(self, checkout: Checkout, path: str, as_committed: bytes) -> None:
        """The next question is asked of the commit again: of another checkout where this one is not
        it, byte for byte.
        """
        with suppress(OSError, SkillrunError):
            self._put(checkout.root, path, as_committed)
            git_output(checkout.root, "update-index", "--no-assume-unchanged", "--", path)
        self._take_back(checkout)

    def _take_back(self, checkout: Checkout) -> None:
        is_same = False
        with suppress(OSError, SkillrunError):
            is_same = not any(checkout.contents.find_changes())
        if not is_same:
            self._stack.close()
            self._checkout = None


def _make_environment(checkout: Checkout) -> dict[str, str]:
    """The user's environment with the variables of this checkout: the other side's is open, too."""
    environ = dict(os.environ)
    for name, value in checkout.variables.items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    return command_env(checkout.root, environ)


def _put(root: Path, path: str, content: bytes | None, written_s: int) -> None:
    """Writes a file of the checkout anew, with the mode that it had and that time. Raises OSError where a check
    has put a link that leads elsewhere in its way.
    """
    place = root / path
    folder = place.parent
    if os.path.realpath(folder) != str(folder):
        raise OSError(f"{folder} is a link")
    mode = 0o666
    if os.path.lexists(place):
        mode = place.lstat().st_mode & 0o777
        place.unlink()
    if content is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(place, flags, mode), "wb") as file:
        file.write(content)
    place.chmod(mode)
    os.utime(place, (written_s, written_s))


def _read(place: Path) -> bytes:
    """Raises NotAsked where it is no plain file, or a very large one."""
    try:
        return read_file(place)
    except OSError as error:
        raise NotAsked(f"{place.name}: {error.strerror}") from error


def _is_as_planted(place: Path, planted: bytes) -> bool:
    try:
        return read_file(place) == planted
    except OSError:
        return False


def _list_commands(root: Path, kinds: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """As the stage validate chooses them: the profile's word first, else what is declared."""
    profile = _read_profile(root)
    declared = survey_tree(Tree(root), ()).commands.known()
    given: Mapping[str, str] = {}
    if profile is not None:
        given = profile.commands
    listed: set[str] = set()
    for kind in kinds:
        command = given.get(kind)
        if command is None and kind in declared:
            command = declared[kind].command
        if command is not None and command not in (*_NO_COMMAND, *listed):
            listed.add(command)
            yield kind, command


def _read_profile(root: Path) -> Profile | None:
    try:
        return load_profile(root)
    except SkillrunError:
        return None  # the jobs say what is wrong with it


def _find_limit(root: Path) -> float | None:
    profile = _read_profile(root)
    if profile is None:
        return None
    return profile.validation_timeout
