"""Where a repository keeps the tests of a package, how it names their files, and how they are
written.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from skillrun.repo.places import is_shown, is_test, is_vendored
from skillrun.skills.job_worker.scaffold.manner.configured import Settings, read_text, within
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

if TYPE_CHECKING:
    from skillrun.repo.manifests import Manifests
    from skillrun.repo.survey import Survey
    from skillrun.repo.tree import Tree

_NAME = re.compile(r"(?:test_\w+|\w+_tests?|tests?)\.py")
_FOLDERS = ("tests", "test")
_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "pytest.ini", "tox.ini")
_ELSEWHERE = re.compile(
    r"integration|functional|acceptance|e2e|end_to_end|system|smoke|perf|load|bench|fixtures|data"
)
_DJANGO_CASE = re.compile(r"from django\.test import|from django import test|rest_framework\.test")
_UNITTEST = re.compile(r"\bunittest\.TestCase|from unittest import .*\bTestCase")
_CLASSES = re.compile(r"(?m)^class \w+\([^)]*Test(?!Mixin)(?:Case|s|Base)?\w*[^)]*\):")
_PLAIN = re.compile(
    r"(?m)^(?:async )?def test_|^@pytest\.|^class Test\w*(?:\([^)]*\))?:|^import pytest"
)
_TESTS = re.compile(r"def test|TestCase\b")
_PATTERNS = {
    "test_{}.py": r"test_\w+\.py",
    "{}_test.py": r"\w+_test\.py",
    "{}_tests.py": r"\w+_tests\.py",
}
_OURS = re.compile(r"(?m)^\s*(?:from|import)\s+([\w.]+)(?:\s+import\s+([\w, ]+))?")


@dataclass(frozen=True)
class TestHome:
    """How the handler's test is written (pytest | unittest | django), its folder, and its file
    name's pattern.
    """

    __test__ = False

    runner: str
    folder: str
    pattern: str


def find_test_home(
    tree: Tree,
    found: Survey,
    manifests: Manifests,
    settings: Settings,
    handler_path: str,
    module: str,
) -> TestHome:
    """Where the tests of the handler's package are; where it has none, as those of other
    packages.
    """
    paths = _tests(tree, settings, handler_path)
    folder = _folder(tree, settings, paths, handler_path, module)
    near = _list_near(paths, folder)
    runner = _runner(tree, found, manifests, settings, near)
    if folder is None:
        return _nowhere(settings, runner, _folder_of(handler_path))
    in_one_file = folder.rpartition("/")[2] not in _FOLDERS and (
        runner != "pytest" or _collects(settings, "tests.py")
    )
    return TestHome(runner, folder, _pattern(near, in_one_file))


def _list_near(paths: tuple[str, ...], folder: str | None) -> Sequence[str]:
    """The tests in a folder, else those below it, else all."""
    inside, below = [], []
    for path in paths:
        if _folder_of(path) == folder:
            inside.append(path)
        if path.startswith(f"{folder}/"):
            below.append(path)
    return inside or below or paths


def _nowhere(settings: Settings, runner: str, folder: str) -> TestHome:
    """There are no tests yet: where the configuration wants them, or where the framework's own
    generator puts them.
    """
    if runner == "django" and folder:
        return TestHome(runner, folder, "tests.py")
    for path in settings.listed("testpaths"):
        if path.strip("./"):
            return TestHome(runner, path.strip("./"), "test_{}.py")
    return TestHome(runner, "tests", "test_{}.py")


def _tests(tree: Tree, settings: Settings, handler_path: str) -> tuple[str, ...]:
    """The files of tests: of the project that the handler belongs to where it has some, in the
    configured folders.
    """
    paths = []
    for path in tree.files:
        is_named = _is_test_module(path) or _is_told_of(settings, path)
        if is_named and not _is_aside(path, handler_path) and _holds_tests(tree, path):
            paths.append(path)
    for folder in _projects(tree, settings):
        inside = [path for path in paths if _is_below(path, folder)]
        if inside:
            collected = [path for path in inside if _is_collected(settings, path)]
            return tuple(collected or inside)
    return tuple(paths)


def _projects(tree: Tree, settings: Settings) -> list[str]:
    """The folders around the handler that hold a project's own files, the nearest first."""
    projects = []
    for one in settings.folders:
        if any(within(one, name) in tree.files for name in _MARKERS):
            projects.append(one)
    return projects


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _is_collected(settings: Settings, path: str) -> bool:
    """No test paths are configured, or it lies in one, seen from any folder above the handler."""
    wanted = settings.listed("testpaths")
    for folder, one in itertools.product(settings.folders, wanted):
        if _is_below(path, within(folder, one.strip("./"))):
            return True
    return not wanted


def _is_test_module(path: str) -> bool:
    return _NAME.fullmatch(path.rpartition("/")[2]) is not None


def _holds_tests(tree: Tree, path: str) -> bool:
    """A module called test.py or tests.py may be what tests are made with."""
    return (
        path.rpartition("/")[2] not in ("test.py", "tests.py")
        or _TESTS.search(read_text(tree, path)) is not None
    )


def _is_told_of(settings: Settings, path: str) -> bool:
    """In a folder of tests whose files need no mark in their names: `python_files = *.py`."""
    folder, _, name = path.rpartition("/")
    plain = (
        folder.rpartition("/")[2] in _FOLDERS
        and name.endswith(".py")
        and name not in ("__init__.py", "conftest.py")
    )
    return plain and _collects(settings, name)


def _is_aside(path: str, handler_path: str) -> bool:
    """Somebody else's; or of an example that the handler is no part of."""
    folder = path.partition("/")[0]
    return is_vendored(path) or (is_shown(path) and not handler_path.startswith(f"{folder}/"))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _pattern(paths: Iterable[str], in_one_file: bool) -> str:
    """How most of the files are named; "tests.py" holds all tests of its package."""
    votes = Counter[str]()
    others, shared = 0, 0
    for path in paths:
        name = path.rpartition("/")[2]
        for pattern, regex in _PATTERNS.items():
            if re.fullmatch(regex, name):
                votes[pattern] += 1
        others += not _NAME.fullmatch(name)
        shared += name == "tests.py"
    # Last, so that of as many files a pattern is chosen.
    votes["{}.py"] = others
    if in_one_file:
        votes["tests.py"] = shared
    else:
        votes["tests.py"] = 0
    if not votes.total():
        return "test_{}.py"
    return votes.most_common(1)[0][0]


# -- the folder


def _folder(
    tree: Tree, settings: Settings, paths: tuple[str, ...], handler_path: str, module: str
) -> str | None:
    folder = _folder_of(handler_path)
    own = _own_folder(paths, folder)
    if own is not None:
        return own
    return (
        _prepared(tree, settings, paths, folder)
        or _mirror(paths, folder, module)
        or _importing(tree, paths, module)
        or _as_others(tree, paths, folder)
        or _nearest(paths, folder)
    )


def _own_folder(paths: tuple[str, ...], folder: str) -> str | None:
    """`<package>/tests/`, `<package>/tests.py` or tests beside the code."""
    held = {_folder_of(path) for path in paths}
    if folder:
        for name in _FOLDERS:
            found = _choose_inside(within(folder, name), held)
            if found is not None:
                return found
    if folder in held and folder.rpartition("/")[2] not in _FOLDERS:
        return folder
    return None


def _choose_inside(inside: str, held: set[str]) -> str | None:
    """A folder of tests itself, or one below it; the one of unit tests first."""
    unit = _unit(inside, held)
    if inside in held or unit in held:
        return unit
    deeper = [path for path in held if path.startswith(f"{inside}/")]
    return min(deeper, default=None)


def _prepared(tree: Tree, settings: Settings, paths: tuple[str, ...], folder: str) -> str | None:
    """A package of tests without any yet, beside the handler or in its project where that has no
    tests either.
    """
    homes = [folder]
    for one in _projects(tree, settings)[:1]:
        if not any(_is_below(path, one) for path in paths):
            homes.append(one)
    for home, name in itertools.product(homes, _FOLDERS):
        place = within(home, name)
        for path in (f"{place}/__init__.py", f"{place}/conftest.py"):
            if path in tree.files and _is_collected(settings, path):
                return place
    return None


def _unit(folder: str, held: set[str]) -> str:
    for name in ("unit", "unit_tests", "unittests"):
        if f"{folder}/{name}" in held:
            return f"{folder}/{name}"
    return folder


def _mirror(paths: tuple[str, ...], folder: str, module: str) -> str | None:
    """The folder of tests whose path ends as the handler's package does, with or without its first
    parts.
    """
    package = module.split(".")[:-1]
    held = set[str]()
    for path in paths:
        if not path.startswith(f"{folder}/"):
            held.update(_folders_above(path))
    # Of the package's own path, from its beginning.
    for length in range(len(package), 0, -1):
        for start in range(length):
            tail = "/".join(package[start:length])
            found = [one for one in held if _ends_with(one, tail)]
            if found and (start == 0 or len(package) > 1):
                return min(found, key=_rank_mirror)
    return None


def _rank_mirror(folder: str) -> tuple[object, ...]:
    return _ELSEWHERE.search(folder) is not None, folder.count("/"), folder


def _folders_above(path: str) -> Iterator[str]:
    """The nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _ends_with(folder: str, tail: str) -> bool:
    """ "tests/unit/shop/billing" is a mirror of "shop/billing"; "shop/billing" itself is none."""
    head = folder.removesuffix(tail).rstrip("/")
    tested = "/".join(f"test_{part}" for part in tail.split("/"))
    if folder not in (f"{head}/{tail}", f"{head}/{tested}"):
        return False
    return any(part.startswith("test") for part in head.split("/"))


def _importing(tree: Tree, paths: tuple[str, ...], module: str) -> str | None:
    """The folder of most tests that import the handler's module, else its package."""
    for wanted in filter(None, (module, module.rpartition(".")[0])):
        held, plain = Counter[str](), Counter[str]()
        for path in paths:
            if _imports(read_text(tree, path), wanted):
                folder = _folder_of(path)
                held[folder] += 1
                plain[folder] += not _ELSEWHERE.search(folder)
        votes = +plain or held
        if votes:
            return max(votes, key=lambda one: (votes[one], -one.count("/"), one))
    return None


def _imports(text: str, wanted: str) -> bool:
    if wanted.rpartition(".")[2] not in text:
        return False
    # Of a whole package, what is imported from inside of it counts as well.
    inside = None
    if "." in wanted:
        inside = f"{wanted}."
    for found in _OURS.finditer(text):
        names = [found[1]]
        for name in (found[2] or "").split(","):
            if name.strip():
                names.append(f"{found[1]}.{name.split()[0]}")
        if wanted in names or (inside and any(name.startswith(inside) for name in names)):
            return True
    return False


def _as_others(tree: Tree, paths: tuple[str, ...], folder: str) -> str | None:
    """Most of the packages beside this one keep their tests inside: so does this one."""
    beside = _folder_of(folder)
    depth = 0
    if beside:
        depth = len(beside.split("/"))
    inside = _list_inside_packages(tree, paths, beside, depth)
    if not folder or not inside or len(inside) * 2 < len(paths):
        return None
    named = Counter(parts[depth + 1] for parts in inside)
    common = named.most_common(1)[0][0]
    if common in _FOLDERS:
        return within(folder, common)
    return folder


def _list_inside_packages(
    tree: Tree, paths: tuple[str, ...], beside: str, depth: int
) -> list[list[str]]:
    """The parts of each test's path that lies in a package of code, or in a folder of that."""
    code = set()
    for path in tree.files:
        if path.endswith(".py") and _is_code(path):
            code.add(_top(path, depth))
    inside = []
    for path in paths:
        parts = path.split("/")
        is_inside = _is_below(path, beside) and _top(path, depth) in code
        if is_inside and len(parts) in (depth + 2, depth + 3):
            inside.append(parts)
    return inside


def _top(path: str, depth: int) -> str:
    """The package at that depth which holds a file."""
    return "/".join(path.split("/")[: depth + 1])


def _is_code(path: str) -> bool:
    name = path.rpartition("/")[2]
    return not _is_test_module(path) and not is_test(path) and name != "__init__.py"


def _nearest(paths: tuple[str, ...], folder: str) -> str | None:
    """The folder of tests with the shortest way to the handler; of those that hold unit tests."""
    held = Counter(_folder_of(path) for path in paths)
    if not held:
        return None
    return min(
        held,
        key=lambda one: (
            _ELSEWHERE.search(one) is not None,
            -common(one.split("/"), folder.split("/")),
            one.count("/"),
            one,
        ),
    )


# -- the runner


def _runner(
    tree: Tree, found: Survey, manifests: Manifests, settings: Settings, near: Iterable[str]
) -> str:
    """As the tests near are written; functions only where pytest is what runs them."""
    command = found.commands.test
    runs = ""
    if command:
        runs = f"{command.command} {command.runs}"
    pytest = _has_pytest(settings, manifests) or re.search(r"\bpy\.?test\b", runs) is not None
    managed = re.search(r"manage\.py\s+test|django-admin\s+test|runtests", runs) is not None
    is_django = _is_django(manifests)
    styles = Counter[str]()
    for path in near:
        styles.update(_styles(read_text(tree, path), is_django))
    if not styles:
        if not pytest and (managed or is_django):
            return "django"
        return "pytest"
    if not pytest and not styles["pytest"]:
        if styles["django"] or managed:
            return "django"
        return "unittest"
    return styles.most_common(1)[0][0]


def _has_pytest(settings: Settings, manifests: Manifests) -> bool:
    return settings.has("pytest") or bool(manifests.find("pytest", "pytest-django", "pytest-cov"))


def _is_django(manifests: Manifests) -> bool:
    return any(dependency.main for dependency in manifests.find("django"))


def _styles(text: str, is_django: bool) -> Iterator[str]:
    """A test case of the repository's own is taken for Django's where Django is in use."""
    if _CLASSES.search(text):
        if _DJANGO_CASE.search(text) or (is_django and not _UNITTEST.search(text)):
            yield "django"
        else:
            yield "unittest"
    elif _PLAIN.search(text):
        yield "pytest"


def _collects(settings: Settings, name: str) -> bool:
    """pytest is told to look at a file of this name; by itself it looks at test_*.py and
    *_test.py.
    """
    return any(fnmatch(name, glob) for glob in settings.listed("python_files"))
