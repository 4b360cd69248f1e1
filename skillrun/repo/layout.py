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
    backend = None
    for name in _BACKENDS:
        if name in main:
            backend = name.removeprefix("@").partition("/")[0]
            break
    others = (_other_backend(tree, name, what) for name, what in _MANIFESTS_OF_OTHERS.items())
    frontend = next((what for name, what in _FRONTENDS.items() if name in main), None)
    return Stack(frontend, backend or next((what for what in others if what), None))


def _other_backend(tree: Tree, name: str, what: str) -> str | None:
    content = tree.skim(name) or b""
    if what.encode() in content:
        return what
    return None


def find_paths(tree: Tree, manifests: Manifests, languages: tuple[str, ...]) -> Paths:
    """The front end is where its package.json is; the back end where the sources of its language
    are.
    """
    fronts = []
    for d in manifests.dependencies:
        if d.name in _FRONTENDS and not is_aside(d.path):
            fronts.append(d.path)
    front = min(fronts, key=lambda path: path.count("/"), default=None)
    return Paths(_folder(front) if front else None, _backend_root(tree, languages))


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _backend_root(tree: Tree, languages: tuple[str, ...]) -> str | None:
    """The one folder that holds nearly all sources, "." where they are spread or a manage.py leads
    them.
    """
    language = "python" if "python" in languages else next(iter(languages), None)
    sources = []
    for p in tree.files:
        if LANGUAGE_OF.get(p.rpartition(".")[2]) == language and not is_aside(p):
            sources.append(p)
    if not sources:
        return None
    managed = sorted(
        (p for p in sources if p.rpartition("/")[2] == "manage.py"),
        key=lambda path: path.count("/"),
    )
    if managed:
        return _folder(managed[0])
    top, count = Counter(p.split("/")[0] if "/" in p else "." for p in sources).most_common(1)[0]
    if count >= 0.8 * len(sources):
        return top
    return "."
