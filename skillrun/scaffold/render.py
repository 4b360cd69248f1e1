"""Templates into Python source: Jinja2, and the few functions that keep the lines as a formatter would leave them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Conventions, EffectCall, Facts, Field, Symbol

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
_WIDTH = 88


class Renderer:
    """Renders the templates of one folder; those of `scaffold/templates` and of the stores can be included from any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, template: str, facts: Facts, **more: Any) -> str:
        """The text of a template; `facts` and what else is given are its names. Unknown names are our bug."""
        writer = Writer(facts)
        names = {"facts": facts, "call": call, "seconds": seconds, "constant": constant}
        names |= {"log": writer.log, "ref": writer.ref, "imports": writer.imports}
        return tidy(_environment(self._folder).get_template(template).render(names, **more))


@cache
def _environment(folder: Path) -> Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER / "templates", FOLDER / "stores" / "templates"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters.update(
        source=source,
        parameter=parameter,
        taken=taken,
        passed=passed,
        identifier=identifier,
        equals=lambda name: f"{name} = ?",
        question=lambda _: "?",
    )
    return made


class Writer:
    """Code that depends on the module it stands in, and on how the repository logs."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def ref(self, symbol: Symbol, module: str | None = None) -> str:
        """How code in `module` (the handler's, where none is named) refers to a symbol; `imports` makes it so.

        A module of the repository is imported as a module, so that a name in it can be replaced; anything else by name.
        """
        here = self._facts.module if module is None else module
        if not symbol.module or symbol.module == here or not symbol.path:
            return symbol.name
        return symbol.written

    def imports(self, symbols: Iterable[Symbol | str] = (), module: str | None = None) -> str:
        """The import block for symbols and plain import lines, grouped and sorted, without what needs no import."""
        here = self._facts.module if module is None else module
        lines = [one if isinstance(one, str) else _import_of(one, here) for one in symbols]
        return import_block([line for line in lines if line], self._roots())

    def _roots(self) -> frozenset[str]:
        """The first parts of the repository's own modules, as far as this job knows them."""
        facts = self._facts
        named = [facts.app, facts.enqueue, facts.store.connect, facts.store.base, *(e.call for e in facts.effects)]
        ours = [symbol.module for symbol in named if symbol is not None and symbol.path]
        return frozenset(module.partition(".")[0] for module in (facts.module, facts.store.module, *ours) if module)

    def log(self, level: str, words: str, values: Sequence[tuple[str, str]] = (), indent: int = 4) -> str:
        """A log call in the repository's manner; `values` are (label, expression), a "reason" is shown by its repr."""
        return log_call(self._facts.conventions, level, words, values, indent)


def log_call(
    conventions: Conventions, level: str, words: str, values: Sequence[tuple[str, str]], indent: int = 4
) -> str:
    """See `Writer.log`."""
    name = f"{conventions.logger}.{level}"
    if conventions.log_style == "structlog":
        return call(name, [source(words), *(f"{label}={value}" for label, value in values)], indent)
    plain, shown = ("{}", "{!r}") if conventions.log_style == "loguru" else ("%s", "%r")
    marks = [f"{label}={shown if label == 'reason' else plain}" for label, _ in values]
    return call(name, [source(" ".join([words, *marks])), *(value for _, value in values)], indent)


def call(name: str, arguments: Sequence[str], indent: int = 0, suffix: str = "", *, prefix: str = "") -> str:
    """A call or a signature: in one line where it fits, else its arguments in one, else one a line.

    `indent` columns are to its left; `prefix` and `suffix` stand on its first and last line, e.g. "return " and ":".
    """
    given = ", ".join(arguments)
    line = f"{prefix}{name}({given}){suffix}"
    if indent + len(line) <= _WIDTH or not arguments:
        return line
    inner, outer = " " * (indent + 4), " " * indent
    if len(inner) + len(given) <= _WIDTH:
        return f"{prefix}{name}(\n{inner}{given}\n{outer}){suffix}"
    body = "".join(f"{inner}{argument},\n" for argument in arguments)
    return f"{prefix}{name}(\n{body}{outer}){suffix}"


def constant(name: str, value: Any) -> str:
    """An assignment of a JSON value; a dict that is too long for a line has one entry a line."""
    line = f"{name} = {source(value)}"
    if len(line) <= _WIDTH or not isinstance(value, dict):
        return line
    return f"{name} = {{\n" + "".join(f"    {source(key)}: {source(item)},\n" for key, item in value.items()) + "}"


# -- imports


def import_block(lines: Iterable[str], roots: frozenset[str]) -> str:
    """Import lines in groups (future, standard library, third party, own), merged and sorted as isort does."""
    groups: tuple[dict[str, set[str]], ...] = ({}, {}, {}, {})
    for line in lines:
        words = line.split(maxsplit=3)
        kept = groups[_group(words[1], roots)].setdefault(words[1], set())
        kept.update(name.strip() for name in words[3].split(",")) if words[0] == "from" else kept.add("")
    return "\n\n".join("\n".join(_lines(group)) for group in groups if group)


def _group(module: str, roots: frozenset[str]) -> int:
    first = module.partition(".")[0]
    if module == "__future__":
        return 0
    if module.startswith(".") or first in roots:
        return 3
    return 1 if first in sys.stdlib_module_names else 2


def _lines(group: dict[str, set[str]]) -> Iterable[str]:
    yield from (f"import {module}" for module in sorted(group, key=str.lower) if "" in group[module])
    for module in sorted(group, key=str.lower):
        names = sorted(group[module] - {""}, key=_by_type)
        if names:
            yield _from(module, names)


def _by_type(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as isort orders them."""
    bare = name.partition(" ")[0]
    return (0 if bare.isupper() and len(bare) > 1 else 1 if bare[:1].isupper() else 2), name


def _from(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _import_of(symbol: Symbol, here: str) -> str:
    """The line that makes `Writer.ref` of a symbol mean it."""
    if not symbol.module or symbol.module == here:
        return ""
    if not symbol.path:
        return f"from {symbol.module} import {symbol.name.partition('.')[0]}"
    package, _, tail = symbol.module.rpartition(".")
    return f"from {package} import {tail}" if package else f"import {tail}"


# -- filters


def source(value: Any) -> str:
    """Python source of a JSON value or a tuple, with double quotes as black writes them."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{source(key)}: {source(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(source, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(source, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def seconds(value: float) -> str:
    """A number of seconds without a needless fraction."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def parameter(field: Field) -> str:
    """A field as a parameter of a function."""
    if field.required:
        return f"{field.name}: {field.annotation}"
    optional = field.annotation if field.annotation == "Any" else f"{field.annotation} | None"
    return f"{field.name}: {optional} = None"


def taken(field: Field) -> str:
    """A field out of a payload."""
    return f'payload["{field.name}"]' if field.required else f'payload.get("{field.name}")'


def passed(effect: EffectCall, facts: Facts, handle: str = "") -> list[str]:
    """The arguments of a handler's call to an adapter: the open transaction, the fields, and the key."""
    first = [handle] if effect.handle_arg and handle else []
    given = [f"{name}={name}" for name in effect.arguments]
    return [*first, *given, *([f"{effect.key_arg}={key_source(facts)}"] if effect.key_arg else [])]


def key_source(facts: Facts) -> str:
    """The key that all deliveries of one job share, as an f-string over its key fields.

    Two texts side by side are written with their quotes: "a:b" and "c" must not look like "a" and "b:c".
    """
    texts = [field for field in facts.fields if field.name in facts.key and field.annotation == "str"]
    mark = "!r" if len(texts) > 1 else ""
    parts = [f"{{{name}{mark if any(name == text.name for text in texts) else ''}}}" for name in facts.key]
    return f'f"{facts.job}:{":".join(parts)}"'


def identifier(text: str) -> str:
    """A name of the spec as a name in Python."""
    made = re.sub(r"\W", "_", text)
    return f"_{made}" if made[:1].isdigit() else made


def tidy(text: str) -> str:
    """No spaces at line ends, never more than two empty lines, one line end at the end."""
    lines: list[str] = []
    for line in (one.rstrip() for one in text.strip("\n").split("\n")):
        if line or lines[-2:] != ["", ""]:
            lines.append(line)
    return "\n".join(lines) + "\n"
