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
    for worker in able:
        if _lists_module(project, worker, facts.module):
            return worker
    for worker in able:
        if not worker.inherited:
            return worker
    return next(iter(able), None)


def _lists_module(project: Project, worker: Worker, module: str) -> bool:
    """Whether one of a worker's lists names something that a module defines."""
    lists = []
    for name in ("functions", "cron_jobs"):
        if name in worker.options:
            lists.append(worker.options[name])
    for value, _ in lists:
        for node in ast.walk(value):
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            for _, home in lists:
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
        # "jobs." and "arq.", where names are reached through their modules.
        of_jobs, of_library = "", ""
        if self.jobs:
            of_jobs = f"{self.jobs}."
        if self.library:
            of_library = f"{self.library}."
        value = of_jobs + job
        if made:
            arguments = [value]
            for option in options:
                if constant:
                    option = option.replace(constant, of_jobs + constant)
                arguments.append(option)
            value = f"{of_library}{made}({', '.join(arguments)})"
        if self.key:
            value = f"[{value}]"
        needed = tuple(self._list_imports(made, job, constant))
        return Entry(self.path, self.target, value, self.key, needed)

    def _list_imports(self, made: str, job: str, constant: str | None) -> Iterator[str]:
        """The import statements that an entry needs in the list's module."""
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
        # The settings name a list that another module holds: it is written there.
        value, home = held
        target = _find_target(home, value) or target
    elif option is None and isinstance(worker.node, ast.Assign | ast.AnnAssign):
        target, key = name_owner(worker) or "", f'"{name}"'
    library = _bound_library(home, package, made)
    jobs = _find_bound_name(home, module)
    return Listing(home.path, target, key, package, library, jobs, _spell_import(home, module))


def _find_target(module: Module, value: ast.expr) -> str | None:
    """What a module assigns a value to at its top level, as written there."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and node.value is value:
            return ast.unparse(node.targets[0])
    return None


def _bound_library(module: Module, package: str, made: Collection[str]) -> str:
    """The name for the library's package in a module: as it is imported there, else the package's
    own where names of it would mean something else, as `func` does with SQLAlchemy. "" where its
    names are imported one by one.
    """
    imported = _find_bound_name(module, package)
    if imported:
        return imported
    bindings = module.bindings(module.tree)
    for name in made:
        for binding in bindings.get(name, ()):
            if (binding.target or "").partition(".")[0] != package:
                return package
    return ""


def _find_bound_name(module: Module, dotted: str) -> str:
    """The name that a module has for another module; "" where it has none."""
    for name, bindings in module.bindings(module.tree).items():
        if any(binding.target == dotted for binding in bindings):
            return name
    return ""


def _spell_import(module: Module, dotted: str) -> str:
    """How a module writes where it imports from: relative where it does so already."""
    for node in module.nodes(ast.ImportFrom):
        if node.level and module.absolute(node.module, node.level) == dotted:
            return f"{'.' * node.level}{node.module or ''}"
    return dotted


def is_on(project: Project, worker: Worker, name: str) -> bool:
    """Whether nobody has switched an option off that is on by default."""
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
    symbol = _find_symbol(project, name or "")
    if symbol is not None:
        return symbol.name, symbol
    option = next(name for name, value in worker.options.items() if value[0] is node)
    return write_option(worker, option), own


def _find_symbol(project: Project, dotted: str) -> Symbol | None:
    """A name that a module of the repository binds at its top level; None for any other."""
    home, _, last = dotted.rpartition(".")
    if not home:
        return None
    path = project.locate(home)
    if path is None:
        return None
    module = project.module(path)
    if module is None or last not in module.bindings(module.tree):
        return None
    return Symbol(home, last, path=path)


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
