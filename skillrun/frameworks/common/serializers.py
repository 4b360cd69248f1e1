"""The serializers of messages: which one an expression names, and what it can carry."""

from __future__ import annotations

import ast

from skillrun.frameworks.common.reading import held_value
from skillrun.repo.python import Module, Project

SIGNED_PICKLE = "signed pickle"
PICKLES = frozenset({"pickle", SIGNED_PICKLE, "application/x-python-serialize"})
# What carries numbers, texts, lists and mappings alone -> its name for a reader.
PLAIN_DATA = {
    "json": "JSON",
    "application/json": "JSON",
    "yaml": "YAML",
    "application/x-yaml": "YAML",
    "msgpack": "msgpack",
    "application/x-msgpack": "msgpack",
}
JSON = frozenset({"json", "application/json"})
_WHAT_KOMBU_REFUSES = (
    "datetime.timedelta",
    "builtins.set",
    "builtins.frozenset",
    "pathlib.Path",
)
# Constructors, as `json.dumps` of the standard library refuses what they make.
REFUSED_BY_JSON = (
    "datetime.datetime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.datetime.fromisoformat",
    "datetime.datetime.fromtimestamp",
    "datetime.datetime.strptime",
    "datetime.datetime.combine",
    "django.utils.timezone.now",
    "django.utils.timezone.localtime",
    "datetime.date",
    "datetime.date.today",
    "datetime.date.fromisoformat",
    "datetime.time",
    "decimal.Decimal",
    "uuid.UUID",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid.uuid5",
    *_WHAT_KOMBU_REFUSES,
)
# kombu's JSON writes dates, decimals and UUIDs beside their type, and reads them back as such
# (kombu/utils/json.py).
REFUSED_BY_KOMBU = _WHAT_KOMBU_REFUSES
# One of the repository's, or another package's: nobody knows what it carries.
CUSTOM = "custom"

# A module is named after what it writes: orjson, jsonpickle, ormsgpack. pickle comes first,
# because jsonpickle carries what pickle does.
_WORDS = ("pickle", "msgpack", "json")
# With these JSON carries more than plain data.
_EXTENDED = ("default=", "cls=", "object_hook=")


def name_serializer(project: Project, node: ast.expr, module: Module) -> str:
    """What an expression such as `json.loads`, `lambda data: msgpack.unpackb(data)` or a function
    of the repository reads or writes.
    """
    text = _find_text(project, node, module).lower()
    if any(word in text for word in _EXTENDED):
        return CUSTOM
    for word in _WORDS:
        if word in text:
            return word
    return CUSTOM


def _find_text(project: Project, node: ast.expr, module: Module) -> str:
    """The expression, and what it leads to."""
    written = ast.unparse(node)
    if isinstance(node, ast.Call):
        target = node.func
    else:
        target = node
    name = module.resolve(target)
    own = None
    if name:
        own = project.definition(name)
    if own is not None:
        return written + ast.unparse(own.node)
    held = held_value(project, node, module)
    behind = ""
    if held is not None:
        behind = ast.unparse(held[0])
    return f"{written} {project.origin(name or '')} {behind}"
