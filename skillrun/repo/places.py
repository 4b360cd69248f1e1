"""Which paths are beside the point: vendored, generated, or only tests, documentation, examples and
templates.
"""

from __future__ import annotations

import re
from functools import lru_cache

_VENDORED = frozenset(
    {
        *(
            "node_modules",
            "bower_components",
            "vendor",
            "vendors",
            "third_party",
            "third-party",
            "thirdparty",
        ),
        *(
            "site-packages",
            ".venv",
            "venv",
            ".tox",
            ".nox",
            ".git",
            ".eggs",
            "__pypackages__",
            ".yarn",
        ),
    }
)
_TESTS = frozenset(
    {
        "test",
        "tests",
        "testing",
        "testsuite",
        "test_suite",
        "e2e",
        "tests_e2e",
        "fixtures",
        "testdata",
    }
)
_SHOWN = frozenset(
    {
        *(
            "doc",
            "docs",
            "documentation",
            "example",
            "examples",
            "demo",
            "demos",
            "tutorial",
            "tutorials",
        ),
        *("cookbook", "snippets", "benchmark", "benchmarks"),
    }
)
_SHOWN_AT_TOP = frozenset(
    {"t", "sample", "samples", "playground", "sandbox", "template", "templates", "spec"}
)
_SHOWN_PROJECT = re.compile(
    r"(demo|example|sample|test|dev)s?[-_]?(proj|project|app|site)s?|.*[-_](demo|examples?|templates?|tests?)",
    re.IGNORECASE,
)
_HIDDEN_BUT_REAL = frozenset(
    {".github", ".docker", ".deploy", ".k8s", ".helm", ".infra", ".platform"}
)
_TEST_FILE = re.compile(r"(test_.*|.*_tests?|tests?|conftest)\.py")
_PLAIN_FOLDERS = frozenset({"test", "tests", "testing"})
_PLAIN_FILE = re.compile(r"test_.*|.*_test\.py|conftest\.py|tests\.py")
_TEST_MODULE = re.compile(r"(?:test_.*|.*_tests?|tests?)\.py")
_IN_TEST_FOLDER = re.compile(r"(?:^|/)tests?/[^/]*\.py$")
_OTHER_TEST_FILE = re.compile(
    r".*_(?:spec|test)\.(?:rb|go|exs)|.*\.(?:test|spec|cy)\.[cm]?[jt]sx?|.*Tests?\.(?:cs|java|kt|php)|(?:spec|test)_helper\.rb"
)
_TEST_PROJECT = re.compile(
    r"(?:.*[._-])?(?:unit|integration|functional|acceptance)?[._-]?tests?|__tests__|__mocks__"
)
_RUBY_SPECS = re.compile(
    r"(?:.*/)?spec/.*\.(?:rb|rake)|(?:.*/)?config/environments/test\.rb|(?:.*/)?config/test\.exs"
)
_GENERATED = re.compile(r".*([.-]min\.(js|css)|\.bundle\.js|\.pb\.go|_pb2(_grpc)?\.pyi?|\.map)")

# Below these the folders are a package's name: `com/example` and `org/shop/vendor` are nobody's
# example and nobody else's code.
_PACKAGE_ROOT = re.compile(r"(?:.*/)?src/\w*main/(?:java|kotlin|scala|groovy)(?=/)", re.IGNORECASE)


def is_vendored(path: str) -> bool:
    """Somebody else's code, or generated."""
    folder, _, name = path.rpartition("/")
    return _in_vendored(folder) or _GENERATED.fullmatch(name) is not None


def is_test(path: str) -> bool:
    """A test, or something that only tests use."""
    folder, _, name = path.lower().rpartition("/")
    if _in_tests(folder) or _TEST_FILE.fullmatch(name) is not None:
        return True
    if name.endswith((".py", ".yml", ".yaml", ".md")):
        return False
    return (
        _OTHER_TEST_FILE.fullmatch(path.rpartition("/")[2]) is not None
        or _RUBY_SPECS.fullmatch(path) is not None
    )


def is_plainly_test(path: str) -> bool:
    """A test by a name that hardly anything else has, for readers of what an application runs.

    Narrower than `is_test` on purpose: an application imports its settings from `ab_tests/` or
    `speed_test/`, and its clock may stand in `fixtures/beat.json`. What is left out here is not
    read, so that whoever moves a line there hides it.
    """
    *folders, name = path.split("/")
    return not _PLAIN_FOLDERS.isdisjoint(folders) or _PLAIN_FILE.fullmatch(name) is not None


def is_test_module(path: str) -> bool:
    """A Python file that pytest or unittest takes for tests by its own name. Of what `is_test`
    says, those that hold tests: neither conftest.py nor what stands beside it.
    """
    return _TEST_MODULE.fullmatch(path.rpartition("/")[2]) is not None


def is_taken_for_tests(path: str) -> bool:
    """A test module, or any Python file directly in a folder of tests, where a runner that is
    given the folder finds it.
    """
    return is_test_module(path) or _IN_TEST_FOLDER.search(path) is not None


def is_shown(path: str) -> bool:
    """Documentation, an example, a demo project or a project template."""
    return _in_shown(path.rpartition("/")[0].lower())


def is_aside(path: str) -> bool:
    """No part of what the repository runs: vendored, tests, documentation, examples, project
    templates.
    """
    return is_vendored(path) or is_test(path) or is_shown(path)


# Every file of a folder asks the same of it, and several readers ask.
@lru_cache(maxsize=20_000)
def _in_vendored(folder: str) -> bool:
    return not _VENDORED.isdisjoint(_above_packages(folder).split("/"))


@lru_cache(maxsize=20_000)
def _in_tests(folder: str) -> bool:
    folders = _above_packages(folder).split("/")
    return not _TESTS.isdisjoint(folders) or any(_TEST_PROJECT.fullmatch(one) for one in folders)


@lru_cache(maxsize=20_000)
def _in_shown(folder: str) -> bool:
    folders = []
    if folder:
        folders = _above_packages(folder).split("/")
    return any(_is_shown_folder(one) for one in folders) or not _SHOWN_AT_TOP.isdisjoint(
        folders[:1]
    )


def _above_packages(folder: str) -> str:
    """A folder without the part of it that is the name of a Java package."""
    root = _PACKAGE_ROOT.match(folder)
    if root:
        return root[0]
    return folder


def _is_shown_folder(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in _HIDDEN_BUT_REAL
    return (
        hidden or folder in _SHOWN or "{{" in folder or _SHOWN_PROJECT.fullmatch(folder) is not None
    )
