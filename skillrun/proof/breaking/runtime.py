"""Runs with the target's tests: tells which of them reach the handler, and breaks it as it is told.

Copied into the scratch copy as `skillrun_broken.py`, beside its settings. It runs in the target's
interpreter, so it keeps to the standard library and to Python 3.8; `edits.py` writes the calls of
it into the handler.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS: dict[str, Any] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
# What a test starts itself finds its break here: the file says what the first process does.
_HANDED_ON = "SKILLRUN_BROKEN"
SETTINGS.update(json.loads(os.environ.get(_HANDED_ON, "{}")))
SPAWNS = frozenset(
    ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system")
)

_DEPTH = 3
_SLOW_S = 1.0
# Bytes that importing the tests may have written, to be put back.
_HELD = 64 * 1024**2


def _records(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


_out = _records(SETTINGS["out"])
_write = os.write  # a test may put something else in its place
_said: set[str] = set()
_met: set[tuple[str, str]] = set()
# (site, test, value) with which a test came by before.
_given: set[tuple[str, str, str]] = set()
_known: dict[str, list[tuple[type[BaseException], list[Any]]]] = {}


class _Now:
    """The test that runs, and the scopes of the fixtures that are being set up for it."""

    def __init__(self) -> None:
        self.test = ""
        self.is_fork = False
        self.scopes: list[str] = []


_now = _Now()


# -- called by the handler


def reached() -> None:
    """The handler begins."""
    _say("reached", test=_test(), scope=_now.scopes[-1] if _now.scopes else "function")


def dropping(is_async: bool) -> Callable[..., Any] | None:
    """What is called in the place of an effect; None: the effect itself."""
    if not SETTINGS["drop"]:
        return None
    _say("struck", test=_test())
    return _nothing_later if is_async else _nothing


def met(what: str) -> tuple[type, ...]:
    """For an `except` clause: the class of the current error where it is to be swallowed or turned,
    else nothing.
    """
    error = sys.exc_info()[1]
    if not SETTINGS[what] or error is None or _kind(error) not in SETTINGS[what]:
        return ()
    _say("struck", test=_test())
    return (type(error),)


def lost() -> bool:
    """Whether the handler does nothing: another process or thread than the tests' own runs it."""
    is_here = os.getpid() == SETTINGS.get("tester") and (
        threading.current_thread() is threading.main_thread()
    )
    return not is_here and _is_active("worker")


def kept(site: str) -> bool:
    """False where a statement is left out, or a condition is never true."""
    return not _is_active(site)


def forced(site: str) -> bool:
    """True where a condition always is."""
    return _is_active(site)


def changed(site: str, value: Any) -> Any:
    """The value, or another one of its kind; where there is none it cannot be broken here."""
    if SETTINGS["site"] not in ("", site):
        return value
    other = _other(value, 0)
    if other is value or not _is_active(site):
        return value
    return other


def changed_again(site: str, value: Any) -> Any:
    """The value where a test comes by with it for the first time, and then another one."""
    if SETTINGS["site"] not in ("", site):
        return value
    call = (site, _test(), repr(value))
    if call not in _given:
        _given.add(call)
        return value
    return changed(site, value)


def _is_active(site: str) -> bool:
    """Whether this is what is broken; the unbroken run tells which tests come by."""
    active = SETTINGS["site"]
    if active == site:
        _say("struck", test=_test())
        return True
    if not active and SETTINGS["maps"]:
        test = _test()
        if (site, test) not in _met:
            _met.add((site, test))
            _say("met", site=site, test=test, scope=_scope())
    return False


def _scope() -> str:
    """For whom a place was met: what another process does was begun by any test of its file."""
    if _now.scopes:
        return _now.scopes[-1]
    return "function" if os.getpid() == SETTINGS.get("tester") else "module"


def _other(value: Any, depth: int) -> Any:
    """Another value of the same kind; the same one where none is known."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind in _CHANGES:
        return value + _CHANGES[kind]
    if kind in (list, tuple, dict) and value and depth < _DEPTH:
        return _other_inside(value, depth + 1)
    return value


_CHANGES: dict[type, Any] = {int: 1, float: 1, str: "~", bytes: b"~"}
"""What is added to a value to make it another one."""


def _other_inside(value: Any, depth: int) -> Any:
    """A list, a tuple or a dict with another first element, or without it where there is no other,
    such as a class.
    """
    if type(value) is dict:
        first = next(iter(value))
        other = _other(value[first], depth)
        if other is value[first]:
            return {key: value[key] for key in value if key != first}
        return {**value, first: other}
    other = _other(value[0], depth)
    if other is value[0]:
        return type(value)(value[1:])
    return type(value)([other, *value[1:]])


def turned() -> BaseException:
    """A transient error, as the spec declares it."""
    kind, args = _errors()["transient"][0]
    for given in (args, ["broken by skillrun"], []):
        try:
            return kind(*given)
        except TypeError:
            continue
    return kind.__new__(kind)


def _nothing(*_: Any, **__: Any) -> Any:
    return copy.deepcopy(SETTINGS["returns"])


async def _nothing_later(*_: Any, **__: Any) -> Any:
    return copy.deepcopy(SETTINGS["returns"])


def _kind(error: BaseException) -> str | None:
    """transient or permanent: the nearest declared class decides, and the arguments where it is
    declared as both.
    """
    for above in type(error).__mro__:
        declared = _declared_args(above)
        kinds = set(declared)
        if len(kinds) > 1:
            given = list(error.args)
            kinds = {kind for kind, args in declared.items() if given in args}
        if declared:
            return kinds.pop() if len(kinds) == 1 else None
    return None


def _declared_args(cls: type) -> dict[str, list[list[Any]]]:
    """transient, permanent -> the arguments with which the spec declares exactly this class."""
    declared: dict[str, list[list[Any]]] = {}
    for kind, known in _errors().items():
        for one, args in known:
            if one is cls:
                declared.setdefault(kind, []).append(args)
    return declared


def _errors() -> dict[str, list[tuple[type[BaseException], list[Any]]]]:
    if not _known:
        for kind in ("transient", "permanent"):
            _known[kind] = []
            for item in SETTINGS[kind]:
                cls = _resolved(item["type"])
                if cls is not None:
                    _known[kind].append((cls, item["args"]))
    return _known


def _resolved(name: str) -> Any:
    """The class behind "package.module:Class" or a built-in's name; None where there is none."""
    module, _, attributes = name.rpartition(":") if ":" in name else name.rpartition(".")
    try:
        found: Any = importlib.import_module(module) if module else builtins
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception:
        found = None
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    _say("unresolved", name=name)
    return None


def _test() -> str:
    """The id of the running test, also in a process that a test has started."""
    return _now.test or os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def _say(event: str, **fields: Any) -> None:
    """One line of the records, each only once; a test that closes every descriptor loses what
    follows.
    """
    line = json.dumps({"event": event, **fields}, sort_keys=True) + "\n"
    if line not in _said:
        _said.add(line)
        with contextlib.suppress(OSError):
            _write(_out, line.encode())


# -- as a pytest plugin


class Watching:
    """Tells what the tests did; runs only those that it is told to run."""

    def __init__(self) -> None:
        self.session: Any = None

    def pytest_sessionstart(self, session: Any) -> None:
        self.session = session
        config = session.config
        _say("root", path=str(config.rootpath if hasattr(config, "rootpath") else config.rootdir))

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        wanted = list(filter(_is_wanted, items))
        if len(wanted) < len(items):
            left = [item for item in items if not _is_wanted(item)]
            items[:] = wanted
            config.hook.pytest_deselected(items=left)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            _say("uncollected", test=report.nodeid, message=_message(report))

    def pytest_runtestloop(self, session: Any) -> Any:
        """Collected once, run as it is and with each break: by a fork that finds everything as it
        was, each time.

        None: run it here.
        """
        if not SETTINGS["forks"]:
            return None
        kept = Kept(SETTINGS["root"], os.environ["TMPDIR"])
        if not _is_alone() or not kept.whole:
            _say("not-alone")
            return True
        whole, sites = [], []
        for settings in SETTINGS["forks"]:
            if settings["site"]:
                sites.append(settings)
            else:
                whole.append(settings)
        limit_s = self._try_whole(kept, whole)
        if limit_s is None:
            if SETTINGS["stop"]:
                # Of a break only the message is kept. Showing the way to it has pytest parse
                # each file on that way, which takes longer than the tests.
                session.config.option.tbstyle = "no"
            session.items[:] = filter(_is_wanted, session.items)
            return None
        if self._try_sites(kept, sites, limit_s):
            session.items[:] = sorted(filter(_is_wanted, session.items), key=_comes_later)
            return None
        return True

    def _try_whole(self, kept: Kept, forks: list[dict[str, Any]]) -> float | None:
        """The unbroken handler, then each break that has no site. Seconds that a break may take;
        None in a fork.
        """
        limit_s: float = SETTINGS["limit_s"]
        for number, settings in enumerate(forks):
            began = time.monotonic()
            if _fork(settings, limit_s):
                return None
            kept.put_back()
            if number == 0:
                took_s = time.monotonic() - began
                limit_s = max(SETTINGS["least_s"], SETTINGS["times_longer"] * took_s)
                SETTINGS.update(_green_and_red(settings["out"]))
                if not SETTINGS["only"]:
                    break
        return limit_s

    def _try_sites(self, kept: Kept, forks: list[dict[str, Any]], limit_s: float) -> bool:
        """Each site with the tests that come by it, the slow ones only where the others have not
        noticed. True in a fork.
        """
        end = time.monotonic() + SETTINGS["enough_s"]
        waiting = []
        for settings in forks:
            if SETTINGS["meeting"].get(settings["site"]):
                waiting.append(settings)
            else:
                _tell(settings["out"], "unmet")
        for is_slow in (False, True):
            for settings in waiting[: SETTINGS["most"]]:
                settings["only"] = _list_meeting(settings["site"], is_slow=is_slow)
                if not settings["only"] or _has_noticed(settings["out"]):
                    continue
                if time.monotonic() > end:
                    # What its slow tests would say is not known, so nothing is.
                    _tell(settings["out"], "unended")
                    continue
                if _fork(settings, limit_s):
                    return True
                kept.put_back()
        return False

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        _now.test = nodeid

    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """A handler that runs in a module's fixture is reached by all tests of the module."""
        _now.scopes.append(str(fixturedef.scope))
        yield
        _now.scopes.pop()

    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = (
            "xfailed"
            if hasattr(report, "wasxfail") and report.outcome == "skipped"
            else report.outcome
        )
        if report.when == "call" or outcome != "passed":
            _say(
                "outcome",
                test=report.nodeid,
                outcome=outcome,
                seconds=getattr(report, "duration", 0.0),
                message=_message(report) if report.failed else "",
            )
        if (
            report.failed
            and SETTINGS["stop"]
            and report.nodeid not in SETTINGS["red"]
            and _struck()
        ):
            self.session.shouldstop = "the tests have noticed"

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        _say("end", elsewhere=sorted(_elsewhere()), opened=sorted(_opened), spawned=bool(_spawned))
        if _now.is_fork:
            # All is told. What other plugins do at the end, each fork would do again: Hypothesis
            # imports itself for its summary, which takes ten times as long as the tests.
            os._exit(int(exitstatus))


def _is_wanted(item: Any) -> bool:
    return SETTINGS["only"] is None or item.nodeid.partition("[")[0] in SETTINGS["only"]


def _list_meeting(site: str, is_slow: bool) -> list[str]:
    """The green tests that come by a site: the slow ones of them, or the others."""
    slow = set(SETTINGS["slow"])
    return [test for test in SETTINGS["meeting"][site] if (test in slow) is is_slow]


def _comes_later(item: Any) -> bool:
    """False for the test that is likely to notice: the first that does ends the run."""
    first = SETTINGS.get("first", "")
    return not (first and first.endswith(item.nodeid.partition("[")[0]))


def _struck() -> bool:
    return any('"event": "struck"' in line for line in _said)


def _message(report: Any) -> str:
    """The error in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr)
    said = list(filter(str.strip, text.splitlines())) or [""]
    errors = [line[1:] for line in said if line.startswith("E ")]
    line = errors[-1] if errors else said[0]
    return line.strip()[:300]


def _elsewhere() -> set[str]:
    """Files that were imported in the place of the copy's changed ones."""
    found = set()
    for name in SETTINGS["modules"]:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            found.add(os.path.realpath(file))
    return {file for file in found if not file.startswith(SETTINGS["root"] + os.sep)}


_opened: set[str] = set()
_spawned: set[str] = set()


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str):
        _opened.add(args[0])
    elif event in SPAWNS:
        _spawned.add(event)


# -- several breaks in one process


def _is_alone() -> bool:
    """Whether a fork shares nothing with the next: no thread, socket or event loop, no open file of
    the copy.
    """
    shared = ("socket:", "anon_inode:", SETTINGS["root"] + os.sep)
    try:
        threads = list(Path("/proc/self/task").iterdir())
        descriptors = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return False
    if len(threads) > 1 or threading.active_count() > 1:
        return False
    return not any(_link(fd).startswith(shared) for fd in descriptors)


def _link(fd: Path) -> str:
    try:
        return os.readlink(fd)  # noqa: PTH115 - Path has it since 3.9
    except OSError:
        return ""


def _fork(settings: dict[str, Any], limit_s: float) -> bool:
    """True in a child, which has the settings from then on; False in the parent, once that child
    has ended.
    """
    global _out
    sys.stdout.flush()
    sys.stderr.flush()
    spawned = set(_spawned)
    child = os.fork()
    _spawned.intersection_update(spawned)  # this one is ours
    if child:
        _await(child, settings["out"], limit_s)
        return False
    SETTINGS.update(settings)
    _out = _records(SETTINGS["out"])
    _said.clear()
    _met.clear()
    _given.clear()
    _now.is_fork = True
    _hand_on()
    return True


def _hand_on() -> None:
    """To the processes that this one starts."""
    SETTINGS["tester"] = os.getpid()
    names = ("tester", "out", "site", "maps", "drop", "swallow", "turn")
    os.environ[_HANDED_ON] = json.dumps({name: SETTINGS[name] for name in names})


def _await(child: int, records: str, limit_s: float) -> None:
    """Says how it ended, where it did not come to its own end."""
    end, pause, timed_out = time.monotonic() + limit_s, 0.002, False
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended:
        timed_out = time.monotonic() > end
        if timed_out:
            os.kill(child, signal.SIGKILL)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
        ended, status = os.waitpid(child, 0 if timed_out else os.WNOHANG)
    if timed_out:
        words = f"it took longer than {limit_s:.0f} s"
    elif os.WIFSIGNALED(status):
        words = f"ended by signal {os.WTERMSIG(status)}"
    else:
        words = f"exit {os.WEXITSTATUS(status)}"
    _tell(records, "fork", words=words, timed_out=timed_out)


def _read_records(records: str) -> list[dict[str, Any]]:
    return list(map(json.loads, Path(records).read_text(encoding="utf-8").splitlines()))


def _tell(records: str, event: str, **fields: Any) -> None:
    """One line in the records of a fork, by the process that forks."""
    fd = _records(records)
    os.write(fd, (json.dumps({"event": event, **fields}) + "\n").encode())
    os.close(fd)


def _has_noticed(records: str) -> bool:
    """Whether a fork has ended with a test that fails because of the break."""
    is_struck, has_failed = False, False
    for event in _read_records(records):
        if event["event"] == "struck":
            is_struck = True
        elif event["event"] == "outcome" and event["outcome"] == "failed":
            has_failed = has_failed or event["test"] not in SETTINGS["red"]
    return is_struck and has_failed


def _green_and_red(records: str) -> dict[str, Any]:
    """The settings of a break from what the unbroken run recorded."""
    reach = importlib.import_module(f"{__name__}_reach")
    ended = []
    reached: dict[str, str] = {}
    met: dict[str, dict[str, str]] = {}
    slow = set()
    for event in _read_records(records):
        kind, test = event["event"], event.get("test", "")
        if kind == "outcome":
            ended.append(event)
            if event["seconds"] > _SLOW_S:
                slow.add(test.partition("[")[0])
        elif kind == "reached" and test:
            reached[test] = event["scope"]
        elif kind == "met" and test:
            met.setdefault(event["site"], {})[test] = event["scope"]
    outcomes = reach.worst(ended)
    return {
        "meeting": {site: sorted(reach.reaching(tests, outcomes)) for site, tests in met.items()},
        "slow": sorted(slow),
        "only": sorted(reach.reaching(reached, outcomes)),
        "red": sorted(reach.of(outcomes, "failed")),
    }


class Kept:
    """The files below some folders as they are now. `whole`: all of them can be put back."""

    def __init__(self, *folders: str) -> None:
        self.folders = folders
        self.before = {path: _seen(path) for path in self.paths()}
        size, self.whole, changed = 0, True, []
        for path, seen in self.before.items():
            if seen != _seen(self._source(path)):
                changed.append(path)
                size += path.lstat().st_size
                self.whole = self.whole and not path.is_symlink()
        self.whole = self.whole and size < _HELD
        self.held: dict[Path, bytes] = {}
        if self.whole:
            self.held = {path: path.read_bytes() for path in changed}

    def paths(self) -> list[Path]:
        """All that is no folder."""
        found = []
        for folder in self.folders:
            for at, _, names in os.walk(folder):
                found += [Path(at, name) for name in names]
        return found

    def _source(self, path: Path) -> Path:
        return Path(SETTINGS["source"], os.path.relpath(path, SETTINGS["root"]))

    def put_back(self) -> None:
        """What was made since goes, what was changed is as it was."""
        for path in self.paths():
            if path not in self.before:
                with contextlib.suppress(OSError):
                    path.unlink()
        for path, was in self.before.items():
            if _seen(path) == was:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if path in self.held:
                path.write_bytes(self.held[path])
            else:
                shutil.copy2(self._source(path), path, follow_symlinks=False)


def _seen(path: Path) -> tuple[int, int] | None:
    """Time and size; copies keep both."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Databases:
    """Django's own test databases, where `manage.py test` runs the tests and no plugin makes
    them.
    """

    def __init__(self) -> None:
        from django.test.runner import DiscoverRunner

        self.runner = DiscoverRunner(verbosity=0, interactive=False)
        self.runner.setup_test_environment()
        self.made = self.runner.setup_databases()
        self.maker = os.getpid()

    def pytest_unconfigure(self) -> None:
        if os.getpid() == self.maker:
            self.runner.teardown_databases(self.made)


def _django() -> list[Any]:
    """Sets Django up, before a test imports its models."""
    names_settings = os.environ.get("DJANGO_SETTINGS_MODULE") and importlib.util.find_spec("django")
    if not names_settings or importlib.util.find_spec("pytest_django"):
        return []
    importlib.import_module("django").setup()
    return [Databases()]


def launch(arguments: list[str]) -> int:
    """Runs pytest; its exit code."""
    _hand_on()
    if SETTINGS["watch"]:
        sys.addaudithook(_audit)
    try:
        import pytest
    except ImportError:
        _say("no-pytest")
        return 1
    pytest.hookimpl(hookwrapper=True)(Watching.pytest_fixture_setup)
    pytest.hookimpl(tryfirst=True)(Watching.pytest_runtestloop)
    return int(pytest.main([*arguments, *_plain()], plugins=[Watching(), *_django()]))


def _plain() -> list[str]:
    """One process, all failures, and no coverage: a few tests of many would miss any threshold."""
    found = ["--maxfail=0"]
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        found += ["--no-cov"] if importlib.util.find_spec("pytest_cov") else []
        found += ["-n", "0"] if importlib.util.find_spec("xdist") else []
    return found


if __name__ == "__main__":
    code = importlib.import_module("skillrun_broken").launch(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that a test has left running would keep the process alive.
    os._exit(code)
