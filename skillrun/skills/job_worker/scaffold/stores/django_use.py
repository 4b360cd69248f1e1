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
from skillrun.repo.syntax import find_keyword, find_nodes, read_entries
from skillrun.skills.job_worker.scaffold.stores.classes import plan_models
from skillrun.skills.job_worker.scaffold.stores.database import Database, database_behind
from skillrun.skills.job_worker.scaffold.stores.django import Migration, Orm, RowMigration
from skillrun.skills.job_worker.scaffold.stores.variables import file_of, variable_of

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module
    from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted

# A folder with one of these is an app.
_PARTS = ("apps.py", "models.py", "models/__init__.py", "migrations/__init__.py")
_POSTGRESQL = (".postgresql", ".postgresql_psycopg2", ".postgis")


@dataclass(frozen=True)
class App:
    """An app of the repository; `folder` ends with a slash."""

    label: str
    folder: str
    models: Symbol  # the module of its models; only `module` and `path` are of use
    config: Module | None  # apps.py


def is_django(project: Project) -> bool:
    """Whether settings with INSTALLED_APPS are part of the repository."""
    return next(_find_settings(project, "INSTALLED_APPS"), None) is not None


def _find_settings(project: Project, name: str) -> Iterator[tuple[Module, ast.expr]]:
    """(module, value) of each setting of that name. Those of the settings that the repository
    names, in manage.py, say, come first.
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
            return _read_app(project, package, folder)
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
    listed = list(_find_settings(project, "INSTALLED_APPS"))
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


def _read_app(project: Project, package: str, folder: str) -> App:
    """The app in a folder, with the module in which a new model belongs."""
    config = project.module(f"{folder}apps.py")
    label = _read_config_text(project, config, "label") or package.rpartition(".")[2]
    models = Symbol(f"{package}.models", "", path=f"{folder}models.py")
    # A package of models has a file for each group of them.
    if f"{folder}models/__init__.py" in project.tree.files:
        models = Symbol(f"{package}.models.jobs", "", path=f"{folder}models/jobs.py")
    return App(label, folder, models, config)


def _read_config_text(project: Project, config: Module | None, name: str) -> str:
    """A text that the AppConfig sets; "" where it sets none of that name."""
    if config is None:
        return ""
    for node in config.nodes(ast.Assign):
        if ast.unparse(node.targets[0]) == name:
            return _read_text(project, config, node.value)
    return ""


def _read_text(project: Project, module: Module, node: ast.expr) -> str:
    """The text that an expression is; "" for anything else."""
    value = project.literal(node, module)
    if isinstance(value, str):
        return value
    return ""


def _find_auto_field(project: Project, app: App) -> str:
    """The class of the keys that Django adds: by the AppConfig, else by the settings; "" where
    neither says it.
    """
    auto_field = _read_config_text(project, app.config, "default_auto_field")
    if not auto_field:
        # Of several settings, the last one's.
        for module, node in _find_settings(project, "DEFAULT_AUTO_FIELD"):
            auto_field = _read_text(project, module, node)
    if not auto_field.startswith("django.db.models."):
        return ""
    return auto_field.rpartition(".")[2]


def plan_orm(project: Project, wanted: Wanted, app: App) -> Orm:
    """The models and the migration that are to be written. Raises Blocked as `plan_models` does,
    and for an app whose migrations have several ends.
    """
    model, dead = plan_models(project, wanted, app.models, app.label)
    return Orm(
        columns=wanted.columns,
        label=app.label,
        auto_field=_find_auto_field(project, app),
        model=model,
        dead=dead,
        dead_table=wanted.dead_table,
        migration=_plan_migration(project, app, model, dead),
    )


# -- migrations


def _plan_migration(
    project: Project, app: App, model: Symbol | None, dead: Symbol | None
) -> Migration | None:
    """The migration that creates the tables of these models. None where each has one already, or
    where the app keeps no migrations (see `keeps_none`).
    """
    there = list(_find_migrations(project, app))
    created = set[str]()
    for module, _ in there:
        created.update(_list_created_models(module))
    needs_done = _needs_table(app, model, created)
    needs_dead = _needs_table(app, dead, created)
    if keeps_none(project, app) or not (needs_done or needs_dead):
        return None
    leaf = _find_leaf(app, there)
    models = []
    if model is not None and needs_done:
        models.append(model.name.lower())
    if dead is not None and needs_dead:
        models.append(dead.name.lower())
    name = _number_next("_".join(models), [name for _, name in there])
    path = f"{app.folder}migrations/{name}.py"
    return Migration(path, leaf, needs_done, needs_dead, _list_packages(project, app, there))


def _needs_table(app: App, model: Symbol | None, made: set[str]) -> bool:
    """Whether it is a model of the app's own that no migration creates."""
    return model is not None and model.path == app.models.path and model.name not in made


def plan_row(project: Project, app: App, name: str, made: Migration | None) -> RowMigration | None:
    """The migration of this name that adds the row of a schedule, after `made` where that is
    planned as well. None where there is a migration of that name.

    Raises Blocked where the app keeps no migrations, or has several ends of them.
    """
    if keeps_none(project, app):
        message = f"{app.label} keeps no migrations, and a migration is to add the job's schedule"
        raise Blocked(message, hint="name a handler in an app that keeps them")
    there = list(_find_migrations(project, app))
    names = [there_name for _, there_name in there]
    if any(there_name.endswith(f"_{name}") for there_name in names):
        return None
    before = _find_leaf(app, there)
    packages = _list_packages(project, app, there)
    if made:
        # That one stands before this one, and brings the package along.
        before = made.path.rpartition("/")[2].removesuffix(".py")
        packages = ()
    if before:
        names.append(before)
    path = f"{app.folder}migrations/{_number_next(name, names)}.py"
    return RowMigration(path, app.label, before, packages)


def _number_next(name: str, there: list[str]) -> str:
    """The name of the next migration: `0003_receipt` after `0002_order`."""
    highest = 0
    for there_name in there:
        number = re.match(r"\d+", there_name)
        if number:
            highest = max(highest, int(number[0]))
    return f"{highest + 1:04}_{name}"


def _list_packages(project: Project, app: App, there: list[tuple[Module, str]]) -> tuple[str, ...]:
    """The `__init__.py` of the folder, where that is missing."""
    if there or _has_file(project, app, "migrations/__init__.py"):
        return ()
    return (f"{app.folder}migrations/__init__.py",)


def keeps_none(project: Project, app: App) -> bool:
    """Whether the app has models and no migrations: its tables are made in another way, which a
    migration would end.
    """
    if _has_file(project, app, "migrations/__init__.py"):
        return False
    if any(_find_migrations(project, app)):
        return False
    for path in (f"{app.folder}models.py", *project.tree.match(f"{app.folder}models/*.py")):
        module = project.module(path)
        if module is not None and any(isinstance(node, ast.ClassDef) for node in module.tree.body):
            return True
    return False


def _has_file(project: Project, app: App, name: str) -> bool:
    return f"{app.folder}{name}" in project.tree.files


def _find_migrations(project: Project, app: App) -> Iterator[tuple[Module, str]]:
    """(module, name) of each migration of the app."""
    for path in project.tree.match(f"{app.folder}migrations/*.py"):
        module = project.module(path)
        if module is not None and not path.endswith("__init__.py"):
            yield module, path.rpartition("/")[2].removesuffix(".py")


def _list_created_models(module: Module) -> Iterator[str]:
    """The models that a migration creates: `migrations.CreateModel(name="Receipt")`."""
    for call in module.nodes(ast.Call):
        if not ast.unparse(call.func).endswith("CreateModel"):
            continue
        name = find_keyword(call, "name")
        if name is None and call.args:
            name = call.args[0]
        if isinstance(name, ast.Constant):
            yield str(name.value)


def _find_leaf(app: App, there: list[tuple[Module, str]]) -> str | None:
    """The migration that no other of the app depends on, or replaces. Raises Blocked where there
    are several.
    """
    leaves = {name for _, name in there}
    for module, name in there:
        leaves.difference_update(_list_named_migrations(app, module.tree))
        if _is_built_upon(app, module, there):
            leaves.discard(name)
    if len(leaves) > 1:
        message = f"{app.folder}migrations has several ends: {', '.join(sorted(leaves))}"
        raise Blocked(message, hint="join them first: python manage.py makemigrations --merge")
    return next(iter(leaves), None)


def _is_built_upon(app: App, module: Module, there: list[tuple[Module, str]]) -> bool:
    """Whether a squashed migration has others after it: they name one that it replaces."""
    replaced = set[str]()
    for part in _find_assigned(module, "replaces"):
        replaced.update(_list_named_migrations(app, part))
    for other, _ in there:
        if other is module:
            continue
        for part in _find_assigned(other, "dependencies"):
            if replaced.intersection(_list_named_migrations(app, part)):
                return True
    return False


def _find_assigned(module: Module, name: str) -> Iterator[ast.AST]:
    """What the module's migration has under a name."""
    for node in module.nodes(ast.Assign):
        if ast.unparse(node.targets[0]) == name:
            yield node.value


def _list_named_migrations(app: App, part: ast.AST) -> Iterator[str]:
    """The migrations of the app that stand in `dependencies` or `replaces`, each as a pair:
    ("shop", "0001_initial").
    """
    for pair in find_nodes(part, ast.Tuple):
        if len(pair.elts) != 2:
            continue
        label, name = pair.elts
        if not isinstance(label, ast.Constant) or label.value != app.label:
            continue
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value


# -- the database


def database_of(project: Project, *, postgresql: bool) -> Database:
    """How a proof points the application at a database of its own, by what DATABASES["default"] is
    made of.
    """
    settings = next(iter(project.settings_modules()), None)
    env = {}
    if settings:
        env = {"DJANGO_SETTINGS_MODULE": settings.name}
    first = next(_find_settings(project, "DATABASES"), None)
    if first is None:
        return Database(env, note="the settings name no DATABASES that can be read")
    module, node = first
    found = _read_default(project, module, node, postgresql=postgresql)
    return Database({**found.env, **env}, found.services, found.database, found.note)


def _read_default(
    project: Project, module: Module, node: ast.expr, *, postgresql: bool
) -> Database:
    """What the value of DATABASES says of "default": one URL, a file of SQLite, or PostgreSQL in
    parts.
    """
    where = f"{module.path}:{node.lineno}: DATABASES"
    value = _follow_name(module, _find_item(node, "default"))
    name = _find_item(value, "NAME")
    if name is None:
        variable = variable_of(project, module, value or node)
        return database_behind(variable, where, postgresql=postgresql)
    engine = project.literal(_find_item(value, "ENGINE"), module)
    if isinstance(engine, str) and engine.endswith(_POSTGRESQL):
        return _read_parts(project, module, value, where)
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


def _read_parts(project: Project, module: Module, value: ast.expr | None, where: str) -> Database:
    """PostgreSQL whose host, user and name are variables each; the proof's server asks for no
    password.
    """
    env = {}
    for key in ("HOST", "NAME", "USER", "PORT"):
        variable = variable_of(project, module, _find_item(value, key))
        if variable is not None:
            env[variable.name] = f"{{postgresql.{key.lower()}}}"
        elif key != "PORT":
            return Database(
                note=f"{where}: {key} is read from no variable, and a proof has a server of its own"
            )
    return Database(env, ("postgresql",), "{postgresql}")


def _follow_name(module: Module, node: ast.expr | None) -> ast.expr | None:
    """The last dict that a name of the settings holds, also within `if`. What is no such name is
    given back as it is.
    """
    if not isinstance(node, ast.Name):
        return node
    last = None
    for assign in module.nodes(ast.Assign):
        is_it = ast.unparse(assign.targets[0]) == node.id
        if is_it and isinstance(assign.value, ast.Dict):
            last = assign.value
    return last or node


def _find_item(node: ast.expr | None, key: str) -> ast.expr | None:
    """What a dict that is written out has under a key; None for anything else."""
    if not isinstance(node, ast.Dict):
        return None
    return read_entries(node).get(key)


def manage(project: Project) -> str:
    """The nearest manage.py to the root, as a command."""
    paths = project.tree.match("**manage.py")
    nearest = min(paths, key=lambda path: (path.count("/"), path), default="manage.py")
    return f"python {nearest}"
