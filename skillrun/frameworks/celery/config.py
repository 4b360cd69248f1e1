"""The configuration of a Celery app as the code writes it: constructor, `app.conf`, configuration
objects, Django.

Sources: celery/app/base.py (constructor, `config_from_object`), celery/app/defaults.py (names
before 4.0), celery/app/utils.py (a namespace is cut off, the rest is lower-cased), kombu/transport
(visibility timeouts).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.reading import place_of as place_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import UNKNOWN, Module, Project, Unknown, is_known
from skillrun.repo.syntax import find_assigned, find_keyword, is_constant, is_none, name_method
from skillrun.repo.uses import FrameworkUse, Place

if TYPE_CHECKING:
    from skillrun.repo.python import Definition

# kombu/transport/redis.py and kombu/transport/SQS: seconds until an unacknowledged message is
# delivered again.
VISIBILITY_DEFAULTS = {"redis": 3600.0, "sqs": 1800.0}
_TRANSPORTS = {
    "redis": "redis",
    "rediss": "redis",
    "sentinel": "redis",
    "valkey": "redis",
    "sqs": "sqs",
}
_AMQP_SCHEMES = ("amqp", "pyamqp", "py-amqp")
_CONSTRUCTOR = {"broker": "broker_url", "backend": "result_backend"}
# Arguments of `Celery(...)` that are no settings.
_CONSTRUCTOR_ONLY = frozenset(
    {
        "amqp",
        "autofinalize",
        "changes",
        "config_source",
        "config_source_silent",
        "control",
        "events",
        "fixups",
        "include",
        "loader",
        "log",
        "main",
        "namespace",
        "set_as_current",
        "strict_typing",
        "task_cls",
        "tasks",
    }
)
_APP_CLASSES = ("celery.Celery", "celery.app.base.Celery")
# Modules that import each other with `*`, in a row.
_MOST_HOPS = 5
_OLD_NAMES = {
    "CELERY_ANNOTATIONS": "task_annotations",
    "CELERYBEAT_SCHEDULE": "beat_schedule",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERY_TASK_SERIALIZER": "task_serializer",
    "CELERY_ACKS_LATE": "task_acks_late",
    "CELERY_REJECT_ON_WORKER_LOST": "task_reject_on_worker_lost",
    "CELERY_ACCEPT_CONTENT": "accept_content",
    "CELERY_TIMEZONE": "timezone",
    "CELERY_RESULT_BACKEND": "result_backend",
}


# Of names from before Celery 4; the first that fits counts.
_OLD_PREFIXES = (
    ("CELERYBEAT_", "beat_"),
    ("CELERYD_", "worker_"),
    ("CELERY_RESULT_", "result_"),
    ("CELERY_", "task_"),
)


@dataclass(frozen=True)
class Setting:
    """One value and where it is written; an `Unknown` value is written there but cannot be read."""

    value: Any
    place: Place


@dataclass
class Config:
    """Settings by their present names (lower case). `unread` are sources that cannot be read."""

    settings: dict[str, Setting] = field(default_factory=dict)
    unread: list[Place] = field(default_factory=list)

    def get(self, name: str) -> Setting | None:
        """A setting, or None where nothing that could be read sets it."""
        return self.settings.get(name)

    def value(self, name: str, default: Any = None) -> Any:
        """The value of a setting; an `Unknown` counts as a value."""
        found = self.settings.get(name)
        if found:
            return found.value
        return default


def app_module(project: Project, use: FrameworkUse) -> tuple[Module, str] | None:
    """The module and the name of the app object in "path:object"; None where it is not known."""
    path, _, name = (use.app or "").rpartition(":")
    module = None
    if path:
        module = project.module(path)
    if not module:
        return None
    return (module, name)


def is_app(project: Project, use: FrameworkUse, name: str | None) -> bool:
    """Whether a dotted name means a Celery app: an instance of Celery, or the object that detection
    calls an app.
    """
    if not name:
        return False
    origin = project.origin(name)
    # The name of a variable that holds an instance ends in "()".
    if origin.removesuffix("()") in (*_APP_CLASSES, "celery.current_app"):
        return True
    apps = app_names(project, use)
    return name.removesuffix("()") in apps or origin in apps


def app_names(project: Project, use: FrameworkUse) -> frozenset[str]:
    """Dotted names of the app objects that detection found."""
    apps = use.apps
    if not apps and use.app:
        apps = (use.app,)
    names = set()
    for app in apps:
        path, _, name = app.rpartition(":")
        if path.endswith(".py"):
            names.add(f"{project.import_name(path)}.{name}")
    return frozenset(names)


def read_config(project: Project, use: FrameworkUse) -> Config:
    """Everything that can be read, later sources over earlier ones: object, constructor, then
    `app.conf`.
    """
    return project.remember(
        ("celery.config", use.app), lambda: _Reader(project, use, Config()).read()
    )


class _Reader:
    """Fills a `Config` from everything that configures one app."""

    def __init__(self, project: Project, use: FrameworkUse, config: Config) -> None:
        self.project = project
        self.use = use
        self.config = config

    def read(self) -> Config:
        """The configuration. The order is that of who wins: later ones overwrite."""
        self._read_default_module()
        for module in self._list_modules("config_from_object"):
            self._read_config_objects(module)
        for module in self._list_modules("Celery"):
            self._read_constructors(module)
        for module in self._list_modules("conf"):
            self._read_conf(module)
        for word in ("config_from_envvar", "config_from_cmdline"):
            for module in self._list_modules(word):
                self._note_unread(module, word)
        return self.config

    def _list_modules(self, word: str) -> Iterator[Module]:
        """The modules with a word in them; tests configure apps of their own, and are left out."""
        for module in self.project.modules_with(word):
            if not is_plainly_test(module.path):
                yield module

    def _find_module(self, name: str, *, anywhere: bool = False) -> Module | None:
        """The module of a dotted name, where it is one of the repository's."""
        path = self.project.locate(name, anywhere=anywhere)
        if not path:
            return None
        return self.project.module(path)

    def _set_option(self, name: str, value: Any, module: Module, node: ast.AST) -> None:
        """Keeps the value of a setting, with the place of `node`."""
        self.config.settings[name] = Setting(value, place_of(module, node))

    def _set_from(self, name: str, node: ast.expr, module: Module) -> None:
        """Keeps what an expression says of a setting."""
        self._set_option(name, self.project.literal(node, module), module, node)

    # Objects: celeryconfig.py, which the default loader reads, and `config_from_object`

    def _read_default_module(self) -> None:
        module = self._find_module("celeryconfig")
        if module is not None:
            self._read_names(module, module.tree, "")

    def _read_config_objects(self, module: Module) -> None:
        """`app.config_from_object("shop.celeryconfig", namespace="CELERY")`."""
        for node in module.nodes(ast.Call):
            if not node.args or name_method(node) != "config_from_object":
                continue
            if self._is_on_app(node, module):
                namespace = self._find_argument(node, module, "namespace", 3) or ""
                self._read_object(node.args[0], module, str(namespace))

    def _find_argument(self, node: ast.Call, module: Module, name: str, position: int) -> Any:
        """The value of an argument by its name, else by its position; None where it cannot be
        read.
        """
        argument = find_keyword(node, name)
        if argument is None and position < len(node.args):
            argument = node.args[position]
        if argument is None:
            return None
        value = self.project.literal(argument, module)
        if not is_known(value):
            return None
        return value

    def _is_on_app(self, node: ast.Call, module: Module) -> bool:
        """Whether a method is called on a Celery app, as far as can be told: Flask has a
        `config_from_object` too.
        """
        if not isinstance(node.func, ast.Attribute):
            return False
        name = module.resolve(node.func.value)
        if name is None or is_app(self.project, self.use, name):
            return True
        return not name.startswith(("flask", "self"))

    def _read_object(self, node: ast.expr, module: Module, namespace: str) -> None:
        """Reads what `config_from_object` is given: a mapping, or the name of a module, class or
        variable.
        """
        literal = self.project.literal(node, module)
        if isinstance(literal, dict):
            self._read_mapping(node, module, namespace)
            return
        name = module.resolve(node)
        if isinstance(literal, str):
            name = literal
        if name in ("django.conf:settings", "django.conf.settings"):
            for settings in self.project.settings_modules():
                self._read_names(settings, settings.tree, namespace)
            return
        if name is None or not self._read_named_object(name.removesuffix("()"), namespace):
            self.config.unread.append(place_of(module, node))

    def _read_named_object(self, name: str, namespace: str) -> bool:
        """Reads a module, class or variable by its name; False where it is none of them."""
        # "shop.config:Settings" names one module exactly.
        module = self._find_module(name, anywhere=":" not in name)
        if module is not None:
            self._read_names(module, module.tree, namespace)
            return True
        found = self.project.lookup(name)
        if found is None:
            return False
        if found.definition and isinstance(found.definition.node, ast.ClassDef):
            self._read_class(found.definition, namespace)
            return True
        if found.module and found.binding and isinstance(found.binding.value, ast.Dict):
            self._read_mapping(found.binding.value, found.module, namespace)
            return True
        return False

    def _read_class(self, definition: Definition, namespace: str) -> None:
        """Reads what a class and its bases set, the farthest base first."""
        for ancestor in reversed(self.project.ancestors(definition.dotted)):
            found = self.project.definition(ancestor)
            if found and isinstance(found.node, ast.ClassDef):
                self._read_names(found.module, found.node, namespace)

    def _read_names(self, module: Module, scope: ast.AST, namespace: str, hops: int = 0) -> None:
        """Reads every setting that a module or class binds, names imported with `*` included."""
        bindings = module.bindings(scope)
        if scope is module.tree and hops < _MOST_HOPS:
            for star in module.stars:
                inner = self._find_module(star)
                if inner is not None:
                    self._read_names(inner, inner.tree, namespace, hops + 1)
        for name, bound in bindings.items():
            setting = setting_name(name, namespace)
            last = bound[-1]
            if setting and last.value is not None:
                value = self._read_bound(name, last.value, module, scope)
                self._set_option(setting, value, module, last.node)

    def _read_bound(self, name: str, value: ast.expr, module: Module, scope: ast.AST) -> Any:
        """The value of a name; a module may have changed it since it was bound."""
        if scope is module.tree:
            return self.project.variable(module, name)
        return self.project.literal(value, module)

    # Celery(broker=..., ...)

    def _read_constructors(self, module: Module) -> None:
        for node in module.nodes(ast.Call):
            if self._makes_app(node, module):
                self._read_constructor(node, module)

    def _makes_app(self, node: ast.Call, module: Module) -> bool:
        name = module.resolve(node.func)
        return bool(name) and self.project.origin(name or "") in _APP_CLASSES

    def _read_constructor(self, node: ast.Call, module: Module) -> None:
        """`Celery("shop", broker="redis://...", config_source="shop.celeryconfig", **OPTIONS)`."""
        for keyword in node.keywords:
            if keyword.arg is None:
                self._read_mapping(keyword.value, module, "")
            elif keyword.arg == "config_source":
                # Nobody gives the namespace by its position, which is far behind.
                namespace = self._find_argument(node, module, "namespace", 99) or ""
                self._read_object(keyword.value, module, str(namespace))
            elif keyword.arg not in _CONSTRUCTOR_ONLY and not is_none(keyword.value):
                self._set_from(_CONSTRUCTOR.get(keyword.arg, keyword.arg), keyword.value, module)

    # app.conf.x = ..., app.conf["x"] = ..., app.conf.update(...)

    def _read_conf(self, module: Module) -> None:
        nodes = [node for node in module.nodes(ast.Attribute) if node.attr == "conf"]
        # As they run: a later line overwrites an earlier one.
        for node in sorted(nodes, key=attrgetter("lineno")):
            if is_app(self.project, self.use, module.resolve(node.value)):
                self._read_conf_use(node, module)

    def _read_conf_use(self, node: ast.Attribute, module: Module) -> None:
        """Reads what is done with one `app.conf`."""
        parent, *above = module.parents(node)
        value = None
        if above and isinstance(parent, ast.Attribute | ast.Subscript):
            value = find_assigned(above[0], parent)
        if isinstance(parent, ast.Subscript) and value is not None:
            self._read_assignment(parent.slice, value, module)
        if not isinstance(parent, ast.Attribute):
            return
        call = module.find_call_of(parent)
        if call is not None:
            self._read_method_call(parent.attr, call, module)
        elif value is not None:
            self._set_from(setting_name(parent.attr, "") or parent.attr, value, module)
        else:
            self._read_inner_change(parent, above, module)

    def _read_method_call(self, method: str, call: ast.Call, module: Module) -> None:
        """`conf.update(...)` and `conf.setdefault("name", value)`."""
        if method == "update":
            self._read_update(call, module)
        elif method == "setdefault" and len(call.args) == 2:
            self._read_assignment(call.args[0], call.args[1], module)

    def _read_assignment(self, key: ast.expr, value: ast.expr, module: Module) -> None:
        """`conf["name"] = value`."""
        name = self.project.literal(key, module)
        if isinstance(name, str):
            self._set_from(setting_name(name, "") or name, value, module)

    def _read_inner_change(self, node: ast.Attribute, above: list[ast.AST], module: Module) -> None:
        """Reads what is added to the mapping of a setting; `above` are the nodes around it."""
        added = self._read_added(above, module)
        if added is None:
            return
        before = self.config.value(node.attr, {})
        merged: Any = UNKNOWN
        if isinstance(before, dict) and isinstance(added, dict):
            merged = {**before, **added}
        self._set_option(node.attr, merged, module, node)

    def _read_added(self, above: list[ast.AST], module: Module) -> Any:
        """What `app.conf.beat_schedule["x"] = {...}` and `app.conf.beat_schedule.update({...})` add
        to it; None where nothing is added, UNKNOWN where it cannot be read.
        """
        parent, statement = above[0], above[1]
        if isinstance(parent, ast.Subscript) and isinstance(statement, ast.Assign):
            if parent not in statement.targets:
                return None
            key = self.project.literal(parent.slice, module)
            if not is_known(key):
                return UNKNOWN
            return {key: self.project.literal(statement.value, module)}
        if not isinstance(parent, ast.Attribute) or parent.attr != "update":
            return None
        if isinstance(statement, ast.Call) and statement.args:
            return self.project.literal(statement.args[0], module)
        return None

    def _read_update(self, node: ast.Call, module: Module) -> None:
        """`conf.update({...}, name=value, **OPTIONS)`."""
        for argument in node.args:
            self._read_mapping(argument, module, "")
        for keyword in node.keywords:
            if keyword.arg is None:
                self._read_mapping(keyword.value, module, "")
            else:
                self._set_from(setting_name(keyword.arg, "") or keyword.arg, keyword.value, module)

    def _read_mapping(self, node: ast.expr, module: Module, namespace: str) -> None:
        """Reads the settings in a mapping, or notes that it cannot be read."""
        values = self.project.literal(node, module)
        if not isinstance(values, dict):
            self.config.unread.append(place_of(module, node))
            return
        for name, value in values.items():
            setting = setting_name(str(name), namespace)
            if setting:
                self._set_option(setting, value, module, _find_key(node, name) or node)

    def _note_unread(self, module: Module, method: str) -> None:
        """Notes the calls of a method whose configuration is outside of the code."""
        for node in module.nodes(ast.Call):
            if name_method(node) == method:
                self.config.unread.append(place_of(module, node))


def setting_name(name: str, namespace: str) -> str | None:
    """The present name of a setting as written in a configuration object: "task_acks_late" of
    `CELERY_TASK_ACKS_LATE` in the namespace CELERY. None where the name is no setting.
    """
    if namespace:
        prefix = namespace.upper() + "_"
        if name.upper().startswith(prefix) and name.isupper():
            return name[len(prefix) :].lower()
        return None
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    if name.startswith("_"):
        return None
    if name.isupper():
        for old, new in _OLD_PREFIXES:
            if name.startswith(old):
                return new + name[len(old) :].lower()
    return name.lower()


@dataclass(frozen=True)
class Visibility:
    """Seconds after which an unacknowledged message is delivered again; None: the broker has no
    such limit.
    """

    seconds: float | None
    place: Place | None
    unknown: bool = False


def visibility_timeout(config: Config, use: FrameworkUse) -> Visibility:
    """The visibility timeout of the broker; unknown where the broker or the written number cannot
    be read.
    """
    options = config.get("broker_transport_options")
    transport = broker_transport(config, use)
    if transport not in VISIBILITY_DEFAULTS:
        place = None
        setting = options or config.get("broker_url")
        if setting:
            place = setting.place
        return Visibility(None, place, unknown=transport is None)
    if options is None:
        return Visibility(VISIBILITY_DEFAULTS[transport], None)
    value: Any = UNKNOWN
    if isinstance(options.value, dict):
        value = options.value.get("visibility_timeout", VISIBILITY_DEFAULTS[transport])
    if isinstance(value, int | float):
        return Visibility(float(value), options.place)
    return Visibility(None, options.place, unknown=True)


def broker_transport(config: Config, use: FrameworkUse) -> str | None:
    """redis, sqs, another kombu transport's name, or None where it is not known."""
    url = config.value("broker_url")
    if isinstance(url, Unknown):
        url = url.default
    # Of several servers, the first that answers is used.
    if isinstance(url, list | tuple) and url:
        url = url[0]
    scheme = str(use.broker or "")
    if isinstance(url, str):
        scheme = url.partition(":")[0]
    # "sqla+sqlite://..."
    scheme = scheme.lower().partition("+")[0]
    if scheme in _TRANSPORTS:
        return _TRANSPORTS[scheme]
    if scheme.startswith(_AMQP_SCHEMES) or scheme in ("rabbitmq", "librabbitmq"):
        return "amqp"
    return scheme or None


def _find_key(node: ast.expr, name: Any) -> ast.expr | None:
    """The key of a name in a dictionary that is written out."""
    if not isinstance(node, ast.Dict):
        return None
    for key in node.keys:
        if is_constant(key, name):
            return key
    return None
