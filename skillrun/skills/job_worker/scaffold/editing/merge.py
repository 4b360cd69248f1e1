"""What a module lacks of a template is added to it; every byte that is there stays."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import libcst as cst

from skillrun.runner.changes import Kept
from skillrun.skills.job_worker.scaffold.editing.bindings import (
    Binding,
    Follow,
    Imported,
    is_main,
    is_type_checking,
    list_bindings,
    list_defined,
    list_imported,
    list_used,
    top_level,
    unfollowed,
)
from skillrun.skills.job_worker.scaffold.editing.body import (
    header_split,
    pair_statements,
    with_statements,
)
from skillrun.skills.job_worker.scaffold.editing.imports import (
    Manner,
    Missing,
    end_of_imports,
    manner_of,
    with_imports,
)
from skillrun.skills.job_worker.scaffold.editing.lacking import is_there
from skillrun.skills.job_worker.scaffold.editing.literals import add_entry
from skillrun.skills.job_worker.scaffold.editing.sections import add_section
from skillrun.skills.job_worker.scaffold.editing.source import (
    CannotEdit,
    Source,
    Statement,
    fit_template,
    lines_of,
    means_same,
    read_source,
    set_off,
)

__all__ = ["CannotEdit", "Merged", "add_entry", "add_section", "merge_module"]

MAIN = 'if __name__ == "__main__"'


@dataclass(frozen=True)
class Merged:
    """A module with what it lacked."""

    text: str
    # The names of definitions, the first line of other statements; imports are not named.
    added: tuple[str, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Wanted:
    """A top-level statement of the template, imports aside."""

    statement: ast.stmt
    node: Statement
    names: tuple[str, ...]  # that it binds

    @property
    def title(self) -> str:
        if is_main(self.statement):
            return MAIN
        return ", ".join(self.names) or ast.unparse(self.statement).splitlines()[0]


@dataclass(frozen=True)
class Sorted:
    """The statements of a template, by what becomes of them."""

    new: tuple[Wanted, ...]
    present: tuple[Wanted, ...]
    kept: tuple[tuple[Wanted, ast.stmt], ...]  # with what is there instead


def merge_module(
    path: str,
    existing: str | None,
    wanted: str,
    own: Collection[str] = (),
    line_length: int = 88,
    follow: Follow = unfollowed,
) -> Merged:
    """The existing module with each top-level statement of `wanted` that it lacks; `wanted` where
    there is none.

    A definition is there when its name is bound at the top level, whatever binds it. One that
    differs is left alone and reported in `kept`, with a diff of the whole file, and imports that it
    alone would need are not added. The docstring of the template is for a module of its own: one
    that is there says what it is, or says nothing. `own` names the top-level packages of the
    repository, for the group of an import; the one of `path` needs no mention. An import that gets
    longer than `line_length` is put in parentheses. `follow` knows the repository's re-exports.
    Raises CannotEdit for a file that cannot be read, and for an imported name that means something
    else in it.
    """
    if existing is None or not existing.strip("\ufeff \t\r\n\f"):
        return Merged(wanted, list_titles(statements_of(read_source(path, wanted))), ())
    there = read_source(path, existing, line_length)
    template = read_source(path, fit_template(wanted, there))
    if not there.module.body:
        return beside_comments(there, template)
    if template.module.body:
        template = replace(template, module=header_split(template.module))
    known = list_bindings(there.tree, path)
    found = sort_out(statements_of(template), there, known)
    manner = manner_of(there, own)
    missing = missing_imports(template, found, known, path, follow)
    module = with_everything(there.module, found, missing, manner)
    text = existing
    if module is not there.module:
        text = there.edited(module)
    kept = [report_kept(there, template, one, instead) for one, instead in found.kept]
    return Merged(text, list_titles(found.new), tuple(kept))


def list_titles(statements: Iterable[Wanted]) -> tuple[str, ...]:
    """What people are told of statements: the names that each binds, or its first line."""
    return tuple(one.title for one in statements)


def beside_comments(there: Source, template: Source) -> Merged:
    """The template below the comments that are all there is in a module."""
    end = there.module.default_newline
    above = there.text
    if not above.endswith(("\n", "\r")):
        above += end
    text = f"{there.bom}{above}{end}{template.text}"
    return Merged(text, list_titles(statements_of(template)), ())


# -- what there is to add


def statements_of(template: Source) -> list[Wanted]:
    """The top-level statements, imports and the docstring aside."""
    pairs = pair_statements(template.module.body, template.tree.body)
    if find_docstring(template):
        pairs = pairs[1:]
    wanted = []
    for node, statement in pairs:
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        if not is_import and not only_for_types(statement):
            wanted.append(Wanted(statement, node, tuple(names_within(statement))))
    return wanted


def only_for_types(statement: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:` over imports and nothing else."""
    if not is_type_checking(statement) or not isinstance(statement, ast.If) or statement.orelse:
        return False
    return all(isinstance(inner, ast.Import | ast.ImportFrom) for inner in statement.body)


def names_within(statement: ast.stmt) -> list[str]:
    """What a statement binds, or the statements in its blocks."""
    if is_main(statement):
        return []
    names: list[str] = []
    for inner, _ in top_level([statement]):
        names += list_defined(inner)
    return list(dict.fromkeys(names))


def sort_out(wanted: Sequence[Wanted], there: Source, known: dict[str, list[Binding]]) -> Sorted:
    """Which statements are new, which are there, and which are there in another form."""
    statements = [statement for statement, _ in top_level(there.tree.body)]
    new, present, kept = [], [], []
    for one in wanted:
        rivals = rivals_of(one, statements, known)
        # What binds no name may stand anywhere.
        candidates = statements
        if one.names:
            candidates = rivals
        if any(means_same(one.statement, statement) for statement in candidates):
            present.append(one)
        elif rivals:
            kept.append((one, rivals[0]))
        else:
            new.append(one)
    return Sorted(tuple(new), tuple(present), tuple(kept))


def rivals_of(
    wanted: Wanted, statements: Sequence[ast.stmt], known: dict[str, list[Binding]]
) -> list[ast.stmt]:
    """The statements that stand in the place of a wanted one: they bind its names, or are the
    module's main block.
    """
    if is_main(wanted.statement):
        return [statement for statement in statements if is_main(statement)]
    if isinstance(wanted.statement, ast.If | ast.Try | ast.With):
        whole = []
        for statement in statements:
            if means_same(statement, wanted.statement):
                whole.append(statement)
        if whole:
            return whole
    bound = []
    for name in wanted.names:
        for binding in known.get(name, ()):
            if not binding.for_types:
                bound.append(binding.statement)
    return bound


def find_docstring(source: Source) -> ast.Expr | None:
    """The statement that is the module's docstring."""
    body = source.tree.body
    if body and isinstance(body[0], ast.Expr) and ast.get_docstring(source.tree) is not None:
        return body[0]
    return None


# -- imports


def missing_imports(
    template: Source, found: Sorted, known: dict[str, list[Binding]], path: str, follow: Follow
) -> dict[bool, list[Missing]]:
    """The imports to add, by whether they are for type checkers only."""
    result: dict[bool, list[Missing]] = {False: [], True: []}
    for node, statement in pair_statements(template.module.body, template.tree.body):
        for_types = only_for_types(statement)
        pairs = [(node, statement)]
        if for_types:
            assert isinstance(statement, ast.If)
            block = getattr(getattr(node, "body", None), "body", ())
            pairs = pair_statements(block, statement.body)
        for line, one in pairs:
            if not isinstance(one, ast.Import | ast.ImportFrom):
                continue
            lacking = lacking_names(one, found, known, path, follow, for_types=for_types)
            # A line that holds nothing else can be taken over, comments too.
            whole = None
            if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
                whole = line
            if lacking:
                result[for_types].append(Missing(one, lacking, whole))
    return result


def lacking_names(
    statement: ast.Import | ast.ImportFrom,
    found: Sorted,
    known: dict[str, list[Binding]],
    path: str,
    follow: Follow,
    *,
    for_types: bool,
) -> tuple[ast.alias, ...]:
    """The names of an import that are needed and not there. Raises CannotEdit where one means
    something else.
    """
    lacking = []
    for one in list_imported(statement, path):
        if not is_needed(one, statement, found):
            continue
        bound = known.get(one.name, [])
        if not is_there(one, bound, path, for_types=for_types, follow=follow):
            lacking.append(one.alias)
    return tuple(lacking)


def is_needed(one: Imported, statement: ast.Import | ast.ImportFrom, found: Sorted) -> bool:
    """Whether a name is needed: not where only statements that were not added mention it. An import
    that nothing mentions is needed.
    """
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return bool(found.new)
    for wanted in (*found.new, *found.present):
        if one.name in list_used(wanted.statement):
            return True
    return not any(one.name in list_used(wanted.statement) for wanted, _ in found.kept)


# -- putting it together


def with_everything(
    module: cst.Module,
    found: Sorted,
    missing: dict[bool, list[Missing]],
    manner: Manner,
) -> cst.Module:
    """The module with the imports and statements that it lacks; itself where it lacks none."""
    if not found.new and not any(missing.values()):
        return module
    module = header_split(module)
    body = with_imports(list(module.body), missing[False], manner)
    body = with_typed_imports(body, missing[True], manner)
    return with_statements(
        module.with_changes(body=body), [(one.statement, one.node) for one in found.new]
    )


def with_typed_imports(
    body: list[Statement], missing: list[Missing], manner: Manner
) -> list[Statement]:
    """The statements with these imports in the `if TYPE_CHECKING:` that is there, else in a new one
    below the imports.
    """
    if not missing:
        return body
    for number, statement in enumerate(body):
        block = None
        if isinstance(statement, cst.If):
            block = statement.body
        if isinstance(block, cst.IndentedBlock) and is_for_types(statement, manner):
            inner = with_imports(block.body, missing, manner)  # type: ignore[arg-type]
            return [
                *body[:number],
                statement.with_changes(body=block.with_changes(body=inner)),
                *body[number + 1 :],
            ]
    index = end_of_imports(body)
    lines = with_imports([], missing, manner)
    new = cst.If(cst.Name("TYPE_CHECKING"), cst.IndentedBlock(lines))
    return [*body[:index], set_off(new, 1), *body[index:]]


def is_for_types(statement: Statement, manner: Manner) -> bool:
    """Whether it is `if TYPE_CHECKING:` or `if typing.TYPE_CHECKING:`."""
    if not isinstance(statement, cst.If):
        return False
    return manner.code(statement.test).rpartition(".")[2] == "TYPE_CHECKING"


# -- what stays as it is


def report_kept(there: Source, template: Source, wanted: Wanted, instead: ast.stmt) -> Kept:
    """The report of a statement that is there in another form."""
    start, end = find_lines(instead)
    old = lines_of(there.text)
    left, right = find_lines(wanted.statement)
    indent = " " * instead.col_offset
    lines = []
    for line in lines_of(template.text)[left:right]:
        if line.strip():
            lines.append(indent + line)
        else:
            lines.append(line)
    new = [*old[:start], *lines, *old[end:]]
    diff = difflib.unified_diff(as_lines(old), as_lines(new), f"a/{there.path}", f"b/{there.path}")
    return Kept(there.path, start + 1, wanted.title, "".join(diff))


def find_lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a statement with its decorators: the first counted from 0, and the one after the
    last.
    """
    decorators = getattr(statement, "decorator_list", [])
    start = min([statement.lineno, *(one.lineno for one in decorators)])
    return start - 1, statement.end_lineno or statement.lineno


def as_lines(lines: Sequence[str]) -> list[str]:
    """The lines with one kind of line end, also the last one, as a diff has them."""
    return [line.rstrip("\r\n") + "\n" for line in lines]
