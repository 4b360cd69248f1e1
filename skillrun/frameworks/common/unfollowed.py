"""What stands around a handler and cannot be read here: a decorator, an app class, a task base or
an option that comes from an installed package, or from code that makes of a function what it likes.

What it does is not seen, so nothing that was not found is missing for certain.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun import frameworks
from skillrun.frameworks.common.reading import place_of
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.uses import FrameworkUse, Place

# Their decorators, app classes and task bases are what the readers of `frameworks/` know. A folder
# there bears the name of its library's package.
_READ_LIBRARIES = frozenset(
    {
        *(found.name for found in pkgutil.iter_modules(frameworks.__path__) if found.ispkg),
        *("kombu", "django_dramatiq", "django_rq", "taskiq_redis", "taskiq_aio_pika"),
        *("taskiq_nats", "django_q", "django_tasks_db", "django", "asgiref", "schedule"),
    }
)
# They look on: none of them keeps a dead letter, or tries again.
_OBSERVERS = frozenset(
    {
        *("sentry_sdk", "raven", "rollbar", "bugsnag", "newrelic", "ddtrace", "datadog", "statsd"),
        *("opentelemetry", "prometheus_client", "structlog", "loguru", "logbook", "eliot"),
    }
)
# Such words may keep an exception, try again, or call the function more than once.
_DECIDES = (
    *(ast.Try, ast.TryStar, ast.While, ast.For, ast.AsyncFor, ast.Raise),
    *(ast.With, ast.AsyncWith),  # a context manager may keep an exception
)
_BASES = ("base", "task_cls", "cls", "actor_class", "task_class")


@dataclass(frozen=True)
class Unfollowed:
    """One construct that is not understood, in words, and where it stands."""

    because: str  # e.g. "the decorator job_task comes from `house_jobs`"
    place: Place


def find_unfollowed(
    project: Project, use: FrameworkUse, handler: Definition
) -> tuple[Unfollowed, ...]:
    """Everything around a handler that cannot be read."""
    key = ("unfollowed", use.app, handler.path, handler.name)
    return project.remember(key, lambda: tuple(_find_all(project, use, handler)))


def _find_all(project: Project, use: FrameworkUse, handler: Definition) -> Iterator[Unfollowed]:
    yield from _find_at_app(project, use)
    for node in handler.decorators:
        yield from _find_at_decorator(project, handler.module, node)
    if handler.is_class:
        yield from _find_in_bases(project, handler, place_of(handler.module, handler.node))


def _find_at_app(project: Project, use: FrameworkUse) -> Iterator[Unfollowed]:
    """The app, queue or settings that a worker runs: of a class of an installed package, or made by
    one.
    """
    path, _, name = (use.app or "").rpartition(":")
    module = None
    if path.endswith(".py"):
        module = project.module(path)
    if module is not None:
        bound = module.bindings(module.tree).get(name, [])
    else:
        bound = []
    for binding in bound:
        if module is None:
            return
        place = place_of(module, binding.node)
        if isinstance(binding.node, ast.ClassDef):
            owner = project.define(module, binding.node)
            yield from _find_in_bases(project, owner, place)
        elif isinstance(binding.value, ast.Call):
            made_by = project.origin_of(module, binding.value.func)
            if made_by and is_foreign(project, made_by):
                yield Unfollowed(f"{use.app} is made by {made_by}", place)


def _find_at_decorator(project: Project, module: Module, node: ast.expr) -> Iterator[Unfollowed]:
    if isinstance(node, ast.Call):
        target = node.func
    else:
        target = node
    name = module.resolve(target)
    written = ast.unparse(target)
    place = place_of(module, node)
    if name is None:
        return
    origin = project.origin(name)
    definition = project.definition(name)
    if definition is not None:
        if _is_opaque(definition):
            because = f"the decorator {written} is code of {definition.module.name}"
            yield Unfollowed(because, place)
        return
    owner = project.definition(origin.rpartition(".")[0])
    if owner is not None and owner.is_class:
        yield from _find_in_bases(project, owner, place)
    elif is_foreign(project, origin):
        yield Unfollowed(_name_source(written, origin), place)
    yield from _find_in_options(project, module, node)


def _name_source(written: str, origin: str) -> str:
    """An app of a class from elsewhere, or a decorator that itself comes from elsewhere."""
    parts = origin.split(".")
    if len(parts) > 2 and parts[-2][:1].isupper():
        return f"the app class {parts[-2]} comes from `{'.'.join(parts[:-2])}`"
    return f"the decorator {written} comes from `{'.'.join(parts[:-1])}`"


def _is_opaque(decorator: Definition) -> bool:
    """A decorator of the repository that may do more than call the function once, or that makes
    the job itself.
    """
    for node in ast.walk(decorator.node):
        if isinstance(node, _DECIDES):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
            return True
    return False


def _find_in_options(project: Project, module: Module, node: ast.expr) -> Iterator[Unfollowed]:
    """`base=ReliableTask` of a class that is not the library's."""
    keywords = []
    if isinstance(node, ast.Call):
        keywords = node.keywords
    for keyword in keywords:
        name = None
        if keyword.arg in _BASES:
            name = module.resolve(keyword.value)
        if name is None:
            continue
        place = place_of(module, keyword.value)
        definition = project.definition(name)
        if definition is not None:
            yield from _find_in_bases(project, definition, place)
        elif is_foreign(project, project.origin(name)):
            yield Unfollowed(_name_class(project.origin(name)), place)


def _find_in_bases(project: Project, owner: Definition, place: Place) -> Iterator[Unfollowed]:
    """A class of the repository whose bases, or what it is made of, come from elsewhere."""
    for name in project.ancestors(owner.dotted):
        if is_foreign(project, name):
            yield Unfollowed(_name_class(name), place)
            return


def _name_class(origin: str) -> str:
    package, _, word = origin.rpartition(".")
    return f"the class {word} comes from `{package}`"


def is_foreign(project: Project, origin: str) -> bool:
    """A name of an installed package that no reader knows."""
    first = origin.partition(".")[0].removesuffix("()")
    if first in _READ_LIBRARIES or first in sys.stdlib_module_names or first == "builtins":
        return False
    return project.definition(origin) is None and project.locate(first, anywhere=True) is None


def is_read_library(origin: str) -> bool:
    """A name of a library whose calls the readers know."""
    return origin.partition(".")[0] in _READ_LIBRARIES


def is_observer(origin: str) -> bool:
    """A name of a library that logs, traces or counts."""
    return origin.partition(".")[0] in _OBSERVERS
