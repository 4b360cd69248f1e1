"""Tables and unique keys that Python declares: SQL in strings, SQLAlchemy, SQLModel, Alembic and
Django.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.repo.python import Module
from skillrun.repo.syntax import find_keyword, find_nodes
from skillrun.skills.job_worker.stages.tables_sql import Table, sql_tables

_CONSTRAINTS = ("UniqueConstraint", "PrimaryKeyConstraint")
_COLUMNS = ("Column", "mapped_column", "Field")
_UNDOING = ("downgrade", "reverse", "backwards", "rollback")
_NO_TABLES = ("pydantic.", "pydantic_settings.", "rest_framework.", "ninja.", "django.forms.")
# Bases without a column of their own; Django's brings the id.
_BARE_BASES = ("Model", "SQLModel", "Base", "DeclarativeBase", "MappedAsDataclass")
Columns = frozenset[str]


def python_tables(module: Module, name: str) -> Iterator[Table]:
    """Every declaration of a table in one file."""
    for text, line in _strings(module):
        yield from sql_tables(module.path, text, name, line)
    for node in module.all_nodes:
        if isinstance(node, ast.ClassDef):
            how = _declares(module, node, name)
            if how:
                yield _read_class(module, node, name, is_exact=how == "exact")
        elif (
            isinstance(node, ast.Call) and not _undoes(module, node) and _makes(module, node, name)
        ):
            yield _read_call(module, node, name)


def _read_class(module: Module, node: ast.ClassDef, name: str, *, is_exact: bool) -> Table:
    return Table(
        name,
        module.path,
        node.lineno,
        tuple(_class_unique(node)),
        exact=is_exact,
        nullable=frozenset(_class_nullable(node)),
        columns=frozenset(_name_class_columns(node)),
        unread_base=_find_unread_base(node),
    )


def _read_call(module: Module, node: ast.Call, name: str) -> Table:
    return Table(
        name,
        module.path,
        node.lineno,
        tuple(_call_unique(node)),
        nullable=frozenset(_call_nullable(node)),
        columns=frozenset(word for word, _ in _call_columns(node)),
    )


def _undoes(module: Module, node: ast.AST) -> bool:
    """What a migration does when it is taken back is no declaration."""
    function = module.function_of(node)
    return function is not None and function.name.startswith(_UNDOING)


# SQL in strings


def _strings(module: Module) -> Iterator[tuple[str, int]]:
    """Text constants with their lines, joined where Python joins them; docstrings and loose strings
    are prose.
    """
    for node in module.all_nodes:
        above = next(module.parents(node), None)
        if isinstance(above, ast.Expr | ast.JoinedStr | ast.BinOp) or _undoes(module, node):
            continue
        text = _text(node)
        if text is not None:
            yield text, getattr(node, "lineno", 1)


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or " ? " for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        if left is not None and right is not None:
            return left + right
    return None


# Classes


def _declares(module: Module, node: ast.ClassDef, name: str) -> str | None:
    """ "exact" by `__tablename__`, `db_table` or the derived name; "alike" where only the class
    name resembles it.
    """
    named = set()
    for key, value in _class_strings(node):
        if key in ("__tablename__", "db_table"):
            named.add(value.rpartition(".")[2].strip('"'))
    if named:
        if name in named:
            return "exact"
        return None
    if _abstract(node) or not any(_is_model(module, base) for base in node.bases):
        return None
    app = module.path.split("/models")[0].rpartition("/")[2]
    if name.lower() in (node.name.lower(), f"{app}_{node.name}".lower()):
        return "exact"
    if node.name.lower() in _list_singular(module, name):
        return "alike"
    return None


def _list_singular(module: Module, table: str) -> set[str]:
    """How a class may be called whose rows are in a table of this name."""
    words = [table.replace("_", "")]
    prefix, _, rest = table.partition("_")
    # Django leads a table's name with its app's.
    if prefix.lower() in module.path.lower().split("/"):
        words.append(rest.replace("_", ""))
    found = {""}
    for word in words:
        found |= {word, word.removesuffix("s"), _singular(word)}
    return found


def _is_model(module: Module, base: ast.expr) -> bool:
    """Whether a class with such a base may be a table; a schema or a form of that name is none."""
    origin = module.resolve(base) or ""
    return "model" in ast.unparse(base).lower() and not origin.startswith(_NO_TABLES)


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word


def _abstract(node: ast.ClassDef) -> bool:
    for key, value in _meta_values(node):
        if key == "abstract" and isinstance(value, ast.Constant) and value.value:
            return True
    return False


def _class_strings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    statements = [*node.body]
    for meta in _list_metas(node):
        statements += meta.body
    for statement in statements:
        name, value = _assigned_name(statement), getattr(statement, "value", None)
        if name and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield name, value.value


def _list_metas(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Django's `class Meta` inside a model."""
    for statement in node.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Meta":
            yield statement


def _class_unique(node: ast.ClassDef) -> Iterator[Columns]:
    """The unique groups by the names that the class gives its columns, and by those of the
    database.
    """
    columns = list(_class_columns(node))
    stored = {name.lower(): _stored(name, call) for name, call in columns}
    if _has_hidden_id(node, columns):
        yield frozenset({"id"})
    for group in _declared_groups(node, columns):
        yield group
        yield frozenset(stored.get(name, name) for name in group)


def _has_hidden_id(node: ast.ClassDef, columns: list[tuple[str, ast.Call]]) -> bool:
    """Django gives a model that names no primary key the column `id`."""
    if "models.Model" not in map(ast.unparse, node.bases):
        return False
    return not any(_is_true(call, "primary_key") for _, call in columns)


def _name_class_columns(node: ast.ClassDef) -> Iterator[str]:
    """The columns of a model by the names of the class and of the database; also those that an
    annotation alone declares.
    """
    for name, call in _class_columns(node):
        yield from (name.lower(), _stored(name, call))
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign):
            yield (_assigned_name(statement) or "").lower()


def _find_unread_base(node: ast.ClassDef) -> str | None:
    """The first base that is none of the well-known ones: an abstract model has columns and keys
    of its own.
    """
    for base in node.bases:
        written = ast.unparse(base)
        if written.rpartition(".")[2] not in _BARE_BASES:
            return written
    return None


def _class_nullable(node: ast.ClassDef) -> Iterator[str]:
    """Columns that say nullable=True, null=True or Mapped[X | None], by both of their names."""
    for name, call in _class_columns(node):
        if _is_true(call, "nullable") or _is_true(call, "null"):
            yield from (name.lower(), _stored(name, call))
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and _is_mapped_optional(statement):
            yield (_assigned_name(statement) or "").lower()


def _is_mapped_optional(statement: ast.AnnAssign) -> bool:
    """`Mapped[int | None]`, where the column itself does not say whether it may be null."""
    value = statement.value
    is_told = isinstance(value, ast.Call) and (
        find_keyword(value, "nullable") or find_keyword(value, "primary_key")
    )
    if is_told:
        return False
    annotated = ast.unparse(statement.annotation)
    return annotated.startswith("Mapped[") and ("| None" in annotated or "Optional[" in annotated)


def _stored(name: str, call: ast.Call) -> str:
    """The column behind an attribute: a foreign key `order` is kept in `order_id`."""
    if _called(call) in ("OneToOneField", "ForeignKey") and find_keyword(call, "db_column") is None:
        return name.lower() + "_id"
    return _column_name(name, call)


def _declared_groups(node: ast.ClassDef, columns: list[tuple[str, ast.Call]]) -> Iterator[Columns]:
    for name, call in columns:
        if _is_true(call, "unique") or _called(call) == "OneToOneField":
            yield from _names(name, call)
    yield from _primary([(_column_name(name, call), call) for name, call in columns])
    for statement in node.body:
        for call in find_nodes(statement, ast.Call):
            yield from _constraint(call)
    for key, value in _meta_values(node):
        if key == "unique_together":
            yield from _groups(value)


def _class_columns(node: ast.ClassDef) -> Iterator[tuple[str, ast.Call]]:
    for statement in node.body:
        name, value = _assigned_name(statement), getattr(statement, "value", None)
        if name and isinstance(value, ast.Call) and _called(value) not in ("relationship", "Meta"):
            # SQLModel's Field around a column of SQLAlchemy.
            inner = find_keyword(value, "sa_column")
            yield name, inner if isinstance(inner, ast.Call) else value


def _names(name: str, call: ast.Call) -> Iterator[Columns]:
    """A unique column under each name that it has: the attribute's, the database's, a foreign
    key's.
    """
    yield frozenset({name.lower()})
    yield frozenset({_column_name(name, call)})
    if _called(call) in ("OneToOneField", "ForeignKey"):
        yield frozenset({name.lower() + "_id"})


def _column_name(name: str, call: ast.Call) -> str:
    given = find_keyword(call, "db_column") or (
        call.args[0] if call.args and _called(call) in _COLUMNS else None
    )
    return (_word(given) if isinstance(given, ast.Constant) else None) or name.lower()


def _primary(columns: list[tuple[str, ast.Call]]) -> Iterator[Columns]:
    """Several columns with primary_key=True are one key together: none of them is unique alone."""
    keys = frozenset(name for name, call in columns if _is_true(call, "primary_key"))
    if keys:
        yield keys
    for _, call in columns:
        if _called(call) == "CompositePrimaryKey":
            yield from _listed(call.args)


def _assigned_name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    return None


def _meta_values(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for meta in _list_metas(node):
        for statement in meta.body:
            name = _assigned_name(statement)
            if name and isinstance(statement, ast.Assign):
                yield name, statement.value


# Calls


def _makes(module: Module, call: ast.Call, name: str) -> bool:
    """SQLAlchemy's Table, Alembic's create_table, create_unique_constraint and create_index, in a
    batch as well.
    """
    word = _called(call)
    if word in ("Table", "create_table"):
        return _word(_argument(call, 0, "table_name")) == name
    if word in ("create_unique_constraint", "create_index"):
        batch = _batch_table(module, call)
        return (batch or _word(_argument(call, 1, "table_name"))) == name
    return False


def _batch_table(module: Module, call: ast.Call) -> str | None:
    """The table of the `with op.batch_alter_table("receipts") as batch:` whose `batch` is
    called.
    """
    receiver = None
    if isinstance(call.func, ast.Attribute):
        receiver = call.func.value
    for above in module.parents(call):
        for item in above.items if isinstance(above, ast.With) else ():
            opened, bound = item.context_expr, item.optional_vars
            if not (
                isinstance(opened, ast.Call)
                and isinstance(bound, ast.Name)
                and isinstance(receiver, ast.Name)
            ):
                continue
            if _called(opened) == "batch_alter_table" and bound.id == receiver.id:
                return _word(_argument(opened, 0, "table_name"))
    return None


def _call_nullable(call: ast.Call) -> Iterator[str]:
    for column in call.args:
        if not isinstance(column, ast.Call) or _called(column) not in _COLUMNS:
            continue
        if column.args and _is_true(column, "nullable"):
            yield _word(column.args[0]) or ""


def _call_columns(call: ast.Call) -> Iterator[tuple[str, ast.Call]]:
    """The columns of SQLAlchemy's Table and of Alembic's create_table."""
    for column in call.args:
        if isinstance(column, ast.Call) and _called(column) in _COLUMNS and column.args:
            word = _word(column.args[0])
            if word:
                yield word, column


def _call_unique(call: ast.Call) -> Iterator[Columns]:
    if _called(call) in ("create_unique_constraint", "create_index"):
        yield from _index_columns(call)
        return
    named = list(_call_columns(call))
    for word, column in named:
        if _is_true(column, "unique"):
            yield frozenset({word})
    yield from _primary(named)
    for inner in call.args:
        if isinstance(inner, ast.Call):
            yield from _constraint(inner)


def _index_columns(call: ast.Call) -> Iterator[Columns]:
    """What `op.create_unique_constraint` or `op.create_index` makes unique among all rows."""
    is_unique = _called(call) == "create_unique_constraint" or _is_true(call, "unique")
    if not is_unique or _partial(call):
        return
    listed = find_keyword(call, "columns")
    for argument in call.args:
        if listed is None and isinstance(argument, ast.List | ast.Tuple):
            listed = argument
    if listed is not None:
        yield from _groups(listed)


def _constraint(call: ast.Call) -> Iterator[Columns]:
    """UniqueConstraint("a", "b"), UniqueConstraint(fields=["a"]), Index("name", "a",
    unique=True).
    """
    name = _called(call)
    if _partial(call) or not (
        name in _CONSTRAINTS or (name == "Index" and _is_true(call, "unique"))
    ):
        return
    fields = find_keyword(call, "fields")
    if fields is not None:
        yield from _groups(fields)
    else:
        yield from _listed(call.args[1:] if name == "Index" else call.args)


def _partial(call: ast.Call) -> bool:
    """Unique among some rows only."""
    for keyword in call.keywords:
        name = keyword.arg or ""
        if name in ("condition", "where") or name.endswith("_where"):
            return True
    return False


def _groups(value: ast.expr) -> Iterator[Columns]:
    """`["a", "b"]`, or a collection of such lists."""
    if not isinstance(value, _COLLECTIONS) or not value.elts:
        return
    if all(isinstance(element, _COLLECTIONS) for element in value.elts):
        for element in value.elts:
            yield from _groups(element)
    else:
        yield from _listed(value.elts)


_COLLECTIONS = (ast.Tuple, ast.List, ast.Set)


def _listed(elements: list[ast.expr]) -> Iterator[Columns]:
    """Nothing where one element cannot be told: an expression is another promise than its
    column.
    """
    words = set()
    for element in elements:
        word = _word(element)
        if not word:
            return
        words.add(word)
    if words:
        yield frozenset(words)


def _word(node: ast.expr | None) -> str | None:
    """The column that an argument names: "order_id", order_id, Receipt.order_id,
    table.c.order_id.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.lower()
    if isinstance(node, ast.Name):
        return node.id.lower()
    if not isinstance(node, ast.Attribute):
        return None
    return node.attr.lower()


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    return find_keyword(call, name) or (call.args[position] if position < len(call.args) else None)


def _is_true(call: ast.Call, name: str) -> bool:
    value = find_keyword(call, name)
    return isinstance(value, ast.Constant) and value.value is True


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", "")
