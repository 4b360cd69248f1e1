"""Who gives a column its values: each place in the application's code, which table it is about,
from which values it starts, and whether anything keeps it from coming once the job is done.

What is not understood counts as a writer of every table, under a condition that is not known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

_TEXT = re.compile(r"'((?:[^']|'')*)'")
_UPDATED = re.compile(r"\bupdate\s+[\"'`]?(?:\w+[\"'`]?\.[\"'`]?)?(\w+)", re.IGNORECASE)
_WHERE = re.compile(r"\bwhere\b(.*)", re.IGNORECASE | re.DOTALL)
_SELECTED = re.compile(r"\bselect\b(.*?)\bfrom\s+[\"'`]?(\w+)", re.IGNORECASE | re.DOTALL)
_CONDITION = re.compile(
    r"\b(\w+)\b[\"'`]?\s*(=|<>|!=|<|>|is\b|in\b|not\b|like\b)\s*(\([^)]*\)|\S+)", re.IGNORECASE
)
_FIELDS = ("Column", "mapped_column", "relationship", "Field", "ForeignKey", "OneToOneField")
# What makes a row gives none that is there another value.
_MAKES = ("insert", "create", "get_or_create", "bulk_create", "add")
_ASKS = ("filter", "filter_by", "where", "get", "get_or_404")
_MOST_CALLERS = 40  # that are followed upwards from one place

Scope = ast.AST
"""A function, or a module outside of its functions."""

Values = frozenset[str]


@dataclass(frozen=True)
class Compared:
    """A condition on a column. `value`: None where it is not read."""

    column: str
    owners: Values
    value: str | None


@dataclass(frozen=True)
class Write:
    """One place. `owners`: classes or tables that it names; `allowed`: the values that its own
    condition asks the column for, None where it asks for none that is read.
    """

    value: str
    scope: Scope
    owners: Values
    allowed: Values | None = None

    def can_follow(self, value: object) -> bool:
        """Whether it may come while the column has this value."""
        return self.allowed is None or value in self.allowed


class ColumnWriters:
    """The application's modules, read for one column after the other."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.scopes: list[Scope] = []
        self.tables: dict[str, str] = {}  # class of rows -> its table; "": named after the class
        self.members: dict[str, str] = {}  # "Status.VOID" -> "void"
        self.classes = {"dict"}  # whose calls make a value, and write none
        self.callers: dict[str, list[Scope]] = {}  # name -> who calls it
        self.edited: set[str] = set()  # classes of rows that a form or an admin page changes
        for tree in trees:
            self._read_module(tree)

    def _read_module(self, tree: ast.Module) -> None:
        self.scopes.append(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.classes.add(node.name)
                self.members.update(_read_members(node))
                table = _read_table(node)
                if table is not None:
                    self.tables[node.name] = table
                self.edited.update(_list_edited(node))
            elif isinstance(node, ast.Call) and _name_call(node) == "register":
                self.edited.update(map(ast.unparse, node.args))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.scopes.append(node)
                for name in _list_called(node):
                    self.callers.setdefault(name, []).append(node)

    # -- writes

    def list_writes(self, column: str) -> list[Write]:
        """Every place that gives a column of that name a value, of whatever table."""
        found: list[Write] = []
        for scope in self.scopes:
            for node, tests in _walk_scope(scope):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found += _read_sql(node.value, column, scope)
                elif isinstance(node, ast.Assign):
                    found += self._read_assignment(node, tests, column, scope)
                elif isinstance(node, ast.Call):
                    found += self._read_call(node, column, scope)
        return found

    def may_change(self, table: str, column: str, but: Collection[Scope]) -> bool:
        """Whether code outside of these scopes may give a row that is there another value in this
        column. A form, an admin page or a name that is computed may.
        """
        set_in_sql = re.compile(rf"\bset\b[^;]*?\b{re.escape(column)}\b['\"]?\s*=", re.IGNORECASE)
        for scope in self.scopes:
            if scope in but:
                continue
            for node, _tests in _walk_scope(scope):
                if self._may_set(node, column, scope, set_in_sql) and self.is_of(
                    self._find_set(node, scope), table
                ):
                    return True
        return any(self._is_table(name, table) for name in self.edited)

    def _may_set(
        self, node: ast.AST, column: str, scope: Scope, set_in_sql: re.Pattern[str]
    ) -> bool:
        """`row.total = x`, `.update(total=x)`, `.update(**x)`, `setattr(row, name, x)`, or SQL."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and set_in_sql.search(node.value) is not None
        if isinstance(node, ast.Attribute):
            return isinstance(node.ctx, ast.Store) and node.attr == column
        if not isinstance(node, ast.Call):
            return False
        if _name_call(node) == "setattr":
            return True
        names = [word.arg for word in node.keywords]
        chain = list(_list_chain(node))
        is_update = any(_name_call(one) in ("update", "update_or_create") for one in chain)
        return is_update and (column in names or None in names) and self._may_write(chain)

    def _find_set(self, node: ast.AST, scope: Scope) -> Values:
        """The classes or the table that a write is about; nothing where that is not read."""
        if isinstance(node, ast.Constant):
            table = _UPDATED.search(str(node.value))
            if table:
                return frozenset((table[1],))
            return frozenset()
        if isinstance(node, ast.Attribute):
            return self._find_owners(node.value, scope)
        if isinstance(node, ast.Call) and _name_call(node) == "setattr" and node.args:
            return self._find_owners(node.args[0], scope)
        if isinstance(node, ast.expr):
            return self._find_owners(node, scope)
        return frozenset()

    def _read_assignment(
        self, node: ast.Assign, tests: tuple[ast.expr, ...], column: str, scope: Scope
    ) -> Iterator[Write]:
        """`order.status = value`, within `if order.status == other`."""
        for target in node.targets:
            if not isinstance(target, ast.Attribute) or target.attr != column:
                continue
            owners = self._find_owners(target.value, scope) or self._name_models(node.value)
            allowed: set[str] = set()
            for test in tests:
                allowed.update(self._read_required(test, column))
            for value in self.read_values(node.value):
                yield Write(value, scope, owners, frozenset(allowed) or None)

    def _read_call(self, node: ast.Call, column: str, scope: Scope) -> Iterator[Write]:
        """`Order.objects.filter(status=other).update(status=value)`."""
        given = [word.value for word in node.keywords if word.arg == column]
        chain = list(_list_chain(node))
        if not given or not self._may_write(chain):
            return
        allowed: set[str] = set()
        for one in chain:
            if _name_call(one) in _ASKS:
                allowed.update(self._read_asked(one, column))
        owners = self._find_owners(node, scope) or self._name_models(given[0])
        for value in self.read_values(given[0]):
            yield Write(value, scope, owners, frozenset(allowed) or None)

    def _may_write(self, chain: list[ast.Call]) -> bool:
        """Whether the first of these calls may change a row that is there."""
        name = _name_call(chain[0])
        if name in _ASKS or name in self.classes:
            return False
        return not any(_name_call(one) in _MAKES for one in chain)

    def _read_asked(self, call: ast.Call, column: str) -> Iterator[str]:
        """The values that a query asks the column for."""
        for word in call.keywords:
            if word.arg in (column, f"{column}__in"):
                yield from self.read_values(word.value)
        for argument in call.args:
            yield from self._read_required(argument, column)

    def _read_required(self, test: ast.expr, column: str) -> Iterator[str]:
        """Of `x.status == a and y` the value, of `x.status.in_([a, b])` both."""
        parts = test.values if isinstance(test, ast.BoolOp) else [test]
        if isinstance(test, ast.BoolOp) and not isinstance(test.op, ast.And):
            return
        for part in parts:
            if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Eq | ast.In):
                if _is_column(part.left, column):
                    yield from self.read_values(part.comparators[0])
            elif _is_asked_in(part, column):
                yield from self.read_values(part.args[0])

    def read_values(self, node: ast.expr) -> Iterator[str]:
        """A text, a member of an enum (`Status.VOID`, `Status.VOID.value`), or several of them."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            for element in node.elts:
                yield from self.read_values(element)
        if isinstance(node, ast.IfExp):
            yield from self.read_values(node.body)
            yield from self.read_values(node.orelse)
        if isinstance(node, ast.Attribute):
            yield from self._read_member(node.value if node.attr == "value" else node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value

    def _read_member(self, node: ast.expr) -> Iterator[str]:
        words = ast.unparse(node).split(".")
        member = ".".join(words[-2:])
        if member in self.members:
            yield self.members[member]

    # -- which table

    def is_of(self, owners: Values, table: str) -> bool:
        """Whether what names these classes or tables may be about this table."""
        return not owners or any(self._is_table(owner, table) for owner in owners)

    def _is_table(self, owner: str, table: str) -> bool:
        named = self.tables.get(owner)
        if named is None:
            return owner.lower() == table.lower()  # a table in SQL
        if named:
            return named.lower() == table.lower()
        words = {owner.lower(), re.sub(r"(?<!^)(?=[A-Z])", "_", owner).lower()}
        return any(table.lower() == word or table.lower().endswith(f"_{word}") for word in words)

    def _find_owners(self, node: ast.expr, scope: Scope) -> Values:
        """The classes of rows that an expression begins with, or the variable that it begins with
        was made of.
        """
        root: ast.expr = node
        while isinstance(root, ast.Attribute | ast.Call | ast.Subscript | ast.Await):
            if isinstance(root, ast.Call) and isinstance(root.func, ast.Name):
                return self._name_models(root)  # update(Order), select(Order)
            root = root.func if isinstance(root, ast.Call) else root.value
        if not isinstance(root, ast.Name):
            return frozenset()
        if root.id in self.tables:
            return frozenset((root.id,))
        found: set[str] = set()
        for made_of in _list_origins(scope, root.id):
            found.update(self._name_models(made_of))
        return frozenset(found)

    def _name_models(self, node: ast.AST) -> Values:
        """The classes of rows that are named in it."""
        found: set[str] = set()
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and one.id in self.tables:
                found.add(one.id)
        return frozenset(found)

    # -- what keeps it from coming

    def comes_any_time(self, write: Write, changed: Iterable[tuple[str, str, Values]]) -> bool:
        """Whether some way leads to it on which nobody asks for what the job changes: then it comes
        after the job just as well. `changed`: (table, column, the values that the job finds and
        leaves).
        """
        if write.allowed is not None:
            return False
        guards = list(changed)
        waiting, seen = [write.scope], list[Scope]()
        while waiting and len(seen) < _MOST_CALLERS:
            scope = waiting.pop()
            if scope in seen:
                continue
            seen.append(scope)
            if self._asks_for_any(scope, guards):
                continue
            name = getattr(scope, "name", "")
            callers = self.callers.get(name, [])
            if not callers:
                return True
            waiting += callers
        return False

    def _asks_for_any(self, scope: Scope, guards: Iterable[tuple[str, str, Values]]) -> bool:
        asked = list(self._list_compared(scope))
        for table, column, values in guards:
            for one in asked:
                if one.column != column or not self.is_of(one.owners, table):
                    continue
                if one.owners or one.value is None or one.value in values:
                    return True
        return False

    def _list_compared(self, scope: Scope) -> Iterator[Compared]:
        """Every column that one function asks for: where it is read and not compared with a value,
        the condition is not known.
        """
        told: list[ast.AST] = []
        for node, _tests in _walk_scope(scope):
            if node in told:
                continue
            if isinstance(node, ast.Compare):
                told += [node.left, *node.comparators]
                yield from self._read_comparison(node, scope)
            elif isinstance(node, ast.keyword) and node.arg == "update_fields":
                told += ast.walk(node)
            else:
                yield from self._read_question(node, scope)

    def _read_question(self, node: ast.AST, scope: Scope) -> Iterator[Compared]:
        """What a query, an attribute or a text asks for."""
        if isinstance(node, ast.Call) and _name_call(node) in _ASKS:
            owners = self._find_owners(node, scope)
            for word in node.keywords:
                value = next(self.read_values(word.value), None)
                yield Compared((word.arg or "").partition("__")[0], owners, value)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield Compared(node.attr, self._find_owners(node, scope), None)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _read_asked_text(node.value)

    def _read_comparison(self, node: ast.Compare, scope: Scope) -> Iterator[Compared]:
        sides = (node.left, *node.comparators)
        for side in sides:
            column = _name_column(side)
            if column is None:
                continue
            others = [one for one in sides if one is not side]
            values = [value for one in others for value in self.read_values(one)]
            owners = self._find_owners(side, scope)
            if not values:
                yield Compared(column, owners, None)
            for value in values:
                yield Compared(column, owners, value)


def _walk_scope(
    scope: Scope, tests: tuple[ast.expr, ...] = ()
) -> Iterator[tuple[ast.AST, tuple[ast.expr, ...]]]:
    """What stands in a function itself, each with the conditions of the `if` around it."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield child, tests
        if not isinstance(child, ast.If):
            yield from _walk_scope(child, tests)
            continue
        yield child.test, tests
        yield from _walk_scope(child.test, tests)
        for part, around in ((child.body, (*tests, child.test)), (child.orelse, tests)):
            for statement in part:
                yield statement, around
                yield from _walk_scope(statement, around)


def _list_called(scope: Scope) -> set[str]:
    """The names that a function calls, or hands on."""
    found: set[str] = set()
    for node, _tests in _walk_scope(scope):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
    return found


def _list_origins(scope: Scope, name: str) -> Iterator[ast.AST]:
    """What a variable of a function was made of: assigned, looped over, or annotated."""
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _list_annotations(scope.args, name)
    for node, _tests in _walk_scope(scope):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and any(_is_name(one, name) for one in targets):
                yield node.value
        elif isinstance(node, ast.For | ast.AsyncFor) and _is_name(node.target, name):
            yield node.iter


def _list_annotations(arguments: ast.arguments, name: str) -> Iterator[ast.expr]:
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            yield argument.annotation


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _name_call(node: ast.Call) -> str:
    """The last word of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    if isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _list_chain(node: ast.expr) -> Iterator[ast.Call]:
    """The calls that one is made on: `a.filter(...).exclude(...).update(...)`."""
    one: ast.expr = node
    while isinstance(one, ast.Call | ast.Attribute | ast.Await):
        if isinstance(one, ast.Call):
            yield one
        one = one.func if isinstance(one, ast.Call) else one.value


def _is_column(node: ast.expr, column: str) -> bool:
    return _name_column(node) == column


def _is_asked_in(node: ast.expr, column: str) -> TypeGuard[ast.Call]:
    """`x.status.in_([a, b])`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr == "in_" and len(node.args) == 1 and _is_column(node.func.value, column)


def _name_column(node: ast.expr) -> str | None:
    """`order.status`, `row["status"]`, `status`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return None


def _read_sql(text: str, column: str, scope: Scope) -> Iterator[Write]:
    """`update orders set status = 'void' where status in ('open')`."""
    table = _UPDATED.search(text)
    pattern = rf"\bset\b[^;]*?\b{re.escape(column)}\b['\"]?\s*=\s*'([^']*)'"
    owners: Values = frozenset((table[1],)) if table else frozenset()
    allowed: set[str] = set()
    for one in _read_where(text):
        if one.column == column and one.value is not None:
            allowed.add(one.value)
    for value in re.findall(pattern, text, re.IGNORECASE):
        yield Write(value, scope, owners, frozenset(allowed) or None)


def _read_where(text: str) -> Iterator[Compared]:
    """The conditions of an UPDATE on columns, as far as they name a value."""
    table, where = _UPDATED.search(text), _WHERE.search(text)
    if where is None:
        return
    owners: Values = frozenset((table[1],)) if table else frozenset()
    for column, how, right in _CONDITION.findall(where[1]):
        values = _TEXT.findall(right) if how.lower() in ("=", "in") else []
        if not values:
            yield Compared(column, owners, None)
        for value in values:
            yield Compared(column, owners, value)


def _read_asked_text(text: str) -> Iterator[Compared]:
    """What a statement asks for, or the name of a column by itself."""
    yield from _read_where(text)
    selected = _SELECTED.search(text)
    if selected is not None:
        for column in re.findall(r"\w+", selected[1]):
            yield Compared(column, frozenset((selected[2],)), None)
    elif text.isidentifier():
        yield Compared(text, frozenset(), None)


def _read_members(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """("Status.VOID", "void") for each text that a class names."""
    for statement in node.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        value = statement.value
        if isinstance(value, ast.Tuple) and value.elts:
            value = value.elts[0]  # Django's choices: ("void", "Void")
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield f"{node.name}.{statement.targets[0].id}", value.value


def _read_table(node: ast.ClassDef) -> str | None:
    """The table of a class of rows, "" where it is named after the class; None for every other
    class.
    """
    for statement in node.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Meta":
            named = dict(_read_members(statement)).get("Meta.db_table")
            if named is not None:
                return named
    named = dict(_read_members(node)).get(f"{node.name}.__tablename__")
    if named is None and any(map(_makes_field, node.body)):
        return ""
    return named


def _list_edited(node: ast.ClassDef) -> Iterator[str]:
    """`class Meta: model = Order` of a form or a serializer, `@admin.register(Order)`."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and _name_call(decorator) == "register":
            yield from map(ast.unparse, decorator.args)
    for one in ast.walk(node):
        if isinstance(one, ast.Assign) and any(_is_name(name, "model") for name in one.targets):
            yield ast.unparse(one.value)


def _makes_field(statement: ast.stmt) -> bool:
    """`state = models.CharField()`, `state: Mapped[str]`."""
    if isinstance(statement, ast.AnnAssign) and "Mapped" in ast.dump(statement.annotation):
        return True
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Call) and _name_call(value).endswith(_FIELDS)
