"""Reads the recipes of a Makefile (with what it includes) and of a justfile (with its modules)."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from skillrun.repo.shell import (
    commands_in,
    find_purpose,
    needed_variables,
    unset_in_task,
    without_prefix,
)

Read = Callable[[str], str | None]

_MAKE_RULE = re.compile(r"^([\w./%-][\w./% -]*?)\s*::?(?![:=])\s*([^=]*)$")
_MAKE_VARIABLE = re.compile(
    r"^(?:(?:export|override|private)\s+)*([\w.-]+)\s*(:{0,3}|\?|\+|!)=\s*(.*)$"
)
# `test: PYTHON = true` is a variable of one target.
_TARGET_VARIABLE = re.compile(r"^([\w./%-][\w./% -]*?)\s*::?\s+([\w.-]+\s*(?::{0,3}|\?|\+|!)=.*)$")
# Indented within `ifeq`, of a target with `export`, by `define` or `$(eval NAME := ...)`.
_SET_SOMEHOW = re.compile(
    r"(?m)(?:^ +|\bexport\s+|\bdefine\s+|\$\(eval\s+)([\w.-]+)(?=\s*(?:(?::{0,3}|\?|\+|!)=|$))"
)
_CONDITION = re.compile(r"^ *if(?:n?eq|n?def)\b")
_END_OF_CONDITION = re.compile(r"^ *endif\b")
# A tab before a condition is skipped where no rule is open.
_INDENTED_CONDITION = re.compile(r"^\t[ \t]*(?:if(?:n?eq|n?def)|endif)\b")
_DEFINE = re.compile(r"^ *(?:(?:export|override|private) +)*define +(?![:?+!]{0,3}=)\S")
_END_OF_DEFINE = re.compile(r"^[ \t]*endef\b")
_EVALUATED = re.compile(r"\$[({]eval\b")
# What an empty recipe ends with, beside others of which it is not known which one runs.
_EMPTY_RECIPE = "exit 0"
_DOUBLE_COLON = re.compile(r"^[^:=]*::(?![:=])")
# `ifndef DB_HOST`, and `$(error ...)` in the line below it.
_IF_NOT_SET = re.compile(r"[ \t]*ifndef[ ]+([\w.-]+)[ \t]*$")
_ERROR = re.compile(r"([ \t]*)(\$[({]error\b.*)$")
_INCLUDE = re.compile(r"^-?s?include\s+(.+)$")
_REFERENCE = re.compile(r"\$[({]([\w.-]+)[)}]")
_JUST_RECIPE = re.compile(r"^@?([\w-]+)((?:\s+[^:=]+|\s+\w+=\S+)*)\s*:(?!=)\s*(.*)$")
# `export HOST := "a"`, `HOST=a` in a recipe of several lines, and a parameter `$HOST`.
_JUST_ASSIGNS = re.compile(r"\b([A-Za-z_][\w-]*)\s*:?=")
_JUST_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)(?=[^:\n]*:)")
_JUST_ENV = re.compile(r"\{\{\s*env(?:_var)?\(\s*['\"](\w+)['\"]\s*\)\s*\}\}")
_JUST_MODULE = re.compile(r"^mod\??\s+([\w-]+)(?:\s+['\"]([^'\"]+)['\"])?")
_SUBMAKE = re.compile(r"^(?:@|-)*(?:\$\(MAKE\)|\$\{MAKE\}|make|just)\s+([\w.-]+)\s*$")
# Files that include each other; more is a program's work.
_MOST_FILES = 50
# No variable of make has a blank in its name: an included file that is not there.
_NOT_READ = "not read"
# The names without which all targets, or one of them, end in `$(error ...)`.
_STOPS = "stops without"
# The names that are set in a way whose value is not read.
_SOMEHOW = "set somehow"


@dataclass
class Recipe:
    """A target: where it is, the lines it runs (variables expanded), what it needs first."""

    name: str
    path: str
    line: int
    lines: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)  # variables that hold for this target alone
    unset: list[str] = field(default_factory=list)  # variables that it needs and nothing sets
    given_by: object = None  # the rule that gave the lines

    @property
    def is_empty(self) -> bool:
        """Runs nothing and needs nothing."""
        return not self.lines and not self.needs


def make_recipes(path: str, read: Read, *, expand: bool = True) -> dict[str, Recipe]:
    """Target -> recipe of a Makefile and the files that it includes; `expand`: with its
    variables.
    """
    reader = _MakeReader(read)
    reader.read_file(path)
    recipes, variables = reader.recipes, reader.variables
    for recipe in recipes.values():
        known = {}
        if expand:
            known = {**variables, **recipe.own}
        recipe.lines = [_expand_variables(line, known) for line in recipe.lines]
    inlined = _inline_all(recipes)
    if _NOT_READ not in variables:
        set_names = {*variables, *variables.get(_SOMEHOW, "").split()}
        for name, recipe in inlined.items():
            recipe.unset = needed_variables(recipe.lines, set_names | recipes[name].own.keys())
            stops = variables.get(_STOPS, "").split()
            for line in recipe.lines:
                stops += variables.get(f"{_STOPS} {line}", "").split()
            recipe.unset += [needed for needed in stops if needed not in set_names]
    return inlined


def _note_stops(text: str, variables: dict[str, str]) -> None:
    """Notes under `_STOPS` the names without which make ends, and under `_STOPS` with a recipe's
    line, `$(error ...)`, those without which a recipe that has the line does. Within another
    condition make may never come to the line.
    """
    depth = 0
    lines = text.splitlines()
    for line, following in itertools.zip_longest(lines, lines[1:], fillvalue=""):
        needed, stops = _IF_NOT_SET.match(line), _ERROR.match(following)
        if needed and stops and depth == 0:
            key = _STOPS
            if stops[1].startswith("\t"):
                key = f"{_STOPS} {stops[2].strip()}"
            variables[key] = f"{variables.get(key, '')} {needed[1]}"
        # A tab before a condition is skipped where no rule is open.
        depth += _count_condition(line.replace("\t", " "))


class _MakeReader:
    """Reads a Makefile, and the files that it includes, into recipes and variables."""

    def __init__(self, read: Read) -> None:
        self.recipes: dict[str, Recipe] = {}
        self.variables: dict[str, str] = {}
        self._read = read
        self._seen: set[str] = set()

    def read_file(self, path: str, depth: int = 0) -> None:
        """`depth`: in how many conditions the line stands that includes the file."""
        text = self._read(path)
        if text is None or path in self._seen or len(self._seen) > _MOST_FILES:
            return
        self._seen.add(path)
        somehow = (self.variables.get(_SOMEHOW, ""), *_SET_SOMEHOW.findall(text))
        self.variables[_SOMEHOW] = " ".join(somehow)
        _note_stops(text, self.variables)
        current: list[Recipe] = []
        rule: object = None
        hides = _hides_rules(text)
        for number, line in _leave_out_defines(text):
            if line.startswith("\t"):
                _take_line(current, line, rule)
                continue
            depth += _count_condition(line)
            found = None
            if not self._read_setting(line, path, number, depth + hides):
                found = _MAKE_RULE.match(line.partition("#")[0].rstrip())
            if found:
                # Which of the rules within `ifeq` make takes is not known, and of `test::` all
                # count.
                rule, right = None, found[2]
                if _DOUBLE_COLON.match(line):
                    right = right.rstrip("; ")
                elif depth == 0 and not hides:
                    rule = (path, number)
                current = _start_recipes(found[1], right, path, number, self.recipes, rule)

    def _read_setting(self, line: str, path: str, number: int, depth: int) -> bool:
        """Reads a line that includes files or sets a variable; False for any other line."""
        if included := _INCLUDE.match(line):
            self._include_files(included[1], path, depth)
        elif assigned := _MAKE_VARIABLE.match(line):
            _assign_variable(self.variables, assigned)
        elif private := _TARGET_VARIABLE.match(line):
            for started in _start_recipes(private[1], "", path, number, self.recipes):
                if own := _MAKE_VARIABLE.match(private[2]):
                    _assign_variable(started.own, own)
        else:
            return False
        return True

    def _include_files(self, names: str, path: str, depth: int) -> None:
        for name in _expand_variables(names, self.variables).split():
            place = _find_included(path, name, self._read)
            # It may set anything. What only a person's own `.env` sets is set nowhere.
            is_own = posixpath.basename(place).startswith(".env")
            if self._read(place) is None and not is_own:
                self.variables[_NOT_READ] = place
            self.read_file(place, depth)


def _hides_rules(text: str) -> bool:
    """Whether a makefile has what may keep a rule from make though its lines look like one: text of
    `define`, a call of a function over several lines, conditions whose ends do not fit. No rule of
    it takes the place of another then.
    """
    depth = 0
    for _, line in _logical_lines(text):
        depth += _count_condition(line)
        if depth < 0 or _hides_lines(line):
            return True
    return depth > 0


def _hides_lines(line: str) -> bool:
    """Whether the lines behind this one may be none of make's own."""
    if line.startswith("\t"):
        return _INDENTED_CONDITION.match(line) is not None
    return _DEFINE.match(line) is not None or _leaves_call_open(line)


def _leaves_call_open(line: str) -> bool:
    """Whether `$(` or `${` begins in a line and does not end in it."""
    return _is_left_open(line, "(", ")") or _is_left_open(line, "{", "}")


def _is_left_open(line: str, begin: str, end: str) -> bool:
    return f"${begin}" in line and line.count(begin) > line.count(end)


def _leave_out_defines(text: str) -> Iterator[tuple[int, str]]:
    """The logical lines without the text of `define`, which is a variable's value. With `$(eval`
    it may be a makefile's text: its lines are left then.
    """
    if _EVALUATED.search(text):
        yield from _logical_lines(text)
        return
    depth = 0
    for number, line in _logical_lines(text):
        # Within one, a tab begins no line of a recipe.
        if _DEFINE.match(line):
            depth += 1
        elif depth and _END_OF_DEFINE.match(line):
            depth -= 1
        elif not depth:
            yield number, line


def _count_condition(line: str) -> int:
    """1 for a line that begins a condition, -1 for one that ends it, else 0."""
    if _CONDITION.match(line):
        return 1
    return -int(_END_OF_CONDITION.match(line) is not None)


def _assign_variable(variables: dict[str, str], assigned: re.Match[str]) -> None:
    """`?=` leaves what is set, `+=` adds to it, `!=` takes what a shell prints."""
    name, how, value = assigned[1], assigned[2], assigned[3].strip()
    if how == "?":
        variables.setdefault(name, value)
    elif how == "+":
        variables[name] = f"{variables.get(name, '')} {value}".strip()
    elif how == "!":
        variables[name] = f"$(shell {value})"
    elif how.startswith(":"):
        # It is read at once, so that it may build on what it had: `ARGS := $(ARGS) -q`.
        variables[name] = _expand_variables(value, variables)
    else:
        variables[name] = value


def _start_recipes(
    names: str,
    right: str,
    path: str,
    number: int,
    recipes: dict[str, Recipe],
    rule: object = None,
) -> list[Recipe]:
    needs, has_recipe, inline = right.partition(";")
    started = []
    for name in names.split():
        recipe = recipes.setdefault(name, Recipe(name, path, number))
        recipe.needs += [need for need in needs.split() if need != "|"]
        if has_recipe and not inline.strip():
            _empty_recipe(recipe, rule)
        _take_line([recipe], inline, rule)
        started.append(recipe)
    return started


def _empty_recipe(recipe: Recipe, rule: object) -> None:
    """An empty recipe (`test: ;`) takes the place of an earlier rule's, or may do so."""
    if rule is not None:
        recipe.lines.clear()
        recipe.given_by = rule
    elif recipe.lines:
        recipe.lines.append(_EMPTY_RECIPE)


def _take_line(recipes: list[Recipe], line: str, rule: object) -> None:
    """A line of a rule's recipe. Of several rules that give a target a recipe, make runs the last
    one; `rule` is None where all of them count. A line of a tab alone is a recipe too.
    """
    for recipe in recipes:
        if rule is not None and line and recipe.given_by != rule:
            recipe.lines.clear()
            recipe.given_by = rule
    _add_line(recipes, line)


def _add_line(recipes: list[Recipe], line: str) -> None:
    text = line.strip()
    if text and not text.startswith("#"):
        for recipe in recipes:
            recipe.lines.append(text)


def _find_included(path: str, name: str, read: Read) -> str:
    """make includes relative to where it runs, which is the folder of the first Makefile in
    practice.
    """
    local = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    if read(local) is not None:
        return local
    return posixpath.normpath(name)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) with continuation lines joined."""
    start, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            start = number
        if held:
            joined = f"{held} {line.strip()}"
        else:
            joined = line
        if joined.endswith("\\"):
            held = joined[:-1].rstrip()
            continue
        yield start, joined
        held = ""
    if held:
        yield start, held


def _expand_variables(text: str, variables: dict[str, str], depth: int = 0) -> str:
    """Known variables replaced; others are left as they stand."""
    if depth > 5 or "$" not in text:
        return text
    replaced = _REFERENCE.sub(lambda found: variables.get(found[1], found[0]), text)
    if replaced == text:
        return replaced
    return _expand_variables(replaced[:4000], variables, depth + 1)


def _inline_all(recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """Lines that only call another target are replaced by that target's lines."""
    return {name: _inline_called(recipe, recipes, {name}) for name, recipe in recipes.items()}


def _inline_called(recipe: Recipe, recipes: dict[str, Recipe], above: set[str]) -> Recipe:
    lines = []
    for line in recipe.lines:
        called = _SUBMAKE.match(line)
        other = None
        if called:
            other = recipes.get(called[1])
        if other and other.name not in above:
            lines += _inline_called(other, recipes, above | {other.name}).lines
        else:
            lines.append(line)
    return Recipe(recipe.name, recipe.path, recipe.line, lines, recipe.needs, unset=recipe.unset)


def just_recipes(path: str, read: Read) -> dict[str, Recipe]:
    """Recipe -> lines of a justfile; those of a module are named "module recipe"."""
    recipes: dict[str, Recipe] = {}
    current: list[Recipe] = []
    text = read(path) or ""
    for number, line in _logical_lines(text):
        if line[:1] in (" ", "\t"):
            _add_line(current, line)
        elif module := _JUST_MODULE.match(line):
            recipes |= _read_module(path, module[1], module[2], read)
        elif found := _JUST_RECIPE.match(line.partition(" #")[0]):
            recipe = Recipe(found[1], path, number, needs=re.findall(r"[\w-]+", found[3]))
            recipe.unset = _list_required(found[2])
            current = [recipes.setdefault(recipe.name, recipe)]
    # What a person's own `.env` sets may be any.
    if not re.search(r"(?m)^set\s+dotenv", text):
        known = {*_JUST_ASSIGNS.findall(text), *_JUST_PARAMETER.findall(text)}
        for recipe in recipes.values():
            recipe.unset += _list_unset_in_just(recipe.lines, known)
    return _inline_all(recipes)


def _list_unset_in_just(lines: list[str], known: Collection[str]) -> list[str]:
    """The variables of the environment that a just recipe's lines need: `$DB_HOST`, and
    `{{env("DB_HOST")}}` without a default.
    """
    unset = []
    for line in commands_in("\n".join(lines)):
        unset += _JUST_ENV.findall(line)
        if find_purpose(without_prefix(line.lstrip("@-"))):
            unset += unset_in_task(line, known)
    return unset


def _list_required(parameters: str) -> list[str]:
    """The parameters of a just recipe that have no default: `suite` and `+files` of
    `test suite +files *args flags="":`.
    """
    required = []
    # A default may hold blanks: args="-x tests -v".
    for word in re.sub(r"\"[^\"]*\"|'[^']*'", "''", parameters).split():
        if re.fullmatch(r"[+$]?[A-Za-z_][\w-]*", word):
            required.append(word.lstrip("+$"))
    return required


def _read_module(path: str, name: str, where: str | None, read: Read) -> dict[str, Recipe]:
    folder = posixpath.dirname(path)
    if where:
        places = [where]
    else:
        places = [f"{name}.just", f"{name}/mod.just", f"{name}/justfile", f"{name}/.justfile"]
    for place in places:
        full = posixpath.normpath(posixpath.join(folder, place))
        if full != path and read(full) is not None:
            inner = just_recipes(full, read)
            return {f"{name} {recipe.name}": recipe for recipe in inner.values()}
    return {}
