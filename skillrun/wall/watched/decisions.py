"""Conditions that depend on being watched and decide about an effect."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from skillrun.proof.breaking.sites import OPTION
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.chosen import Chooser
from skillrun.wall.watched.effects import Effects
from skillrun.wall.watched.flow import Flow, Flows, FoundSign
from skillrun.wall.watched.seen import Guard, Signs, asks_by_failing
from skillrun.wall.watched.signs import Kind

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# What makes room for something is no effect of a job.
_PREPARING_CALLS = frozenset(("mkdir", "makedirs", "touch"))
_DECIDING_NODES = (
    ast.If,
    ast.While,
    ast.IfExp,
    ast.BoolOp,
    ast.Assert,
    ast.Match,
    ast.For,
    ast.AsyncFor,
    ast.Try,
    ast.TryStar,
    ast.Call,
    ast.Assign,
    ast.AnnAssign,
    ast.With,
    ast.AsyncWith,
    *_COMPREHENSIONS,
)
# An error by which a library is asked to run the job again later.
_RETRY_ERRORS = ("Retry", "RetryTask", "JobRetry", "TaskRetry", "RetryException")
# What comes out as an error decides about a job where the next attempt meets it again, or none
# does: an hour has more attempts in it, and chance and words have no reason. A file or a breaker
# has one.
_RAISED_WITHOUT_REASON = frozenset((Kind.WORDS, Kind.CLOCK, Kind.CHANCE))


@dataclass(frozen=True)
class Decision:
    """A condition by which a job does something else where it is watched."""

    path: str
    line: int
    text: str  # the condition
    about: str  # what it decides about
    seen: Flows

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """By what a decision is found again on the other side, wherever it stands there."""
        signs = {seen.sign.name for seen in self.seen}
        return self.text, self.about, tuple(sorted(signs))

    @property
    def is_unvaried(self) -> bool:
        """Whether it asks for what is the same for all deliveries of a proof, as the time of the
        day is.
        """
        return any(seen.is_unvaried for seen in self.seen)

    @property
    def is_by_words(self) -> bool:
        """Whether it asks for what an error says."""
        return any(seen.sign.kind is Kind.WORDS for seen in self.seen)

    @property
    def is_watching(self) -> bool:
        """Whether it asks for a sign of being watched, and not only for a variable that the proof
        does not set.
        """
        return any(seen.sign.kind is not Kind.VARIABLE for seen in self.seen)


@dataclass(frozen=True)
class Asked:
    """One side of the commit: its files, its handlers, the effects, the arguments that carry their
    keys, and the variables of its proof.
    """

    sources: CommitSources
    handlers: tuple[str, ...]
    effects: frozenset[str]
    keys: frozenset[str]
    variables: frozenset[str]


# Two looks ask of two sides, and reading all that a handler reaches takes seconds.
@lru_cache(maxsize=2)
def find_decisions(asked: Asked) -> tuple[Decision, ...]:
    """All decisions of one side, in the order of the files."""
    project = asked.sources.project
    reach = asked.sources.reach_from(asked.handlers)
    effects = Effects(reach, frozenset(project.origin(name) for name in asked.effects))
    effects.settle()
    flow = Flow(reach, Signs(project, asked.variables))
    deciding = _Deciding(flow, effects, asked.keys, Chooser(reach))
    decisions: list[Decision] = []
    for module, node in deciding.list_questions():
        decisions += deciding.find_decisions_of(module, node)
    decisions.sort(key=lambda decision: (decision.path, decision.line, decision.text))
    return tuple(decisions)


@dataclass
class _Deciding:
    """Finds the decisions of a node, by what flows into it and by the effects that it leads to."""

    flow: Flow
    effects: Effects
    keys: frozenset[str]
    chooser: Chooser

    def list_questions(self) -> Iterator[tuple[Module, ast.AST]]:
        """Yields every node that may decide something, in the code that handlers reach."""
        for module in self.flow.reach.modules.values():
            for node in module.all_nodes:
                may_decide = isinstance(node, (*_DECIDING_NODES, FunctionNode))
                if may_decide and self._is_run(module, node):
                    yield module, node

    def _is_run(self, module: Module, node: ast.AST) -> bool:
        """Whether a node may run: code of a module itself does when it is imported, code of a
        function when a handler reaches the function or one that stands around it.
        """
        function = module.function_of(node)
        if isinstance(node, FunctionNode):
            function = node
        while function is not None:
            if function in self.flow.reach.functions:
                return True
            function = module.function_of(function)
            if function is None:
                return False
        return True

    def find_decisions_of(self, module: Module, node: ast.AST) -> Iterator[Decision]:
        """Yields the decisions of a node that depend on being watched."""
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
        """Yields the conditions by which a value is chosen that should be the same each time."""
        for there, condition in self.chooser.list_conditions(module, chosen):
            unvaried = _keep_unvaried(self.flow.find_flows_into(there, condition))
            if unvaried:
                yield _make_decision(there, condition, about, unvaried)

    def _list_chosen(self, module: Module, node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
        """Yields (value, what it is) of the values in a node that are the same at every delivery
        where all goes well: options of a job, keys of effects, the errors that are caught.
        """
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
        elif isinstance(node, ast.Try | ast.TryStar):
            if self._has_effect(module, node.body):
                for handler in node.handlers:
                    if handler.type is not None:
                        yield handler.type, "which errors are caught"
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from self._list_suppressed(module, node)

    def _has_effect(self, module: Module, body: list[ast.stmt]) -> bool:
        """Whether a statement of a body leads to an effect."""
        return any(self.effects.find_in(module, part) is not None for part in body)

    def _list_keys(self, module: Module, node: ast.Call) -> Iterator[tuple[ast.expr, str]]:
        """Yields (value, what it is) of the arguments that carry an effect's key."""
        definition = self.flow.reach.definition(module, node.func)
        parameters: list[str] = []
        if definition is not None and not definition.is_class:
            parameters = [name for name in definition.parameters if name not in ("self", "cls")]
        # A call may give fewer positional arguments than there are parameters, or more for *args.
        for name, value in zip(parameters, node.args, strict=False):
            if name in self.keys:
                yield value, f"{name} of {ast.unparse(node.func)}"
        for keyword in node.keywords:
            if keyword.arg in self.keys:
                yield keyword.value, f"{keyword.arg} of {ast.unparse(node.func)}"

    def _list_suppressed(
        self, module: Module, node: ast.With | ast.AsyncWith
    ) -> Iterator[tuple[ast.expr, str]]:
        """Yields the arguments of `with suppress(...)` around an effect."""
        if not self._has_effect(module, node.body):
            return
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and last_word(call.func) == "suppress":
                for argument in call.args:
                    yield argument, "which errors are caught"

    def _decide_by_branch(self, module: Module, node: ast.AST) -> Iterator[Decision]:
        """Yields the first condition of a branch that depends on being watched, and decides about
        an effect.
        """
        for test, decided in _list_branches(node):
            region = [*decided, *_list_raised(module, node)]
            flows = self._find_flows_into_test(module, test)
            watching = _keep_watching(flows)
            about = None
            if watching:
                about = self._name_decided(module, _list_following(module, test, region, watching))
            if about is not None:
                yield _make_decision(module, test, about, watching)
                return
            unvaried = _keep_unvaried(flows)
            skipped = self._name_skipped(module, region, unvaried)
            if skipped is not None:
                yield _make_decision(module, test, skipped, unvaried)
                return

    def _name_skipped(self, module: Module, region: list[ast.AST], unvaried: Flows) -> str | None:
        """What a condition decides about that is the same for all deliveries of a proof; None where
        it decides about nothing.
        """
        if not unvaried:
            return None
        about = self.effects.find_decided(module, region, but=_PREPARING_CALLS)
        is_without_reason = any(seen.sign.kind in _RAISED_WITHOUT_REASON for seen in unvaried)
        if about is None and is_without_reason:
            # Whether a job is tried again or given up follows from the class that comes out.
            return _find_error(region)
        return about

    def _find_flows_into_test(self, module: Module, test: ast.AST) -> Flows:
        """What a condition depends on. Of a try statement that is whether its first line is run,
        and what fails in it where one is watched.
        """
        if not isinstance(test, Guard):
            return self.flow.find_flows_into(module, test)
        return self.flow.find_flows_around(module, test.body[0])

    def _name_decided(self, module: Module, region: list[ast.AST]) -> str | None:
        """What some code leads to, in words: an effect, else a way out before one; None where it
        leads to neither.
        """
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
        """How some code ends what it stands in, in words; None where it does not."""
        for inner in ast.walk(part):
            if isinstance(inner, ast.Raise | ast.Assert):
                return "an error"
            if not isinstance(inner, ast.Return | ast.Break | ast.Continue):
                continue
            function = module.function_of(inner)
            if self.effects.is_changing(function):
                name = module.name
                if function is not None:
                    name = module.qualname(function)
                return f"whether {name} goes on"
        return None

    def _decide_by_decorator(
        self, module: Module, node: FunctionNode, decorator: ast.expr
    ) -> Iterator[Decision]:
        """Yields a decision where a decorator returns another function when it is watched."""
        flows = _keep_watching(self._find_flows_of_decorator(module, decorator))
        if flows and self.effects.is_changing(node):
            yield _make_decision(module, decorator, f"what {module.qualname(node)} does", flows)

    def _find_flows_of_decorator(self, module: Module, node: ast.expr) -> Flows:
        """What a decorator depends on, whether it is called or only named."""
        flows = self.flow.find_flows_into(module, node)
        definition = self.flow.reach.definition(module, node)
        if definition is not None:
            flows |= self.flow.find_flows_into(definition.module, definition.node)
            for inner in ast.walk(definition.node):
                if isinstance(inner, ast.Return):
                    flows |= self.flow.find_flows_around(definition.module, inner)
        return flows

    def _decide_by_call(self, module: Module, node: ast.Call) -> Iterator[Decision]:
        """Yields the decisions of a call: which function is called, whether `setattr` replaces one,
        and whether an effect is given something else when it is watched.
        """
        flows = self._find_flows_into_choice(module, node.func)
        if flows:
            yield _make_decision(module, node.func, "what is called", flows)
            return
        if self._is_replacement(module, node):
            around = _keep_watching(self.flow.find_flows_around(module, node))
            if around:
                yield _make_decision(module, node, f"what {ast.unparse(node.args[1])} is", around)
        if not self.effects.is_declared(module, node):
            return
        about = f"what {ast.unparse(node.func)} is given"
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            answers = _keep_answers(self.flow.find_flows_into(module, argument))
            if answers:
                yield _make_decision(module, argument, about, answers)

    def _find_flows_into_choice(self, module: Module, func: ast.expr) -> Flows:
        """What decides which function is called: `send` that was assigned before, `SENDERS[kind]`,
        `(print if watched else send)`, or `getattr(mailer, name)`.
        """
        chosen: ast.expr | None = None
        if isinstance(func, ast.Name):
            # A name that is a sign itself is a question, and no choice.
            if self.flow.signs.read_sign(module, func) is None:
                chosen = func
        elif isinstance(func, ast.Subscript | ast.IfExp | ast.BoolOp):
            chosen = func
        elif isinstance(func, ast.Call):
            is_getattr = last_word(func.func) == "getattr"
            if is_getattr and len(func.args) > 1:
                chosen = func.args[1]
        if chosen is None:
            return frozenset()
        return _keep_watching(self.flow.find_flows_into(module, chosen))

    def _is_replacement(self, module: Module, node: ast.Call) -> bool:
        """Whether a call is `setattr(mailer, "send", ...)` of a function that a handler reaches."""
        if module.resolve(node.func) != "builtins.setattr" or len(node.args) != 3:
            return False
        name = self.flow.signs.text_of(node.args[1], module)
        return name in self._function_names

    def _decide_by_replacing(self, module: Module, node: ast.Assign) -> Iterator[Decision]:
        """Yields a decision where code such as `mailer.send = print` runs when it is watched."""
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or target.attr not in self._function_names:
                continue
            flows = self.flow.find_flows_around(module, node)
            flows |= self.flow.find_flows_into(module, node.value)
            watching = _keep_watching(flows)
            if watching:
                yield _make_decision(module, node, f"what {ast.unparse(target)} is", watching)

    @cached_property
    def _function_names(self) -> set[str]:
        """The names of the functions that handlers reach, and of the declared effects."""
        names = {definition.node.name for definition in self.flow.reach.functions.values()}
        # "shop.mailer.send" is `send` where it is replaced.
        return names | {name.rpartition(".")[2] for name in self.effects.declared}


def _list_following(
    module: Module, test: ast.AST, region: list[ast.AST], seen: Flows
) -> list[ast.AST]:
    """What a sign decides about: of a `try`, not what has run before the sign is read."""
    if not isinstance(test, Guard) or any(sign.path != module.path for sign in seen):
        return region
    first = min(sign.line for sign in seen)
    return [part for part in region if getattr(part, "end_lineno", first) >= first]


def _list_branches(node: ast.AST) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Yields (condition, the code that it decides about) of a node."""
    if isinstance(node, ast.If | ast.While):
        yield node.test, [*node.body, *node.orelse]
    elif isinstance(node, ast.IfExp):
        yield node.test, [node.body, node.orelse]
    elif isinstance(node, ast.BoolOp):
        # Each value decides whether those behind it are looked at.
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
    elif isinstance(node, ast.Try | ast.TryStar):
        handled: list[ast.AST] = []
        for handler in node.handlers:
            handled += handler.body
        yield node, [*node.body, *handled, *node.orelse]
    elif isinstance(node, ast.With | ast.AsyncWith):
        if asks_by_failing(node):
            yield node, list(node.body)
    elif isinstance(node, _COMPREHENSIONS):
        yield from _branches_of_comprehension(node)


def _branches_of_comprehension(node: ast.AST) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Yields (condition, the code that it decides about) of a comprehension: what it goes over and
    its conditions decide about its elements.
    """
    elements: list[ast.AST] = []
    if isinstance(node, ast.DictComp):
        elements = [node.key, node.value]
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        elements = [node.elt]
    for generator in getattr(node, "generators", ()):
        yield generator.iter, elements
        for condition in generator.ifs:
            yield condition, elements


def _list_raised(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    """Yields the statement that raises one of the errors between which an expression chooses:
    `raise Retry() if late else Failed()`.
    """
    if isinstance(node, ast.IfExp | ast.BoolOp):
        for above in module.parents(node):
            if isinstance(above, ast.Raise):
                yield above
            if isinstance(above, ast.stmt):
                return


def _find_error(region: list[ast.AST]) -> str | None:
    """Which error comes out of some code, in words; None where none does. A request for a later
    attempt is named only where no other error comes out.
    """
    request = None
    for part in region:
        for inner in ast.walk(part):
            if not isinstance(inner, ast.Raise | ast.Assert):
                continue
            error = getattr(inner, "exc", None)
            if not isinstance(error, ast.Call) or last_word(error.func) not in _RETRY_ERRORS:
                return "which error comes out"
            request = f"the call of {ast.unparse(error.func)}"
    return request


def _list_registered(module: Module, node: FunctionNode) -> Iterator[tuple[ast.expr, str]]:
    """Yields the options that the decorators of a function give, each with its name."""
    for decorator in node.decorator_list:
        for call in ast.walk(decorator):
            if isinstance(call, ast.Call):
                yield from _list_options(call.keywords, module.qualname(node))


def _list_options(keywords: list[ast.keyword], owner: str) -> Iterator[tuple[ast.expr, str]]:
    """Yields the values of keyword arguments, each with its name and owner."""
    for keyword in keywords:
        if keyword.arg is not None:
            yield keyword.value, f"{keyword.arg} of {owner}"


def _list_assigned(
    module: Module, node: ast.Assign | ast.AnnAssign
) -> Iterator[tuple[ast.expr, str]]:
    """Yields the value of an option of jobs that a module or a class sets by its name, such as
    `acks_late = True`.
    """
    if module.function_of(node) is not None or node.value is None:
        return
    if isinstance(node, ast.Assign):
        name = last_word(node.targets[0])
    else:
        name = last_word(node.target)
    if name is not None and OPTION.search(name):
        yield node.value, name


def _keep_watching(flows: Flows) -> Flows:
    """Those of the flows that decide by a sign of being watched."""
    return frozenset(seen for seen in flows if seen.decides and not seen.is_unvaried)


def _keep_unvaried(flows: Flows) -> Flows:
    """Those of the flows that decide by what is the same for all deliveries of a proof."""
    return frozenset(seen for seen in flows if seen.decides and seen.is_unvaried)


def _keep_answers(flows: Flows) -> Flows:
    """Those of the flows that say whether one is watched."""
    return frozenset(seen for seen in flows if _is_answer(seen))


def _is_answer(seen: FoundSign) -> bool:
    """Whether a value says that one is watched; a path or a key that is only handed on does not."""
    is_watching = seen.sign.kind is not Kind.VARIABLE and not seen.is_unvaried
    return seen.is_asked and seen.decides and is_watching


def _make_decision(module: Module, node: ast.AST, about: str, seen: Flows) -> Decision:
    """The decision of a node about what `about` says in words."""
    shown = node
    if isinstance(node, Guard):
        # A whole try statement is too long to show: its first line is what may fail.
        shown = node.body[0]
    return Decision(module.path, getattr(node, "lineno", 1), ast.unparse(shown), about, seen)
