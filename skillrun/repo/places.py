"""Which paths are beside the point: vendored, generated, or only tests, documentation, examples and templates."""

from __future__ import annotations

import re

_VENDORED = frozenset(
    {
        *("node_modules", "bower_components", "vendor", "vendors", "third_party", "third-party", "thirdparty"),
        *("site-packages", ".venv", "venv", ".tox", ".nox", ".git", ".eggs", "__pypackages__", ".yarn"),
    }
)
_TESTS = frozenset({"test", "tests", "testing", "testsuite", "test_suite", "e2e", "tests_e2e", "fixtures", "testdata"})
_SHOWN = frozenset(
    {
        *("doc", "docs", "documentation", "example", "examples", "demo", "demos", "tutorial", "tutorials"),
        *("cookbook", "snippets", "benchmark", "benchmarks"),
    }
)
_SHOWN_AT_TOP = frozenset({"t", "sample", "samples", "playground", "sandbox", "template", "templates", "spec"})
_SHOWN_PROJECT = re.compile(
    r"(demo|example|sample|test|dev)s?[-_]?(proj|project|app|site)s?|.*[-_](demo|examples?|templates?|tests?)",
    re.IGNORECASE,
)
_HIDDEN_BUT_REAL = frozenset({".github", ".docker", ".deploy", ".k8s", ".helm", ".infra", ".platform"})
_TEST_FILE = re.compile(r"(test_.*|.*_tests?|tests?|conftest)\.py")
_GENERATED = re.compile(r".*([.-]min\.(js|css)|\.bundle\.js|\.pb\.go|_pb2(_grpc)?\.pyi?|\.map)")


def is_vendored(path: str) -> bool:
    """Somebody else's code, or generated."""
    *folders, name = path.split("/")
    return not _VENDORED.isdisjoint(folders) or _GENERATED.fullmatch(name) is not None


def is_test(path: str) -> bool:
    """A test, or something that only tests use."""
    *folders, name = path.lower().split("/")
    return not _TESTS.isdisjoint(folders) or _TEST_FILE.fullmatch(name) is not None


def is_shown(path: str) -> bool:
    """Documentation, an example, a demo project or a project template."""
    folders = path.lower().split("/")[:-1]
    return any(_shown(folder) for folder in folders) or not _SHOWN_AT_TOP.isdisjoint(folders[:1])


def is_aside(path: str) -> bool:
    """No part of what the repository runs: vendored, tests, documentation, examples, project templates."""
    return is_vendored(path) or is_test(path) or is_shown(path)


def _shown(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in _HIDDEN_BUT_REAL
    return hidden or folder in _SHOWN or "{{" in folder or _SHOWN_PROJECT.fullmatch(folder) is not None
