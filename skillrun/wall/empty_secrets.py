"""The secrets that the code takes from its environment and that nobody gives it: a client with an
empty token sends nothing, and what it would send cannot be compared.

Two commits get the same values, so that they differ in nothing by them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from skillrun.proof.result import Target
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.tree import Tree

# Letters and digits alone, as most providers' tokens are.
PLAUSIBLE = "skillrun0proof0only0secret"
# No passwords: those of the proof's own servers are empty, and a client that is given one for them
# asks them in vain.
_SECRET = re.compile(
    r"(?:^|_)(?:(?:SECRET|TOKEN|CREDENTIALS?)"
    r"|(?:API|ACCESS|AUTH|SECRET|ACCOUNT|SHARED)_?KEY)(?:_ID)?$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_EMPTY = ("", None)


def give_secrets(target: Target) -> Target:
    """The same job with a value for each secret that is empty or missing in its environment."""
    proof = target.spec.proof
    if proof is None:
        return target
    lacking = {}
    for name in list_secrets(Tree(target.root)):
        if not proof.env.get(name):
            lacking[name] = PLAUSIBLE
    for name, value in proof.env.items():
        if not value and _SECRET.search(name):
            lacking[name] = PLAUSIBLE
    if not lacking:
        return target
    given = proof.model_copy(update={"env": {**proof.env, **lacking}})
    return replace(target, spec=target.spec.model_copy(update={"proof": given}))


def list_secrets(tree: Tree) -> Iterator[str]:
    """The variables that the code reads as secrets, where it has no value of its own for them."""
    for path in tree.files:
        if not path.endswith(".py") or is_taken_for_tests(path):
            continue
        try:
            module = ast.parse(tree.peek(path) or b"")
        except (SyntaxError, ValueError, RecursionError):
            continue
        yield from _list_read(module)


def _list_read(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield from _read_call(node)
        elif isinstance(node, ast.Subscript):
            yield from _read_subscript(node)
        elif isinstance(node, ast.ClassDef):
            yield from _read_settings(node)


def _read_call(call: ast.Call) -> Iterator[str]:
    """`os.environ.get("SHOP_TOKEN", "")`, `env("SHOP_TOKEN", default="")`."""
    if not call.args or not isinstance(call.args[0], ast.Constant):
        return
    name = call.args[0].value
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or not _SECRET.search(name):
        return
    defaults = call.args[1:]
    defaults += [one.value for one in call.keywords if one.arg == "default"]
    if all(map(_is_empty, defaults)):
        yield name


def _read_subscript(taken: ast.Subscript) -> Iterator[str]:
    """`os.environ["SHOP_TOKEN"]`, which fails where nobody gives it."""
    name = taken.slice.value if isinstance(taken.slice, ast.Constant) else None
    is_read = isinstance(taken.ctx, ast.Load) and ast.unparse(taken.value).endswith("environ")
    if is_read and isinstance(name, str) and _SECRET.search(name):
        yield name


def _read_settings(cls: ast.ClassDef) -> Iterator[str]:
    """Pydantic's settings: a field is the variable of its name, behind a prefix."""
    if not any(ast.unparse(base).endswith("Settings") for base in cls.bases):
        return
    prefix = _find_prefix(cls)
    for node in cls.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if _SECRET.search(node.target.id) and (node.value is None or _is_empty(node.value)):
            yield f"{prefix}{node.target.id}".upper()


def _find_prefix(cls: ast.ClassDef) -> str:
    """Of `SettingsConfigDict(env_prefix="SHOP_")`, or of a class `Config` within."""
    for node in ast.walk(cls):
        named = ""
        if isinstance(node, ast.keyword):
            named = str(node.arg)
        elif isinstance(node, ast.Assign):
            named = ast.unparse(node.targets[0])
        value = getattr(node, "value", None)
        if named == "env_prefix" and isinstance(value, ast.Constant):
            return str(value.value)
    return ""


def _is_empty(value: ast.expr) -> bool:
    """Of `SecretStr("")` too."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value in _EMPTY
