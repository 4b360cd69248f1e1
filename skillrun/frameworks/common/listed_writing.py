"""The worker settings that a scaffold adds a job to, where their lists are written (arq, SAQ)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.importing import imports
from skillrun.frameworks.common.listed import Found, Manner, Worker, find_workers
from skillrun.frameworks.common.reading import held_value
from skillrun.frameworks.pieces import Entry, Facts, Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Module, Project


def choose_worker(project: Project, manner: Manner, facts: Facts) -> Worker | None:
    """The worker that lists what stands in the handler's module already, else the first one that is
    written out.
    """
    able = [worker for worker in find_workers(project, manner) if name_owner(worker) is not None]
    mine = (worker for worker in able if _lists_module(project, worker, facts.module))
    return (
        next(mine, None)
        or next((worker for worker in able if not worker.inherited), None)
        or next(iter(able), None)
    )


def _lists_module(project: Project, worker: Worker, module: str) -> bool:
    found = []
    for name in ("functions", "cron_jobs"):
        if name in worker.options:
            found.append(worker.options[name])
    names = (
        node
        for value, _ in found
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    for node in names:
        for _, home in found:
            if project.origin_of(home, node).startswith(f"{module}."):
                return True
    return False


def name_owner(worker: Worker) -> str | None:
    """The name of settings at the left margin: a class, or a dictionary. None for the arguments of
    a call.
    """
    node = worker.node
    if node not in worker.module.tree.body:
        return None
    if isinstance(node, ast.ClassDef):
        return node.name
    target = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    if isinstance(node, ast.AnnAssign):
        target = node.target
    if isinstance(target, ast.Name):
        return target.id
    return None


@dataclass(frozen=True)
class Listing:
    """`functions` or `cron_jobs`, as an `Entry` names it, and how its module refers to the library
    and to the handler's module.

    `target` as in `Entry`; with a `key` the list itself is still to be made there. `library` and
    `jobs` are the names of the modules, "" where the names in them are imported one by one: those
    of the jobs from `home`, those of the library from `package`.
    """

    path: str
    target: str
    key: str | None
    package: str
    library: str
    jobs: str
    home: str

    def entry(
        self, made: str, job: str, options: Sequence[str], constant: str | None = None
    ) -> Entry:
        """`made(job, options)`, or the job alone without `made`; the options may name a constant
        of the job's module.
        """
        here = ""
        if self.jobs:
            here = f"{self.jobs}."
        value = here + job
        if made:
            told = list(options)
            if constant:
                told = [option.replace(constant, here + constant) for option in options]
            there = ""
            if self.library:
                there = f"{self.library}."
            value = f"{there}{made}({', '.join([value, *told])})"
        if self.key:
            value = f"[{value}]"
        needed = tuple(self._list_imports(made, job, constant))
        return Entry(self.path, self.target, value, self.key, needed)

    def _list_imports(self, made: str, job: str, constant: str | None) -> Iterator[str]:
        if not self.jobs:
            yield f"from {self.home} import {job}"
        if not self.jobs and constant:
            yield f"from {self.home} import {constant}"
        if made and not self.library:
            yield f"from {self.package} import {made}"
        elif made and self.library == self.package:
            yield f"import {self.package}"


def find_list(
    project: Project, worker: Worker, name: str, module: str, package: str, made: Collection[str]
) -> Listing:
    """Where a worker's list is written out; jobs of `module` are added to it, with calls of `made`
    in the library's `package`.
    """
    target, home, key = write_option(worker, name), worker.module, None
    option = worker.options.get(name)
    held = None
    if option is not None:
        held = held_value(project, *option)
    if held is not None and held[1].path != home.path:
        found = (
            node
            for node in held[1].tree.body
            if isinstance(node, ast.Assign) and node.value is held[0]
        )
        target, home = next((ast.unparse(node.targets[0]) for node in found), target), held[1]
    elif option is None and isinstance(worker.node, ast.Assign | ast.AnnAssign):
        target, key = name_owner(worker) or "", f'"{name}"'
    library = _bound_library(home, package, made)
    jobs = _find_bound_name(home, module)
    return Listing(home.path, target, key, package, library, jobs, _spell_import(home, module))


def _bound_library(module: Module, package: str, made: Collection[str]) -> str:
    """`import arq` where a module has it, or where it means something else by `func`, as with
    SQLAlchemy's.
    """
    bound = [one for name in made for one in module.bindings(module.tree).get(name, ())]
    other = any((one.target or "").partition(".")[0] != package for one in bound)
    return _find_bound_name(module, package) or (package if other else "")


def _find_bound_name(module: Module, dotted: str) -> str:
    """The name that a module has for another module; "" where it has none."""
    bound = module.bindings(module.tree)
    return next(
        (name for name, every in bound.items() if any(one.target == dotted for one in every)), ""
    )


def _spell_import(module: Module, dotted: str) -> str:
    """How a module writes where it imports from: relative where it does so already."""
    for node in module.nodes(ast.ImportFrom):
        if node.level and module.absolute(node.module, node.level) == dotted:
            return f"{'.' * node.level}{node.module or ''}"
    return dotted


def is_on(project: Project, worker: Worker, name: str) -> bool:
    """A switch that is on by default."""
    found = worker.option(name)
    return found is None or project.literal(*found) is not False


def write_option(worker: Worker, name: str) -> str:
    """The expression of an option of settings that have a name; of the settings themselves for
    "".
    """
    owner = name_owner(worker)
    if not name:
        return str(owner)
    if isinstance(worker.node, ast.ClassDef):
        return f"{owner}.{name}"
    return f'{owner}["{name}"]'


def write_found(
    project: Project, worker: Worker, found: Found, own: Symbol
) -> tuple[str, Symbol | None]:
    """(expression, what it needs): a literal, a name that modules can import, else the settings'
    own attribute.
    """
    node, module = found
    if isinstance(node, ast.Constant):
        return ast.get_source_segment(module.text, node) or ast.unparse(node), None
    name = None
    if isinstance(node, ast.Name | ast.Attribute):
        name = module.resolve(node)
    home, _, last = (name or "").rpartition(".")
    path = None
    if home:
        path = project.locate(home)
    held = None
    if path is not None:
        held = project.module(path)
    if path is not None and held is not None and last in held.bindings(held.tree):
        return last, Symbol(home, last, path=path)
    option = next(name for name, value in worker.options.items() if value[0] is node)
    return write_option(worker, option), own


def split_imports(
    project: Project, worker: Worker, symbols: Iterable[Symbol], path: str
) -> dict[str, Any]:
    """How the handler's module comes to some symbols of a worker: `needed`, what it imports at its
    top, and `within`, what its publisher imports itself, since that leads back to the handler.
    """
    needed: dict[Symbol, None] = {}
    within: dict[str, None] = {}
    for symbol in symbols:
        if leads_back(project, worker, symbol, path):
            within[f"from {symbol.module} import {symbol.name}"] = None
        else:
            # By its name, not through its module.
            needed[Symbol(symbol.module, symbol.name)] = None
    return {"needed": list(needed), "within": list(within)}


def leads_back(project: Project, worker: Worker, symbol: Symbol, path: str) -> bool:
    """Whether importing it imports the handler's module, or the worker's, which is about to."""
    home = symbol.path
    return (
        home == worker.module.path
        or imports(project, home, worker.module.path)
        or imports(project, home, path)
    )
