"""The worker settings that a scaffold adds a job to, and how code elsewhere comes to what they say
of Redis.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.workers import Found, Worker, find_workers
from skillrun.frameworks.common.importing import imports
from skillrun.frameworks.common.reading import held_value
from skillrun.frameworks.pieces import Entry, Facts, Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Module, Project

_TO_POOL = {
    "queue_name": "default_queue_name",
    "job_serializer": "job_serializer",
    "job_deserializer": "job_deserializer",
}
"""An option of a worker -> what `create_pool` calls it: who publishes has to say the same."""

_DEFAULT = "from arq.connections import RedisSettings"


@dataclass(frozen=True)
class Pool:
    """The arguments of `create_pool` in the handler's module.

    `needed` is imported at its top, `within` by the publisher itself: such a module imports the
    handler's.
    `settings`: those of Redis alone, for a module that imports `symbols`.
    """

    arguments: tuple[str, ...]
    settings: str
    needed: tuple[Symbol, ...] = ()
    within: tuple[str, ...] = ()
    symbols: tuple[Symbol | str, ...] = ()


def chosen_worker(project: Project, facts: Facts) -> Worker | None:
    """The worker that lists what stands in the handler's module already, else the first one that is
    written out.
    """
    able = [worker for worker in find_workers(project) if owner_of(worker) is not None]
    mine = (worker for worker in able if _lists(project, worker, facts.module))
    return (
        next(mine, None)
        or next((worker for worker in able if not worker.inherited), None)
        or next(iter(able), None)
    )


def _lists(project: Project, worker: Worker, module: str) -> bool:
    found = [worker.options[name] for name in ("functions", "cron_jobs") if name in worker.options]
    names = (
        node
        for value, _ in found
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    for node in names:
        for _, home in found:
            if project.origin(home.resolve(node) or "").startswith(f"{module}."):
                return True
    return False


def owner_of(worker: Worker) -> str | None:
    """The name of settings at the left margin: a class, or a dictionary. None for the arguments of
    a call.
    """
    node = worker.node
    if node not in worker.module.tree.body:
        return None
    if isinstance(node, ast.ClassDef):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


@dataclass(frozen=True)
class Listing:
    """`functions` or `cron_jobs`, as an `Entry` names it, and how its module refers to arq and to
    the handler's module.

    `target` as in `Entry`; with a `key` the list itself is still to be made there. `arq` and `jobs`
    are the names of
    the modules, "" where the names in them are imported one by one, from `home`.
    """

    path: str
    target: str
    key: str | None
    arq: str
    jobs: str
    home: str

    def entry(
        self, made: str, job: str, options: Sequence[str], constant: str | None = None
    ) -> Entry:
        """`func(job, options)`; the options may name a constant of the job's module."""
        here = f"{self.jobs}." if self.jobs else ""
        arq = f"{self.arq}." if self.arq else ""
        told = [
            option.replace(constant, here + constant) if constant else option for option in options
        ]
        value = f"{arq}{made}({', '.join([here + job, *told])})"
        names = [job, *([constant] if constant else [])]
        needed = [] if self.jobs else [f"from {self.home} import {name}" for name in names]
        needed += {"": [f"from arq import {made}"], "arq": ["import arq"]}.get(self.arq, [])
        return Entry(
            self.path, self.target, f"[{value}]" if self.key else value, self.key, tuple(needed)
        )


def find_list(project: Project, worker: Worker, name: str, module: str) -> Listing:
    """Where a worker's list is written out; jobs of `module` are added to it."""
    target, home, key = option_of(worker, name), worker.module, None
    option = worker.options.get(name)
    held = held_value(project, *option) if option is not None else None
    if held is not None and held[1].path != home.path:
        found = (
            node
            for node in held[1].tree.body
            if isinstance(node, ast.Assign) and node.value is held[0]
        )
        target, home = next((ast.unparse(node.targets[0]) for node in found), target), held[1]
    elif option is None and isinstance(worker.node, ast.Assign):
        target, key = owner_of(worker) or "", f'"{name}"'
    return Listing(home.path, target, key, _arq(home), _bound(home, module), _written(home, module))


def _arq(module: Module) -> str:
    """`import arq` where a module has it, or where it means something else by `func`, as with
    SQLAlchemy's.
    """
    bound = [one for name in ("func", "cron") for one in module.bindings(module.tree).get(name, ())]
    other = any((one.target or "").partition(".")[0] != "arq" for one in bound)
    return _bound(module, "arq") or ("arq" if other else "")


def _bound(module: Module, dotted: str) -> str:
    """The name that a module has for another module; "" where it has none."""
    bound = module.bindings(module.tree)
    return next(
        (name for name, every in bound.items() if any(one.target == dotted for one in every)), ""
    )


def _written(module: Module, dotted: str) -> str:
    """How a module writes where it imports from: relative where it does so already."""
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.level
            and module.absolute(node.module, node.level) == dotted
        ):
            return f"{'.' * node.level}{node.module or ''}"
    return dotted


def is_on(project: Project, worker: Worker, name: str) -> bool:
    """A switch that is on by default."""
    found = worker.option(name)
    return found is None or project.literal(*found) is not False


def option_of(worker: Worker, name: str) -> str:
    """The expression of an option of settings that have a name; of the settings themselves for
    "".
    """
    owner = owner_of(worker)
    if not name:
        return str(owner)
    return f"{owner}.{name}" if isinstance(worker.node, ast.ClassDef) else f'{owner}["{name}"]'


def find_pool(project: Project, facts: Facts, worker: Worker) -> Pool | None:
    """How a publisher opens the worker's Redis; None where nothing but the worker's own pool leads
    there.
    """
    settings = worker.option("redis_settings")
    if settings is None and worker.option("redis_pool") is not None:
        return None
    own = Symbol(worker.module.name, owner_of(worker) or "", path=worker.module.path)
    parts = [_said(project, worker, settings, own)] if settings else []
    options = [(name, found) for name in _TO_POOL if (found := worker.option(name)) is not None]
    named = {name: _said(project, worker, found, own) for name, found in options}
    symbols = [symbol for _, symbol in (*parts, *named.values()) if symbol is not None]
    late = [symbol for symbol in symbols if _leads_back(project, worker, symbol, facts.path)]
    return Pool(
        arguments=(
            *(text for text, _ in parts),
            *(f"{_TO_POOL[name]}={text}" for name, (text, _) in named.items()),
        ),
        settings=parts[0][0] if parts else "RedisSettings()",
        needed=tuple(dict.fromkeys(symbol for symbol in symbols if symbol not in late)),
        within=tuple(
            dict.fromkeys(f"from {symbol.module} import {symbol.name}" for symbol in late)
        ),
        symbols=tuple(symbol for _, symbol in parts if symbol) if parts else (_DEFAULT,),
    )


def _said(project: Project, worker: Worker, found: Found, own: Symbol) -> tuple[str, Symbol | None]:
    """(expression, what it needs): a literal, a name that modules can import, else the settings'
    own attribute.
    """
    node, module = found
    if isinstance(node, ast.Constant):
        return ast.get_source_segment(module.text, node) or ast.unparse(node), None
    name = module.resolve(node) if isinstance(node, ast.Name | ast.Attribute) else None
    home, _, last = (name or "").rpartition(".")
    path = project.locate(home) if home else None
    held = project.module(path) if path is not None else None
    if path is not None and held is not None and last in held.bindings(held.tree):
        return last, Symbol(home, last, path=path)
    option = next(name for name, value in worker.options.items() if value[0] is node)
    return option_of(worker, option), own


def _leads_back(project: Project, worker: Worker, symbol: Symbol, path: str) -> bool:
    """Whether importing it imports the handler's module, or the worker's, which is about to."""
    home = symbol.path
    return (
        home == worker.module.path
        or imports(project, home, worker.module.path)
        or imports(project, home, path)
    )
