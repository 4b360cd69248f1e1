"""Templates into Python source, with Jinja2; how the lines are laid out is in `layout.py`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.layout import call, constant, doc, import_block, seconds, source, tidy
from skillrun.frameworks.pieces import Conventions, EffectCall, Facts, Field, Symbol
from skillrun.skills.job_worker.scaffold import metrics
from skillrun.skills.job_worker.scaffold.shadowing import find_shadowed
from skillrun.skills.job_worker.scaffold.words import ending, handler_notes

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context

FOLDER = Path(__file__).parent
_OF_TESTS = (
    "run",
    "run_all",
    "work",
    "Pool",
    "sent_payloads",
    "dead",
    "database",
    "pytest",
    "Any",
    "Adapter",
    "PAYLOAD",
    "OTHER",
    "monkeypatch",
    "tmp_path",
)


_LAYOUT: dict[str, Callable[..., str]] = {"call": call, "constant": constant, "doc": doc}


class Renderer:
    """Renders the templates of one folder; those of `scaffold/templates` and of the stores can be
    included from any.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, template: str, facts: Facts, **more: Any) -> str:
        """The text of a template; `facts` and what else is given are its names. Unknown names are
        our bug.
        """
        writer, width = TemplateHelpers(facts), facts.conventions.line_length
        names = {"facts": facts, "seconds": seconds}
        names |= {name: partial(laid, width=width) for name, laid in _LAYOUT.items()}
        names |= {
            "retried": _spell_retried(facts),
            "caught": _spell_caught(facts),
            "ending": ending,
            "handler_notes": handler_notes,
        }
        names |= {
            "log": writer.log,
            "logger": writer.logger,
            "publish": writer.publish,
            "ref": writer.ref,
            "imports": writer.imports,
        }
        made = _environment(self._folder).get_template(template)
        text = tidy(made.render(names, **more, shadowed=frozenset()))
        shadowed = find_shadowed(text)
        if not shadowed:
            return text
        # What a module imports is known once it is written: then it is written again, with other
        # names of its own.
        return tidy(made.render(names, **more, shadowed=shadowed))


@cache
def _environment(folder: Path) -> Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(
            [folder, FOLDER / "templates", FOLDER / "stores" / "templates"]
        ),
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
        identifier=jinja2.pass_context(_own_identifier),
        own_name=jinja2.pass_context(_own_name),
        raised=raised,
        equals=lambda name: f"{name} = ?",
        question=lambda _: "?",
    )
    return made


def _own_identifier(context: Context, text: str) -> str:
    """The fixture of an effect, as `fixture_name` has it, beside what the module imports."""
    name = fixture_name(text, context["facts"])
    if name in context["shadowed"]:
        return f"{name}_calls"
    return name


def _own_name(context: Context, name: str) -> str:
    """A name that the template itself chose, of a fixture or a variable, beside what the module
    imports.
    """
    if name in context["shadowed"]:
        return f"job_{name}"
    return name


class TemplateHelpers:
    """Code that depends on the module it stands in, and on how the repository logs."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._width = facts.conventions.line_length

    def ref(self, symbol: Symbol, module: str | None = None) -> str:
        """How code in `module` (the handler's, where none is named) refers to a symbol; `imports`
        makes it so.

        A module of the repository is imported as a module, so that a name in it can be replaced;
        anything else by name.
        """
        here = self._name_module(module)
        if not symbol.module or symbol.module == here or not symbol.path:
            return symbol.name
        return symbol.written

    def imports(self, symbols: Iterable[Symbol | str] = (), module: str | None = None) -> str:
        """The import block for symbols and plain import lines, grouped and sorted, without what
        needs no import.
        """
        here = self._name_module(module)
        wanted = [*symbols]
        if here == self._facts.module:
            wanted += metrics.needed(self._facts)
        lines: list[str] = []
        for one in wanted:
            if isinstance(one, Symbol):
                lines += _list_import(one, here)
            elif one:
                lines.append(one)
        return import_block(lines, self._facts.own_packages, self._width)

    def _name_module(self, named: str | None) -> str:
        """Where the code stands: in the handler's module, unless another one is named."""
        if named is None:
            return self._facts.module
        return named

    def log(
        self, level: str, words: str, values: Sequence[tuple[str, str]] = (), indent: int = 4
    ) -> str:
        """A log call in the repository's manner, and a count where it counts; `values` are (label,
        expression).

        A "reason" is shown by its repr. The words behind the handler's name are the outcome that is
        counted.
        """
        line = log_call(self._facts.conventions, level, words, values, indent)
        outcome = words.removeprefix(self._facts.name).strip().partition(",")[0]
        client = ""
        if self._facts.conventions.metrics_client is not None:
            client = self.ref(self._facts.conventions.metrics_client)
        counted = metrics.count(self._facts, outcome, client)
        if counted:
            return f"{line}\n{' ' * indent}{counted}"
        return line

    def publish(self, name: str, arguments: Sequence[str], indent: int = 4) -> str:
        """The call that publishes the job; in a Django project it waits for the commit of the open
        transaction.
        """
        if not self._facts.django:
            return call(name, arguments, indent, width=self._width)
        return call(
            "transaction.on_commit",
            [f"lambda: {name}({', '.join(arguments)})"],
            indent,
            width=self._width,
        )

    def logger(self, module: str | None = None) -> str:
        """The module's logger, and in the handler's module its counter; "" where the imports alone
        bind them.
        """
        conventions = self._facts.conventions
        made = ""
        if conventions.logger_value:
            made = f"{conventions.logger} = {conventions.logger_value}"
        counter = ""
        if module in (None, self._facts.module):
            counter = metrics.definition(self._facts)
        return "\n\n".join(part for part in (made, counter) if part)


def log_call(
    conventions: Conventions,
    level: str,
    words: str,
    values: Sequence[tuple[str, str]],
    indent: int = 4,
) -> str:
    """See `Writer.log`."""
    # Loguru does not show what is only a keyword.
    loguru = "loguru" in conventions.logger_import
    if conventions.log_style == "structlog" and not loguru:
        arguments = [source(words)]
        for label, value in values:
            arguments.append(f"{label}={value}")
    else:
        plain, shown = "%s", "%r"
        if loguru:
            plain, shown = "{}", "{!r}"
        message = words
        for label, _ in values:
            mark = plain
            if label == "reason":
                mark = shown
            message += f" {label}={mark}"
        arguments = [source(message), *(value for _, value in values)]
    name = f"{conventions.logger}.{level}"
    return call(name, arguments, indent, width=conventions.line_length)


def _spell_retried(facts: Facts) -> str:
    """The errors that are tried again, as a tuple."""
    names = _list_retried(facts)
    if len(names) == 1:
        return f"({names[0]},)"
    return f"({', '.join(names)})"


def _spell_caught(facts: Facts) -> str:
    """The same for `except` and isinstance: one error stands for itself."""
    names = _list_retried(facts)
    if len(names) == 1:
        return names[0]
    return f"({', '.join(names)})"


def _list_retried(facts: Facts) -> list[str]:
    """The transient errors, as the handler's module refers to them."""
    names = []
    for error in facts.transient:
        if error.path and error.module != facts.module:
            names.append(error.written)
        else:
            names.append(error.name)
    return names


def _list_import(symbol: Symbol, here: str) -> list[str]:
    """The line that makes `Writer.ref` of a symbol mean it; none where it needs none."""
    if not symbol.module or symbol.module == here:
        return []
    if not symbol.path:
        return [f"from {symbol.module} import {symbol.name.partition('.')[0]}"]
    package, _, tail = symbol.module.rpartition(".")
    if package:
        return [f"from {package} import {tail}"]
    return [f"import {tail}"]


# -- filters


def parameter(field: Field) -> str:
    """A field as a parameter of a function."""
    if field.required:
        return f"{field.name}: {field.annotation}"
    if field.annotation == "Any":
        return f"{field.name}: Any = None"
    return f"{field.name}: {field.annotation} | None = None"


def taken(field: Field) -> str:
    """A field out of a payload."""
    if field.required:
        return f'payload["{field.name}"]'
    return f'payload.get("{field.name}")'


def passed(effect: EffectCall, facts: Facts, handle: str = "") -> list[str]:
    """The arguments of a handler's call to an adapter: the open transaction, the fields, and the
    key.
    """
    arguments = [f"{name}={name}" for name in effect.arguments]
    if effect.handle_arg and handle:
        arguments.insert(0, handle)
    if effect.key_arg:
        arguments.append(f"{effect.key_arg}={key_source(facts)}")
    return arguments


def key_source(facts: Facts) -> str:
    """The key that all deliveries of one job share, as an f-string over its key fields.

    Two texts side by side are written with their quotes: "a:b" and "c" must not look like "a" and
    "b:c".
    """
    texts = set()
    for field in facts.fields:
        if field.name in facts.key and field.annotation == "str":
            texts.add(field.name)
    parts = []
    for name in facts.key:
        if len(texts) > 1 and name in texts:
            parts.append(f"{{{name}!r}}")
        else:
            parts.append(f"{{{name}}}")
    return f'f"{facts.job}:{":".join(parts)}"'


def raised(error: Symbol) -> str:
    """An instance of an error, as a test makes it."""
    given = '"as told"'
    if error.args:
        given = ", ".join(map(source, error.args))
    if error.path:
        return f"{error.written}({given})"
    return f"{error.name}({given})"


def fixture_name(text: str, facts: Facts) -> str:
    """The name of an effect as that of a fixture beside the other names of the tests."""
    made = re.sub(r"\W", "_", text)
    if made[:1].isdigit():
        made = f"_{made}"
    symbols = [*facts.transient, *facts.permanent]
    for effect in facts.effects:
        symbols.append(effect.call)
    modules = {symbol.tail for symbol in symbols}
    taken = {
        *modules,
        facts.name,
        facts.enqueue.name,
        facts.store.tail,
        facts.module.rpartition(".")[2],
        *_OF_TESTS,
    }
    if made in taken or keyword.iskeyword(made):
        return f"{made}_calls"
    return made
