"""How a repository uses Django: the app that holds a handler, its models and migrations, and its
database.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked
from skillrun.frameworks.pieces import Symbol
from skillrun.repo.literals import is_known
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_nodes, read_entries
from skillrun.skills.job_worker.scaffold.stores.classes import plan_models
from skillrun.skills.job_worker.scaffold.stores.database import Database, database_behind
from skillrun.skills.job_worker.scaffold.stores.django import Migration, Orm, RowMigration
from skillrun.skills.job_worker.scaffold.stores.variables import file_of, variable_of

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module
    from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted

_PARTS = ("apps.py", "models.py", "models/__init__.py", "migrations/__init__.py")


@dataclass(frozen=True)
class App:
    """An app of the repository; `folder` ends with a slash."""

    label: str
    folder: str
    models: Symbol  # the module of its models; only `module` and `path` are of use
    config: Module | None  # apps.py


def is_django(project: Project) -> bool:
    """Settings with INSTALLED_APPS are part of the repository."""
    return next(_settings(project, "INSTALLED_APPS"), None) is not None


def _settings(project: Project, name: str) -> Iterator[tuple[Module, ast.expr]]:
    """(module, value) of each setting of that name: of the settings that the repository names
    first.
    """
    modules = {module.path: module for module in project.settings_modules()}
    for module in project.modules_with(name):
        if not is_aside(module.path):
            modules.setdefault(module.path, module)
    for module in modules.values():
        for node in module.tree.body:
            if isinstance(node, ast.Assign):
                target = node.targets[0]
            elif isinstance(node, ast.AnnAssign):
                target = node.target
            else:
                continue
            if node.value is not None and ast.unparse(target) == name:
                yield module, node.value


def find_app(project: Project, wanted: Wanted, where: str) -> App:
    """The app around the handler. Raises Blocked where the handler lies in none."""
    package = wanted.package
    while package:
        path = project.locate(package)
        if path:
            folder = path.removesuffix("__init__.py")
        else:
            folder = f"{package.replace('.', '/')}/"
        if any(f"{folder}{part}" in project.tree.files for part in _PARTS):
            _check_installed(project, package, where)
            return _app(project, package, folder)
        package = package.rpartition(".")[0]
    message = (
        f"{where}: {wanted.package or 'the top of the repository'} is no app of Django, so it can"
        " hold no table"
    )
    raise Blocked(message, hint="handler: a module of an app, e.g. shop.tasks:send_receipt")


def _check_installed(project: Project, package: str, where: str) -> None:
    """Raises Blocked for an app that plain settings leave out: it has no tables, and nobody looks
    for tasks in it.
    """
    listed = list(_settings(project, "INSTALLED_APPS"))
    for module, value in listed:
        if _names_app(module, package) or not is_known(project.literal(value, module)):
            return
    module, value = listed[0]
    place = f"{module.path}:{value.lineno}: INSTALLED_APPS"
    message = (
        f"{where}: {package} is not in {place}, so Django makes no table of it and looks for no"
        " task in it"
    )
    raise Blocked(message, hint=f"add {package} there, or name a handler in an app that is there")


def _names_app(module: Module, package: str) -> bool:
    """Whether any text of a module is the app, or a class inside of it."""
    for node in module.all_nodes:
        text = None
        if isinstance(node, ast.Constant):
            text = node.value
        if isinstance(text, str) and f"{text}.".startswith(f"{package}."):
            return True
    return False


def _app(project: Project, package: str, folder: str) -> App:
    config = project.module(f"{folder}apps.py")
    label = _of_config(project, config, "label") or package.rpartition(".")[2]
    split = f"{folder}models/__init__.py" in project.tree.files
    if split:
        home = f"{package}.models.jobs"
        path = f"{folder}models/jobs.py"
    else:
        home = f"{package}.models"
        path = f"{folder}models.py"
    return App(label, folder, Symbol(home, "", path=path), config)


def _of_config(project: Project, config: Module | None, name: str) -> str:
    """A text that the AppConfig sets."""
    if config:
        for node in config.all_nodes:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name and config:
                value = project.literal(node.value, config)
                if not isinstance(value, str):
                    return ""
                return value
    return ""


def _auto_field(project: Project, app: App) -> str:
    """The class of the keys that Django adds: by the AppConfig, else by the settings; "" where
    neither says it.
    """
    said = _of_config(project, app.config, "default_auto_field")
    if not said:
        for module, node in _settings(project, "DEFAULT_AUTO_FIELD"):
            value = project.literal(node, module)
            said = ""
            if isinstance(value, str):
                said = value
    if not said.startswith("django.db.models."):
        return ""
    return said.rpartition(".")[2]


def plan_orm(project: Project, wanted: Wanted, app: App) -> Orm:
    """What is to be written. Raises Blocked as `plan_models` and for an app whose migrations have
    several ends.
    """
    model, dead = plan_models(project, wanted, app.models, app.label)
    return Orm(
        columns=wanted.columns,
        label=app.label,
        auto_field=_auto_field(project, app),
        model=model,
        dead=dead,
        dead_table=wanted.dead_table,
        migration=_migration(project, app, model, dead),
    )


# -- migrations


def _migration(
    project: Project, app: App, model: Symbol | None, dead: Symbol | None
) -> Migration | None:
    """None where every model has its migration, or where the app keeps none at all (see
    `keeps_none`).
    """
    there = list(_migrations(project, app))
    made = set[str]()
    for module, _ in there:
        made.update(_created(module))
    needs_done, needs_dead = _needs_table(app, model, made), _needs_table(app, dead, made)
    if keeps_none(project, app) or not (needs_done or needs_dead):
        return None
    leaf = _leaf(app, there)
    names = []
    if model is not None and needs_done:
        names.append(model.name.lower())
    if dead is not None and needs_dead:
        names.append(dead.name.lower())
    path = f"{app.folder}migrations/{_numbered('_'.join(names), [name for _, name in there])}.py"
    return Migration(path, leaf, needs_done, needs_dead, _packages(project, app, there))


def _needs_table(app: App, model: Symbol | None, made: set[str]) -> bool:
    """A model of the app's own that no migration creates."""
    return model is not None and model.path == app.models.path and model.name not in made


def plan_row(project: Project, app: App, name: str, made: Migration | None) -> RowMigration | None:
    """A migration `name` behind the one that is made as well; None where one of that name is there.

    Raises Blocked where the app keeps no migrations, or has several ends of them.
    """
    if keeps_none(project, app):
        message = f"{app.label} keeps no migrations, and a migration is to add the job's schedule"
        raise Blocked(message, hint="name a handler in an app that keeps them")
    there = list(_migrations(project, app))
    names = [one for _, one in there]
    if any(one.endswith(f"_{name}") for one in names):
        return None
    before = _leaf(app, there)
    if made:
        before = made.path.rpartition("/")[2].removesuffix(".py")
    if before:
        names.append(before)
    path = f"{app.folder}migrations/{_numbered(name, names)}.py"
    return RowMigration(path, app.label, before, () if made else _packages(project, app, there))


def _numbered(name: str, there: list[str]) -> str:
    """The name of the next migration."""
    numbers = [int(found[0]) for one in there if (found := re.match(r"\d+", one))]
    return f"{max(numbers, default=0) + 1:04}_{name}"


def _packages(project: Project, app: App, there: list[tuple[Module, str]]) -> tuple[str, ...]:
    """The `__init__.py` of the folder, where that is missing."""
    if there or _has(project, app, "migrations/__init__.py"):
        return ()
    return (f"{app.folder}migrations/__init__.py",)


def keeps_none(project: Project, app: App) -> bool:
    """The app has models and no migrations: its tables are made in another way, which a migration
    would end.
    """
    if _has(project, app, "migrations/__init__.py") or any(_migrations(project, app)):
        return False
    for path in (f"{app.folder}models.py", *project.tree.match(f"{app.folder}models/*.py")):
        module = project.module(path)
        if module is not None and any(isinstance(node, ast.ClassDef) for node in module.tree.body):
            return True
    return False


def _has(project: Project, app: App, name: str) -> bool:
    return f"{app.folder}{name}" in project.tree.files


def _migrations(project: Project, app: App) -> Iterator[tuple[Module, str]]:
    for path in project.tree.match(f"{app.folder}migrations/*.py"):
        module = project.module(path)
        if module is not None and not path.endswith("__init__.py"):
            yield module, path.rpartition("/")[2].removesuffix(".py")


def _created(module: Module) -> Iterator[str]:
    for node in module.nodes(ast.Call):
        if ast.unparse(node.func).endswith("CreateModel"):
            name = next(
                (k.value for k in node.keywords if k.arg == "name"),
                node.args[0] if node.args else None,
            )
            if isinstance(name, ast.Constant):
                yield str(name.value)


def _leaf(app: App, there: list[tuple[Module, str]]) -> str | None:
    """The migration that no other of the app depends on, or replaces."""
    leaves = {name for _, name in there}
    for module, name in there:
        leaves.difference_update(_pairs(app, module.tree))
        if _is_built_upon(app, module, there):
            leaves.discard(name)
    if len(leaves) > 1:
        message = f"{app.folder}migrations has several ends: {', '.join(sorted(leaves))}"
        raise Blocked(message, hint="join them first: python manage.py makemigrations --merge")
    return next(iter(leaves), None)


def _is_built_upon(app: App, module: Module, there: list[tuple[Module, str]]) -> bool:
    """Whether a squashed migration has others after it: they name one that it replaces."""
    replaced = set()
    for part in _assigned(module, "replaces"):
        for name in _pairs(app, part):
            replaced.add(name)
    for other, _ in there:
        if other is module:
            continue
        for part in _assigned(other, "dependencies"):
            if replaced.intersection(_pairs(app, part)):
                return True
    return False


def _assigned(module: Module, name: str) -> Iterator[ast.AST]:
    """What the module's migration has under a name."""
    for node in module.nodes(ast.Assign):
        if ast.unparse(node.targets[0]) == name:
            yield node.value


def _pairs(app: App, part: ast.AST) -> Iterator[str]:
    """Names in `dependencies` and `replaces`: ("shop", "0001_initial")."""
    for node in find_nodes(part, ast.Tuple):
        if len(node.elts) == 2:
            label, name = (
                one.value if isinstance(one, ast.Constant) else None for one in node.elts
            )
            if label == app.label and isinstance(name, str):
                yield name


# -- the database


def database_of(project: Project, *, postgresql: bool) -> Database:
    """What DATABASES["default"] is made of."""
    settings = next(iter(project.settings_modules()), None)
    env = {}
    if settings:
        env = {"DJANGO_SETTINGS_MODULE": settings.name}
    for module, node in _settings(project, "DATABASES"):
        found = _default(project, module, node, postgresql=postgresql)
        return Database({**found.env, **env}, found.services, found.database, found.note)
    return Database(env, note="the settings name no DATABASES that can be read")


def _default(project: Project, module: Module, node: ast.expr, *, postgresql: bool) -> Database:
    where = f"{module.path}:{node.lineno}: DATABASES"
    value = _dict_behind(module, _item(node, "default"))
    name = None
    if isinstance(value, ast.Dict):
        name = _item(value, "NAME")
    if name is None:
        return database_behind(
            variable_of(project, module, value or node), where, postgresql=postgresql
        )
    engine = project.literal(_item(value, "ENGINE"), module)
    if isinstance(engine, str) and engine.endswith(
        (".postgresql", ".postgresql_psycopg2", ".postgis")
    ):
        return _in_parts(project, module, value, where)
    if isinstance(engine, str) and not engine.endswith("sqlite3"):
        return Database(
            note=(
                f"{where} has {engine} in parts, and a proof gives one URL: read it with"
                " dj-database-url"
            )
        )
    file = file_of(project, module, name)
    return database_behind(
        variable_of(project, module, name), where, postgresql=False, file=file, is_url=False
    )


def _in_parts(project: Project, module: Module, value: ast.expr | None, where: str) -> Database:
    """PostgreSQL whose host, user and name are variables each; the proof's server asks for no
    password.
    """
    env = {}
    for key in ("HOST", "NAME", "USER", "PORT"):
        variable = variable_of(project, module, _item(value, key))
        if variable is not None:
            env[variable.name] = f"{{postgresql.{key.lower()}}}"
        elif key != "PORT":
            return Database(
                note=f"{where}: {key} is read from no variable, and a proof has a server of its own"
            )
    return Database(env, ("postgresql",), "{postgresql}")


def _dict_behind(module: Module, node: ast.expr | None) -> ast.expr | None:
    """The last dict that a name of the settings holds, also within `if`; what is no such name as it
    is.
    """
    if not isinstance(node, ast.Name):
        return node
    held = []
    for n in module.nodes(ast.Assign):
        if ast.unparse(n.targets[0]) == node.id:
            held.append(n.value)
    for value in reversed(held):
        if isinstance(value, ast.Dict):
            return value
    return node


def _item(node: ast.expr | None, key: str) -> ast.expr | None:
    if not isinstance(node, ast.Dict):
        return None
    return read_entries(node).get(key)


def manage(project: Project) -> str:
    """The nearest manage.py to the root, as a command."""
    found = sorted(project.tree.match("**manage.py"), key=lambda path: (path.count("/"), path))
    return f"python {found[0] if found else 'manage.py'}"
