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

from skillrun.repo.places import is_shown, is_test, is_test_module, is_vendored
from skillrun.skills.job_worker.scaffold.manner.configured import Settings, read_text, within
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

if TYPE_CHECKING:
    from skillrun.repo.manifests import Manifests
    from skillrun.repo.survey import Survey
    from skillrun.repo.tree import Tree

_FOLDERS = ("tests", "test")
# A folder with one of these is a project of its own.
_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "pytest.ini", "tox.ini")
# Folders whose tests are no unit tests.
_ELSEWHERE = re.compile(
    r"integration|functional|acceptance|e2e|end_to_end|system|smoke|perf|load|bench|fixtures|data"
)
_DJANGO_CASE = re.compile(r"from django\.test import|from django import test|rest_framework\.test")
_UNITTEST = re.compile(r"\bunittest\.TestCase|from unittest import .*\bTestCase")
# class Shipping(TestCase): and class Shipping(ShopTestCase):
_CLASSES = re.compile(r"(?m)^class \w+\([^)]*Test(?!Mixin)(?:Case|s|Base)?\w*[^)]*\):")
# Tests that need pytest: functions, and classes of no TestCase.
_PLAIN = re.compile(
    r"(?m)^(?:async )?def test_|^@pytest\.|^class Test\w*(?:\([^)]*\))?:|^import pytest"
)
_TESTS = re.compile(r"def test|TestCase\b")
_PATTERNS = {
    "test_{}.py": r"test_\w+\.py",
    "{}_test.py": r"\w+_test\.py",
    "{}_tests.py": r"\w+_tests\.py",
}
# from shop.tasks import send, receipt
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
    """Where the test of the handler belongs: with the tests of its package, or, where that has
    none, where the tests of other packages are.
    """
    paths = _find_tests(tree, settings, handler_path)
    folder = _choose_folder(tree, settings, paths, handler_path, module)
    near = _list_near(paths, folder)
    runner = _choose_runner(tree, found, manifests, settings, near)
    if folder is None:
        return _plan_first_home(settings, runner, _folder_of(handler_path))
    # A `tests.py` in a folder of code, as Django's generator writes it.
    may_be_one_file = folder.rpartition("/")[2] not in _FOLDERS and (
        runner != "pytest" or _collects(settings, "tests.py")
    )
    return TestHome(runner, folder, _choose_pattern(near, may_be_one_file))


def _list_near(paths: tuple[str, ...], folder: str | None) -> Sequence[str]:
    """The tests in a folder, else those below it, else all."""
    inside, below = [], []
    for path in paths:
        if _folder_of(path) == folder:
            inside.append(path)
        if path.startswith(f"{folder}/"):
            below.append(path)
    return inside or below or paths


def _plan_first_home(settings: Settings, runner: str, folder: str) -> TestHome:
    """Where the first test of a repository belongs: where the framework's own generator puts it, or
    where the configuration wants it.
    """
    if runner == "django" and folder:
        return TestHome(runner, folder, "tests.py")
    for path in settings.listed("testpaths"):
        if path.strip("./"):
            return TestHome(runner, path.strip("./"), "test_{}.py")
    return TestHome(runner, "tests", "test_{}.py")


def _find_tests(tree: Tree, settings: Settings, handler_path: str) -> tuple[str, ...]:
    """The files of tests. Those of the project that the handler belongs to, where it has some, and
    of these the ones in the configured folders.
    """
    paths = []
    for path in tree.files:
        is_named = is_test_module(path) or _is_test_by_configuration(settings, path)
        if is_named and not _is_aside(path, handler_path) and _holds_tests(tree, path):
            paths.append(path)
    for folder in _find_projects(tree, settings):
        inside = [path for path in paths if _is_below(path, folder)]
        if inside:
            collected = [path for path in inside if _is_collected(settings, path)]
            return tuple(collected or inside)
    return tuple(paths)


def _find_projects(tree: Tree, settings: Settings) -> list[str]:
    """The folders around the handler that hold a project's own files, the nearest first."""
    projects = []
    for folder in settings.folders:
        if any(within(folder, name) in tree.files for name in _MARKERS):
            projects.append(folder)
    return projects


def _is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, or below it; "" is the repository's own."""
    return not folder or path.startswith(f"{folder}/")


def _is_collected(settings: Settings, path: str) -> bool:
    """Whether no test paths are configured, or it lies in one, seen from any folder above the
    handler.
    """
    test_paths = settings.listed("testpaths")
    for folder, test_path in itertools.product(settings.folders, test_paths):
        if _is_below(path, within(folder, test_path.strip("./"))):
            return True
    return not test_paths


def _holds_tests(tree: Tree, path: str) -> bool:
    """Whether there are tests in a file. A module called test.py or tests.py may be what tests are
    made with, so it is read.
    """
    if path.rpartition("/")[2] not in ("test.py", "tests.py"):
        return True
    return _TESTS.search(read_text(tree, path)) is not None


def _is_test_by_configuration(settings: Settings, path: str) -> bool:
    """Whether it lies in a folder of tests whose files need no mark in their names:
    `python_files = *.py`.
    """
    folder, _, name = path.rpartition("/")
    if folder.rpartition("/")[2] not in _FOLDERS or not name.endswith(".py"):
        return False
    return name not in ("__init__.py", "conftest.py") and _collects(settings, name)


def _is_aside(path: str, handler_path: str) -> bool:
    """Whether it is somebody else's, or of an example that the handler is no part of."""
    folder = path.partition("/")[0]
    return is_vendored(path) or (is_shown(path) and not handler_path.startswith(f"{folder}/"))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _choose_pattern(paths: Iterable[str], may_be_one_file: bool) -> str:
    """How most of the files are named; "tests.py" holds all tests of its package."""
    votes = Counter[str]()
    others, shared = 0, 0
    for path in paths:
        name = path.rpartition("/")[2]
        for pattern, regex in _PATTERNS.items():
            if re.fullmatch(regex, name):
                votes[pattern] += 1
        others += not is_test_module(name)
        shared += name == "tests.py"
    # Last, so that of as many files a pattern is chosen.
    votes["{}.py"] = others
    if may_be_one_file:
        votes["tests.py"] = shared
    if not votes.total():
        return "test_{}.py"
    return votes.most_common(1)[0][0]


# -- the folder


def _choose_folder(
    tree: Tree, settings: Settings, paths: tuple[str, ...], handler_path: str, module: str
) -> str | None:
    """The folder in which the handler's test belongs, by the first of these signs that is there;
    None where the repository has no tests.
    """
    folder = _folder_of(handler_path)
    own = _find_own_folder(paths, folder)
    # "" is a folder, too: the repository's own.
    if own is not None:
        return own
    return (
        _find_prepared_folder(tree, settings, paths, folder)
        or _find_mirror(paths, folder, module)
        or _find_importing_folder(tree, paths, module)
        or _follow_other_packages(tree, paths, folder)
        or _find_nearest(paths, folder)
    )


def _find_own_folder(paths: tuple[str, ...], folder: str) -> str | None:
    """The folder of `<package>/tests/`, `<package>/tests.py` or of tests beside the code."""
    held = {_folder_of(path) for path in paths}
    if folder:
        for name in _FOLDERS:
            inside = _choose_inside(within(folder, name), held)
            if inside is not None:
                return inside
    if folder in held and folder.rpartition("/")[2] not in _FOLDERS:
        return folder
    return None


def _choose_inside(inside: str, held: set[str]) -> str | None:
    """A folder of tests itself, or one below it; the one of unit tests first. `held` are the
    folders that hold tests.
    """
    unit = _prefer_unit_tests(inside, held)
    if inside in held or unit in held:
        return unit
    deeper = [path for path in held if path.startswith(f"{inside}/")]
    return min(deeper, default=None)


def _find_prepared_folder(
    tree: Tree, settings: Settings, paths: tuple[str, ...], folder: str
) -> str | None:
    """A package of tests without any yet, beside the handler or in its project where that has no
    tests either.
    """
    homes = [folder]
    for project in _find_projects(tree, settings)[:1]:
        if not any(_is_below(path, project) for path in paths):
            homes.append(project)
    for home, name in itertools.product(homes, _FOLDERS):
        place = within(home, name)
        for path in (f"{place}/__init__.py", f"{place}/conftest.py"):
            if path in tree.files and _is_collected(settings, path):
                return place
    return None


def _prefer_unit_tests(folder: str, held: set[str]) -> str:
    """The folder of unit tests below a folder, or that folder itself."""
    for name in ("unit", "unit_tests", "unittests"):
        if f"{folder}/{name}" in held:
            return f"{folder}/{name}"
    return folder


def _find_mirror(paths: tuple[str, ...], folder: str, module: str) -> str | None:
    """The folder of tests whose path ends as the handler's package does, with or without its first
    parts.
    """
    package = module.split(".")[:-1]
    held = set[str]()
    for path in paths:
        if not path.startswith(f"{folder}/"):
            held.update(_list_folders_above(path))
    # The whole package first, then without its first parts; then the same of the package above it.
    for length in range(len(package), 0, -1):
        for start in range(length):
            tail = "/".join(package[start:length])
            mirrors = [path for path in held if _is_mirror(path, tail)]
            if mirrors and (start == 0 or len(package) > 1):
                return min(mirrors, key=_rank_mirror)
    return None


def _rank_mirror(folder: str) -> tuple[bool, int, str]:
    """Unit tests come first, then the shortest path."""
    return _ELSEWHERE.search(folder) is not None, folder.count("/"), folder


def _list_folders_above(path: str) -> Iterator[str]:
    """The folders of a path, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_mirror(folder: str, tail: str) -> bool:
    """Whether a folder of tests ends as a package does: "tests/unit/shop/billing" is a mirror of
    "shop/billing", and "shop/billing" itself is none.
    """
    head = folder.removesuffix(tail).rstrip("/")
    with_marks = "/".join(f"test_{part}" for part in tail.split("/"))
    if folder not in (f"{head}/{tail}", f"{head}/{with_marks}"):
        return False
    return any(part.startswith("test") for part in head.split("/"))


def _find_importing_folder(tree: Tree, paths: tuple[str, ...], module: str) -> str | None:
    """The folder of most tests that import the handler's module, else its package. Folders of unit
    tests come first.
    """
    for wanted in filter(None, (module, module.rpartition(".")[0])):
        every, unit = Counter[str](), Counter[str]()
        for path in paths:
            if not _imports(read_text(tree, path), wanted):
                continue
            folder = _folder_of(path)
            every[folder] += 1
            if not _ELSEWHERE.search(folder):
                unit[folder] += 1
        votes = unit or every
        if votes:
            return max(votes, key=lambda one: (votes[one], -one.count("/"), one))
    return None


def _imports(text: str, wanted: str) -> bool:
    """Whether a test imports a module, or something of it."""
    if wanted.rpartition(".")[2] not in text:
        return False
    for match in _OURS.finditer(text):
        names = [match[1]]
        for name in (match[2] or "").split(","):
            if name.strip():
                names.append(f"{match[1]}.{name.split()[0]}")
        if wanted in names:
            return True
        # Of a package within another, what is imported from inside of it counts as well.
        if "." in wanted and any(name.startswith(f"{wanted}.") for name in names):
            return True
    return False


def _follow_other_packages(tree: Tree, paths: tuple[str, ...], folder: str) -> str | None:
    """The handler's folder, or `tests` in it, where most of the packages beside this one keep their
    tests so.
    """
    beside = _folder_of(folder)
    depth = 0
    if beside:
        depth = len(beside.split("/"))
    inside = _list_inside_packages(tree, paths, beside, depth)
    are_most_inside = len(inside) * 2 >= len(paths)
    if not folder or not inside or not are_most_inside:
        return None
    names = Counter(parts[depth + 1] for parts in inside)
    usual = names.most_common(1)[0][0]
    if usual in _FOLDERS:
        return within(folder, usual)
    return folder


def _list_inside_packages(
    tree: Tree, paths: tuple[str, ...], beside: str, depth: int
) -> list[list[str]]:
    """The parts of each test's path that lies in a package of code, or in a folder of that."""
    packages = set()
    for path in tree.files:
        if path.endswith(".py") and _is_code(path):
            packages.add(_cut_at_depth(path, depth))
    # `shop/test_tasks.py` and `shop/tests/test_tasks.py`, seen from the folder `shop` lies in.
    lengths = (depth + 2, depth + 3)
    inside = []
    for path in paths:
        parts = path.split("/")
        if not _is_below(path, beside) or _cut_at_depth(path, depth) not in packages:
            continue
        if len(parts) in lengths:
            inside.append(parts)
    return inside


def _cut_at_depth(path: str, depth: int) -> str:
    """The package at that depth which holds a file."""
    return "/".join(path.split("/")[: depth + 1])


def _is_code(path: str) -> bool:
    """Whether it is a module of the application, and not of its tests."""
    name = path.rpartition("/")[2]
    return not is_test_module(path) and not is_test(path) and name != "__init__.py"


def _find_nearest(paths: tuple[str, ...], folder: str) -> str | None:
    """The folder of tests with the shortest way to the handler; of those that hold unit tests."""

    def rank(held: str) -> tuple[bool, int, int, str]:
        shared = common(held.split("/"), folder.split("/"))
        return _ELSEWHERE.search(held) is not None, -shared, held.count("/"), held

    return min({_folder_of(path) for path in paths}, key=rank, default=None)


# -- the runner


def _choose_runner(
    tree: Tree, found: Survey, manifests: Manifests, settings: Settings, near: Iterable[str]
) -> str:
    """How the tests near are written: "pytest", "django" or "unittest". Functions, which pytest
    alone runs, only where pytest is in use.
    """
    command = found.commands.test
    runs = ""
    if command:
        runs = f"{command.command} {command.runs}"
    pytest = _has_pytest(settings, manifests) or re.search(r"\bpy\.?test\b", runs) is not None
    managed = re.search(r"manage\.py\s+test|django-admin\s+test|runtests", runs) is not None
    is_django = _is_django(manifests)
    styles = Counter[str]()
    for path in near:
        styles.update(_find_styles(read_text(tree, path), is_django))
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


def _find_styles(text: str, is_django: bool) -> Iterator[str]:
    """How a file's tests are written; nothing for a file without tests. A test case of the
    repository's own is taken for Django's where Django is in use.
    """
    if _CLASSES.search(text):
        if _DJANGO_CASE.search(text) or (is_django and not _UNITTEST.search(text)):
            yield "django"
        else:
            yield "unittest"
    elif _PLAIN.search(text):
        yield "pytest"


def _collects(settings: Settings, name: str) -> bool:
    """Whether pytest is told to look at a file of this name; by itself it looks at test_*.py and
    *_test.py.
    """
    return any(fnmatch(name, glob) for glob in settings.listed("python_files"))
