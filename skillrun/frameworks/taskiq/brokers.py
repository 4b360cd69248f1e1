"""The brokers of a repository: their class, how they are made, and the middlewares that they have.

Sources: taskiq/abc/broker.py (`with_middlewares`, `add_middlewares`, the other `with_...` that
return the broker), taskiq/brokers/shared_broker.py, taskiq_redis/redis_broker.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import held_value, in_tests, options_of, place_of
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
        *(
            "default_retry_count",
            "default_retry_label",
            "no_result_on_retry",
            "default_delay",
            "use_jitter",
        ),
        *("use_delay_exponent", "max_delay_exponent", "schedule_source", "types_of_exceptions"),
    ),
}
SHARED = ("taskiq.async_shared_broker", "taskiq.brokers.shared_broker.async_shared_broker")
LIBRARY = "taskiq"
# Brokers whose `kick` does not read the label `delay`; a broker of an unknown package may.
# Whole words, one of which stands in a module that makes a broker: its package, or what the broker
# is called.
_PACKAGES = (
    "taskiq taskiq_redis taskiq_aio_pika taskiq_nats taskiq_pg taskiq_aio_kafka taskiq_aio_sqs"
    " taskiq_valkey broker"
)
_DEAF = ("taskiq.", "taskiq_redis.", "taskiq_nats.")
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
        """It is one of taskiq's two that retry."""
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
        """It works in the process that kicks."""
        return self.kind.endswith("InMemoryBroker")

    @property
    def gives_back(self) -> bool:
        """The message of a worker that dies is delivered again."""
        return not any(word in self.kind for word in _FORGETFUL)

    @property
    def waits(self) -> bool:
        """It may read the label `delay`."""
        return not self.kind.startswith(_DEAF)

    @property
    def retrying(self) -> tuple[Part, ...]:
        """The middlewares that retry, in their order."""
        return tuple(part for part in self.parts if part.retries)


def find_brokers(project: Project) -> tuple[Broker, ...]:
    """Every broker outside of tests, those in memory last, else in order of path and line."""
    return project.remember(
        ("taskiq.brokers",),
        lambda: tuple(sorted(_find_all(project), key=lambda one: one.in_memory)),
    )


def brokers_of(project: Project, node: ast.expr, module: Module) -> tuple[Broker, ...]:
    """Those that an expression may stand for; all where it is a broker that cannot be told from
    others.
    """
    every = find_brokers(project)
    name = project.origin_of(module, node)
    found = tuple(one for one in every if one.name == name)
    if found:
        return found
    if name in SHARED:
        given = []
        for where, call in _find_calls(project, "default_broker"):
            if call.args:
                given.append(brokers_of(project, call.args[0], where))
        return next(iter(given), every)
    if "broker" in ast.unparse(node).lower() or name.startswith(LIBRARY):
        return every
    return ()


def find_serializer(project: Project, broker: Broker) -> tuple[ast.expr, Module] | None:
    """What `with_serializer` gives a broker; None where it keeps JSON."""
    for module, call in _find_calls(project, "with_serializer"):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if given and _is_called_on(project, module, call, broker):
            return given[0], module
    return None


def _is_called_on(project: Project, module: Module, call: ast.Call, broker: Broker) -> bool:
    """`XBroker(...).with_...(...)`, or on the variable that holds it."""
    node: ast.expr = call
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node is broker.node:
            return True
        node = node.func.value
    return node is broker.node or project.origin_of(module, node) == broker.name


def _find_all(project: Project) -> Iterator[Broker]:
    added = list(_find_added(project))
    modules: dict[str, Module] = {}
    for word in _PACKAGES.split():
        modules |= {module.path: module for module in project.modules_with(word)}
    for path, module in sorted(modules.items()):
        if in_tests(path):
            continue
        for node in module.all_nodes:
            if isinstance(node, ast.Call):
                kind = _name_class(project, node.func, module)
                if kind is not None:
                    yield _read_broker(project, module, node, kind, added)


def _read_broker(
    project: Project,
    module: Module,
    node: ast.Call,
    kind: str,
    added: list[tuple[Module, ast.Call, str]],
) -> Broker:
    """`added`: calls elsewhere that add middlewares, and the broker that each is of."""
    name, chained = _unwind_chain(module, node)
    options, unread = options_of(project, node, module)
    calls = [(module, call) for call in chained]
    for where, call, owner in added:
        if owner == name:
            calls.append((where, call))
    parts: list[Part] = []
    for where, call in calls:
        found, is_missing = _read_parts(project, call, where)
        parts += found
        unread = unread or is_missing
    return Broker(name, kind, node, module, options, tuple(parts), unread)


def _name_class(project: Project, node: ast.expr, module: Module) -> str | None:
    """The class of a taskiq package that a call makes an object of."""
    name = module.resolve(node)
    if name:
        for ancestor in project.ancestors(name):
            if ancestor.partition(".")[0].startswith(LIBRARY) and ancestor.rpartition(".")[
                2
            ].endswith("Broker"):
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
    target = None
    if above:
        target = above[0]
    names = [getattr(target, "target", None)]
    if isinstance(target, ast.Assign):
        names = list(target.targets)
    function = module.function_of(top)
    if function is not None:
        return _made_by(module, function), found
    word = next((one.id for one in names if isinstance(one, ast.Name)), "")
    return f"{module.name}.{word}", found


def _made_by(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The variable of its module that holds what a function makes, else the function."""
    for name, bound in module.bindings(module.tree).items():
        for one in bound:
            called = None
            if isinstance(one.value, ast.Call):
                called = one.value.func
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
            if not isinstance(owner, ast.Name | ast.Attribute):
                continue
            function = module.function_of(call)
            local = (
                function is not None
                and isinstance(owner, ast.Name)
                and owner.id in module.bindings(function)
            )
            name = module.resolve(owner)
            if local and function is not None:
                name = _made_by(module, function)
            yield module, call, project.origin(name or "")


def _find_calls(project: Project, word: str) -> Iterator[tuple[Module, ast.Call]]:
    for module in project.modules_with(word):
        if in_tests(module.path):
            continue
        for node in module.nodes(ast.Call):
            if name_method(node) == word:
                yield module, node


def _read_parts(project: Project, call: ast.Call, module: Module) -> tuple[list[Part], bool]:
    """(the middlewares that a call adds, whether there may be more)."""
    found: list[Part] = []
    unread = False
    for node in call.args:
        held = held_value(project, node.value if isinstance(node, ast.Starred) else node, module)
        if held is None or (
            isinstance(node, ast.Starred) and not isinstance(held[0], ast.List | ast.Tuple)
        ):
            unread = True
        elif isinstance(node, ast.Starred) and isinstance(held[0], ast.List | ast.Tuple):
            found += [_read_part(project, one, held[1]) for one in held[0].elts]
        else:
            found.append(_read_part(project, *held))
    return found, unread


def _read_part(project: Project, node: ast.expr, module: Module) -> Part:
    if not isinstance(node, ast.Call):
        return Part("", node, module, unread=True)
    name = project.origin_of(module, node.func)
    own = project.definition(name)
    line = []
    for ancestor in project.ancestors(name):
        if ancestor.startswith(LIBRARY):
            line.append(ancestor.rpartition(".")[2])
    kind = next((word for word in line if word in RETRIES), next(iter(line), ""))
    options, unread = options_of(project, node, module)
    for position, argument in zip(RETRIES.get(kind, ()), node.args, strict=False):
        options[position] = argument
    makes = None
    if own is not None and own.is_class:
        makes = project.member([own], "__init__")
    return Part(
        kind,
        node,
        module,
        options,
        own if own and own.is_class else None,
        unread or makes is not None,
    )
