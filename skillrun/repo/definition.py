"""A function or class of the repository, as names lead to it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from skillrun.repo.source import FunctionNode, Module


@dataclass(frozen=True)
class Definition:
    """A function or class of the repository. `name` is its dotted name within the module, e.g.
    "Mailer.send".
    """

    name: str
    path: str
    line: int  # of `def` or `class`, not of its decorators
    node: FunctionNode | ast.ClassDef
    module: Module

    @property
    def decorators(self) -> tuple[ast.expr, ...]:
        """The decorator expressions, the outermost first."""
        return tuple(self.node.decorator_list)

    @property
    def dotted(self) -> str:
        """ "shop.mailer.Mailer.send"."""
        return f"{self.module.name}.{self.name}"

    @property
    def import_path(self) -> str:
        """ "shop.mailer:Mailer.send"."""
        return f"{self.module.name}:{self.name}"

    @property
    def is_class(self) -> bool:
        """It is a class."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the positional and keyword parameters in order, without `*args` and `**kwargs`;
        () for a class.
        """
        if isinstance(self.node, ast.ClassDef):
            return ()
        args = self.node.args
        return tuple(a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs))
