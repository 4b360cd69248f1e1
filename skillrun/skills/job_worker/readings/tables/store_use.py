"""Does the code reached from the handler write the dedupe table, and does it look before it
works?
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.readings.effects import dotted, handler_calls
from skillrun.skills.job_worker.readings.tables import uniqueness

if TYPE_CHECKING:
    from skillrun.repo.calls import Call, Handler
    from skillrun.repo.python import Definition
    from skillrun.repo.source import Module
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.job_case import JobCase

# A function with one of these runs where somebody sends it, and not by being registered.
_JOB_DECORATORS = frozenset(
    {"task", "shared_task", "actor", "job", "db_task", "periodic_task", "db_periodic_task"}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEPTH = 3  # of effects.handler_calls: what lies deeper was not read
# receipts, billing.receipts, "billing"."receipts", `receipts`, [receipts]
_TABLE = r"(?:\w+[\"`\]]?\.)?[\"`\[]?{table}\b"
# INSERT OR IGNORE INTO receipts, REPLACE INTO receipts, UPDATE receipts
_SQL_WRITE = (
    r"\b(?:insert(?:\s+or\s+\w+)?(?:\s+ignore)?\s+into|replace\s+into|merge\s+into|update)\s+[\"`\[]?"
    + _TABLE
)
_SQL_READ = r"\b(?:from|join)\s+[\"`\[]?" + _TABLE
# Statements that take a second row for an answer and not for an error.
_SQL_CAUGHT = re.compile(
    r"\bon\s+conflict\b|\bon\s+duplicate\s+key\b|\binsert\s+(or\s+)?ignore\b|\bmerge\s+into\b", re.I
)
# A statement whose table is formatted into it, and was not read: INSERT INTO ? (key) VALUES (?)
_SQL_OPEN = re.compile(
    r"\b(?:insert(?:\s+or\s+\w+)?(?:\s+ignore)?\s+into|replace\s+into|update)\s+\W*\?", re.I
)
# What a model, a manager or a session is asked to write: create, abulk_create, save, merge.
_WRITES = re.compile(
    r"^a?(bulk_)?(create|get_or_create|update_or_create|insert|upsert|update|merge|save|replace)"
)
# What takes a row that is there already for an answer.
_CAUGHT = re.compile(
    r"get_or_create|update_or_create|upsert|on_conflict|on_duplicate_key|ignore_conflicts|^merge$"
)
# What a model, a manager or a session is asked to look for: filter, afirst, scalars.
_READS = re.compile(
    r"^a?(get|get_one|first|filter|exists|select|query|scalars?|count|one_or_none|get_or_none|where)$"
)
# What a method may be called that writes a row somewhere inside: claim_order, put, record_once.
_HIDING = re.compile(
    r"^(add|add_all|save|merge|execute\w*|insert\w*|upsert\w*|create\w*|bulk_\w+|put\w*|store\w*|record\w*|mark\w*|"
    r"remember\w*|claim\w*|write\w*|set\w*|log_\w+|get_or_create|update\w*|process\w*|handle\w*|run\w*|once\w*)$"
)
# The errors with which a database or its client refuses a second row.
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
    names = _TableNames(case, table)
    calls = handler_calls(case, handler)
    for module, node in _find_functions(case, handler, calls):
        _read_texts(use, names, case, module, node)
        names.learn_locals(module, node)
    for call in calls:
        _read_call(use, names, case, call)
    if not use.writes and use.hidden is None:
        use.hidden = _find_hiding_call(case, calls)
    if not use.writes and use.hidden is None:
        place = find_writer(case, table)
        if place:
            use.hidden = f"{place.path}:{place.line}"
    return use


def find_writer(case: JobCase, table: str) -> Place | None:
    """A place anywhere in the repository that writes a table and that something may reach: a
    method, which a library may call, or a function that is used. Tests and migrations aside.
    """
    names = _TableNames(case, table)
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


def _find_statement(names: _TableNames, module: Module) -> ast.AST | None:
    """A constant of a module that holds a writing statement; whoever uses it writes."""
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        for constant in find_nodes(node, ast.Constant):
            if isinstance(constant.value, str) and names.write.search(constant.value):
                return constant
    return None


def _find_modules(case: JobCase, words: Iterable[str]) -> Iterator[Module]:
    """The modules that contain one of these words, by their paths; not tests and migrations."""
    paths = set[str]()
    for word in words:
        paths.update(case.tree.search(word, ".py"))
    for path in sorted(paths):
        if is_plainly_test(path) or "migrations/" in path:
            continue
        module = case.project.module(path)
        if module is not None:
            yield module


def _writes(case: JobCase, names: _TableNames, module: Module, function: ast.AST) -> bool:
    """Whether a function writes the table: by SQL, or through a model class or an object of it."""
    use = StoreUse()
    _read_texts(use, names, case, module, function)
    if use.writes:
        return True
    names.learn_locals(module, function)
    for node in find_nodes(function, ast.Call):
        word = last_word(node.func)
        if word in names.words:
            return True
        if _is_write(word) and names.mentions(module, node):
            return True
        # `order.save()` in a module that has to do with the table: whose object it is, is not read.
        if word in ("save", "asave", "flush") and names.mentions(module, module.tree):
            return True
    return False


def _is_reached(
    case: JobCase, module: Module, function: Function, above: tuple[str, ...] = ()
) -> bool:
    """Whether something calls or hands on a function: a library calls methods and what its
    decorators register, and a job runs where its name is used. `above` are the functions that were
    asked about before, by way of which this one was come to.
    """
    if isinstance(next(module.parents(function), None), ast.ClassDef):
        return True
    decorators = {last_word(_decorator_name(node)) for node in function.decorator_list}
    if decorators and decorators.isdisjoint(_JOB_DECORATORS):
        return True
    if function.name in above or len(above) > _DEPTH:
        return False
    for path in case.tree.search(function.name, ".py"):
        if is_plainly_test(path):
            continue
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
        return _is_in_wide_clause(case, user, node)
    return _is_reached(case, user, caller, (*above, function.name))


def _is_in_wide_clause(case: JobCase, module: Module, node: ast.AST) -> bool:
    """Whether it stands in an except clause that takes more than the permanent errors."""
    for above in module.parents(node):
        if isinstance(above, ast.ExceptHandler):
            return not takes_permanent_alone(case, case.project.handler(module, above))
    return False


def takes_permanent_alone(case: JobCase, clause: Handler) -> bool:
    """Whether a clause takes nothing but what the spec calls permanent: nothing is tried again from
    there.
    """
    permanent = set[str]()
    if case.spec and case.spec.failures:
        permanent.update(map(dotted, case.spec.failures.permanent_names))
    return bool(clause.exceptions) and permanent.issuperset(clause.exceptions)


def _names_function(node: ast.AST, name: str) -> bool:
    """Whether it is a use of the name, or its text: an actor may be named by a string."""
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


class _TableNames:
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
        """Adds local names that stand for the table: `row = Receipt(...)`,
        `table = Base.metadata.tables["receipts"]`.
        """
        for node in find_nodes(function, ast.Assign):
            if self.mentions(module, node.value):
                self.instances.update(_list_targets(node))

    def mentions(self, module: Module, node: ast.AST) -> bool:
        """Whether one of the names, or a text of it, stands anywhere within a node."""
        return any(self._is_name(module, inner) for inner in ast.walk(node))

    def _is_name(self, module: Module, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value.rpartition(".")[2] in self.words
        if isinstance(node, ast.Attribute):
            return node.attr in self.words or node.attr in self.instances
        if not isinstance(node, ast.Name):
            return False
        if node.id in self.words or node.id in self.instances:
            return True
        origin = module.resolve(node) or ""
        return origin.rpartition(".")[2] in self.words


def _list_targets(node: ast.Assign) -> Iterator[str]:
    """The names that an assignment sets."""
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id


def _declared_names(case: JobCase, table: str) -> Iterator[str]:
    """The classes, and the variables, that a declaration of the table in Python stands for."""
    for declared in uniqueness.tables(case.project, table):
        if not declared.path.endswith(".py"):
            continue
        module = case.project.module(declared.path)
        if module is None:
            continue
        for node in module.all_nodes:
            if getattr(node, "lineno", None) != declared.line:
                continue
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                yield from _list_targets(node)


def _find_functions(
    case: JobCase, handler: Definition, calls: tuple[Call, ...]
) -> Iterator[tuple[Module, ast.AST]]:
    """The handler, and every function of the repository by way of which it makes its calls."""
    for part in case.project.callables(handler):
        yield part.module, part.node
    names = set[str]()
    for call in calls:
        names.update(call.via)
    for name in sorted(names):
        function = case.project.definition(name)
        if function is not None:
            yield function.module, function.node


def _read_texts(
    use: StoreUse, names: _TableNames, case: JobCase, module: Module, function: ast.AST
) -> None:
    """Notes in `use` what the SQL does that stands in a function, or in a constant that it uses."""
    for node in ast.walk(function):
        text: object = None
        if isinstance(node, ast.JoinedStr):
            text = _fill_in(case, module, node)
        elif isinstance(node, ast.Constant):
            text = node.value
        elif isinstance(node, ast.Name | ast.Attribute | ast.BinOp):
            text = case.project.literal(node, module)
        if isinstance(text, str) and isinstance(node, ast.expr):
            _read_sql(use, names, text, f"{module.path}:{node.lineno}")


def _fill_in(case: JobCase, module: Module, node: ast.JoinedStr) -> str:
    """An f-string with the texts that its parts are known to be, and `?` for the others."""
    whole = case.project.literal(node, module)
    if isinstance(whole, str):
        return whole
    parts = []
    for part in node.values:
        inner = part
        if isinstance(part, ast.FormattedValue):
            inner = part.value
        value = case.project.literal(inner, module)
        if isinstance(value, str):
            parts.append(value)
        else:
            parts.append("?")
    return "".join(parts)


def _read_sql(use: StoreUse, names: _TableNames, text: str, where: str) -> None:
    """Notes in `use` what a statement does with the table, if the text is one."""
    if names.write.search(text):
        use.writes = True
        # UPDATE ... WHERE claims the row of before, and tells by its count that there was none.
        has_condition = " where " in f"{text} ".lower()
        use.looks |= has_condition or _SQL_CAUGHT.search(text) is not None
    elif names.read.search(text):
        use.looks = True
    elif _SQL_OPEN.search(text):
        use.hidden = use.hidden or where


def _read_call(use: StoreUse, names: _TableNames, case: JobCase, call: Call) -> None:
    """Notes in `use` what a call on a model class, an object of it, or a table object does."""
    word = call.name.removesuffix("()").rpartition(".")[2]
    origin = call.origin.rpartition(".")[2]
    takes_second = _CAUGHT.search(word) is not None
    if origin in names.words or word in names.words:
        # Receipt(...): made in order to be kept.
        use.writes = True
        use.looks |= _is_refusal_caught(call)
    elif names.mentions(call.module, call.node):
        if _is_write(word):
            use.writes = True
            use.looks |= _is_refusal_caught(call) or "ignore_conflicts" in call.keywords
        use.looks |= takes_second or _READS.search(word) is not None
    elif word in ("execute", "commit", "flush", "scalar", "scalars", "add", "save") and use.writes:
        use.looks |= _is_refusal_caught(call)


def _is_write(word: str) -> bool:
    """Whether a method of this name writes what it is given, or what it is called on."""
    return word in ("add", "add_all") or _WRITES.search(word) is not None


def _is_refusal_caught(call: Call) -> bool:
    """Whether a clause around a call takes the database's refusal of a second row."""
    for clause in call.in_try:
        if clause.broad:
            return True
        if any(_UNIQUE_ERRORS.search(name) for name in clause.exceptions):
            return True
    return False


def _find_hiding_call(case: JobCase, calls: Iterable[Call]) -> str | None:
    """The place of the first call that cannot be followed and may write the table."""
    for call in calls:
        if _may_hide_write(case, call):
            return f"{call.path}:{call.line} {ast.unparse(call.node.func)}"
    return None


def _may_hide_write(case: JobCase, call: Call) -> bool:
    """Whether a call cannot be followed, and by its name may write a row."""
    target = None
    if call.resolved:
        target = case.project.definition(call.name)
    if target is not None:
        # It is followed, unless it lies too deep.
        return len(call.via) >= _DEPTH and not target.is_class
    func = call.node.func
    if isinstance(func, ast.Name):
        return not call.resolved
    if not isinstance(func, ast.Attribute) or not _HIDING.search(func.attr):
        return False
    return _is_of_unknown_class(call) or not _tells_what_is_written(case, call)


def _is_of_unknown_class(call: Call) -> bool:
    """Whether it is called on a parameter without a class, or on what `self` holds. The task's own
    methods, and its `self.request`, are known.
    """
    receiver: ast.expr = call.node.func
    path = []
    while isinstance(receiver, ast.Attribute | ast.Subscript):
        if isinstance(receiver, ast.Attribute):
            path.append(receiver.attr)
        else:
            path.append("[]")
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


def _tells_what_is_written(case: JobCase, call: Call) -> bool:
    """Whether the first argument shows what is written: SQL that was read, or an object of a class
    that is another table's.
    """
    if not call.node.args:
        return call.resolved
    first = call.node.args[0]
    if isinstance(case.project.literal(first, call.module), str):
        return True
    if isinstance(first, ast.JoinedStr | ast.Dict):
        return True
    return call.module.resolve(first) is not None
