"""Which package manager a repository uses: its lock files, and where there are several, its CI."""

from __future__ import annotations

import re
from fnmatch import filter as filter_names
from typing import TYPE_CHECKING

from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

CI_FILES = re.compile(
    r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.ya?ml|\.circleci/config\.ya?ml|azure-pipelines\.ya?ml"
    r"|\.travis\.ya?ml|\.woodpecker(/[^/]+)?\.ya?ml|bitbucket-pipelines\.ya?ml|\.drone\.ya?ml|\.cirrus\.ya?ml"
    r"|Jenkinsfile|\.buildkite/[^/]+\.ya?ml|\.builds?/[^/]+\.ya?ml|appveyor\.ya?ml|\.forgejo/workflows/[^/]+\.ya?ml"
)
_LOCKS = {
    "python": {
        "uv.lock": "uv",
        "poetry.lock": "poetry",
        "Pipfile.lock": "pipenv",
        "pdm.lock": "pdm",
    },
    "javascript": {
        "pnpm-lock.yaml": "pnpm",
        "yarn.lock": "yarn",
        "bun.lock": "bun",
        "bun.lockb": "bun",
        "package-lock.json": "npm",
    },
}
_BY_MANIFEST = {
    "ruby": (("Gemfile", "bundler"),),
    "go": (("go.mod", "go"),),
    "rust": (("Cargo.toml", "cargo"),),
    "php": (("composer.json", "composer"),),
    "elixir": (("mix.exs", "mix"),),
    "java": (("pom.xml", "maven"), ("build.gradle", "gradle"), ("build.gradle.kts", "gradle")),
    "kotlin": (("pom.xml", "maven"), ("build.gradle", "gradle"), ("build.gradle.kts", "gradle")),
    "csharp": (("*.sln", "nuget"), ("*.csproj", "nuget")),
}
# The head of what uv has compiled.
_BY_UV = re.compile(rb"(?m)\A(?:#.*\n)*#\s+uv (?:pip compile|export)\b")
_PYTHON_FILES = re.compile(
    r"(?:.*/)?(pyproject\.toml|setup\.py|setup\.cfg|Pipfile|[^/]*requirements[^/]*\.(txt|in))"
)


def find_package_manager(tree: Tree, languages: tuple[str, ...]) -> str | None:
    """E.g. "uv", "pip", "npm"; of the language that leads, or of Python where Python is installed
    from here.
    """
    near = []
    for path in tree.files:
        if path.count("/") <= 2 and not is_aside(path):
            near.append(path)
    order = list(languages)
    if "python" in languages and any(map(_PYTHON_FILES.fullmatch, near)):
        order.insert(0, "python")
    for language in order:
        found = _find_manager(tree, near, language)
        if found:
            return found
    return None


def javascript_manager(tree: Tree) -> str | None:
    """The manager of the JavaScript side, "npm" where a package.json says nothing else."""
    return _find_manager(tree, [path for path in tree.files if path.count("/") <= 2], "javascript")


def _find_manager(tree: Tree, near: list[str], language: str) -> str | None:
    family = language
    if language == "typescript":
        family = "javascript"
    # Of files of one name, the one nearest to the root.
    deepest_first = sorted(near, key=lambda path: -path.count("/"))
    names = {path.rpartition("/")[2]: path for path in deepest_first}
    if family in _LOCKS:
        locks = [manager for name, manager in _LOCKS[family].items() if name in names]
        if locks:
            return _choose_by_ci(tree, locks)
        return _find_manager_without_lock(tree, names, family)
    for name, manager in _BY_MANIFEST.get(family, ()):
        if filter_names(names, name):
            return manager
    return None


def _choose_by_ci(tree: Tree, managers: list[str]) -> str:
    """CI decides between several lock files; the first where it says nothing."""
    if len(managers) == 1:
        return managers[0]
    counts = dict.fromkeys(managers, 0)
    for path in _list_ci_files(tree):
        text = (tree.peek_small(path) or b"").decode("utf-8", "replace")
        for name in managers:
            counts[name] += len(re.findall(rf"(?m)(?:^|[\s;&|\"'(]){name}(?:$|\s)", text))
    return max(managers, key=counts.__getitem__)


def _list_ci_files(tree: Tree) -> list[str]:
    return list(filter(CI_FILES.fullmatch, tree.files))


_BY_TABLE = (
    (re.compile(rb"(?m)^\[tool\.poetry[.\]]"), "poetry"),
    (re.compile(rb"(?m)^\[tool\.pdm[.\]]"), "pdm"),
    (re.compile(rb"(?m)^\[tool\.hatch\.envs[.\]]"), "hatch"),
)
"""A table of pyproject.toml -> who reads it."""


def _find_manager_without_lock(tree: Tree, names: dict[str, str], family: str) -> str | None:
    if family == "javascript":
        return _find_declared_javascript(tree, names)
    pyproject = b""
    if "pyproject.toml" in names:
        pyproject = tree.peek_small(names["pyproject.toml"]) or b""
    for table, manager in _BY_TABLE:
        if table.search(pyproject):
            return manager
    if "Pipfile" in names:
        return "pipenv"
    return _find_manager_by_requirements(tree, names)


def _find_manager_by_requirements(tree: Tree, names: dict[str, str]) -> str | None:
    compiled, written = [], []
    for name, path in names.items():
        if "requirements" in path and name.endswith((".txt", ".lock")):
            compiled.append(path)
        elif "requirements" in path and name.endswith(".in"):
            written.append(path)
    is_by_uv = any(_BY_UV.search(tree.peek_small(path) or b"") for path in compiled)
    if is_by_uv or _is_installed_by_uv(tree, names):
        return "uv"
    if written:
        return "pip-tools"
    if any(map(_PYTHON_FILES.fullmatch, names)):
        return "pip"
    if {"environment.yml", "environment.yaml"}.isdisjoint(names):
        return None
    return "conda"


_UV_INSTALLS = re.compile(rb"\buv pip (?:install|sync)\b[^\n]*\brequirements")


def _is_installed_by_uv(tree: Tree, names: dict[str, str]) -> bool:
    """Recipes, images or CI install the requirements with `uv pip`."""
    paths = _list_ci_files(tree)
    for name in ("Makefile", "justfile", "Dockerfile"):
        if name in names:
            paths.append(names[name])
    return any(_UV_INSTALLS.search(tree.peek_small(path) or b"") for path in paths)


def _find_declared_javascript(tree: Tree, names: dict[str, str]) -> str | None:
    if "package.json" not in names:
        return None
    said = re.search(
        rb'"packageManager"\s*:\s*"(\w+)@', tree.peek_small(names["package.json"]) or b""
    )
    if not said:
        return "npm"
    return said[1].decode()
