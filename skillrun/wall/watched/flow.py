"""Where a sign of being watched flows to: through variables, attributes, parameters, returns and
conditions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from skillrun.repo.source import Binding, FunctionNode, Module, last_word
from skillrun.wall.watched.error_words import says_error
from skillrun.wall.watched.memory import list_remembered, name_variable
from skillrun.wall.watched.reach import Reach
from skillrun.wall.watched.seen import PREDICATES, Guard, Signs
from skillrun.wall.watched.signs import (
    FILE_MODULES,
    FILE_QUESTIONS,
    FILE_WHY,
    MEMORY_WHY,
    UNVARIED,
    WORDS_WHY,
    Kind,
    Sign,
)
from skillrun.wall.watched.written import Written

# What a value still says of being watched when it has gone through these; any other call makes
# something else of it.
_PASSING = {
    *(
        "str",
        "bytes",
        "bool",
        "len",
        "int",
        "any",
        "all",
        "next",
        "list",
        "tuple",
        "set",
        "sorted",
        "repr",
    ),
    *(
        "lower",
        "upper",
        "strip",
        "split",
        "rsplit",
        "partition",
        "rpartition",
        "join",
        "format",
        "decode",
    ),
    *(
        "casefold",
        "replace",
        "removeprefix",
        "removesuffix",
        "encode",
        "fspath",
        "get",
        "range",
        "iter",
    ),
    *("float", "round", "abs", "divmod", "floor", "trunc"),
    *(
        "Path",
        "PurePath",
        "abspath",
        "realpath",
        "basename",
        "dirname",
        "normpath",
        "resolve",
        "absolute",
    ),
    *(
        "as_posix",
        "joinpath",
        "relative_to",
        "digest",
        "hexdigest",
        "sha256",
        "md5",
        "sha1",
        "crc32",
    ),
    *("strtobool", "asbool", "parse_bool", "to_bool", "literal_eval", "loads", "not_", "truth"),
}
# What the system says of a process is read with these.
_READING = {
    *("open", "read", "read_text", "read_bytes", "readline", "readlines", "readlink", "splitlines"),
    *(
        "exists",
        "isfile",
        "isdir",
        "is_file",
        "is_dir",
        "lexists",
        "stat",
        "listdir",
        "iterdir",
        "glob",
    ),
}


@dataclass(frozen=True)
class FoundSign:
    """A sign, the place where it is read, and whether it was compared with something on the way."""

    sign: Sign
    path: str
    line: int
    is_asked: bool = False

    @property
    def decides(self) -> bool:
        """Whether a condition with it depends on the sign: a path or the time has to
        be compared.
        """
        is_told_alone = self.sign.kind not in (Kind.PLACE, Kind.CLOCK, Kind.MEMORY, Kind.WORDS)
        return is_told_alone or self.is_asked

    @property
    def is_unvaried(self) -> bool:
        """It says nothing of who watches, but a proof meets one value of it."""
        return self.sign.kind in UNVARIED


Flows = frozenset[FoundSign]


class Mode(StrEnum):
    """What becomes of a sign on its way from one node into another."""

    ALL = "all"
    ASKED = "asked"  # it is compared with something there
    BEGUN = "begun"  # it is compared with the least that there is
    MEASURED = (
        "measured"  # it is compared or reckoned with something that another job has otherwise
    )
    TELLING = "telling"  # only answers, and what nobody reads for anything else
    GIVEN = "given"  # the same, and the time, which is often handed on
    OWN = "own"  # of an object that was asked for: what is read from it says the same
    DECIDING = "deciding"  # it decides whether the other node is run at all


@dataclass(frozen=True)
class Edge:
    """What flows into a node comes from here."""

    module: Module
    node: ast.AST
    mode: Mode = Mode.ALL


@dataclass
class Flow:
    """The flows of one side's reached code: a graph of what depends on what, made where somebody
    asks.
    """

    reach: Reach
    signs: Signs
    _known: dict[ast.AST, set[FoundSign]] = field(default_factory=dict)
    _uses: dict[ast.AST, list[tuple[ast.AST, Mode]]] = field(default_factory=dict)
    _stored: dict[str, list[tuple[Module, ast.expr]]] = field(default_factory=dict)
    _globals: dict[tuple[str, str], list[tuple[Module, Binding]]] = field(default_factory=dict)
    _reassigned: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        project = self.reach.project
        self.written = Written(project, self._reassigned)
        self._remembered = list_remembered(project, self.reach.modules.values())
        for module in self.reach.modules.values():
            self._note_stores(module)

    def find_flows_into(self, module: Module, node: ast.AST) -> Flows:
        """The signs that a value depends on."""
        waiting = [(module, node)]
        changed: list[ast.AST] = []
        while waiting:
            there, part = waiting.pop()
            if part in self._known:
                continue
            self._known[part] = set()
            for found in self._read_node(there, part):
                if isinstance(found, FoundSign):
                    self._known[part].add(found)
                    continue
                self._uses.setdefault(found.node, []).append((part, found.mode))
                waiting.append((found.module, found.node))
                if self._known.get(found.node):
                    changed.append(found.node)
            if self._known[part]:
                changed.append(part)
        self._spread_changes(changed)
        return frozenset(self._known[node])

    def _spread_changes(self, changed: list[ast.AST]) -> None:
        """Hands on what is known of nodes until nobody learns anything more."""
        while changed:
            node = changed.pop()
            for user, mode in self._uses.get(node, ()):
                known = self._known.setdefault(user, set())
                before = len(known)
                known |= _keep_arriving(self._known.get(node, set()), mode)
                if len(known) > before:
                    changed.append(user)

    def find_flows_around(self, module: Module, node: ast.AST) -> Flows:
        """The signs that decide whether a statement is run within its own function or module."""
        found: set[FoundSign] = set()
        for part in self._read_surroundings(module, node):
            if isinstance(part, FoundSign):
                found.add(part)
            else:
                found |= _keep_arriving(
                    set(self.find_flows_into(part.module, part.node)), part.mode
                )
        return frozenset(found)

    # -- what a node depends on

    def _read_surroundings(self, module: Module, node: ast.AST) -> Iterator[FoundSign | Edge]:
        below = node
        for above in module.parents(node):
            if isinstance(above, (FunctionNode, ast.Lambda)):
                return
            if isinstance(above, ast.If | ast.While) and below is not above.test:
                yield Edge(module, above.test, Mode.DECIDING)
            elif isinstance(above, ast.Match) and below is not above.subject:
                yield Edge(module, above.subject, Mode.DECIDING)
            elif isinstance(above, Guard):
                yield from self._find_probes(module, above)
            below = above

    def _find_probes(self, module: Module, node: Guard) -> Iterator[FoundSign]:
        for statement, sign in self.signs.find_probes(module, node):
            yield FoundSign(sign, module.path, statement.lineno, is_asked=True)

    def _read_node(self, module: Module, node: ast.AST) -> Iterator[FoundSign | Edge]:
        sign = self.signs.read_sign(module, node)
        file = self._read_file(module, node)
        for found in (file, self._read_memory(module, node), _read_words(module, node)):
            if found is not None:
                yield FoundSign(found, module.path, getattr(node, "lineno", 1))
        if sign is not None:
            is_asked = isinstance(node, ast.Compare)
            yield FoundSign(sign, module.path, getattr(node, "lineno", 1), is_asked)
        if isinstance(node, FunctionNode):
            yield from self._read_returns(module, node)
        elif isinstance(node, ast.Name):
            yield from self._read_name(module, node)
        elif isinstance(node, ast.Attribute):
            yield from self._read_attribute(module, node)
        elif isinstance(node, ast.Call):
            # What reads a sign gives it; its arguments say no more.
            if sign is None:
                yield from self._read_call(module, node)
        elif isinstance(node, ast.Subscript):
            yield from self._read_item(module, node)
        elif isinstance(node, ast.Compare):
            yield from self._read_comparison(module, node)
        elif isinstance(node, ast.BinOp):
            yield from self._read_arithmetic(module, node)
        elif isinstance(node, ast.IfExp):
            yield from self._read_choice(module, node)
        elif isinstance(node, ast.comprehension):
            yield Edge(module, node.iter)
        else:
            yield from _edges_to_children(module, node, Mode.ALL)

    def _read_call(self, module: Module, node: ast.Call) -> Iterator[Edge]:
        definition = self.reach.definition(module, node.func)
        word = last_word(node.func)
        if definition is not None and definition.node in self.reach.functions:
            yield Edge(definition.module, definition.node)
        elif word in PREDICATES:
            yield from _edges_to_children(module, node, Mode.ASKED)
        elif word in _PASSING:
            yield from _edges_to_children(module, node, Mode.ALL)
        else:
            mode = Mode.OWN
            if self.signs.read_sign(module, node.func) is not None:
                mode = Mode.ALL
            yield Edge(module, node.func, mode)
            if word in _READING:
                for argument in node.args:
                    yield Edge(module, argument, Mode.OWN)

    def _read_item(self, module: Module, node: ast.Subscript) -> Iterator[Edge]:
        yield from _edges_to_children(module, node, Mode.ALL)
        key = self.signs.text_of(node.slice, module)
        if key is None:
            return
        for there, value in self._stored.get(f"[{key}]", ()):
            yield Edge(there, value, Mode.TELLING)

    def _read_attribute(self, module: Module, node: ast.Attribute) -> Iterator[FoundSign | Edge]:
        yield Edge(module, node.value)
        for there, value in self._stored.get(node.attr, ()):
            yield Edge(there, value, Mode.TELLING)
        name = self.reach.owned_name(module, node)
        if name is None:
            return
        yield from self._read_variable(name)
        if name.startswith("django.conf.settings."):
            for settings in self.reach.project.settings_modules():
                yield from self._read_variable(f"{settings.name}.{node.attr}")

    def _read_variable(self, name: str) -> Iterator[FoundSign | Edge]:
        """What is bound to a dotted name elsewhere; a property is read by its function."""
        found = self.reach.project.lookup(name)
        if found is None or found.module is None:
            return
        if found.definition is not None and isinstance(found.definition.node, FunctionNode):
            words = {last_word(decorator) for decorator in found.definition.decorators}
            if words & {"property", "cached_property"}:
                yield Edge(found.module, found.definition.node)
            yield from self._read_surroundings(found.module, found.definition.node)
        elif found.binding is not None:
            yield from self._read_binding(found.module, found.binding)

    def _read_name(self, module: Module, node: ast.Name) -> Iterator[FoundSign | Edge]:
        for scope in module.scopes_around(node):
            bound = module.bindings(scope).get(node.id)
            if bound:
                for binding in bound:
                    yield from self._read_binding(module, binding)
                break
        for there, binding in self._globals.get((module.path, node.id), ()):
            yield from self._read_binding(there, binding)

    def _read_binding(self, module: Module, binding: Binding) -> Iterator[FoundSign | Edge]:
        node = binding.node
        if self._is_plain(module, binding.value):
            yield from self._read_surroundings(module, node)
        if binding.kind == "import" and binding.target:
            yield from self._read_variable(binding.target)
        elif isinstance(node, ast.arg):
            yield from self._read_parameter(module, node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            yield Edge(module, node.iter)
        elif isinstance(node, ast.AugAssign):
            yield Edge(module, node.value)
        elif binding.kind == "value" and binding.value is not None:
            yield Edge(module, binding.value)
        elif isinstance(node, ast.Assign):
            yield Edge(module, node.value)

    def _read_parameter(self, module: Module, node: ast.arg) -> Iterator[Edge]:
        """What the callers give."""
        function = module.function_of(node)
        if function is None:
            return
        arguments = function.args
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        for value in _list_defaults(arguments, node.arg):
            yield Edge(module, value, Mode.TELLING)
        for there, call in self.reach.calls.get(function, ()):
            for value in list_given(call, node.arg, positional):
                yield Edge(there, value, Mode.GIVEN)

    def _read_returns(self, module: Module, node: FunctionNode) -> Iterator[FoundSign | Edge]:
        for inner in ast.walk(node):
            if not isinstance(inner, ast.Return | ast.Yield | ast.YieldFrom):
                continue
            if inner.value is None:
                continue
            yield Edge(module, inner.value)
            # Which of several plain values comes back says which way was taken.
            if self._is_plain(module, inner.value):
                yield from self._read_surroundings(module, inner)

    def _is_plain(self, module: Module, value: ast.expr | None) -> bool:
        """A value that tells which way was taken: a constant or a function. None: a definition or
        an import.
        """
        if isinstance(value, ast.UnaryOp):
            value = value.operand
        if isinstance(value, ast.Name | ast.Attribute):
            return self.reach.definition(module, value) is not None
        return value is None or isinstance(value, ast.Constant | ast.Lambda)

    def _read_comparison(self, module: Module, node: ast.Compare) -> Iterator[Edge]:
        """Whether a path is None is no question about where one is, unless the machine itself is
        asked for it.
        """
        is_none = all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
        sides = [node.left, *node.comparators]
        for side in sides:
            if is_none and self.signs.read_sign(module, side) is None:
                yield Edge(module, side)
                continue
            others = [*sides]
            others.remove(side)
            yield Edge(module, side, self._how_compared(module, others))

    def _how_compared(self, module: Module, others: list[ast.expr]) -> Mode:
        if not self.written.are_settled(module, others):
            return Mode.MEASURED
        for other in others:
            if not self._is_first(module, other):
                return Mode.ASKED
        return Mode.BEGUN

    def _is_first(self, module: Module, node: ast.expr) -> bool:
        """Who asks for none or one asks for the first job of a process, and a proof has that."""
        value = self.reach.project.literal(node, module)
        return isinstance(value, int | float | str | None) and value in (0, 1, "", None)

    def _read_memory(self, module: Module, node: ast.AST) -> Sign | None:
        name = None
        if self._remembered:
            name = name_variable(self.reach.project, module, node)
        if name not in self._remembered:
            return None
        return Sign(Kind.MEMORY, ast.unparse(node), MEMORY_WHY)

    def _read_arithmetic(self, module: Module, node: ast.BinOp) -> Iterator[Edge]:
        """The time since a row was written is a fact of that row; a remainder sorts by itself."""
        is_sorted = isinstance(node.op, ast.Mod | ast.BitAnd)
        for side, other in ((node.left, node.right), (node.right, node.left)):
            mode = Mode.ALL
            if not self.written.is_settled(module, other):
                mode = Mode.MEASURED
            elif is_sorted and side is node.left:
                mode = Mode.ASKED
            yield Edge(module, side, mode)

    def _read_file(self, module: Module, node: ast.AST) -> Sign | None:
        """`Path("off.flag").exists()`, the same file whatever the job is."""
        if not isinstance(node, ast.Call) or last_word(node.func) not in FILE_QUESTIONS:
            return None
        name = module.resolve(node.func) or ""
        asked = list(node.args[:1])
        if isinstance(node.func, ast.Attribute):
            asked.append(node.func.value)
            if _is_joined_path(node.func.value):
                name = FILE_MODULES[0]
        is_path = name.startswith(FILE_MODULES) or self._is_path(module, asked)
        if not is_path or not self.written.are_settled(module, asked):
            return None
        return Sign(Kind.FILE, ast.unparse(node), FILE_WHY)

    def _is_path(self, module: Module, nodes: list[ast.expr]) -> bool:
        """A name to which a path was given."""
        for node in nodes:
            if isinstance(node, ast.Name):
                for scope in module.scopes_around(node):
                    for binding in module.bindings(scope).get(node.id, ()):
                        if _makes_path(binding.value):
                            return True
        return False

    def _read_choice(self, module: Module, node: ast.IfExp) -> Iterator[Edge]:
        """`a if watched else b`: the answer is in the value where both are plain, else only in what
        it decides.
        """
        yield Edge(module, node.body)
        yield Edge(module, node.orelse)
        if self._is_plain(module, node.body) and self._is_plain(module, node.orelse):
            yield Edge(module, node.test, Mode.DECIDING)

    # -- what is kept where no name is bound

    def _note_stores(self, module: Module) -> None:
        for node in module.all_nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._note_store(module, target, node.value)
            elif isinstance(node, ast.Global):
                self._note_global(module, node)
            elif isinstance(node, ast.Call):
                self._note_setattr(module, node)

    def _note_store(self, module: Module, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Attribute):
            self._stored.setdefault(target.attr, []).append((module, value))
        elif isinstance(target, ast.Subscript):
            key = self.signs.text_of(target.slice, module)
            if key is not None:
                self._stored.setdefault(f"[{key}]", []).append((module, value))

    def _note_setattr(self, module: Module, node: ast.Call) -> None:
        if module.resolve(node.func) == "builtins.setattr" and len(node.args) == 3:
            name = self.signs.text_of(node.args[1], module)
            if name is not None:
                self._stored.setdefault(name, []).append((module, node.args[2]))

    def _note_global(self, module: Module, node: ast.Global) -> None:
        function = module.function_of(node)
        bound = module.bindings(function) if function is not None else {}
        for name in node.names:
            self._reassigned.add((module.path, name))
            for binding in bound.get(name, ()):
                self._globals.setdefault((module.path, name), []).append((module, binding))


def _read_words(module: Module, node: ast.AST) -> Sign | None:
    if says_error(module, node):
        return Sign(Kind.WORDS, "what an error says", WORDS_WHY)
    return None


def _edges_to_children(module: Module, node: ast.AST, mode: Mode) -> Iterator[Edge]:
    for child in ast.iter_child_nodes(node):
        yield Edge(module, child, mode)


def _keep_arriving(signs: set[FoundSign], mode: Mode) -> set[FoundSign]:
    """What is left of some signs on the way."""
    kept = {seen for seen in signs if _arrives(seen, mode)}
    if mode in (Mode.ASKED, Mode.BEGUN):
        return {replace(seen, is_asked=True) for seen in kept}
    if mode is Mode.MEASURED:
        return kept | {replace(seen, is_asked=True) for seen in signs if not seen.is_unvaried}
    return kept


def _arrives(seen: FoundSign, mode: Mode) -> bool:
    if mode in (Mode.ALL, Mode.ASKED):
        return True
    if mode is Mode.BEGUN:
        return seen.is_asked or seen.sign.kind is not Kind.MEMORY
    if mode is Mode.MEASURED:
        return seen.is_asked or seen.sign.kind is Kind.CHANCE
    if mode is Mode.DECIDING:
        return seen.decides
    if mode is Mode.OWN:
        return not seen.is_asked and _is_told_by_its_own(seen)
    return seen.is_asked or _is_telling(seen, is_given=mode is Mode.GIVEN)


def _is_told_by_its_own(seen: FoundSign) -> bool:
    return seen.sign.kind is Kind.FLAG or seen.is_unvaried


def _is_telling(seen: FoundSign, *, is_given: bool) -> bool:
    return seen.sign.kind is Kind.FLAG or (is_given and seen.is_unvaried)


def _is_joined_path(value: ast.expr | None) -> bool:
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div)


def _makes_path(value: ast.expr | None) -> bool:
    if _is_joined_path(value):
        return True
    return isinstance(value, ast.Call) and (last_word(value.func) or "").endswith("Path")


def _list_defaults(arguments: ast.arguments, name: str) -> Iterator[ast.expr]:
    """The default of a parameter."""
    positional = [*arguments.posonlyargs, *arguments.args]
    optional = positional[len(positional) - len(arguments.defaults) :]
    pairs = [*zip(optional, arguments.defaults, strict=True)]
    for parameter, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if value is not None:
            pairs.append((parameter, value))
    for parameter, value in pairs:
        if parameter.arg == name:
            yield value


def list_given(call: ast.Call, name: str, positional: list[str]) -> Iterator[ast.expr]:
    """The arguments of a call that may be a parameter's."""
    for keyword in call.keywords:
        if keyword.arg == name or keyword.arg is None:
            yield keyword.value
    if name not in positional:
        return
    at = positional.index(name)
    # A method is called without its first parameter.
    if positional[0] in ("self", "cls") and isinstance(call.func, ast.Attribute | ast.Name):
        at -= 1
    if 0 <= at < len(call.args):
        yield call.args[at]
