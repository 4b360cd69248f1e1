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
# How plainly something opens a session, the plainest first.
_SCOPE, _FACTORY, _SCOPED_SESSION, _ENGINE = range(4)
_ENGINES = ("create_engine", "create_async_engine")
_SQLMODEL = Symbol("sqlmodel", "SQLModel")


@dataclass(frozen=True)
class Base:
    """A declarative base: `style` is mapped (2.x), column (1.4), sqlmodel, or flask, where the
    symbol is `db`.

    `models` is the module that has most of its models; of it only `module` and `path` are of use.
    `package`: where each model has a module, and new ones get one of their own.
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
    bases = []
    for symbol, style in _find_bases(project, near):
        bases.append(_read_base(project, symbol, style, near))

    def rank(counted: tuple[int, Base]) -> tuple[int, int, str]:
        count, base = counted
        return -count, distance(base.symbol.path, near), base.symbol.path

    if not bases:
        return None
    _, first = min(bases, key=rank)
    return first


def _find_bases(project: Project, near: str) -> Iterator[tuple[Symbol, str]]:
    """(symbol, style) of each base that the repository makes, and SQLModel where it has models."""
    for module in _find_modules(project, _WORDS, near):
        for node in module.tree.body:
            name, style = _read_declaration(project, module, node)
            if style:
                yield Symbol(module.name, name, path=module.path), style
    if next(_find_sqlmodels(project, near), None) is not None:
        yield _SQLMODEL, "sqlmodel"


def _read_declaration(project: Project, module: Module, node: ast.stmt) -> tuple[str, str]:
    """(name, style) of a statement; the style is "" where it makes no base."""
    if isinstance(node, ast.ClassDef):
        return node.name, _style_of_class(module, node)
    name, value = _read_assigned(node)
    if not isinstance(value, ast.Call):
        return "", ""
    for above in project.ancestors(module.resolve(value.func) or ""):
        if above.startswith("flask_sqlalchemy."):
            return name, "flask"
    if _last_word(module, value.func) in _MADE:
        return name, "column"
    return name, ""


def _style_of_class(module: Module, node: ast.ClassDef) -> str:
    """The style of a base that is written as a class; "" where the class is no base."""
    if any(_last_word(module, base) in _BASES for base in node.bases):
        return "mapped"
    for decorator in node.decorator_list:
        name = decorator
        if isinstance(decorator, ast.Call):
            name = decorator.func
        if _last_word(module, name) == "as_declarative":
            return "column"
    return ""


def _read_base(project: Project, symbol: Symbol, style: str, near: str) -> tuple[int, Base]:
    """(number of its models, the base): 2.x style counts where a model is written so."""
    if style == "sqlmodel":
        models = _find_sqlmodels(project, near)
    else:
        models = _find_models(project, symbol)
    counted = Counter[tuple[str, str]]()
    for module, _ in models:
        if not is_aside(module.path):
            counted[module.name, module.path] += 1
            if style == "column" and "mapped_column" in module.text:
                style = "mapped"

    def rank(place: tuple[str, str]) -> tuple[int, int, tuple[str, str]]:
        return distance(place[1], near), -counted[place], place

    # A base without models: they belong where it is.
    home, path = min(counted, key=rank, default=(symbol.module, symbol.path))
    package = _find_package(project, path, {path for _, path in counted})
    return counted.total(), Base(symbol, style, Symbol(home, "", path=path), package)


def _find_package(project: Project, home: str, others: set[str]) -> Package | None:
    """The package with a module for each model, which imports them; None where models share a
    module.
    """
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
        if _read_assigned(node)[0] == "__all__":
            is_listed = True
        elif isinstance(node, ast.ImportFrom) and not names.isdisjoint(_list_named(node)):
            is_taken = True
            is_relative = is_relative and node.level > 0
    if not is_taken:
        return None
    return Package(shown.path, listed=is_listed, relative=is_relative)


def _list_named(node: ast.ImportFrom) -> Iterator[str]:
    """The last words that an import names: `user` in `from h.models.user import User`,
    `from .user import User` and `from . import user`.
    """
    yield (node.module or "").rpartition(".")[2]
    for alias in node.names:
        yield alias.name


def _find_sqlmodels(project: Project, near: str) -> Iterator[tuple[Module, ast.ClassDef]]:
    """The models of SQLModel: `class X(SQLModel, table=True)`, also behind a class of the
    repository's own.
    """
    for module in _find_modules(project, ("SQLModel", "sqlmodel"), near):
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and find_keyword(node, "table") is not None:
                yield module, node


def _find_models(project: Project, symbol: Symbol) -> Iterator[tuple[Module, ast.ClassDef]]:
    """The classes that derive directly from a base."""
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
    for _, opening in sorted(_find_openings(project, near), key=lambda one: one[0]):
        if awaited and opening.awaited:
            return opening
        if plain is None and not opening.awaited:
            plain = opening
    return plain


def _find_openings(project: Project, near: str) -> Iterator[tuple[int, Opening]]:
    """(rank, opening): a context manager of the repository's own comes before the factory that it
    uses.

    A module's private names are its own, such as those of the store that another job was written
    with.
    """
    words = ("sessionmaker", "scoped_session", *_ENGINES, "contextmanager")
    for module in _find_modules(project, words, near):
        for node in module.tree.body:
            assigned, value = _read_assigned(node)
            symbol = Symbol(module.name, getattr(node, "name", assigned), path=module.path)
            if symbol.name.startswith("_") or symbol.name in _list_rebound(module):
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_scope(module, node):
                yield (
                    _SCOPE,
                    Opening(
                        symbol,
                        f"{symbol.name}()",
                        commits=_commits(node),
                        url=_find_url(project, module),
                        awaited=isinstance(node, ast.AsyncFunctionDef),
                    ),
                )
            if isinstance(value, ast.Call):
                yield from _read_made(project, module, symbol, value)


def _list_rebound(module: Module) -> set[str]:
    """The names that a function gives another value (`global Session`): who imports them has the
    old one.
    """
    names = set[str]()
    for node in module.nodes(ast.Global):
        names.update(node.names)
    return names


def _read_made(
    project: Project, module: Module, symbol: Symbol, value: ast.Call
) -> Iterator[tuple[int, Opening]]:
    """(rank, opening) where a name is given a session factory or an engine; nothing for any other
    call.
    """
    called, name = _last_word(module, value.func), symbol.name
    if "async" in ast.unparse(value).lower():
        yield from _read_awaited(project, module, symbol, called, value)
        return
    # Each request binds a session of its own: a job has none.
    if called in ("sessionmaker", "scoped_session") and not _is_bound(project, name, value):
        return
    if called == "sessionmaker":
        url = _find_url(project, module)
        yield _FACTORY, Opening(symbol, f"{name}()", bind=f"{name}().get_bind()", url=url)
    elif called == "scoped_session":
        # A session of its own, so that nobody's pending work is committed.
        own, url = f"{name}.session_factory()", _find_url(project, module)
        yield _SCOPED_SESSION, Opening(symbol, own, bind=f"{own}.get_bind()", url=url)
    elif called == "create_engine":
        url = _find_url(project, module)
        yield _ENGINE, Opening(symbol, f"orm.Session({name})", bind=name, url=url)


def _read_awaited(
    project: Project, module: Module, symbol: Symbol, called: str, value: ast.Call
) -> Iterator[tuple[int, Opening]]:
    """The same of asyncio: `async_sessionmaker(engine)`,
    `sessionmaker(engine, class_=AsyncSession)`, `create_async_engine(...)`.
    """
    name, url = symbol.name, _find_url(project, module)
    if called in ("async_sessionmaker", "sessionmaker"):
        if value.args or "bind=" in ast.unparse(value):
            yield _FACTORY, Opening(symbol, f"{name}()", url=url, awaited=True)
    elif called == "create_async_engine":
        yield _ENGINE, Opening(symbol, f"AsyncSession({name})", url=url, awaited=True)


def _is_bound(project: Project, name: str, value: ast.Call) -> bool:
    """Whether a factory has an engine: `sessionmaker(engine)`, `sessionmaker(bind=engine)`, or
    `Session.configure(bind=...)` somewhere.
    """
    for call in find_nodes(value, ast.Call):
        if ast.unparse(call.func).endswith("sessionmaker"):
            is_given = find_keyword(call, "bind") or find_keyword(call, "binds")
            if call.args or is_given or has_spread(call):
                return True
            return bool(project.tree.search(f"{name}.configure"))
    return True


def _is_scope(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a `@contextmanager def session_scope()` that yields a session and needs no
    argument, or an asynchronous one.
    """
    wanted = "asynccontextmanager"
    if isinstance(node, ast.FunctionDef):
        wanted = "contextmanager"
    if not any(_last_word(module, decorator) == wanted for decorator in node.decorator_list):
        return False
    if len(node.args.args) > len(node.args.defaults) or None in node.args.kw_defaults:
        return False
    return "session" in ast.unparse(node).lower()


def _commits(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a context manager commits at its end."""
    text = ast.unparse(node)
    return ".commit()" in text or ".begin()" in text


def _find_url(project: Project, module: Module) -> tuple[Module, ast.expr] | None:
    """(module, argument) of a call that makes an engine: in this module, else the nearest one."""
    first = None
    for other in _find_modules(project, _ENGINES, module.path):
        for url in _list_engine_urls(other):
            if other.path == module.path:
                return other, url
            first = first or (other, url)
    return first


def _list_engine_urls(module: Module) -> Iterator[ast.expr]:
    """What the calls that make an engine are given as its URL."""
    for call in module.nodes(ast.Call):
        if _last_word(module, call.func) not in _ENGINES:
            continue
        yield from call.args[:1]
        url = find_keyword(call, "url")
        if url is not None:
            yield url


# -- small things


def _find_modules(project: Project, words: tuple[str, ...], near: str) -> Iterator[Module]:
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


def _read_assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    """(name, value) of an assignment to a name; ("", None) for any other statement."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def _last_word(module: Module, node: ast.expr) -> str:
    """`Session` for `orm.Session`, and for a name that was imported as another one."""
    return (module.resolve(node) or ast.unparse(node)).rpartition(".")[2]
