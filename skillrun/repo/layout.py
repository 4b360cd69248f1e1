"""Where a repository keeps its front end and its back end, and what they are built with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.languages import LANGUAGE_OF
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.manifests import Manifests
    from skillrun.repo.tree import Tree

_BACKENDS = (
    *(
        "django",
        "fastapi",
        "flask",
        "litestar",
        "starlette",
        "sanic",
        "tornado",
        "aiohttp",
        "pyramid",
        "quart",
    ),
    *("@nestjs/core", "express", "fastify", "koa", "hono"),
)
_FRONTENDS = {
    "next": "next",
    "nuxt": "nuxt",
    "react": "react",
    "vue": "vue",
    "svelte": "svelte",
    "@angular/core": "angular",
    "solid-js": "solid",
    "preact": "preact",
    "lit": "lit",
}
# The share of the sources that makes a folder the root: a few scripts lie beside every project.
_NEARLY_ALL = 0.8
_MANIFESTS_OF_OTHERS = {"Gemfile": "rails", "composer.json": "laravel", "mix.exs": "phoenix"}


@dataclass(frozen=True)
class Paths:
    """Folders relative to the root, "." for the root itself; None: there is none, or it is not
    known.
    """

    frontend_root: str | None = None
    backend_root: str | None = None


@dataclass(frozen=True)
class Stack:
    """What the two sides are built with; None: nothing says so."""

    frontend: str | None = None
    backend: str | None = None


def find_stack(tree: Tree, manifests: Manifests) -> Stack:
    """The web frameworks among the declared dependencies."""
    main = set()
    for dependency in manifests.dependencies:
        if not is_aside(dependency.path):
            main.add(dependency.name)
    frontend = None
    for name, what in _FRONTENDS.items():
        if name in main:
            frontend = what
            break
    return Stack(frontend, _find_backend(main) or _find_other_backend(tree))


def _find_backend(dependencies: set[str]) -> str | None:
    """The first of the known back ends that is declared, e.g. "nestjs" for "@nestjs/core"."""
    for name in _BACKENDS:
        if name in dependencies:
            return name.removeprefix("@").partition("/")[0]
    return None


def _find_other_backend(tree: Tree) -> str | None:
    """A back end whose name stands in the manifest of another language at the top."""
    for name, what in _MANIFESTS_OF_OTHERS.items():
        content = tree.peek_small(name) or b""
        if what.encode() in content:
            return what
    return None


def find_paths(tree: Tree, manifests: Manifests, languages: tuple[str, ...]) -> Paths:
    """The front end is where its package.json is; the back end where the sources of its language
    are.
    """
    manifests_of_fronts = []
    for dependency in manifests.dependencies:
        if dependency.name in _FRONTENDS and not is_aside(dependency.path):
            manifests_of_fronts.append(dependency.path)
    front = None
    if manifests_of_fronts:
        front = _folder_of(_nearest_to_root(manifests_of_fronts))
    return Paths(front, _find_backend_root(tree, languages))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _nearest_to_root(paths: list[str]) -> str:
    """Of equally near ones, the first that was given."""
    return min(paths, key=lambda path: path.count("/"))


def _find_backend_root(tree: Tree, languages: tuple[str, ...]) -> str | None:
    """The one folder that holds nearly all sources, "." where they are spread or a manage.py leads
    them.
    """
    language = next(iter(languages), None)
    if "python" in languages:
        language = "python"
    sources = []
    for path in tree.files:
        if LANGUAGE_OF.get(path.rpartition(".")[2]) == language and not is_aside(path):
            sources.append(path)
    if not sources:
        return None
    managed = [path for path in sources if path.rpartition("/")[2] == "manage.py"]
    if managed:
        return _folder_of(_nearest_to_root(managed))
    tops = Counter[str]()
    for path in sources:
        top, slash, _ = path.partition("/")
        if not slash:
            top = "."
        tops[top] += 1
    top, count = tops.most_common(1)[0]
    if count >= _NEARLY_ALL * len(sources):
        return top
    return "."
