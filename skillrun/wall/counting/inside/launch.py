"""Runs the target's tests, and tells each one that is collected and how it came out.

    python launch.py SETTINGS

It runs in the target's interpreter, so it keeps to the standard library and to Python 3.8. Its own
folder holds nothing else, since that folder leads `sys.path` until pytest is imported: a
`pytest.py` of the repository is not what runs.

The settings and the records are unlinked before anything of the repository runs, so that no path
leads to them; each record carries a MAC of all before it, so that one which something else wrote,
changed or took away is noticed.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import importlib.util
import inspect
import json
import os
import random
import sys
import threading
import time
import unittest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    Hook = TypeVar("Hook", bound=Callable[..., Any])
    Say = Callable[..., None]

BROKEN_PER_FILE = 3  # tests of a file that are tried with a body that fails
_SET_UP_S = 60.0  # for fixtures of the session, once more
# Time for trying them; there is more where the tests themselves take longer.
_LEAST_BROKEN_S = 5.0


def open_records(settings: dict[str, Any]) -> Say:
    """A function that writes one record; key and descriptor are known to it alone."""
    records = os.open(settings["out"], os.O_WRONLY | os.O_APPEND)
    os.unlink(settings["out"])  # noqa: PTH108 - no method that a test could have replaced
    key, owner = bytes.fromhex(settings.pop("key")), os.getpid()
    tag = [""]
    write, own_pid, dumps, new_mac = os.write, os.getpid, json.dumps, hmac.new

    def say(event: str, **fields: Any) -> None:
        # A process that a test has forked has a copy of all this, and nothing to tell.
        if own_pid() != owner:
            return
        text = dumps({"event": event, **fields}, sort_keys=True)
        tag[0] = new_mac(key, (tag[0] + text).encode(), hashlib.sha256).hexdigest()
        write(records, f"{tag[0]} {text}\n".encode())

    return say


class Counting:
    """What pytest registers: hooks alone, each a function that holds what it needs. Nothing else
    can be had from it by an attribute.
    """


def make_counting(
    settings: dict[str, Any], say: Say, pytest: Any
) -> tuple[Counting, Callable[[], None]]:
    """The pytest plugin, and a function that tells where its hooks are no longer those that were
    registered.

    All that the hooks use is bound in the function that makes them: a name of this module could
    mean something else by the time that they are called.
    """
    names = make_names(settings["root"])
    hold, compare = make_guard(say)
    counting = Counting()
    hooks = (
        make_first_hook(pytest, hold, counting),
        *make_collecting_hooks(say, names, compare),
        *make_running_hooks(settings, say, pytest, names, compare),
    )
    for hook in hooks:
        setattr(counting, hook.__name__, hook)
    return counting, compare


def make_names(root: str) -> tuple[Callable[[Any], str], ...]:
    """Four functions: the path of a file in the checkout, the id of a test, that of the test of a
    report, and where the code of a test stands.
    """
    relative_path, real_path, separator = os.path.relpath, os.path.realpath, os.sep
    unwrap = inspect.unwrap
    ids: dict[str, str] = {}  # pytest's id -> ours

    def name_path(path: str) -> str:
        return relative_path(real_path(path), root).replace(separator, "/")

    def id_of(item: Any) -> str:
        """With its path relative to the checkout, whatever folder pytest takes for its own."""
        if item.nodeid not in ids:
            rest = item.nodeid.partition("::")[2]
            path = getattr(item, "path", None) or item.fspath
            ids[item.nodeid] = f"{name_path(str(path))}::{rest}"
        return ids[item.nodeid]

    def id_of_report(report: Any) -> str:
        """A report knows pytest's id alone."""
        return ids.get(report.nodeid, str(report.nodeid))

    def code_of(item: Any) -> str:
        """Where the code stands that the test would run, "path:name"; empty where it is no
        function.
        """
        function: Any = getattr(item, "obj", None)
        code = getattr(unwrap(function), "__code__", None)
        if code is None:
            return ""
        return f"{name_path(code.co_filename)}:{code.co_name}"

    return name_path, id_of, id_of_report, code_of


def mark_hook(pytest: Any, **options: bool) -> Callable[[Hook], Hook]:
    """As pytest's own decorator, which no type checker sees here."""
    marked: Callable[[Hook], Hook] = pytest.hookimpl(**options)
    return marked


def make_first_hook(pytest: Any, hold: Callable[..., None], counting: Counting) -> Any:
    """Called by pytest before any plugin or conftest of the repository is imported."""

    @mark_hook(pytest, hookwrapper=True, tryfirst=True)
    def pytest_cmdline_parse(pluginmanager: Any) -> Iterator[None]:
        hold(pluginmanager, counting)
        yield

    return pytest_cmdline_parse


def make_collecting_hooks(say: Say, names: Any, compare: Callable[[], None]) -> tuple[Any, ...]:
    """They tell what is collected, and what could not be."""
    name_path, id_of, _, code_of = names
    shorten = last_line
    rootdir = [""]

    def pytest_sessionstart(session: Any) -> None:
        config = session.config
        rootdir[0] = str(config.rootpath if hasattr(config, "rootpath") else config.rootdir)

    def pytest_collectreport(report: Any) -> None:
        if report.failed:
            path = str(report.nodeid).partition("::")[0]
            message = shorten(str(report.longrepr))
            say("uncollected", path=name_path(f"{rootdir[0]}/{path}"), message=message)

    def pytest_deselected(items: list[Any]) -> None:
        for item in items:
            say("deselected", test=id_of(item))

    def pytest_collection_finish(session: Any) -> None:
        compare()
        for item in session.items:
            line = (item.location[1] or 0) + 1
            say("collected", test=id_of(item), line=line, code=code_of(item))

    return (
        pytest_sessionstart,
        pytest_collectreport,
        pytest_deselected,
        pytest_collection_finish,
    )


def make_choice(
    settings: dict[str, Any], id_of: Callable[[Any], str], passed: dict[str, bool]
) -> Callable[[list[Any]], list[Any]]:
    """A function that chooses the tests that are tried with a body that fails."""
    broken_only = frozenset(settings["broken_only"])
    draw, most = random.SystemRandom().sample, BROKEN_PER_FILE

    def choose_to_break(items: list[Any]) -> list[Any]:
        """Green tests, some of each file, in the order in which they ran: which ones cannot be
        known before.
        """
        green = [item for item in items if passed.get(item.nodeid)]
        able = [item for item in green if callable(getattr(item, "obj", None))]
        if broken_only:
            return [item for item in able if id_of(item) in broken_only]
        files: dict[str, list[Any]] = {}
        for item in able:
            files.setdefault(id_of(item).partition("::")[0], []).append(item)
        chosen: list[Any] = []
        for tests in files.values():
            picked = set(draw(range(len(tests)), min(most, len(tests))))
            chosen += [tests[number] for number in sorted(picked)]
        return chosen

    return choose_to_break


def make_breaking(
    say: Say, id_of: Callable[[Any], str], broken: list[Any]
) -> Callable[[Any, Any], None]:
    """A function that runs one test with a body that fails; `broken` holds the test meanwhile."""
    run_protocol = importlib.import_module("_pytest.runner").runtestprotocol

    def run_broken(item: Any, following: Any) -> None:
        """Tells where a test whose body fails is said to have passed, or to have been skipped.

        `following` runs next: what both need stays set up.
        """
        broken.append(item)
        try:
            reports = run_protocol(item, log=False, nextitem=following)
        finally:
            broken.clear()
        calls = [report for report in reports if report.when == "call"]
        if calls and not any(report.failed for report in reports):
            say("deaf", test=id_of(item))

    return run_broken


def make_running_hooks(
    settings: dict[str, Any], say: Say, pytest: Any, names: Any, compare: Callable[[], None]
) -> tuple[Any, ...]:
    """They tell what ran, and run some of it again with a body that fails."""
    _, id_of, id_of_report, _ = names
    # The one test that runs with another body, while it does.
    broken: list[Any] = []
    passed: dict[str, bool] = {}

    @mark_hook(pytest, trylast=True)
    def pytest_sessionfinish() -> None:
        compare()
        say("end")

    return (
        make_loop_hook(settings, say, pytest, id_of, compare, broken, passed),
        make_call_hook(say, pytest, names, compare, broken),
        make_outcome_hook(say, id_of_report, passed),
        pytest_sessionfinish,
    )


def make_loop_hook(
    settings: dict[str, Any],
    say: Say,
    pytest: Any,
    id_of: Callable[[Any], str],
    compare: Callable[[], None],
    broken: list[Any],
    passed: dict[str, bool],
) -> Any:
    """It runs the tests, then some of them again; `broken` and `passed` are shared with the other
    hooks.
    """
    # Tests whose outcome a run before this one has told: they need not run again.
    known = frozenset(settings["known"])
    choose_to_break = make_choice(settings, id_of, passed)
    run_broken = make_breaking(say, id_of, broken)
    start_limit, least_s = make_limit(), _LEAST_BROKEN_S
    now = time.monotonic

    @mark_hook(pytest, hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(session: Any) -> Iterator[None]:
        """The tests as they are; then a few of each file with a body that fails."""
        session.items[:] = [item for item in session.items if id_of(item) not in known]
        began = now()
        yield
        compare()
        say("ran")
        limit_s = max(least_s, (now() - began) / 2)
        end = now() + limit_s
        limit = start_limit(limit_s)
        chosen = choose_to_break(session.items)
        for item, following in zip(chosen, [*chosen[1:], None]):  # noqa: B905 - Python 3.8 has no `strict`
            if now() > end:
                break
            run_broken(item, following)
        limit.cancel()

    return pytest_runtestloop


def make_call_hook(
    say: Say, pytest: Any, names: Any, compare: Callable[[], None], broken: list[Any]
) -> Any:
    """It stands around a test's own code, and gives a test that is `broken` another body."""
    _, id_of, _, code_of = names
    make_failing = failing_like

    @mark_hook(pytest, hookwrapper=True, trylast=True)
    def pytest_runtest_call(item: Any) -> Iterator[None]:
        """The innermost look: whether the test's own code raised, whatever a hook makes of that
        afterwards.
        """
        compare()
        if item in broken:
            held = item.obj
            item.obj = make_failing(held, item)
            yield
            item.obj = held
            return
        # Before the test runs: it could say afterwards that its code stands elsewhere.
        code = code_of(item)
        outcome: Any = yield
        raised = outcome.excinfo is not None or bool(getattr(item, "_excinfo", None))
        say("called", test=id_of(item), raised=raised, code=code)

    return pytest_runtest_call


def make_outcome_hook(
    say: Say, id_of_report: Callable[[Any], str], passed: dict[str, bool]
) -> Callable[[Any], None]:
    """It tells how each test came out."""
    judge, shorten = outcome_of, last_line

    def pytest_runtest_logreport(report: Any) -> None:
        outcome = judge(report)
        if report.when == "call" or outcome != "passed":
            was_passed = passed.get(report.nodeid, True)
            passed[report.nodeid] = was_passed and outcome == "passed"
            message = shorten(str(report.longrepr)) if report.failed else ""
            say("outcome", test=id_of_report(report), outcome=outcome, message=message)

    return pytest_runtest_logreport


def make_limit() -> Callable[[float], threading.Timer]:
    """A function that ends this process some time after `limit_s`, unless its timer is cancelled.

    What a session sets up is set up again here. Where that hangs, what the tests showed is known
    already.
    """
    timer, end_process, set_up_s = threading.Timer, os._exit, _SET_UP_S

    def start_limit(limit_s: float) -> threading.Timer:
        give_up = timer(limit_s + set_up_s, end_process, (0,))
        give_up.daemon = True
        give_up.start()
        return give_up

    return start_limit


def make_guard(say: Say) -> tuple[Callable[[Any, Any], None], Callable[[], None]]:
    """Two functions: one that remembers which hooks a plugin has registered, and one that tells
    once where they are others, stand in another order, or hold something else.
    """
    # The caller of a hook, its entry, and what the entry consisted of.
    held: list[tuple[Any, Any, Any]] = []
    told: list[bool] = []

    def take_apart(entry: Any) -> tuple[Any, ...]:
        function = entry.function
        cells = tuple(id(cell.cell_contents) for cell in function.__closure__ or ())
        opts = (entry.hookwrapper, entry.tryfirst, entry.trylast, tuple(entry.argnames))
        return (id(function), id(function.__code__), function.__defaults__, cells, opts)

    def hold(manager: Any, plugin: Any) -> None:
        for caller in manager.get_hookcallers(plugin) or ():
            for entry in caller.get_hookimpls():
                if entry.plugin is plugin:
                    held.append((caller, entry, take_apart(entry)))

    def is_as_held(caller: Any, entry: Any, parts: Any) -> bool:
        return (
            any(other is entry for other in caller.get_hookimpls()) and take_apart(entry) == parts
        )

    def compare() -> None:
        if told:
            return
        try:
            alike = bool(held) and all(is_as_held(*entry) for entry in held)
        except (AttributeError, ValueError, TypeError):
            alike = False
        if not alike:
            told.append(True)
            say("changed")

    return hold, compare


def failing_like(function: Any, item: Any) -> Any:
    """A function that fails at once, async where the other one is; unittest awaits nothing that
    is put in its place.
    """

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("assert False")

    async def fail_later(*_: Any, **__: Any) -> None:
        raise AssertionError("assert False")

    owner = getattr(item, "cls", None)
    is_unittest = isinstance(owner, type) and issubclass(owner, unittest.TestCase)
    return fail_later if inspect.iscoroutinefunction(function) and not is_unittest else fail


def outcome_of(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return {"skipped": "xfailed", "passed": "xpassed"}.get(str(report.outcome), "failed")
    if report.failed and report.when != "call":
        return "error"
    return str(report.outcome)


def last_line(text: str) -> str:
    """The error in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[-1][:300]


# -- unittest, where there is no pytest


def make_result(say: Say, root: str) -> unittest.TestResult:
    """Tells how each test came out, as the pytest plugin does. A test can reach the result that it
    is told to, so that nothing of what it tells is kept in its attributes.
    """
    shorten, find_name = last_line, test_name
    now = {"outcome": "", "message": ""}

    def end(outcome: str, err: Any) -> None:
        now["outcome"] = outcome
        now["message"] = shorten(str(err[1])) if err else ""

    class Telling(unittest.TestResult):
        def startTest(self, test: unittest.TestCase) -> None:
            super().startTest(test)
            end("passed", None)

        def addError(self, test: unittest.TestCase, err: Any) -> None:
            super().addError(test, err)
            end("error", err)

        def addFailure(self, test: unittest.TestCase, err: Any) -> None:
            super().addFailure(test, err)
            end("failed", err)

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
            super().addSubTest(test, subtest, err)
            if err is not None:
                end("failed", err)

        def addSkip(self, test: unittest.TestCase, reason: str) -> None:
            super().addSkip(test, reason)
            now["outcome"] = "skipped"

        def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
            super().addExpectedFailure(test, err)
            now["outcome"] = "xfailed"

        def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
            super().addUnexpectedSuccess(test)
            end("failed", None)

        def stopTest(self, test: unittest.TestCase) -> None:
            super().stopTest(test)
            name, outcome = find_name(test, root), now["outcome"]
            say("called", test=name, raised=outcome in ("failed", "error"), code="")
            say("outcome", test=name, outcome=outcome, message=now["message"])

    return Telling()


def run_unittest(settings: dict[str, Any], say: Say) -> None:
    """What `python -m unittest` would run."""
    known = set(settings["known"])
    suite = unittest.TestSuite()
    for test in flatten(unittest.defaultTestLoader.discover(os.curdir)):
        name = test_name(test, settings["root"])
        if type(test).__name__ == "_FailedTest":
            say("uncollected", path=name, message=last_line(str(getattr(test, "_exception", ""))))
            continue
        say("collected", test=name, line=1, code="")
        if name not in known:
            suite.addTest(test)
    suite.run(make_result(say, settings["root"]))
    say("end")


def flatten(suite: Any) -> Iterator[Any]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def test_name(test: Any, root: str) -> str:
    """As pytest would say it: path::Class::method."""
    module = sys.modules.get(type(test).__module__)
    file = os.path.realpath(getattr(module, "__file__", None) or "")
    path = os.path.relpath(file, root).replace(os.sep, "/")
    return f"{path}::{type(test).__name__}::{getattr(test, '_testMethodName', test)}"


# -- Django


def set_up_django(settings: dict[str, Any], say: Say) -> list[Any]:
    """Django's own test databases, where `manage.py test` makes them and no plugin does."""
    if settings["django"]:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings["django"])
    is_used = os.environ.get("DJANGO_SETTINGS_MODULE") and importlib.util.find_spec("django")
    if not is_used or importlib.util.find_spec("pytest_django"):
        return []
    try:
        importlib.import_module("django").setup()
        runners = importlib.import_module("django.test.runner")
        runner = runners.DiscoverRunner(verbosity=0, interactive=False)
        runner.setup_test_environment()
        made = runner.setup_databases()
    except Exception as error:
        say("django", message=last_line(repr(error)))
        return []
    return [Databases(runner, made)]


class Databases:
    """Takes the databases away again."""

    def __init__(self, runner: Any, made: Any) -> None:
        self.runner, self.made, self.maker = runner, made, os.getpid()

    def pytest_unconfigure(self) -> None:
        if os.getpid() == self.maker:
            self.runner.teardown_databases(self.made)


# -- the process


def find_pytest() -> Any:
    try:
        return importlib.import_module("pytest")
    except ImportError:
        return None


def run_pytest(pytest: Any, settings: dict[str, Any], say: Say, plugins: list[Any]) -> None:
    """One process, and all failures; no coverage, since a part of the tests would miss any
    threshold.
    """
    arguments = ["--maxfail=0", "--continue-on-collection-errors"]
    arguments += [f"--ignore={folder}" for folder in settings["ignored"]]
    # `manage.py test` looks into tests.py, too.
    is_djangos = bool(plugins or settings["django"])
    arguments += ["-o", "python_files=test*.py *_test.py"] if is_djangos else []
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        arguments += ["--no-cov"] if importlib.util.find_spec("pytest_cov") else []
        arguments += ["-n", "0"] if importlib.util.find_spec("xdist") else []
    counting, compare = make_counting(settings, say, pytest)
    del settings
    pytest.main(arguments, plugins=[counting, *plugins])
    compare()


def main() -> None:
    with open(sys.argv[1], "rb") as file:  # noqa: PTH123
        settings: dict[str, Any] = json.load(file)
    os.unlink(sys.argv[1])  # noqa: PTH108
    say = open_records(settings)
    pytest = find_pytest()
    # From here on as `python -m pytest` has it.
    sys.argv = ["pytest"]
    sys.path[0] = os.getcwd()  # noqa: PTH109
    if settings["python_path"]:
        os.environ["PYTHONPATH"] = settings["python_path"]
        sys.path[1:1] = settings["python_path"].split(os.pathsep)
    plugins = set_up_django(settings, say)
    if pytest is None:
        say("runner", name="unittest")
        run_unittest(settings, say)
        for databases in plugins:
            databases.pytest_unconfigure()
    else:
        say("runner", name="pytest")
        run_pytest(pytest, settings, say, plugins)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that a test has left running would keep the process alive.
    os._exit(0)
