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

# The folders of a Java package are its name: `com/example` and `org/shop/vendor` are nobody's
# example and nobody else's code. Maven and Gradle have a root for each set of sources.
_JVM_SOURCES = (".java", ".kt", ".kts", ".scala", ".groovy")
_SOURCE_SET = re.compile(r"(?:.*/)?src/\w+/(?:java|kotlin|scala|groovy)(?=/)", re.IGNORECASE)
# Elsewhere a package is known by the domain that it begins with. A name of two letters may be
# anything; it is a country where sources begin.
_DOMAINS = frozenset({"com", "org", "net", "edu", "gov", "io", "info", "biz"})
_BEGINNINGS_OF_SOURCES = frozenset({"src", "source", "java", "kotlin", "javasource", "javasrc"})
_LETTERS_OF_A_COUNTRY = 2


def is_vendored(path: str) -> bool:
    """Somebody else's code, or generated."""
    name = path.rpartition("/")[2]
    return _in_vendored(_folder_above_package(path)) or _GENERATED.fullmatch(name) is not None


def is_test(path: str) -> bool:
    """A test, or something that only tests use."""
    folder, _, name = path.lower().rpartition("/")
    if _in_tests(_cut_at_source_set(folder)) or _TEST_FILE.fullmatch(name) is not None:
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
    return _in_shown(_folder_above_package(path).lower())


def is_aside(path: str) -> bool:
    """No part of what the repository runs: vendored, tests, documentation, examples, project
    templates.
    """
    return is_vendored(path) or is_test(path) or is_shown(path)


def _folder_above_package(path: str) -> str:
    """The folder of a file; of a Java source without what is the name of its package: "server/src"
    of "server/src/com/example/Mailer.java".
    """
    folder = path.rpartition("/")[0]
    if path.endswith(_JVM_SOURCES):
        return _cut_at_domain(_cut_at_source_set(folder))
    return folder


# Every file of a folder asks the same of it, and several readers ask.
@lru_cache(maxsize=20_000)
def _cut_at_source_set(folder: str) -> str:
    """ "shop/src/main/java" of "shop/src/main/java/com/acme/testing": tests have a root of their
    own there. Anything else stays as it is.
    """
    root = _SOURCE_SET.match(folder)
    if root:
        return root[0]
    return folder


@lru_cache(maxsize=20_000)
def _cut_at_domain(folder: str) -> str:
    """ "server/src" of "server/src/com/example"; a folder without a domain stays as it is."""
    folders = folder.split("/")
    for number, name in enumerate(folders):
        above = folders[:number]
        is_last_root = "src" not in folders[number:]
        if is_last_root and _begins_package(name.lower(), above):
            return "/".join(above)
    return folder


def _begins_package(name: str, above: list[str]) -> bool:
    """Whether a folder's name is the first word of a Java package, by its name and the folders
    above it.
    """
    if name in _DOMAINS:
        return True
    is_country = len(name) == _LETTERS_OF_A_COUNTRY and name.isalpha()
    return is_country and bool(above) and above[-1].lower() in _BEGINNINGS_OF_SOURCES


@lru_cache(maxsize=20_000)
def _in_vendored(folder: str) -> bool:
    return not _VENDORED.isdisjoint(folder.split("/"))


@lru_cache(maxsize=20_000)
def _in_tests(folder: str) -> bool:
    folders = folder.split("/")
    return not _TESTS.isdisjoint(folders) or any(_TEST_PROJECT.fullmatch(one) for one in folders)


@lru_cache(maxsize=20_000)
def _in_shown(folder: str) -> bool:
    folders = []
    if folder:
        folders = folder.split("/")
    return any(_is_shown_folder(one) for one in folders) or not _SHOWN_AT_TOP.isdisjoint(
        folders[:1]
    )


def _is_shown_folder(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in _HIDDEN_BUT_REAL
    return (
        hidden or folder in _SHOWN or "{{" in folder or _SHOWN_PROJECT.fullmatch(folder) is not None
    )
