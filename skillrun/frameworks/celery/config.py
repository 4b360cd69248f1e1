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
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.reading import in_tests as in_tests
from skillrun.frameworks.common.reading import place_of as place_of
from skillrun.repo.python import UNKNOWN, Module, Project, Unknown, is_known
from skillrun.repo.syntax import find_assigned, is_constant, is_none
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
_OTHER_TRANSPORTS = (
    "amqp",
    "amqps",
    "pyamqp",
    "py-amqp",
    "librabbitmq",
    "memory",
    "filesystem",
    "sqla",
    "kafka",
)
_CONSTRUCTOR = {"broker": "broker_url", "backend": "result_backend"}
_NO_SETTINGS = """main loader amqp events log control set_as_current tasks include changes config_source fixups
    task_cls autofinalize namespace strict_typing config_source_silent"""
_CONSTRUCTOR_ONLY = frozenset(_NO_SETTINGS.split())
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
    """A dotted name means a Celery app: an instance of Celery, or the object that detection calls
    an app.
    """
    if not name:
        return False
    origin = project.origin(name)
    if origin.removesuffix("()") in (
        "celery.Celery",
        "celery.app.base.Celery",
        "celery.current_app",
    ):
        return True
    return name.removesuffix("()") in app_names(project, use) or origin in app_names(project, use)


def app_names(project: Project, use: FrameworkUse) -> frozenset[str]:
    """Dotted names of the app objects that detection found."""
    found = set()
    for app in use.apps or ((use.app,) if use.app else ()):
        path, _, name = app.rpartition(":")
        if path.endswith(".py"):
            found.add(f"{project.import_name(path)}.{name}")
    return frozenset(found)


def read_config(project: Project, use: FrameworkUse) -> Config:
    """Everything that can be read, later sources over earlier ones: object, constructor, then
    `app.conf`.
    """
    return project.remember(
        ("celery.config", use.app), lambda: _Reader(project, use, Config()).read()
    )


class _Reader:
    def __init__(self, project: Project, use: FrameworkUse, config: Config) -> None:
        self.project = project
        self.use = use
        self.config = config

    def read(self) -> Config:
        self._default_module()
        for module in self._list_modules("config_from_object"):
            self._read_config_objects(module)
        for module in self._list_modules("Celery"):
            self._read_constructors(module)
        for module in self._list_modules("conf"):
            self._read_conf(module)
        for word in ("config_from_envvar", "config_from_cmdline"):
            for module in self._list_modules(word):
                self._unread_calls(module, word)
        return self.config

    def _list_modules(self, word: str) -> Iterator[Module]:
        """Test code configures apps of its own; it is left out."""
        return (module for module in self.project.modules_with(word) if not in_tests(module.path))

    def _set_option(self, name: str, value: Any, module: Module, node: ast.AST) -> None:
        self.config.settings[name] = Setting(value, place_of(module, node))

    def _set_from(self, name: str, node: ast.expr, module: Module) -> None:
        self._set_option(name, self.project.literal(node, module), module, node)

    # celeryconfig.py is what the default loader reads when nothing else is named

    def _default_module(self) -> None:
        path = self.project.locate("celeryconfig")
        module = None
        if path:
            module = self.project.module(path)
        if module is not None:
            self._names_of(module, module.tree, "")

    def _read_config_objects(self, module: Module) -> None:
        for node in module.nodes(ast.Call):
            if _method_of(node) == "config_from_object" and self._on_app(node, module):
                namespace = self._find_argument(node, module, "namespace", 3) or ""
                if node.args:
                    self._read_object(node.args[0], module, str(namespace))

    def _find_argument(self, node: ast.Call, module: Module, name: str, position: int) -> Any:
        given = [k.value for k in node.keywords if k.arg == name] or node.args[
            position : position + 1
        ]
        value = None
        if given:
            value = self.project.literal(given[0], module)
        if not is_known(value):
            return None
        return value

    def _on_app(self, node: ast.Call, module: Module) -> bool:
        if not isinstance(node.func, ast.Attribute):
            return False
        name = module.resolve(node.func.value)
        return (
            name is None
            or is_app(self.project, self.use, name)
            or not name.startswith(("flask", "self"))
        )

    def _read_object(self, node: ast.expr, module: Module, namespace: str) -> None:
        literal = self.project.literal(node, module)
        if isinstance(literal, dict):
            self._take_update(node, module, namespace)
            return
        name = literal if isinstance(literal, str) else module.resolve(node)
        if name in ("django.conf:settings", "django.conf.settings"):
            for settings in self.project.settings_modules():
                self._names_of(settings, settings.tree, namespace)
            return
        if name is None or not self._named_object(name.removesuffix("()"), namespace):
            self.config.unread.append(place_of(module, node))

    def _named_object(self, name: str, namespace: str) -> bool:
        path = self.project.locate(name, anywhere=":" not in name)
        module = None
        if path:
            module = self.project.module(path)
        if module is not None:
            self._names_of(module, module.tree, namespace)
            return True
        found = self.project.lookup(name)
        if found and found.definition and isinstance(found.definition.node, ast.ClassDef):
            self._read_class(found.definition, namespace)
            return True
        if found and found.module and found.binding and isinstance(found.binding.value, ast.Dict):
            self._take_update(found.binding.value, found.module, namespace)
            return True
        return False

    def _read_class(self, definition: Definition, namespace: str) -> None:
        for ancestor in reversed(self.project.ancestors(definition.dotted)):
            found = self.project.definition(ancestor)
            if found and isinstance(found.node, ast.ClassDef):
                self._names_of(found.module, found.node, namespace)

    def _names_of(self, module: Module, scope: ast.AST, namespace: str, hops: int = 0) -> None:
        """Every setting that a module or class binds, names imported with `*` included."""
        bindings = module.bindings(scope)
        if scope is module.tree and hops < 5:
            for star in module.stars:
                path = self.project.locate(star)
                inner = None
                if path:
                    inner = self.project.module(path)
                if inner is not None:
                    self._names_of(inner, inner.tree, namespace, hops + 1)
        for name, bound in bindings.items():
            setting = setting_name(name, namespace)
            value = bound[-1].value
            if setting and value is not None:
                self._set_option(
                    setting, self._bound_value(name, value, module, scope), module, bound[-1].node
                )

    def _bound_value(self, name: str, value: ast.expr, module: Module, scope: ast.AST) -> Any:
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
        return bool(name) and self.project.origin(name or "") in (
            "celery.Celery",
            "celery.app.base.Celery",
        )

    def _read_constructor(self, node: ast.Call, module: Module) -> None:
        for keyword in node.keywords:
            if keyword.arg is None:
                self._take_update(keyword.value, module, "")
            elif keyword.arg == "config_source":
                self._read_object(
                    keyword.value,
                    module,
                    str(self._find_argument(node, module, "namespace", 99) or ""),
                )
            elif keyword.arg not in _CONSTRUCTOR_ONLY and not is_none(keyword.value):
                self._set_from(_CONSTRUCTOR.get(keyword.arg, keyword.arg), keyword.value, module)

    # app.conf.x = ..., app.conf["x"] = ..., app.conf.update(...)

    def _read_conf(self, module: Module) -> None:
        found = [n for n in module.nodes(ast.Attribute) if n.attr == "conf"]
        for node in sorted(found, key=lambda n: n.lineno):
            if is_app(self.project, self.use, module.resolve(node.value)):
                self._conf_use(node, module)

    def _conf_use(self, node: ast.Attribute, module: Module) -> None:
        first, *above = module.parents(node)
        if isinstance(first, ast.Attribute):
            self._take_attribute_use(first, above, module)
        elif isinstance(first, ast.Subscript):
            value = None
            if above:
                value = find_assigned(above[0], first)
            if value is not None:
                self._take_assignment(first.slice, value, module)

    def _take_attribute_use(
        self, first: ast.Attribute, above: list[ast.AST], module: Module
    ) -> None:
        """`conf.update(...)`, `conf.name = ...`, or a change of what `conf.name` holds."""
        call = module.find_call_of(first)
        value = None
        if above:
            value = find_assigned(above[0], first)
        if call is not None:
            self._take_method_call(first.attr, call, module)
        elif value is not None:
            self._set_from(setting_name(first.attr, "") or first.attr, value, module)
        else:
            self._take_inner_change(first, above, module)

    def _take_method_call(self, method: str, call: ast.Call, module: Module) -> None:
        if method == "update":
            self._update_call(call, module)
        elif method == "setdefault" and len(call.args) == 2:
            self._take_assignment(call.args[0], call.args[1], module)

    def _take_assignment(self, key: ast.expr, value: ast.expr, module: Module) -> None:
        name = self.project.literal(key, module)
        if isinstance(name, str):
            self._set_from(setting_name(name, "") or name, value, module)

    def _take_inner_change(
        self, node: ast.Attribute, around: list[ast.AST], module: Module
    ) -> None:
        """`app.conf.beat_schedule["x"] = {...}` and `app.conf.beat_schedule.update({...})` add to a
        mapping.
        """
        added: Any = None
        if (
            isinstance(around[0], ast.Subscript)
            and isinstance(around[1], ast.Assign)
            and around[0] in around[1].targets
        ):
            key = self.project.literal(around[0].slice, module)
            if is_known(key):
                added = {key: self.project.literal(around[1].value, module)}
            else:
                added = UNKNOWN
        elif (
            isinstance(around[0], ast.Attribute)
            and around[0].attr == "update"
            and isinstance(around[1], ast.Call)
        ):
            added = None
            if around[1].args:
                added = self.project.literal(around[1].args[0], module)
        if added is None:
            return
        held = self.config.value(node.attr, {})
        both: Any = UNKNOWN
        if isinstance(held, dict) and isinstance(added, dict):
            both = {**held, **added}
        self._set_option(node.attr, both, module, node)

    def _update_call(self, node: ast.Call, module: Module) -> None:
        for argument in node.args:
            self._take_update(argument, module, "")
        for keyword in node.keywords:
            if keyword.arg is None:
                self._take_update(keyword.value, module, "")
            else:
                self._set_from(setting_name(keyword.arg, "") or keyword.arg, keyword.value, module)

    def _take_update(self, node: ast.expr, module: Module, namespace: str) -> None:
        values = self.project.literal(node, module)
        if not isinstance(values, dict):
            self.config.unread.append(place_of(module, node))
            return
        for name, value in values.items():
            setting = setting_name(str(name), namespace)
            if setting:
                self._set_option(setting, value, module, _key_node(node, name) or node)

    def _unread_calls(self, module: Module, word: str) -> None:
        for node in module.nodes(ast.Call):
            if _method_of(node) == word:
                self.config.unread.append(place_of(module, node))


def setting_name(name: str, namespace: str) -> str | None:
    """The present name of a setting as written in a configuration object; None where the name is no
    setting.
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
        for old, new in (
            ("CELERYBEAT_", "beat_"),
            ("CELERYD_", "worker_"),
            ("CELERY_RESULT_", "result_"),
        ):
            if name.startswith(old):
                return new + name[len(old) :].lower()
        if name.startswith("CELERY_"):
            return "task_" + name[len("CELERY_") :].lower()
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
        setting = options or config.get("broker_url")
        return Visibility(None, setting.place if setting else None, unknown=transport is None)
    if options is None:
        return Visibility(VISIBILITY_DEFAULTS[transport], None)
    held = options.value
    if isinstance(held, dict):
        value = held.get("visibility_timeout", VISIBILITY_DEFAULTS[transport])
    else:
        value = UNKNOWN
    if isinstance(value, int | float):
        return Visibility(float(value), options.place)
    return Visibility(None, options.place, unknown=True)


def broker_transport(config: Config, use: FrameworkUse) -> str | None:
    """redis, sqs, another kombu transport's name, or None where it is not known."""
    url = config.value("broker_url")
    if isinstance(url, Unknown):
        url = url.default
    if isinstance(url, list | tuple) and url:
        url = url[0]
    if isinstance(url, str):
        scheme = url.partition(":")[0]
    else:
        scheme = str(use.broker or "")
    scheme = scheme.lower().partition("+")[0]
    if scheme in _TRANSPORTS:
        return _TRANSPORTS[scheme]
    if scheme.startswith(_OTHER_TRANSPORTS) or scheme in ("rabbitmq",):
        if "amqp" in scheme or scheme in ("rabbitmq", "librabbitmq"):
            return "amqp"
        return scheme
    return scheme or None


def _method_of(node: ast.Call) -> str:
    if not isinstance(node.func, ast.Attribute):
        return ""
    return node.func.attr


def _key_node(node: ast.expr, name: Any) -> ast.expr | None:
    keys = []
    if isinstance(node, ast.Dict):
        keys = node.keys
    for key in keys:
        if is_constant(key, name):
            return key
    return None
