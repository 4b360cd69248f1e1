"""Takes the annotations out of a module, and with them the imports that nothing else needed."""

from __future__ import annotations

import re

import libcst as cst

from skillrun.skills.job_worker.scaffold.manner.pruning import prune

_WORD = re.compile(r"[A-Za-z_]\w*")


def without_annotations(source: str, line_length: int) -> str:
    """The module without annotations of functions and variables; those of class attributes stay,
    they have a meaning.

    A signature that was broken into lines is written in one where that fits in `line_length`
    columns. Raises libcst.ParserSyntaxError for what is no Python.
    """
    bare = _Bare(line_length)
    module = cst.parse_module(source).visit(bare)
    return prune(module.code, bare.words, line_length)


class _Bare(cst.CSTTransformer):
    def __init__(self, line_length: int) -> None:
        self.words: set[str] = set()  # of the annotations that went
        self._line_length = line_length
        self._inside: list[str] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._inside.append("class")

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        self._inside.pop()
        return updated_node

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._inside.append("function")

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self._inside.pop()
        self._drop(original_node.returns)
        bare = updated_node.with_changes(returns=None)
        changed = original_node.returns is not None or not original_node.params.deep_equals(
            updated_node.params
        )
        if changed:
            return _in_one_line(bare, self._line_length - 4 * len(self._inside))
        return bare

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        if original_node.annotation is None:
            return updated_node
        self._drop(original_node.annotation)
        none = cst.SimpleWhitespace("")
        equal: cst.AssignEqual | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
        if updated_node.default:
            equal = cst.AssignEqual(none, none)
        return updated_node.with_changes(annotation=None, equal=equal)

    def leave_AnnAssign(
        self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign
    ) -> cst.AnnAssign | cst.Assign:
        if updated_node.value is None or self._inside[-1:] == ["class"]:
            return updated_node
        self._drop(original_node.annotation)
        target = cst.AssignTarget(updated_node.target)
        return cst.Assign([target], updated_node.value, semicolon=updated_node.semicolon)

    def _drop(self, annotation: cst.Annotation | None) -> None:
        if annotation is not None:
            self.words |= set(_WORD.findall(cst.Module([]).code_for_node(annotation.annotation)))


def _in_one_line(function: cst.FunctionDef, columns: int) -> cst.FunctionDef:
    """The signature in one line where it was broken, fits, and has no comment."""
    if "\n" not in _signature(function) or "#" in _signature(function):
        return function
    flat = function.with_changes(
        params=function.params.visit(_Flat()), whitespace_before_params=cst.SimpleWhitespace("")
    )
    text = _signature(flat)
    if "\n" not in text and len(text) <= columns:
        return flat
    return function


def _signature(function: cst.FunctionDef) -> str:
    alone = function.with_changes(
        leading_lines=(),
        lines_after_decorators=(),
        decorators=(),
        body=cst.SimpleStatementSuite([cst.Pass()]),
    )
    return cst.Module([]).code_for_node(alone).rstrip().removesuffix("pass").rstrip()


class _Flat(cst.CSTTransformer):
    """Parameters one after the other."""

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        plain = cst.SimpleWhitespace("")
        return updated_node.with_changes(
            comma=cst.MaybeSentinel.DEFAULT, whitespace_after_param=plain
        )

    def leave_ParamStar(
        self, original_node: cst.ParamStar, updated_node: cst.ParamStar
    ) -> cst.ParamStar:
        return updated_node.with_changes(
            comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        )

    def leave_ParamSlash(
        self, original_node: cst.ParamSlash, updated_node: cst.ParamSlash
    ) -> cst.ParamSlash:
        return updated_node.with_changes(comma=cst.MaybeSentinel.DEFAULT)
