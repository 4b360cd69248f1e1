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
    python = "python" in languages and any(_PYTHON_FILES.fullmatch(path) for path in near)
    order = ["python", *languages] if python else list(languages)
    return next((found for language in order if (found := _manager(tree, near, language))), None)


def javascript_manager(tree: Tree) -> str | None:
    """The manager of the JavaScript side, "npm" where a package.json says nothing else."""
    return _manager(tree, [path for path in tree.files if path.count("/") <= 2], "javascript")


def _manager(tree: Tree, near: list[str], language: str) -> str | None:
    family = "javascript" if language == "typescript" else language
    names = {
        path.rpartition("/")[2]: path for path in sorted(near, key=lambda path: -path.count("/"))
    }
    if family in _LOCKS:
        locks = [manager for name, manager in _LOCKS[family].items() if name in names]
        if locks:
            return _decided(tree, locks)
        return _unlocked(tree, names, family)
    for name, manager in _BY_MANIFEST.get(family, ()):
        if filter_names(names, name):
            return manager
    return None


def _decided(tree: Tree, managers: list[str]) -> str:
    """CI decides between several lock files; the first where it says nothing."""
    if len(managers) == 1:
        return managers[0]
    text = b"\n".join(
        tree.skim(path) or b"" for path in tree.files if CI_FILES.fullmatch(path)
    ).decode("utf-8", "replace")
    counts = {
        name: len(re.findall(rf"(?m)(?:^|[\s;&|\"'(]){name}(?:$|\s)", text)) for name in managers
    }
    return max(managers, key=lambda name: counts[name])


def _unlocked(tree: Tree, names: dict[str, str], family: str) -> str | None:
    if family == "javascript":
        return _declared_javascript(tree, names)
    pyproject = b""
    if "pyproject.toml" in names:
        pyproject = tree.skim(names["pyproject.toml"]) or b""
    for name in ("poetry", "pdm", "uv"):
        if re.search(rb"(?m)^\[tool\." + name.encode() + rb"[.\]]", pyproject) and name != "uv":
            return name
    if re.search(rb"(?m)^\[tool\.hatch\.envs[.\]]", pyproject):
        return "hatch"
    if "Pipfile" in names:
        return "pipenv"
    compiled = (
        path
        for name, path in names.items()
        if name.endswith((".txt", ".lock")) and "requirements" in path
    )
    if any(_BY_UV.search(tree.skim(path) or b"") for path in compiled) or _installed_by_uv(
        tree, names
    ):
        return "uv"
    if any(name.endswith(".in") and "requirements" in path for name, path in names.items()):
        return "pip-tools"
    if any(_PYTHON_FILES.fullmatch(name) for name in names):
        return "pip"
    if {"environment.yml", "environment.yaml"} & names.keys():
        return "conda"
    return None


def _installed_by_uv(tree: Tree, names: dict[str, str]) -> bool:
    """Recipes, images or CI install the requirements with `uv pip`."""
    beside = []
    for name, path in names.items():
        if name in ("Makefile", "justfile", "Dockerfile"):
            beside.append(path)
    ci = [path for path in tree.files if CI_FILES.fullmatch(path)]
    return any(
        re.search(rb"\buv pip (?:install|sync)\b[^\n]*\brequirements", tree.skim(path) or b"")
        for path in beside + ci
    )


def _declared_javascript(tree: Tree, names: dict[str, str]) -> str | None:
    if "package.json" not in names:
        return None
    said = re.search(rb'"packageManager"\s*:\s*"(\w+)@', tree.skim(names["package.json"]) or b"")
    if not said:
        return "npm"
    return said[1].decode()
