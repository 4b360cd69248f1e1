"""Does the code reached from the handler write the dedupe table, and does it look before it
works?
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.stages import uniqueness
from skillrun.skills.job_worker.stages.effects import dotted, handler_calls

if TYPE_CHECKING:
    from skillrun.repo.calls import Call, Handler
    from skillrun.repo.python import Definition
    from skillrun.repo.source import Module
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.stages.interface import JobCase

# Their functions run where somebody sends them.
_JOB_DECORATORS = frozenset(
    {"task", "shared_task", "actor", "job", "db_task", "periodic_task", "db_periodic_task"}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEPTH = 3  # of effects.handler_calls: what lies deeper was not read
_TABLE = r"(?:\w+[\"`\]]?\.)?[\"`\[]?{table}\b"
_SQL_WRITE = (
    r"\b(?:insert(?:\s+or\s+\w+)?(?:\s+ignore)?\s+into|replace\s+into|merge\s+into|update)\s+[\"`\[]?"
    + _TABLE
)
_SQL_READ = r"\b(?:from|join)\s+[\"`\[]?" + _TABLE
_SQL_CAUGHT = re.compile(
    r"\bon\s+conflict\b|\bon\s+duplicate\s+key\b|\binsert\s+(or\s+)?ignore\b|\bmerge\s+into\b", re.I
)
_SQL_OPEN = re.compile(
    r"\b(?:insert(?:\s+or\s+\w+)?(?:\s+ignore)?\s+into|replace\s+into|update)\s+\W*\?", re.I
)
_WRITES = re.compile(
    r"^a?(bulk_)?(create|get_or_create|update_or_create|insert|upsert|update|merge|save|replace)"
)
_CAUGHT = re.compile(
    r"get_or_create|update_or_create|upsert|on_conflict|on_duplicate_key|ignore_conflicts|^merge$"
)
_READS = re.compile(
    r"^a?(get|get_one|first|filter|exists|select|query|scalars?|count|one_or_none|get_or_none|where)$"
)
_HIDING = re.compile(
    r"^(add|add_all|save|merge|execute\w*|insert\w*|upsert\w*|create\w*|bulk_\w+|put\w*|store\w*|record\w*|mark\w*|"
    r"remember\w*|claim\w*|write\w*|set\w*|log_\w+|get_or_create|update\w*|process\w*|handle\w*|run\w*|once\w*)$"
)
_UNIQUE_ERRORS = re.compile(
    r"Integrity|Unique|Duplicate|Conflict|AlreadyExists|DatabaseError|DBAPIError", re.I
)


@dataclass
class StoreUse:
    """What the handler's way does with the table."""

    writes: bool = False
    looks: bool = False  # it reads the table, or takes a second row as the answer
    hidden: str | None = None  # a place that cannot be followed and may write


def store_use(case: JobCase, handler: Definition, table: str) -> StoreUse:
    """How the handler's functions use the dedupe table. Only what the text shows; see `hidden`."""
    use = StoreUse()
    names = _Names(case, table)
    calls = handler_calls(case, handler)
    for module, node in _functions(case, handler, calls):
        _read_texts(use, names, case, module, node)
        names.learn_locals(module, node)
    for call in calls:
        _read_call(use, names, case, call)
    if not use.writes and use.hidden is None:
        use.hidden = next((where for call in calls if (where := _hides(case, call))), None)
    if not use.writes and use.hidden is None:
        place = find_writer(case, table)
        if place:
            use.hidden = f"{place.path}:{place.line}"
    return use


def find_writer(case: JobCase, table: str) -> Place | None:
    """A place anywhere in the repository that writes a table and that something may reach: a
    method, which a library may call, or a function that is used. Tests and migrations aside.
    """
    names = _Names(case, table)
    for module in _find_modules(case, names.words):
        statement = _find_statement(names, module)
        if statement is not None:
            return place_of(module, statement)
        for function in module.all_nodes:
            if not isinstance(function, Function):
                continue
            if _writes(case, names, module, function) and _is_reached(case, module, function):
                return place_of(module, function)
    return None


def _find_statement(names: _Names, module: Module) -> ast.AST | None:
    """A constant of a module that holds a writing statement; whoever uses it writes."""
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        for inner in ast.walk(node):
            is_text = isinstance(inner, ast.Constant) and isinstance(inner.value, str)
            if is_text and isinstance(inner, ast.Constant) and names.write.search(str(inner.value)):
                return inner
    return None


def _find_modules(case: JobCase, words: Iterable[str]) -> Iterator[Module]:
    paths = {path for word in words for path in case.tree.search(word, ".py")}
    for path in sorted(paths):
        if in_tests(path) or "migrations/" in path:
            module = None
        else:
            module = case.project.module(path)
        if module is not None:
            yield module


def _writes(case: JobCase, names: _Names, module: Module, function: ast.AST) -> bool:
    use = StoreUse()
    _read_texts(use, names, case, module, function)
    if use.writes:
        return True
    names.learn_locals(module, function)
    for node in find_nodes(function, ast.Call):
        word = last_word(node.func)
        is_write = _WRITES.search(word) or word in ("add", "add_all")
        if word in names.words or (is_write and names.mentions(module, node)):
            return True
        # `order.save()` in a module that has to do with the table: whose object it is, is not read.
        if word in ("save", "asave", "flush") and names.mentions(module, module.tree):
            return True
    return False


def _is_reached(
    case: JobCase, module: Module, function: Function, above: tuple[str, ...] = ()
) -> bool:
    """Whether something calls or hands on a function: a library calls methods and what its
    decorators register, and a job runs where its name is used.
    """
    if isinstance(next(module.parents(function), None), ast.ClassDef):
        return True
    decorators = {last_word(_decorator_name(node)) for node in function.decorator_list}
    if decorators and decorators.isdisjoint(_JOB_DECORATORS):
        return True
    if function.name in above or len(above) > _DEPTH:
        return False
    for path in case.tree.search(function.name, ".py"):
        if in_tests(path):
            user = None
        else:
            user = case.project.module(path)
        if user is None:
            continue
        for node in user.all_nodes:
            if _names_function(node, function.name) and _reaches(case, user, node, function, above):
                return True
    return False


def _reaches(
    case: JobCase, user: Module, node: ast.AST, function: Function, above: tuple[str, ...]
) -> bool:
    """Whether the place where a function is named runs, and is not the handler's own way."""
    caller = user.function_of(node)
    if caller is None:
        return not _is_import(user, node)
    if caller is function:
        return False
    if caller.name == _handler_name(case):
        # What the handler itself calls was read.
        return _fails_otherwise(case, user, node)
    return _is_reached(case, user, caller, (*above, function.name))


def _fails_otherwise(case: JobCase, module: Module, node: ast.AST) -> bool:
    """A call in a clause of the handler that takes more than the permanent errors."""
    clause = next((n for n in module.parents(node) if isinstance(n, ast.ExceptHandler)), None)
    return clause is not None and not takes_permanent_alone(
        case, case.project.handler(module, clause)
    )


def takes_permanent_alone(case: JobCase, clause: Handler) -> bool:
    """A clause for what the spec calls permanent: nothing is tried again from there."""
    failures = None
    if case.spec:
        failures = case.spec.failures
    permanent = {dotted(name) for name in (failures.permanent_names if failures else ())}
    return bool(clause.exceptions) and permanent.issuperset(clause.exceptions)


def _names_function(node: ast.AST, name: str) -> bool:
    """A use of the name, or its text: an actor may be named by a string."""
    if isinstance(node, ast.Constant):
        return node.value == name
    return isinstance(node, ast.Name | ast.Attribute) and last_word(node) == name


def _is_import(module: Module, node: ast.AST) -> bool:
    above = next(module.parents(node), None)
    return isinstance(above, ast.Import | ast.ImportFrom | ast.alias)


def _handler_name(case: JobCase) -> str:
    if case.handler:
        return case.handler.name.rpartition(".")[2]
    return ""


def _decorator_name(node: ast.expr) -> ast.expr:
    """What a decorator with arguments calls."""
    if isinstance(node, ast.Call):
        return node.func
    return node


class _Names:
    """The names that stand for the table in Python: its own, its model classes, variables that hold
    either.
    """

    def __init__(self, case: JobCase, table: str) -> None:
        self.table = table
        self.words = {table, *_declared_names(case, table)}
        self.write = re.compile(_SQL_WRITE.format(table=re.escape(table)), re.I)
        self.read = re.compile(_SQL_READ.format(table=re.escape(table)), re.I)
        self.instances: set[str] = set()

    def learn_locals(self, module: Module, function: ast.AST) -> None:
        """`row = Receipt(...)`, `table = Base.metadata.tables["receipts"]`: the local name stands
        for it too.
        """
        for node in find_nodes(function, ast.Assign):
            if self.mentions(module, node.value):
                self.instances |= {
                    target.id for target in node.targets if isinstance(target, ast.Name)
                }

    def mentions(self, module: Module, node: ast.AST) -> bool:
        return any(self._is_it(module, inner) for inner in ast.walk(node))

    def _is_it(self, module: Module, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value.rpartition(".")[2] in self.words
        if not isinstance(node, ast.Name | ast.Attribute):
            return False
        if isinstance(node, ast.Name):
            origin, written = module.resolve(node) or "", node.id
        else:
            origin, written = "", node.attr
        return (
            written in self.words
            or written in self.instances
            or origin.rpartition(".")[2] in self.words
        )


def _declared_names(case: JobCase, table: str) -> Iterator[str]:
    """The classes, and the variables, that a declaration of the table in Python stands for."""
    for declared in uniqueness.tables(case.project, table):
        module = None
        if declared.path.endswith(".py"):
            module = case.project.module(declared.path)
        for node in module.all_nodes if module else ():
            if getattr(node, "lineno", None) != declared.line:
                continue
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id


def _functions(
    case: JobCase, handler: Definition, calls: tuple[Call, ...]
) -> Iterator[tuple[Module, ast.AST]]:
    """The handler, and every function of the repository on its way."""
    for part in case.project.callables(handler):
        yield part.module, part.node
    for name in sorted({name for call in calls for name in call.via}):
        found = case.project.definition(name)
        if found is not None:
            yield found.module, found.node


def _read_texts(
    use: StoreUse, names: _Names, case: JobCase, module: Module, function: ast.AST
) -> None:
    """SQL that stands in a function, or in a constant that it uses."""
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr):
            _read_sql(use, names, _text(case, module, node), f"{module.path}:{node.lineno}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            _read_sql(use, names, node.value, f"{module.path}:{node.lineno}")
        elif isinstance(node, ast.Name | ast.Attribute | ast.BinOp) and isinstance(
            value := case.project.literal(node, module), str
        ):
            _read_sql(use, names, value, f"{module.path}:{node.lineno}")


def _text(case: JobCase, module: Module, node: ast.JoinedStr) -> str:
    folded = case.project.literal(node, module)
    if isinstance(folded, str):
        return folded
    parts = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            inner = part.value
        else:
            inner = part
        value = case.project.literal(inner, module)
        parts.append(value if isinstance(value, str) else "?")
    return "".join(parts)


def _read_sql(use: StoreUse, names: _Names, text: str, where: str) -> None:
    if names.write.search(text):
        use.writes = True
        use.looks |= bool(_SQL_CAUGHT.search(text)) or " where " in f"{text} ".lower()
    elif names.read.search(text):
        use.looks = True
    elif _SQL_OPEN.search(text):
        use.hidden = use.hidden or where


def _read_call(use: StoreUse, names: _Names, case: JobCase, call: Call) -> None:
    """What a call on a model class, an object of it, or a table object does."""
    word = call.name.removesuffix("()").rpartition(".")[2]
    origin = call.origin.rpartition(".")[2]
    if origin in names.words or word in names.words:
        # Receipt(...): made in order to be kept.
        use.writes = True
        use.looks |= _caught(call)
    elif names.mentions(call.module, call.node):
        if _WRITES.search(word) or word in ("add", "add_all"):
            use.writes = True
            use.looks |= (
                _caught(call) or bool(_CAUGHT.search(word)) or "ignore_conflicts" in call.keywords
            )
        use.looks |= bool(_READS.search(word) or _CAUGHT.search(word))
    elif word in ("execute", "commit", "flush", "scalar", "scalars", "add", "save") and use.writes:
        use.looks |= _caught(call)


def _caught(call: Call) -> bool:
    """A handler around it takes the database's refusal of a second row."""
    return any(
        h.broad or any(_UNIQUE_ERRORS.search(name) for name in h.exceptions) for h in call.in_try
    )


def _hides(case: JobCase, call: Call) -> str | None:
    """Where a call goes that cannot be followed, and by its name may write a row."""
    where = f"{call.path}:{call.line} {ast.unparse(call.node.func)}"
    target = None
    if call.resolved:
        target = case.project.definition(call.name)
    if target is not None:
        if len(call.via) >= _DEPTH and not target.is_class:
            return where
        return None
    func = call.node.func
    if isinstance(func, ast.Name):
        if call.resolved:
            return None
        return where
    if not isinstance(func, ast.Attribute) or not _HIDING.search(func.attr):
        return None
    if _of_unknown_class(call) or not _plain_argument(case, call):
        return where
    return None


def _of_unknown_class(call: Call) -> bool:
    """It is called on a parameter without a class, or on what `self` holds; the task's own methods
    are known.
    """
    receiver: ast.expr = call.node.func
    path = []
    while isinstance(receiver, ast.Attribute | ast.Subscript):
        path.append(receiver.attr if isinstance(receiver, ast.Attribute) else "[]")
        receiver = receiver.value
    if not isinstance(receiver, ast.Name):
        return False
    if call.module.resolve(receiver) in ("self", "cls"):
        return len(path) > 1 and path[-1] != "request"
    scope = call.module.function_of(call.node)
    if scope:
        for binding in call.module.bindings(scope).get(receiver.id, ()):
            if binding.kind == "opaque" and isinstance(binding.node, ast.arg):
                return True
            # What a call gave back: `order = self.locked(order_id)` may be a row of any table.
            if isinstance(binding.value, ast.Call) and not call.resolved:
                return True
    return False


def _plain_argument(case: JobCase, call: Call) -> bool:
    """The text tells what is written: SQL that was read, or an object of a class that is another
    table's.
    """
    if not call.node.args:
        return call.resolved
    first = call.node.args[0]
    if isinstance(case.project.literal(first, call.module), str) or isinstance(
        first, ast.JoinedStr | ast.Dict
    ):
        return True
    return call.module.resolve(first) is not None
