"""The brokers of a repository: their class, how they are made, and the middlewares that they have.

Sources: taskiq/abc/broker.py (`with_middlewares`, `add_middlewares`, the other `with_...` that
return the broker), taskiq/brokers/shared_broker.py, taskiq_redis/redis_broker.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from skillrun.frameworks.common.reading import held_value, options_of, place_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import name_method
from skillrun.repo.uses import Place

RETRIES = {
    "SimpleRetryMiddleware": (
        "default_retry_count",
        "default_retry_label",
        "no_result_on_retry",
        "types_of_exceptions",
    ),
    "SmartRetryMiddleware": (
        "default_retry_count",
        "default_retry_label",
        "no_result_on_retry",
        "default_delay",
        "use_jitter",
        "use_delay_exponent",
        "max_delay_exponent",
        "schedule_source",
        "types_of_exceptions",
    ),
}
"""Each of taskiq's middlewares that retry -> its parameters in their order."""
SHARED = ("taskiq.async_shared_broker", "taskiq.brokers.shared_broker.async_shared_broker")
LIBRARY = "taskiq"
# Whole words, one of which stands in a module that makes a broker: its package, or what the broker
# is called.
_BROKER_WORDS = (
    "taskiq",
    "taskiq_redis",
    "taskiq_aio_pika",
    "taskiq_nats",
    "taskiq_pg",
    "taskiq_aio_kafka",
    "taskiq_aio_sqs",
    "taskiq_valkey",
    "broker",
)
# Brokers whose `kick` does not read the label `delay`; a broker of an unknown package may.
_WITHOUT_DELAY = ("taskiq.", "taskiq_redis.", "taskiq_nats.")
# Brokers that have given a message away when a worker takes it, by words of their class.
_FORGETFUL = (
    "ListQueue",
    "PubSub",
    "InMemory",
    "ZeroMQ",
    "StreamCluster",
    "StreamSentinel",
    "taskiq_pg.",
)


@dataclass(frozen=True)
class Part:
    """One middleware. `kind` is taskiq's own class that it is or derives from; `own` is a class of
    the repository.
    """

    kind: str
    node: ast.expr
    module: Module
    options: dict[str, ast.expr] = field(default_factory=dict)
    own: Definition | None = None
    unread: bool = False  # its class, or some of its options, cannot be told

    @property
    def place(self) -> Place:
        """Where it is made."""
        return place_of(self.module, self.node)

    @property
    def retries(self) -> bool:
        """Whether it is one of taskiq's two that retry."""
        return self.kind in RETRIES


@dataclass(frozen=True)
class Broker:
    """A broker object. `kind` is the class of a taskiq package that it is or derives from."""

    name: str  # dotted; of one that a function makes, that function's
    kind: str  # e.g. "taskiq_redis.RedisStreamBroker"
    node: ast.Call
    module: Module
    options: dict[str, ast.expr]
    parts: tuple[Part, ...]
    unread: bool = False  # middlewares that cannot be told

    @property
    def place(self) -> Place:
        """Where it is made."""
        return place_of(self.module, self.node)

    @property
    def in_memory(self) -> bool:
        """Whether it works in the process that sends."""
        return self.kind.endswith("InMemoryBroker")

    @property
    def gives_back(self) -> bool:
        """Whether the message of a worker that dies is delivered again."""
        return not any(word in self.kind for word in _FORGETFUL)

    @property
    def waits(self) -> bool:
        """Whether it may read the label `delay`."""
        return not self.kind.startswith(_WITHOUT_DELAY)

    @property
    def retrying(self) -> tuple[Part, ...]:
        """The middlewares that retry, in their order."""
        return tuple(part for part in self.parts if part.retries)


def find_brokers(project: Project) -> tuple[Broker, ...]:
    """Every broker outside of tests, those in memory last, else in order of path and line."""
    return project.remember(
        ("taskiq.brokers",),
        lambda: tuple(sorted(_find_all(project), key=attrgetter("in_memory"))),
    )


def brokers_of(project: Project, node: ast.expr, module: Module) -> tuple[Broker, ...]:
    """The brokers that an expression may stand for; all where it is a broker that cannot be told
    from others.
    """
    brokers = find_brokers(project)
    name = project.origin_of(module, node)
    named = tuple(broker for broker in brokers if broker.name == name)
    if named:
        return named
    if name in SHARED:
        # The shared broker passes on to the one that is made its default.
        for home, call in _find_calls(project, "default_broker"):
            if call.args:
                return brokers_of(project, call.args[0], home)
        return brokers
    if "broker" in ast.unparse(node).lower() or name.startswith(LIBRARY):
        return brokers
    return ()


def find_serializer(project: Project, broker: Broker) -> tuple[ast.expr, Module] | None:
    """What `with_serializer` gives a broker; None where it keeps JSON."""
    for module, call in _find_calls(project, "with_serializer"):
        serializers = [*call.args, *(keyword.value for keyword in call.keywords)]
        if serializers and _is_called_on(project, module, call, broker):
            return serializers[0], module
    return None


def _is_called_on(project: Project, module: Module, call: ast.Call, broker: Broker) -> bool:
    """Whether a call is of a broker: `XBroker(...).with_...(...)`, or on the variable that holds
    it.
    """
    node: ast.expr = call
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node is broker.node:
            return True
        node = node.func.value
    return node is broker.node or project.origin_of(module, node) == broker.name


def _find_all(project: Project) -> Iterator[Broker]:
    """Every broker outside of tests, in order of path and line."""
    added = list(_find_added(project))
    modules: dict[str, Module] = {}
    for word in _BROKER_WORDS:
        for module in project.modules_with(word):
            modules[module.path] = module
    for path, module in sorted(modules.items()):
        if is_plainly_test(path):
            continue
        for call in module.nodes(ast.Call):
            kind = _name_class(project, call.func, module)
            if kind is not None:
                yield _read_broker(project, module, call, kind, added)


def _read_broker(
    project: Project,
    module: Module,
    node: ast.Call,
    kind: str,
    added: list[tuple[Module, ast.Call, str]],
) -> Broker:
    """A broker with its middlewares; `added` are calls elsewhere that add some, each with its
    module and the name of its broker.
    """
    name, chained = _unwind_chain(module, node)
    options, unread = options_of(project, node, module)
    calls = [(module, call) for call in chained]
    for home, call, owner in added:
        if owner == name:
            calls.append((home, call))
    parts: list[Part] = []
    for home, call in calls:
        read, is_missing = _read_parts(project, call, home)
        parts += read
        unread = unread or is_missing
    return Broker(name, kind, node, module, options, tuple(parts), unread)


def _name_class(project: Project, node: ast.expr, module: Module) -> str | None:
    """The class of a taskiq package that a call makes an object of."""
    name = module.resolve(node)
    if not name:
        return None
    for ancestor in project.ancestors(name):
        package, class_name = ancestor.partition(".")[0], ancestor.rpartition(".")[2]
        if package.startswith(LIBRARY) and class_name.endswith("Broker"):
            return ancestor
    return None


def _unwind_chain(module: Module, node: ast.Call) -> tuple[str, list[ast.Call]]:
    """(the broker's dotted name, the calls of `with_middlewares` on it) of
    `XBroker(...).with_...(...)...`.
    """
    found: list[ast.Call] = []
    top: ast.AST = node
    above = list(module.parents(node))
    while len(above) > 1 and isinstance(above[0], ast.Attribute) and isinstance(above[1], ast.Call):
        if above[0].attr == "with_middlewares":
            found.append(above[1])
        top, above = above[1], above[2:]
    # `broker = A() if testing else B()`: each of them is what the variable may hold.
    while above and isinstance(above[0], ast.IfExp | ast.BoolOp):
        above = above[1:]
    function = module.function_of(top)
    if function is not None:
        return _made_by(module, function), found
    word = ""
    if above:
        word = _name_assigned(above[0])
    return f"{module.name}.{word}", found


def _name_assigned(statement: ast.AST) -> str:
    """The variable that a statement sets; "" where it sets none."""
    targets = [getattr(statement, "target", None)]
    if isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    for target in targets:
        if isinstance(target, ast.Name):
            return target.id
    return ""


def _made_by(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The variable of its module that holds what a function makes, else the function."""
    for name, bindings in module.bindings(module.tree).items():
        for binding in bindings:
            if not isinstance(binding.value, ast.Call):
                continue
            called = binding.value.func
            if isinstance(called, ast.Name) and called.id == function.name:
                return f"{module.name}.{name}"
    return f"{module.name}.{module.qualname(function)}"


def _find_added(project: Project) -> Iterator[tuple[Module, ast.Call, str]]:
    """(file, call, dotted name of the broker) of `broker.add_middlewares(...)` that stand by
    themselves.
    """
    for word in ("add_middlewares", "with_middlewares"):
        for module, call in _find_calls(project, word):
            owner = None
            if isinstance(call.func, ast.Attribute):
                owner = call.func.value
            if isinstance(owner, ast.Name | ast.Attribute):
                name = _name_owner(module, call, owner)
                yield module, call, project.origin(name or "")


def _name_owner(module: Module, call: ast.Call, owner: ast.Name | ast.Attribute) -> str | None:
    """The dotted name of the broker that a call is of; of a local one, that of what makes it."""
    function = module.function_of(call)
    if function is not None and isinstance(owner, ast.Name):
        is_local = owner.id in module.bindings(function)
        if is_local:
            return _made_by(module, function)
    return module.resolve(owner)


def _find_calls(project: Project, word: str) -> Iterator[tuple[Module, ast.Call]]:
    """The calls of a method of that name outside of tests, with their files."""
    for module in project.modules_with(word):
        if is_plainly_test(module.path):
            continue
        for node in module.nodes(ast.Call):
            if name_method(node) == word:
                yield module, node


def _read_parts(project: Project, call: ast.Call, module: Module) -> tuple[list[Part], bool]:
    """(the middlewares that a call adds, whether there may be more)."""
    found: list[Part] = []
    unread = False
    for node in call.args:
        if isinstance(node, ast.Starred):
            held = held_value(project, node.value, module)
            if held is None or not isinstance(held[0], ast.List | ast.Tuple):
                unread = True
                continue
            for element in held[0].elts:
                found.append(_read_part(project, element, held[1]))
            continue
        held = held_value(project, node, module)
        if held is None:
            unread = True
        else:
            found.append(_read_part(project, *held))
    return found, unread


def _read_part(project: Project, node: ast.expr, module: Module) -> Part:
    """A middleware, as `with_middlewares` is given it."""
    if not isinstance(node, ast.Call):
        return Part("", node, module, unread=True)
    name = project.origin_of(module, node.func)
    own = project.definition(name)
    if own is not None and not own.is_class:
        own = None
    kind = _choose_kind(project.ancestors(name))
    options, unread = options_of(project, node, module)
    for position, argument in zip(RETRIES.get(kind, ()), node.args, strict=False):
        options[position] = argument
    # An `__init__` of the repository may set what is not among the arguments.
    if own is not None and project.member([own], "__init__") is not None:
        unread = True
    return Part(kind, node, module, options, own, unread)


def _choose_kind(ancestors: Iterable[str]) -> str:
    """Which class of taskiq a middleware is or derives from: one that retries, else the nearest;
    "" where it is none.
    """
    of_library = [one.rpartition(".")[2] for one in ancestors if one.startswith(LIBRARY)]
    for name in of_library:
        if name in RETRIES:
            return name
    return next(iter(of_library), "")
