"""Begins the repository's own worker as its command line does, up to where it would wait for jobs.

What a worker's script does before that is part of every job that it runs: it says how logs are
written, sets Django up, gives the worker its exception handlers. Runs in the zygote before the
handler is imported.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import logging
import os
import re
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .consuming import QueueWords, TimerWords, list_consumed
from .names import NotThere, find_object, import_beside_django

_PYTHON = re.compile(r"python[\d.]*")
# A script that waits for what is not here, or serves something else, is not followed.
_MOST_S = 10.0
# Folders without code that somebody starts.
_NOT_OURS = re.compile(r"\..*|(node_modules|site-packages|tests?|venv|env)$")
_MOST_FILES = 3000
# $NAME, ${NAME}, ${NAME:-default}
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::?-(?P<default>[^}]*))?\})")
_MOST_BYTES = 500_000


@dataclass(frozen=True)
class Importer:
    """A program whose command line names modules: in the values of `options`, or, where there are
    none, in its words after `command`.
    """

    program: str
    options: tuple[str, ...] = ()
    command: str = ""

    def list_named(self, words: Sequence[str]) -> Iterator[str]:
        """The words that may name a module, of those behind the program."""
        if not self.options:
            yield from words[self._find_command(words) :]
            return
        for number, word in enumerate(words):
            option, equals, value = word.partition("=")
            if option in self.options:
                if equals:
                    yield value
                else:
                    yield "".join(words[number + 1 : number + 2])

    def _find_command(self, words: Sequence[str]) -> int:
        if not self.command:
            return 0
        if self.command in words:
            return words.index(self.command) + 1
        return len(words)


@dataclass(frozen=True)
class Ways:
    """How the workers of a library are begun, as data of its driver."""

    # Import paths of the methods in which a worker waits for jobs: it is begun no further.
    entries: tuple[str, ...] = ()
    # Program -> the function behind it, where it begins the worker in its own process.
    programs: tuple[tuple[str, str], ...] = ()
    # Programs that import the modules which their command line names, and wait in other processes.
    importers: tuple[Importer, ...] = ()
    # Commands of `manage.py` that are the library's own.
    manage: tuple[str, ...] = ()
    # Where the command lines of its workers name the queues that they take jobs from.
    queues: tuple[QueueWords, ...] = ()
    # What brings the jobs that are due later, where the workers themselves do not.
    timers: tuple[TimerWords, ...] = ()
    # Words of code by which a program of the repository's own is such a one.
    timer_code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Begun:
    """A worker that was begun: the object that would wait for jobs, and the command line."""

    command: str
    worker: Any = None


class _Waits(BaseException):
    """The worker would wait for jobs now."""

    def __init__(self, worker: Any) -> None:
        super().__init__()
        self.worker = worker


class _TakesTooLong(BaseException):
    """Nothing waited for jobs within the time."""


def begin_by_command(ways: Ways, commands: Sequence[Sequence[str]], root: str) -> Begun | None:
    """The first of the command lines that leads to a worker; None where none of them does.

    Raises nothing: what cannot be begun here is left, and the job is imported by itself.
    """
    for said in commands:
        command = " ".join(said)
        words = list(map(_fill_in_variables, said))
        program = os.path.basename(words[0])
        for importer in ways.importers:
            if importer.program == program and _import_named(importer, words[1:], root):
                return Begun(command)
        for run in _list_runs(ways, program, words, root):
            worker = _run_until_it_waits(ways.entries, run, words)
            if worker is not None:
                return Begun(command, worker)
    return None


def _fill_in_variables(word: str) -> str:
    """A word of a command line as the shell that starts it hands it on; one that nothing sets
    stays as it is.
    """

    def fill_in(found: re.Match[str]) -> str:
        value = os.environ.get(found["plain"] or found["braced"]) or found["default"]
        if value is None:
            return found[0]
        return value

    return _VARIABLE.sub(fill_in, word)


def find_consumed(
    ways: Ways,
    commands: Sequence[Sequence[str]],
    root: str,
    begun: Sequence[str],
    default: Sequence[str],
) -> list[str]:
    """The queues that all workers together take jobs from; [] where that is not known.

    `begun`: those of the worker that a script began, `default`: those of a command line that names
    none; empty where they are not known.
    """
    scripts = set(_list_worker_scripts(ways, commands, root))
    if len(scripts) > 1 or (scripts and not begun):
        return []
    named = list_consumed(ways.queues, commands, default)
    if named is None:
        return []
    return list(dict.fromkeys([*named, *(begun if scripts else ())]))


def has_timer(
    ways: Ways, commands: Sequence[Sequence[str]], root: str, *, is_begun: bool
) -> bool | None:
    """Whether the repository starts what brings the jobs that are due later; None where that is not
    known. `is_begun`: one of the command lines led to a worker that waited for jobs.
    """
    for timer in ways.timers:
        if any(map(timer.is_timer, commands)):
            return True
    has_worker = False
    for way in ways.queues:
        for words in filter(way.is_worker, commands):
            has_worker = True
            if "$" in " ".join(words):  # options that only a shell knows
                return None
    if any(_list_worker_scripts(ways, commands, root)):
        # Without words to look for, nobody can tell what a program of its own does besides.
        if not is_begun or not ways.timer_code:
            return None
        has_worker = True
    if not has_worker or _is_said(ways.timer_code, root):
        return None
    return False


def _is_said(words: Sequence[str], root: str) -> bool:
    """Whether a file of Python below a folder has one of the words. Too many files:
    as if it had.
    """
    files = list(itertools.islice(_list_python_files(root), _MOST_FILES))
    if len(files) == _MOST_FILES:
        return True
    pattern = re.compile("|".join(map(re.escape, words)).encode())
    return any(pattern.search(_read_beginning(file)) for file in files)


def _list_python_files(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = itertools.filterfalse(_NOT_OURS.match, folders)
        for name in fnmatch.filter(files, "*.py"):
            yield os.path.join(folder, name)


def _read_beginning(file: str) -> bytes:
    with contextlib.suppress(OSError), open(file, "rb") as stream:
        return stream.read(_MOST_BYTES)
    return b""


def _list_worker_scripts(ways: Ways, commands: Sequence[Sequence[str]], root: str) -> Iterator[str]:
    """The files of the repository's own that may begin a worker."""
    for words in commands:
        is_named = any(way.is_worker(words) for way in ways.queues)
        if is_named or not _PYTHON.fullmatch(os.path.basename(words[0])) or len(words) < 2:
            continue
        file, _ = _find_script(words, root)
        if file and _may_begin(file, words, ways, root):
            yield f"{file} {words[2:]}" if file.endswith("/manage.py") else file


# -- command lines


def _list_runs(ways: Ways, program: str, words: Sequence[str], root: str) -> Iterator[Any]:
    """What a command line runs, as a function without arguments; nothing for another program."""
    for name, path in ways.programs:
        if name == program:
            yield lambda path=path: find_object(path)[2]()
    if not _PYTHON.fullmatch(program) or len(words) < 2:
        return
    file, name = _find_script(words, root)
    if file and _may_begin(file, words, ways, root):
        yield lambda: _run_as_main(file, name)


def _find_script(words: Sequence[str], root: str) -> tuple[str, str]:
    """`python -m shop.worker` and `python worker.py`: the file, and its module's name."""
    if words[1] == "-m" and len(words) > 2:
        name = words[2]
        base = os.path.join(root, *name.split("."))
        for file in (f"{base}.py", os.path.join(base, "__main__.py")):
            if os.path.isfile(file):
                return file, name
        return "", ""
    file = os.path.normpath(os.path.join(root, words[1]))
    is_inside = file.startswith(root.rstrip("/") + "/")
    if is_inside and file.endswith(".py") and os.path.isfile(file):
        return (file, "")
    return ("", "")


def _may_begin(file: str, words: Sequence[str], ways: Ways, root: str) -> bool:
    """Only what calls an entry of the library is run, or imports what does: any other program may
    do anything.
    """
    if os.path.basename(file) != "manage.py":
        near = (file, *_list_imported(file, root))
        return any(_calls_entry(one, ways) for one in near)
    command = ""
    if len(words) > 2:
        command = words[2]
    if command in ways.manage:
        return True
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if folder.endswith("/management/commands") and f"{command}.py" in files:
            return _calls_entry(os.path.join(folder, f"{command}.py"), ways)
    return False


def _list_imported(file: str, root: str) -> Iterator[str]:
    """The repository's files that a script imports by their whole names."""
    for name in re.findall(r"^\s*(?:from|import)\s+([\w.]+)", _read_file(file), re.MULTILINE):
        base = os.path.join(root, *name.split("."))
        if not name.startswith(".") and os.path.isfile(f"{base}.py"):
            yield f"{base}.py"


def _read_file(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""


def _calls_entry(file: str, ways: Ways) -> bool:
    text = _read_file(file)
    for path in ways.entries:
        library, method = path.partition(".")[0], path.rpartition(".")[2]
        if library in text and re.search(rf"\.{method}\(", text):
            return True
    return False


# -- running


def _run_until_it_waits(entries: Sequence[str], run: Any, words: Sequence[str]) -> Any:
    """The object on which an entry was called; None where that never happened."""
    argv, path = sys.argv, list(sys.path)
    main = sys.modules["__main__"]
    level = logging.getLogger().level
    sys.argv = [word for word in words if not _PYTHON.fullmatch(os.path.basename(word))]
    if sys.argv[:1] == ["-m"]:
        sys.argv = sys.argv[1:]
    try:
        with _stopping_at(entries), _within_seconds(_MOST_S):
            run()
    except _Waits as reached:
        return reached.worker
    except (Exception, SystemExit, _TakesTooLong):
        _drop_implicit_handler(level)
        return None
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = argv, path, main
    return None


def _drop_implicit_handler(level: int) -> None:
    """Takes the handler away that `logging.error` gives a root logger without any: the
    application's own `basicConfig` does nothing then. What set a level was no such call.
    """
    root = logging.getLogger()
    if root.level != level or len(root.handlers) != 1:
        return
    (handler,) = root.handlers
    written = getattr(handler.formatter, "_fmt", None)
    if type(handler) is logging.StreamHandler and written == logging.BASIC_FORMAT:
        root.removeHandler(handler)


def _run_as_main(file: str, name: str) -> None:
    """As the interpreter runs a script, or with -m a module."""
    module = types.ModuleType("__main__")
    module.__file__ = file
    if name:
        module.__package__ = name.rpartition(".")[0]
    else:
        sys.path.insert(0, os.path.dirname(file))
    sys.modules["__main__"] = module
    with open(file, "rb") as opened:
        code = compile(opened.read(), file, "exec")
    exec(code, vars(module))


@contextlib.contextmanager
def _stopping_at(entries: Sequence[str]) -> Iterator[None]:
    """Whoever calls an entry stops there."""

    def stop(worker: Any = None, *_: Any, **__: Any) -> None:
        raise _Waits(worker)

    replaced: list[tuple[Any, str, Any]] = []
    for path in entries:
        # Another release has it elsewhere.
        with contextlib.suppress(NotThere, ImportError):
            owner, name, before = find_object(path)
            replaced.append((owner, name, before))
            setattr(owner, name, stop)
    try:
        yield
    finally:
        for owner, name, before in reversed(replaced):
            setattr(owner, name, before)


@contextlib.contextmanager
def _within_seconds(seconds: float) -> Iterator[None]:
    def end(*_: Any) -> None:
        raise _TakesTooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- modules


def _import_named(importer: Importer, words: Sequence[str], root: str) -> bool:
    """`dramatiq shop.worker --processes 2`: the repository's modules among the words."""
    found = False
    for word in importer.list_named(words):
        name = _find_module(word, root)
        if not name:
            continue
        # A module of another environment: what it does for the job is not known, then.
        with contextlib.suppress(Exception, SystemExit):
            import_beside_django(name)
            found = True
    return found


def _find_module(word: str, root: str) -> str:
    """The longest beginning of `shop.worker:broker` or `shop.worker.huey` that is a module here."""
    name = word.partition(":")[0]
    while name and all(part.isidentifier() for part in name.split(".")):
        for folder in (root, *sys.path):
            if not folder.startswith(root):
                continue
            base = os.path.join(folder, *name.split("."))
            if os.path.isfile(f"{base}.py") or os.path.isfile(os.path.join(base, "__init__.py")):
                return name
        name = name.rpartition(".")[0]
    return ""
