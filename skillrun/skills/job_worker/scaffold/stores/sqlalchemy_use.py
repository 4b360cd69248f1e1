"""How a repository uses SQLAlchemy: its declarative base, where its models are, and how it opens a
session.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Symbol
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_keyword, find_nodes, has_spread
from skillrun.skills.job_worker.scaffold.stores.nearness import distance, within_reach
from skillrun.skills.job_worker.scaffold.stores.sqlalchemy import Package

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_BASES = ("DeclarativeBase", "DeclarativeBaseNoMeta", "MappedAsDataclass")
_MADE = ("declarative_base", "generate_base", "automap_base")
_WORDS = (*_BASES, *_MADE, "as_declarative", "SQLAlchemy")
_ENGINES = ("create_engine", "create_async_engine")
_SQLMODEL = Symbol("sqlmodel", "SQLModel")


@dataclass(frozen=True)
class Base:
    """A declarative base: `style` is mapped (2.x), column (1.4), sqlmodel, or flask, where the
    symbol is `db`.

    `models` is the module that has most of its models; of it only `module` and `path` are of use.
    `package`: where
    each model has a module, and new ones get one of their own.
    """

    symbol: Symbol
    style: str
    models: Symbol
    package: Package | None = None


@dataclass(frozen=True)
class Opening:
    """How a session is opened: the symbol, the expression for `with`, whether it commits by itself.

    `bind` is an expression of the engine, where one without `with` gives it; `awaited`: it is
    opened by `async with`.
    """

    symbol: Symbol
    expression: str
    commits: bool = False
    bind: str | None = None
    url: tuple[Module, ast.expr] | None = None  # what its engine is made with, where that was found
    awaited: bool = False


def find_base(project: Project, near: str) -> Base | None:
    """The base with the most models; of equals, the one nearest to the module path `near`."""
    found = [_base(project, symbol, style, near) for symbol, style in _bases(project, near)]
    found.sort(key=lambda one: (-one[0], distance(one[1].symbol.path, near), one[1].symbol.path))
    if not found:
        return None
    return found[0][1]


def _bases(project: Project, near: str) -> Iterator[tuple[Symbol, str]]:
    for module in _modules(project, _WORDS, near):
        for node in module.tree.body:
            name, style = _declared(project, module, node)
            if style:
                yield Symbol(module.name, name, path=module.path), style
    if next(_sqlmodels(project, near), None) is not None:
        yield _SQLMODEL, "sqlmodel"


def _declared(project: Project, module: Module, node: ast.stmt) -> tuple[str, str]:
    """(name, style) of a statement that makes a base; ("", "") for any other."""
    if isinstance(node, ast.ClassDef):
        return node.name, _style_of_class(module, node)
    name, value = _assigned(node)
    if not isinstance(value, ast.Call):
        return "", ""
    for above in project.ancestors(module.resolve(value.func) or ""):
        if above.startswith("flask_sqlalchemy."):
            return name, "flask"
    return name, "column" if _last(module, value.func) in _MADE else ""


def _style_of_class(module: Module, node: ast.ClassDef) -> str:
    """ "" where the class is no base."""
    if any(_last(module, base) in _BASES for base in node.bases):
        return "mapped"
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            made = decorator.func
        else:
            made = decorator
        if _last(module, made) == "as_declarative":
            return "column"
    return ""


def _base(project: Project, symbol: Symbol, style: str, near: str) -> tuple[int, Base]:
    """(number of its models, the base): 2.x style counts where a model is written so."""
    if style == "sqlmodel":
        models = _sqlmodels(project, near)
    else:
        models = _models(project, symbol)
    counted = Counter[tuple[str, str]]()
    for module, _ in models:
        if not is_aside(module.path):
            counted[module.name, module.path] += 1
            if style == "column" and "mapped_column" in module.text:
                style = "mapped"
    best = sorted(counted.items(), key=lambda item: (distance(item[0][1], near), -item[1], item[0]))
    if best:
        home, path = best[0][0]
    else:
        home, path = (symbol.module, symbol.path)
    package = _package(project, path, {path for _, path in counted})
    return counted.total(), Base(symbol, style, Symbol(home, "", path=path), package)


def _package(project: Project, home: str, others: set[str]) -> Package | None:
    """The package with a module for each thing, which imports them."""
    folder, _, own = home.rpartition("/")
    shown = project.module(f"{folder}/__init__.py")
    names = set()
    for path in others:
        place, _, name = path.rpartition("/")
        if place == folder and name != "__init__.py":
            names.add(name.removesuffix(".py"))
    if shown is None or len(names) < 2 or own == "__init__.py":
        return None
    is_listed, is_relative, is_taken = False, True, False
    for node in shown.tree.body:
        if _assigned(node)[0] == "__all__":
            is_listed = True
        elif isinstance(node, ast.ImportFrom) and not names.isdisjoint(_named(node)):
            is_taken = True
            is_relative = is_relative and node.level > 0
    if not is_taken:
        return None
    return Package(shown.path, listed=is_listed, relative=is_relative)


def _named(node: ast.ImportFrom) -> Iterator[str]:
    """`from h.models.user import User`, `from .user import User` and `from . import user` name
    user.
    """
    yield (node.module or "").rpartition(".")[2]
    for alias in node.names:
        yield alias.name


def _sqlmodels(project: Project, near: str) -> Iterator[tuple[Module, ast.ClassDef]]:
    """`class X(SQLModel, table=True)`, also behind a class of the repository's own."""
    for module in _modules(project, ("SQLModel", "sqlmodel"), near):
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and find_keyword(node, "table") is not None:
                yield module, node


def _models(project: Project, symbol: Symbol) -> Iterator[tuple[Module, ast.ClassDef]]:
    for use in project.uses(f"{symbol.module}:{symbol.name}"):
        below: ast.AST = use.node
        for above in use.module.parents(use.node):
            if isinstance(above, ast.ClassDef) and below in above.bases:
                yield use.module, above
                break
            below = above


# -- sessions


def find_opening(
    project: Project, base: Base | None, near: str, *, awaited: bool = False
) -> Opening | None:
    """The repository's own way to a session: a context manager, a session factory, flask's db, or
    an engine.

    `awaited`: one of asyncio is wanted, where there is any.
    """
    if base is not None and base.style == "flask":
        name = base.symbol.name
        return Opening(base.symbol, f"orm.Session({name}.engine)")
    plain: Opening | None = None
    for _, found in sorted(_openings(project, near), key=lambda one: one[0]):
        if awaited and found.awaited:
            return found
        if plain is None and not found.awaited:
            plain = found
    return plain


def _openings(project: Project, near: str) -> Iterator[tuple[int, Opening]]:
    """(rank, opening): a context manager of the repository's own comes before the factory that it
    uses.

    A module's private names are its own, such as those of the store that another job was written
    with.
    """
    for module in _modules(
        project, ("sessionmaker", "scoped_session", *_ENGINES, "contextmanager"), near
    ):
        for node in module.tree.body:
            symbol = Symbol(
                module.name, getattr(node, "name", _assigned(node)[0]), path=module.path
            )
            if symbol.name.startswith("_") or symbol.name in _rebound(module):
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_scope(module, node):
                awaited = isinstance(node, ast.AsyncFunctionDef)
                url = _url(project, module)
                yield (
                    0,
                    Opening(
                        symbol, f"{symbol.name}()", commits=_commits(node), url=url, awaited=awaited
                    ),
                )
            value = _assigned(node)[1]
            if isinstance(value, ast.Call):
                yield from _made(project, module, symbol, value)


def _rebound(module: Module) -> set[str]:
    """Names that a function gives another value (`global Session`): who imports them has the old
    one.
    """
    found = set[str]()
    for node in module.nodes(ast.Global):
        found.update(node.names)
    return found


def _made(
    project: Project, module: Module, symbol: Symbol, value: ast.Call
) -> Iterator[tuple[int, Opening]]:
    called, name = _last(module, value.func), symbol.name
    if "async" in ast.unparse(value).lower():
        yield from _awaited(project, module, symbol, called, value)
        return
    if called in ("sessionmaker", "scoped_session") and not _is_bound(project, name, value):
        # Each request binds a session of its own: a job has none.
        return
    if called == "sessionmaker":
        yield (
            1,
            Opening(symbol, f"{name}()", bind=f"{name}().get_bind()", url=_url(project, module)),
        )
    elif called == "scoped_session":
        # A session of its own, so that nobody's pending work is committed.
        own = f"{name}.session_factory()"
        yield 2, Opening(symbol, own, bind=f"{own}.get_bind()", url=_url(project, module))
    elif called == "create_engine":
        yield 3, Opening(symbol, f"orm.Session({name})", bind=name, url=_url(project, module))


def _awaited(
    project: Project, module: Module, symbol: Symbol, called: str, value: ast.Call
) -> Iterator[tuple[int, Opening]]:
    """`async_sessionmaker(engine)`, `sessionmaker(engine, class_=AsyncSession)`,
    `create_async_engine(...)`.
    """
    name, url = symbol.name, _url(project, module)
    if called in ("async_sessionmaker", "sessionmaker") and (
        value.args or "bind=" in ast.unparse(value)
    ):
        yield 1, Opening(symbol, f"{name}()", url=url, awaited=True)
    elif called == "create_async_engine":
        yield 3, Opening(symbol, f"AsyncSession({name})", url=url, awaited=True)


def _is_bound(project: Project, name: str, value: ast.Call) -> bool:
    """`sessionmaker(engine)`, `sessionmaker(bind=engine)`, or `Session.configure(bind=...)`
    somewhere.
    """
    for call in find_nodes(value, ast.Call):
        if ast.unparse(call.func).endswith("sessionmaker"):
            is_given = find_keyword(call, "bind") or find_keyword(call, "binds")
            if call.args or is_given or has_spread(call):
                return True
            return bool(project.tree.search(f"{name}.configure"))
    return True


def _is_scope(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """`@contextmanager def session_scope()` that yields a session and needs no argument; an
    asynchronous one too.
    """
    wanted = "asynccontextmanager"
    if isinstance(node, ast.FunctionDef):
        wanted = "contextmanager"
    managed = any(_last(module, one) == wanted for one in node.decorator_list)
    needs = len(node.args.args) > len(node.args.defaults) or None in node.args.kw_defaults
    return managed and not needs and "session" in ast.unparse(node).lower()


def _commits(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    text = ast.unparse(node)
    return ".commit()" in text or ".begin()" in text


def _url(project: Project, module: Module) -> tuple[Module, ast.expr] | None:
    """The argument of `create_engine`, in this module or in the only one that has such a call."""
    first = None
    for one in _modules(project, _ENGINES, module.path):
        for node in _engine_urls(one):
            if one.path == module.path:
                return one, node
            first = first or (one, node)
    return first


def _engine_urls(module: Module) -> Iterator[ast.expr]:
    for node in module.nodes(ast.Call):
        if _last(module, node.func) in _ENGINES:
            yield from node.args[:1]
            url = find_keyword(node, "url")
            if url is not None:
                yield url


# -- small things


def _modules(project: Project, words: tuple[str, ...], near: str) -> Iterator[Module]:
    """The modules with any of the words, once each, without tests, examples and migrations, the
    nearest first.
    """
    paths = set[str]()
    for word in words:
        paths.update(project.tree.search(word))
    for path in within_reach(project, paths, near):
        if is_aside(path) or "/versions/" in path or path.rpartition("/")[2] == "env.py":
            continue
        module = project.module(path)
        if module is not None:
            yield module


def _assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def _last(module: Module, node: ast.expr) -> str:
    return (module.resolve(node) or ast.unparse(node)).rpartition(".")[2]
