"""Conditions that depend on being watched and decide about an effect."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from skillrun.proof.breaking.sites import OPTION
from skillrun.repo.python import Project
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.chosen import Chooser
from skillrun.wall.watched.effects import Effects
from skillrun.wall.watched.flow import Flow, Flows, Seen
from skillrun.wall.watched.reach import Reach
from skillrun.wall.watched.seen import Signs, probed_import
from skillrun.wall.watched.signs import Kind

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# What makes room for something is no effect of a job.
_PREPARING = frozenset(("mkdir", "makedirs", "touch"))
_QUESTIONS = (
    ast.If,
    ast.While,
    ast.IfExp,
    ast.BoolOp,
    ast.Assert,
    ast.Match,
    ast.For,
    ast.AsyncFor,
    ast.Try,
    ast.Call,
    ast.Assign,
    ast.AnnAssign,
    ast.With,
    ast.AsyncWith,
    *_COMPREHENSIONS,
)
# An error by which a library is asked to run the job again later.
_PUTTING_OFF = ("Retry", "RetryTask", "JobRetry", "TaskRetry", "RetryException")
# What comes out as an error decides about a job where the next attempt meets it again, or none does:
# an hour has more attempts in it, and chance and words have no reason. A file or a breaker has one.
_RAISED_WITHOUT_REASON = frozenset((Kind.WORDS, Kind.CLOCK, Kind.CHANCE))


@dataclass(frozen=True)
class Decision:
    """A piece of code that does something else where it is watched."""

    path: str
    line: int
    text: str  # the condition
    about: str  # what it decides about
    seen: Flows

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """The same on both sides, wherever it stands."""
        return self.text, self.about, tuple(sorted({seen.sign.name for seen in self.seen}))

    @property
    def is_unvaried(self) -> bool:
        """It asks for what is the same for all deliveries of a proof, as the time of the day."""
        return any(seen.is_unvaried for seen in self.seen)

    @property
    def is_by_words(self) -> bool:
        """It asks for what an error says."""
        return any(seen.sign.kind is Kind.WORDS for seen in self.seen)

    @property
    def is_watching(self) -> bool:
        """It asks for a sign of being watched, and not only for a variable that the proof does not
        set.
        """
        return any(seen.sign.kind is not Kind.VARIABLE for seen in self.seen)


@dataclass(frozen=True)
class Asked:
    """What one side is asked about: its files, its handlers, the effects, the arguments that carry
    their keys, the variables of its proof.
    """

    sources: CommitSources
    handlers: tuple[str, ...]
    effects: frozenset[str]
    keys: frozenset[str]
    variables: frozenset[str]


# Two looks ask of two sides, and reading all that a handler reaches takes seconds.
@lru_cache(maxsize=2)
def find_decisions(asked: Asked) -> tuple[Decision, ...]:
    """All of one side, in the order of the files."""
    project = Project(asked.sources)
    reach = Reach(project)
    reach.follow(list(asked.handlers))
    effects = Effects(reach, frozenset(project.origin(name) for name in asked.effects))
    effects.settle()
    flow = Flow(reach, Signs(project, asked.variables))
    deciding = _Deciding(flow, effects, asked.keys, Chooser(reach))
    found: list[Decision] = []
    for module, node in deciding.list_questions():
        found += deciding.find_decisions_of(module, node)
    found.sort(key=lambda decision: (decision.path, decision.line, decision.text))
    return tuple(found)


@dataclass
class _Deciding:
    flow: Flow
    effects: Effects
    keys: frozenset[str]
    chooser: Chooser

    def list_questions(self) -> Iterator[tuple[Module, ast.AST]]:
        """Every node that may decide something, in the code that handlers reach."""
        for module in self.flow.reach.modules.values():
            for node in module.all_nodes:
                if isinstance(node, (*_QUESTIONS, FunctionNode)) and self._is_run(module, node):
                    yield module, node

    def _is_run(self, module: Module, node: ast.AST) -> bool:
        """Code of a module itself runs when it is imported; that of a function when it is
        reached.
        """
        function = node if isinstance(node, FunctionNode) else module.function_of(node)
        while function is not None:
            if function in self.flow.reach.functions:
                return True
            function = module.function_of(function)
            if function is None:
                return False
        return True

    def find_decisions_of(self, module: Module, node: ast.AST) -> Iterator[Decision]:
        """What a node decides about, if it depends on being watched."""
        for chosen, about in self._list_chosen(module, node):
            yield from self._decide_by_choice(module, chosen, about)
        if isinstance(node, FunctionNode):
            for decorator in node.decorator_list:
                yield from self._decide_by_decorator(module, node, decorator)
        elif isinstance(node, ast.Call):
            yield from self._decide_by_call(module, node)
        elif isinstance(node, ast.Assign):
            yield from self._decide_by_replacing(module, node)
        else:
            yield from self._decide_by_branch(module, node)

    def _decide_by_choice(self, module: Module, chosen: ast.expr, about: str) -> Iterator[Decision]:
        for there, condition in self.chooser.list_conditions(module, chosen):
            unvaried = _keep_unvaried(self.flow.find_flows_into(there, condition))
            if unvaried:
                yield _make_decision(there, condition, about, unvaried)

    def _list_chosen(self, module: Module, node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
        """(a value that is the same at every delivery where all goes well, what it is)."""
        if isinstance(node, FunctionNode):
            if self.effects.is_changing(node):
                yield from _list_registered(module, node)
        elif isinstance(node, ast.Call):
            if self.effects.is_declared(module, node):
                yield from self._list_keys(module, node)
            elif module.function_of(node) is None:
                yield from _list_options(node.keywords, "what is registered")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from _list_assigned(module, node)
        elif isinstance(node, ast.Try):
            if any(self.effects.find_in(module, part) is not None for part in node.body):
                for handler in node.handlers:
                    if handler.type is not None:
                        yield handler.type, "which errors are caught"
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from self._list_suppressed(module, node)

    def _list_keys(self, module: Module, node: ast.Call) -> Iterator[tuple[ast.expr, str]]:
        definition = self.flow.reach.definition(module, node.func)
        names: list[str] = []
        if definition is not None and not definition.is_class:
            names = [name for name in definition.parameters if name not in ("self", "cls")]
        for name, value in zip(names, node.args, strict=False):
            if name in self.keys:
                yield value, f"{name} of {ast.unparse(node.func)}"
        for keyword in node.keywords:
            if keyword.arg in self.keys:
                yield keyword.value, f"{keyword.arg} of {ast.unparse(node.func)}"

    def _list_suppressed(
        self, module: Module, node: ast.With | ast.AsyncWith
    ) -> Iterator[tuple[ast.expr, str]]:
        if not any(self.effects.find_in(module, part) is not None for part in node.body):
            return
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and last_word(call.func) == "suppress":
                for argument in call.args:
                    yield argument, "which errors are caught"

    def _decide_by_branch(self, module: Module, node: ast.AST) -> Iterator[Decision]:
        for test, decided in _list_branches(node):
            region = [*decided, *_list_raised(module, node)]
            seen = self._flows_into(module, test)
            watching = self._keep_deciding(seen)
            about = self._what_is_decided(module, region) if watching else None
            if about is not None:
                yield _make_decision(module, test, about, watching)
                return
            unvaried = _keep_unvaried(seen)
            skipped = self._what_is_skipped(module, region, unvaried)
            if skipped is not None:
                yield _make_decision(module, test, skipped, unvaried)
                return

    def _what_is_skipped(
        self, module: Module, region: list[ast.AST], unvaried: Flows
    ) -> str | None:
        if not unvaried:
            return None
        about = self.effects.find_decided(module, region, but=_PREPARING)
        is_without_reason = any(seen.sign.kind in _RAISED_WITHOUT_REASON for seen in unvaried)
        if about is None and is_without_reason:
            # Whether a job is tried again or given up follows from the class that comes out.
            return _find_error(region)
        return about

    def _flows_into(self, module: Module, test: ast.AST) -> Flows:
        if isinstance(test, ast.Try):
            return self.flow.find_flows_around(module, test.body[0]) | self._flows_into_handler(
                module, test
            )
        return self.flow.find_flows_into(module, test)

    def _flows_into_handler(self, module: Module, node: ast.Try) -> Flows:
        """`except ImportError` after the import of what only a watched process has."""
        for statement in node.body:
            if any(probed_import(inner) is not None for inner in ast.walk(statement)):
                return self.flow.find_flows_around(module, statement)
        return frozenset()

    def _keep_deciding(self, flows: Flows) -> Flows:
        return frozenset(seen for seen in flows if seen.decides and not seen.is_unvaried)

    def _what_is_decided(self, module: Module, region: list[ast.AST]) -> str | None:
        """An effect in the code, or the way out before one."""
        for part in region:
            called = self.effects.find_in(module, part)
            if called is not None:
                return f"the call of {called}"
        for part in region:
            leaving = self._find_way_out(module, part)
            if leaving is not None:
                return leaving
        return None

    def _find_way_out(self, module: Module, part: ast.AST) -> str | None:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Raise | ast.Assert):
                return "an error"
            if not isinstance(inner, ast.Return | ast.Break | ast.Continue):
                continue
            function = module.function_of(inner)
            if self.effects.is_changing(function):
                name = module.qualname(function) if function is not None else module.name
                return f"whether {name} goes on"
        return None

    def _decide_by_decorator(
        self, module: Module, node: FunctionNode, decorator: ast.expr
    ) -> Iterator[Decision]:
        """A decorator that wraps otherwise: what it returns depends on being watched."""
        seen = self._keep_deciding(self._flows_of_decorator(module, decorator))
        if seen and self.effects.is_changing(node):
            yield _make_decision(module, decorator, f"what {module.qualname(node)} does", seen)

    def _flows_of_decorator(self, module: Module, node: ast.expr) -> Flows:
        """What a decorator depends on, whether it is called or only named."""
        found = self.flow.find_flows_into(module, node)
        definition = self.flow.reach.definition(module, node)
        if definition is not None:
            found |= self.flow.find_flows_into(definition.module, definition.node)
            for inner in ast.walk(definition.node):
                if isinstance(inner, ast.Return):
                    found |= self.flow.find_flows_around(definition.module, inner)
        return found

    def _decide_by_call(self, module: Module, node: ast.Call) -> Iterator[Decision]:
        seen = self._flows_into_choice(module, node.func)
        if seen:
            yield _make_decision(module, node.func, "what is called", seen)
            return
        if self._is_replacement(module, node):
            around = self._keep_deciding(self.flow.find_flows_around(module, node))
            if around:
                yield _make_decision(module, node, f"what {ast.unparse(node.args[1])} is", around)
        if not self.effects.is_declared(module, node):
            return
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            flows = self.flow.find_flows_into(module, argument)
            given = frozenset(seen for seen in flows if _is_answer(seen))
            if given:
                yield _make_decision(
                    module, argument, f"what {ast.unparse(node.func)} is given", given
                )

    def _flows_into_choice(self, module: Module, func: ast.expr) -> Flows:
        """What the choice of the function depends on."""
        if isinstance(func, ast.Name) and self.flow.signs.read_sign(module, func) is None:
            return self._keep_deciding(self.flow.find_flows_into(module, func))
        if isinstance(func, ast.Subscript | ast.IfExp | ast.BoolOp):
            return self._keep_deciding(self.flow.find_flows_into(module, func))
        is_getattr = isinstance(func, ast.Call) and last_word(func.func) == "getattr"
        if is_getattr and isinstance(func, ast.Call) and len(func.args) > 1:
            return self._keep_deciding(self.flow.find_flows_into(module, func.args[1]))
        return frozenset()

    def _is_replacement(self, module: Module, node: ast.Call) -> bool:
        if module.resolve(node.func) != "builtins.setattr" or len(node.args) != 3:
            return False
        name = self.flow.signs.text_of(node.args[1], module)
        return name in self._function_names

    def _decide_by_replacing(self, module: Module, node: ast.Assign) -> Iterator[Decision]:
        """`mailer.send = print` where it is watched."""
        for target in node.targets:
            if isinstance(target, ast.Attribute) and target.attr in self._function_names:
                seen = self.flow.find_flows_around(module, node)
                seen |= self.flow.find_flows_into(module, node.value)
                seen = self._keep_deciding(seen)
                if seen:
                    yield _make_decision(module, node, f"what {ast.unparse(target)} is", seen)

    @cached_property
    def _function_names(self) -> set[str]:
        names = {definition.node.name for definition in self.flow.reach.functions.values()}
        return names | {name.rpartition(".")[2] for name in self.effects.declared}


def _list_branches(node: ast.AST) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """(condition, what it decides about) of a node."""
    if isinstance(node, ast.If | ast.While):
        yield node.test, [*node.body, *node.orelse]
    elif isinstance(node, ast.IfExp):
        yield node.test, [node.body, node.orelse]
    elif isinstance(node, ast.BoolOp):
        for at, value in enumerate(node.values[:-1]):
            yield value, list(node.values[at + 1 :])
    elif isinstance(node, ast.Assert):
        yield node.test, [node]
    elif isinstance(node, ast.Match):
        bodies: list[ast.AST] = []
        for case in node.cases:
            bodies += case.body
        yield node.subject, bodies
        for case in node.cases:
            if case.guard is not None:
                yield case.guard, list(case.body)
    elif isinstance(node, ast.For | ast.AsyncFor):
        yield node.iter, list(node.body)
    elif isinstance(node, ast.Try):
        handled: list[ast.AST] = []
        for handler in node.handlers:
            handled += handler.body
        yield node, [*node.body, *handled, *node.orelse]
    elif isinstance(node, _COMPREHENSIONS):
        yield from _branches_of_comprehension(node)


def _branches_of_comprehension(node: ast.AST) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    made: list[ast.AST] = []
    if isinstance(node, ast.DictComp):
        made = [node.key, node.value]
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        made = [node.elt]
    for generator in getattr(node, "generators", ()):
        yield generator.iter, made
        for condition in generator.ifs:
            yield condition, made


def _list_raised(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    """The statement that raises one of the errors between which an expression chooses."""
    if isinstance(node, ast.IfExp | ast.BoolOp):
        for above in module.parents(node):
            if isinstance(above, ast.Raise):
                yield above
            if isinstance(above, ast.stmt):
                return


def _find_error(region: list[ast.AST]) -> str | None:
    """The errors that come out of some code, in words; one that is no request for a later attempt
    counts first.
    """
    found = None
    for part in region:
        for inner in ast.walk(part):
            if not isinstance(inner, ast.Raise | ast.Assert):
                continue
            error = getattr(inner, "exc", None)
            if isinstance(error, ast.Call) and last_word(error.func) in _PUTTING_OFF:
                found = f"the call of {ast.unparse(error.func)}"
            else:
                return "which error comes out"
    return found


def _list_registered(module: Module, node: FunctionNode) -> Iterator[tuple[ast.expr, str]]:
    """The options that the decorators of a function give."""
    for decorator in node.decorator_list:
        for call in ast.walk(decorator):
            if isinstance(call, ast.Call):
                yield from _list_options(call.keywords, module.qualname(node))


def _list_options(keywords: list[ast.keyword], owner: str) -> Iterator[tuple[ast.expr, str]]:
    for keyword in keywords:
        if keyword.arg is not None:
            yield keyword.value, f"{keyword.arg} of {owner}"


def _list_assigned(
    module: Module, node: ast.Assign | ast.AnnAssign
) -> Iterator[tuple[ast.expr, str]]:
    """An option of jobs that a module or a class sets by its name."""
    if module.function_of(node) is not None or node.value is None:
        return
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    name = last_word(target)
    if name is not None and OPTION.search(name):
        yield node.value, name


def _keep_unvaried(flows: Flows) -> Flows:
    kept = set()
    for seen in flows:
        if seen.is_unvaried and seen.decides:
            kept.add(seen)
    return frozenset(kept)


def _is_answer(seen: Seen) -> bool:
    """A value that says whether one is watched; a path or a key that is only handed on does not."""
    is_watching = seen.sign.kind is not Kind.VARIABLE and not seen.is_unvaried
    return seen.is_asked and seen.decides and is_watching


def _make_decision(module: Module, node: ast.AST, about: str, seen: Flows) -> Decision:
    # A whole try statement is too long to show: its first line is what may fail.
    text = node.body[0] if isinstance(node, ast.Try) else node
    return Decision(module.path, getattr(node, "lineno", 1), ast.unparse(text), about, seen)
