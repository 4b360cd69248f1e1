"""Tables and unique keys that Python declares: SQL in strings, SQLAlchemy, SQLModel, Alembic and
Django.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal

from skillrun.repo.python import Module
from skillrun.repo.syntax import find_keyword, find_nodes
from skillrun.skills.job_worker.readings.tables.tables_sql import Table, sql_tables

_CONSTRAINTS = ("UniqueConstraint", "PrimaryKeyConstraint")
_COLUMNS = ("Column", "mapped_column", "Field")
_COLLECTIONS = (ast.Tuple, ast.List, ast.Set)
# How the functions of a migration are called that take it back.
_UNDOING = ("downgrade", "reverse", "backwards", "rollback")
# Classes with such a base have "Model" in their names, too, and are schemas or forms.
_NO_TABLES = ("pydantic.", "pydantic_settings.", "rest_framework.", "ninja.", "django.forms.")
# Bases without a column of their own; Django's brings the id.
_BARE_BASES = ("Model", "SQLModel", "Base", "DeclarativeBase", "MappedAsDataclass")
Columns = frozenset[str]


def python_tables(module: Module, name: str) -> Iterator[Table]:
    """Every declaration of the table of this name in one file."""
    for text, line in _find_strings(module):
        yield from sql_tables(module.path, text, name, line)
    for node in module.all_nodes:
        if isinstance(node, ast.ClassDef):
            certainty = _find_certainty(module, node, name)
            if certainty is not None:
                yield _read_class(module, node, name, is_exact=certainty == "exact")
        if not isinstance(node, ast.Call) or _undoes(module, node):
            continue
        if _declares_table(module, node, name):
            yield _read_call(module, node, name)


def _read_class(module: Module, node: ast.ClassDef, name: str, *, is_exact: bool) -> Table:
    """The table that a model class declares."""
    return Table(
        name,
        module.path,
        node.lineno,
        tuple(_list_class_unique(node)),
        exact=is_exact,
        nullable=frozenset(_list_class_nullable(node)),
        columns=frozenset(_name_class_columns(node)),
        unread_base=_find_unread_base(node),
    )


def _read_call(module: Module, node: ast.Call, name: str) -> Table:
    """What `Table(...)`, `op.create_table(...)` or one call of a migration declares of a table."""
    return Table(
        name,
        module.path,
        node.lineno,
        tuple(_list_call_unique(node)),
        nullable=frozenset(_list_call_nullable(node)),
        columns=frozenset(word for word, _ in _list_call_columns(node)),
    )


def _undoes(module: Module, node: ast.AST) -> bool:
    """Whether it stands in the part of a migration that takes it back, which declares nothing."""
    function = module.function_of(node)
    return function is not None and function.name.startswith(_UNDOING)


# SQL in strings


def _find_strings(module: Module) -> Iterator[tuple[str, int]]:
    """The text constants of a file with their lines, joined where Python joins them. Docstrings and
    loose strings are prose and are left out.
    """
    for node in module.all_nodes:
        above = next(module.parents(node), None)
        if isinstance(above, ast.Expr | ast.JoinedStr | ast.BinOp) or _undoes(module, node):
            continue
        text = _read_text(node)
        if text is not None:
            yield text, getattr(node, "lineno", 1)


def _read_text(node: ast.AST) -> str | None:
    """A text constant, with ` ? ` for each value that is formatted into it; None for anything that
    is no text.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_read_text(part) or " ? " for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _read_text(node.left), _read_text(node.right)
        if left is not None and right is not None:
            return left + right
    return None


# Classes


def _find_certainty(
    module: Module, node: ast.ClassDef, table: str
) -> Literal["exact", "alike"] | None:
    """How certain it is that a class declares a table: "exact" by `__tablename__`, `db_table` or
    the name that Django derives, "alike" where only the class's name resembles the table's. None
    where it does not declare it.
    """
    given_names = set()
    for key, value in _list_class_strings(node):
        if key in ("__tablename__", "db_table"):
            # Without the schema: `"billing"."receipts"`.
            given_names.add(value.rpartition(".")[2].strip('"'))
    if table in given_names:
        return "exact"
    if given_names:
        return None
    if _is_abstract(node) or not any(_is_model(module, base) for base in node.bases):
        return None
    app = module.path.split("/models")[0].rpartition("/")[2]
    if table.lower() in (node.name.lower(), f"{app}_{node.name}".lower()):
        return "exact"
    if node.name.lower() in _list_class_names(module, table):
        return "alike"
    return None


def _list_class_names(module: Module, table: str) -> set[str]:
    """How a class may be called whose rows are in this table, in lower case: for `shop_deliveries`
    in the app `shop` among others `delivery`.
    """
    words = [table.replace("_", "")]
    prefix, _, rest = table.partition("_")
    # Django leads a table's name with its app's.
    if prefix.lower() in module.path.lower().split("/"):
        words.append(rest.replace("_", ""))
    names = {""}
    for word in words:
        names.update((word, word.removesuffix("s")))
        if word.endswith("ies"):
            names.add(word[:-3] + "y")
    return names


def _is_model(module: Module, base: ast.expr) -> bool:
    """Whether a class with such a base may be a table; a schema or a form of that name is none."""
    origin = module.resolve(base) or ""
    return "model" in ast.unparse(base).lower() and not origin.startswith(_NO_TABLES)


def _is_abstract(node: ast.ClassDef) -> bool:
    """Whether a Django model says `abstract = True`, so that it has no table."""
    for key, value in _list_meta_values(node):
        if key == "abstract" and isinstance(value, ast.Constant) and value.value:
            return True
    return False


def _list_class_strings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """(name, text) for each text that a class or its `class Meta` assigns to a name."""
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


def _list_class_unique(node: ast.ClassDef) -> Iterator[Columns]:
    """The groups of columns that are unique together, by the names that the class gives its columns
    and again by those of the database.
    """
    columns = list(_list_class_columns(node))
    stored_names = {name.lower(): _stored_name(name, call) for name, call in columns}
    if _has_hidden_id(node, columns):
        yield frozenset({"id"})
    for group in _list_declared_groups(node, columns):
        yield group
        yield frozenset(stored_names.get(name, name) for name in group)


def _has_hidden_id(node: ast.ClassDef, columns: list[tuple[str, ast.Call]]) -> bool:
    """Whether Django gives the model a column `id`, since it names no primary key."""
    if "models.Model" not in [ast.unparse(base) for base in node.bases]:
        return False
    return not any(_is_true(call, "primary_key") for _, call in columns)


def _name_class_columns(node: ast.ClassDef) -> Iterator[str]:
    """The columns of a model by the names of the class and of the database; also those that an
    annotation alone declares.
    """
    for name, call in _list_class_columns(node):
        yield from (name.lower(), _stored_name(name, call))
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


def _list_class_nullable(node: ast.ClassDef) -> Iterator[str]:
    """The columns that say nullable=True, null=True or Mapped[X | None], by both of their names."""
    for name, call in _list_class_columns(node):
        if _is_true(call, "nullable") or _is_true(call, "null"):
            yield from (name.lower(), _stored_name(name, call))
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and _is_mapped_optional(statement):
            yield (_assigned_name(statement) or "").lower()


def _is_mapped_optional(statement: ast.AnnAssign) -> bool:
    """Whether a column is null by `Mapped[int | None]` alone: its call does not say."""
    value = statement.value
    for word in ("nullable", "primary_key"):
        if isinstance(value, ast.Call) and find_keyword(value, word):
            return False
    annotated = ast.unparse(statement.annotation)
    return annotated.startswith("Mapped[") and ("| None" in annotated or "Optional[" in annotated)


def _stored_name(name: str, call: ast.Call) -> str:
    """The column behind an attribute: a foreign key `order` is kept in `order_id`."""
    if _is_foreign_key(call) and find_keyword(call, "db_column") is None:
        return name.lower() + "_id"
    return _column_name(name, call)


def _is_foreign_key(call: ast.Call) -> bool:
    """Whether it is one of Django's, which adds `_id` to the name of the attribute."""
    return _called_name(call) in ("OneToOneField", "ForeignKey")


def _list_declared_groups(
    node: ast.ClassDef, columns: list[tuple[str, ast.Call]]
) -> Iterator[Columns]:
    """The groups of unique columns: single columns, the primary key, constraints, and Django's
    unique_together.
    """
    for name, call in columns:
        if _is_true(call, "unique") or _called_name(call) == "OneToOneField":
            yield from _list_names(name, call)
    yield from _list_primary_keys([(_column_name(name, call), call) for name, call in columns])
    for statement in node.body:
        for call in find_nodes(statement, ast.Call):
            yield from _read_constraint(call)
    for key, value in _list_meta_values(node):
        if key == "unique_together":
            yield from _read_groups(value)


def _list_class_columns(node: ast.ClassDef) -> Iterator[tuple[str, ast.Call]]:
    """(attribute, the call that makes its column) for each column of a model."""
    for statement in node.body:
        name, value = _assigned_name(statement), getattr(statement, "value", None)
        if not name or not isinstance(value, ast.Call):
            continue
        if _called_name(value) in ("relationship", "Meta"):
            continue
        # SQLModel's Field around a column of SQLAlchemy.
        inner = find_keyword(value, "sa_column")
        if isinstance(inner, ast.Call):
            yield name, inner
        else:
            yield name, value


def _list_names(name: str, call: ast.Call) -> Iterator[Columns]:
    """A unique column under each name that it has: the attribute's, the database's, and that of a
    foreign key.
    """
    yield frozenset({name.lower()})
    yield frozenset({_column_name(name, call)})
    if _is_foreign_key(call):
        yield frozenset({name.lower() + "_id"})


def _column_name(name: str, call: ast.Call) -> str:
    """The name that a column's call gives, `Column("order_id", ...)` or `db_column="order_id"`, or
    that of the attribute.
    """
    given = find_keyword(call, "db_column")
    if given is None and call.args and _called_name(call) in _COLUMNS:
        given = call.args[0]
    word = None
    if isinstance(given, ast.Constant):
        word = _read_word(given)
    return word or name.lower()


def _list_primary_keys(columns: list[tuple[str, ast.Call]]) -> Iterator[Columns]:
    """The primary key. Several columns with primary_key=True are one key together: none of them is
    unique alone.
    """
    keys = frozenset(name for name, call in columns if _is_true(call, "primary_key"))
    if keys:
        yield keys
    for _, call in columns:
        if _called_name(call) == "CompositePrimaryKey":
            yield from _read_group(call.args)


def _assigned_name(statement: ast.stmt) -> str | None:
    """`id` of `id = Column(...)` and of `id: int = Field(...)`."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    return None


def _list_meta_values(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) for each assignment in the `class Meta` of a Django model."""
    for meta in _list_metas(node):
        for statement in meta.body:
            name = _assigned_name(statement)
            if name and isinstance(statement, ast.Assign):
                yield name, statement.value


# Calls


def _declares_table(module: Module, call: ast.Call, table: str) -> bool:
    """Whether a call declares something of a table: SQLAlchemy's Table, Alembic's create_table,
    create_unique_constraint and create_index, in a batch as well.
    """
    word = _called_name(call)
    if word in ("Table", "create_table"):
        return _read_word(_find_argument(call, 0, "table_name")) == table
    if word in ("create_unique_constraint", "create_index"):
        batch_table = _find_batch_table(module, call)
        if batch_table:
            return batch_table == table
        return _read_word(_find_argument(call, 1, "table_name")) == table
    return False


def _find_batch_table(module: Module, call: ast.Call) -> str | None:
    """`receipts` for `batch.create_index(...)` within
    `with op.batch_alter_table("receipts") as batch:`.
    """
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return None
    receiver = call.func.value.id
    for above in module.parents(call):
        if not isinstance(above, ast.With):
            continue
        for item in above.items:
            opened, bound = item.context_expr, item.optional_vars
            if not isinstance(opened, ast.Call) or not isinstance(bound, ast.Name):
                continue
            if _called_name(opened) == "batch_alter_table" and bound.id == receiver:
                return _read_word(_find_argument(opened, 0, "table_name"))
    return None


def _list_call_nullable(call: ast.Call) -> Iterator[str]:
    """The columns of a declaring call that say nullable=True."""
    for column in call.args:
        if not isinstance(column, ast.Call) or _called_name(column) not in _COLUMNS:
            continue
        if column.args and _is_true(column, "nullable"):
            yield _read_word(column.args[0]) or ""


def _list_call_columns(call: ast.Call) -> Iterator[tuple[str, ast.Call]]:
    """(name, its call) for each column of SQLAlchemy's Table and of Alembic's create_table."""
    for column in call.args:
        if isinstance(column, ast.Call) and _called_name(column) in _COLUMNS and column.args:
            word = _read_word(column.args[0])
            if word:
                yield word, column


def _list_call_unique(call: ast.Call) -> Iterator[Columns]:
    """The groups of columns that a declaring call makes unique."""
    if _called_name(call) in ("create_unique_constraint", "create_index"):
        yield from _read_index(call)
        return
    columns = list(_list_call_columns(call))
    for word, column in columns:
        if _is_true(column, "unique"):
            yield frozenset({word})
    yield from _list_primary_keys(columns)
    for inner in call.args:
        if isinstance(inner, ast.Call):
            yield from _read_constraint(inner)


def _read_index(call: ast.Call) -> Iterator[Columns]:
    """What `op.create_unique_constraint` or `op.create_index` makes unique among all rows."""
    is_unique = _called_name(call) == "create_unique_constraint" or _is_true(call, "unique")
    if not is_unique or _is_partial(call):
        return
    listed = find_keyword(call, "columns")
    for argument in call.args:
        if listed is None and isinstance(argument, ast.List | ast.Tuple):
            listed = argument
    if listed is not None:
        yield from _read_groups(listed)


def _read_constraint(call: ast.Call) -> Iterator[Columns]:
    """The columns of UniqueConstraint("a", "b"), UniqueConstraint(fields=["a"]), and
    Index("name", "a", unique=True); nothing for any other call.
    """
    name = _called_name(call)
    is_unique_index = name == "Index" and _is_true(call, "unique")
    if name not in _CONSTRAINTS and not is_unique_index:
        return
    if _is_partial(call):
        return
    fields = find_keyword(call, "fields")
    if fields is not None:
        yield from _read_groups(fields)
    elif is_unique_index:
        # The first argument is the name of the index.
        yield from _read_group(call.args[1:])
    else:
        yield from _read_group(call.args)


def _is_partial(call: ast.Call) -> bool:
    """Whether it makes columns unique among some rows only."""
    for keyword in call.keywords:
        name = keyword.arg or ""
        if name in ("condition", "where") or name.endswith("_where"):
            return True
    return False


def _read_groups(value: ast.expr) -> Iterator[Columns]:
    """The groups of columns in `["a", "b"]`, or in a collection of such lists."""
    if not isinstance(value, _COLLECTIONS) or not value.elts:
        return
    if all(isinstance(element, _COLLECTIONS) for element in value.elts):
        for element in value.elts:
            yield from _read_groups(element)
    else:
        yield from _read_group(value.elts)


def _read_group(elements: list[ast.expr]) -> Iterator[Columns]:
    """The columns that these elements name, as one group. There is none where one of them is an
    expression: that it is unique says nothing of its column.
    """
    words = set()
    for element in elements:
        word = _read_word(element)
        if not word:
            return
        words.add(word)
    if words:
        yield frozenset(words)


def _read_word(node: ast.expr | None) -> str | None:
    """The column or table that an argument names: "order_id", order_id, Receipt.order_id,
    table.c.order_id. None for any other expression.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.lower()
    if isinstance(node, ast.Name):
        return node.id.lower()
    if not isinstance(node, ast.Attribute):
        return None
    return node.attr.lower()


def _find_argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """An argument that is given by its name or at its position."""
    named = find_keyword(call, name)
    if named is not None:
        return named
    if position < len(call.args):
        return call.args[position]
    return None


def _is_true(call: ast.Call, name: str) -> bool:
    """Whether the call says `name=True`."""
    value = find_keyword(call, name)
    return isinstance(value, ast.Constant) and value.value is True


def _called_name(call: ast.Call) -> str:
    """`create_index` of `op.create_index(...)`; "" where no name is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", "")
