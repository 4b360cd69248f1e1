"""Command lines that start the workers of a job library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from skillrun.frameworks.common.joining import whole_command
from skillrun.repo.managers import CI_FILES
from skillrun.repo.places import is_aside
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

START_FILES = (
    *(
        "procfile*",
        "dockerfile*",
        "*.dockerfile",
        "makefile",
        "justfile",
        "*.mk",
        "*.sh",
        "*.bash",
        "run",
        "dev",
        "start*",
    ),
    *(
        "*.yml",
        "*.yaml",
        "*.toml",
        "*.service",
        "*.service.*",
        "*.conf",
        "*.conf.*",
        "*.ini",
        "*.cfg",
        "*.tf",
    ),
    *("*entrypoint*", "*worker*", "*consumer*", "package.json"),
)
_SEPARATORS = str.maketrans(dict.fromkeys("[]\",'`();&|=", " "))
_LIST_OF_OPTION = re.compile(r"(?<!\S)--?[A-Za-z][\w-]*[ =]?[\w.-]+(?:,[\w.]+)+(?!\S)")
_KEPT_COMMA = "\0"
# `$APP`, `${APP}` and `${APP:-shop.celery}` of a shell; compose writes the `$` twice.
_VARIABLE = re.compile(r"\$?\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?[-=]([\w.:-]*))?\})")
# `export APP=shop.celery`, `APP: shop.celery` and `- APP=shop.celery`; one word is a name.
_SET = re.compile(
    r"\s*(?:export\s+|-\s+|Environment=|ENV\s+)?[\"']?([A-Za-z_]\w*)\s*[:=]\s*[\"']?([\w.:]+)[\"']?\s*"
)
_COMMENT = ("#", "//", ";")
# Of a package.json: a key may be the name of a dependency.
_VALUE = re.compile(r'(?<!"name)(?<!"description)"\s*:\s*"((?:[^"\\]|\\.)*)"')
# The word before the name of a program that says it is installed, imported or only named.
_NO_START = re.compile(
    r"\b(?:import|from|install|add|image|uses|name|hostname|container_name)\b[:=\s]"
)
# In these files an entry may be a dependency; a command is assigned to something.
_SETTINGS = (".toml", ".cfg", ".ini")
_ASSIGNED = re.compile(r"(?:command|cmd|run|worker|=)\s*[=\"'\[]")
_LISTED = re.compile(r"\s*- [\"']?[\w./-]+[\"']?\s*$")
_COMMAND_KEY = re.compile(r"\b(?:command|entrypoint|args):")
# Lines of a command that is written as a list, one word a line.
_JOINED = 24
# Lines above such a list in which its key stands.
_ABOVE = 4


@dataclass(frozen=True)
class Start:
    """A line that starts a worker, and the words of its command from the program on."""

    place: Place
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command with one space between the words."""
        return " ".join(self.words)


def find_commands(tree: Tree, program: str) -> Iterator[Start]:
    """The repository's own command lines of a program, in order of path and line."""
    for path in sorted(tree.search(program, "")):
        name = path.rpartition("/")[2].lower()
        if is_aside(path) or not any(fnmatch(name, glob) for glob in START_FILES):
            continue
        text = (tree.read(path) or b"").decode("utf-8", "replace")
        yield from find_starts(path, text, (program,))


def split_commands(words: Sequence[str], program: str) -> list[tuple[str, ...]]:
    """`python manage.py migrate && python worker.py`: a command for each time the program stands
    there. The words are a line's, from the first time on, without what stood between commands.
    """
    found: list[list[str]] = []
    for word in words:
        if word.rpartition("/")[2] == program:
            found.append([])
        found[-1].append(word)
    return [tuple(command) for command in found]


def find_starts(path: str, text: str, commands: tuple[str, ...]) -> Iterator[Start]:
    """Every line that holds the words of a command in their order; comments and CI are left out."""
    if path.startswith(".github/") or CI_FILES.fullmatch(path):
        return
    wanted = [command.split() for command in commands]
    programs = {words[0] for words in wanted}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith(_COMMENT):
            continue
        if any(program in line for program in programs):
            started = _read_start(path, lines, number, wanted)
            if started:
                yield Start(Place(path, number + 1, line.strip()), started)


def _read_start(
    path: str, lines: list[str], number: int, wanted: list[list[str]]
) -> tuple[str, ...]:
    """The command that a line begins, or nothing."""
    line = lines[number]
    words = _read_words(path, lines, number)
    # More than the name of a service or an item of a list: `arq:` and `- arq` start nothing.
    least = 2
    if path.endswith("package.json"):
        least = 1
    if len(words) < least:
        return ()
    for one in wanted:
        at = _find_words([word.rpartition("/")[2] for word in words], one)
        if at is None or one[0] not in line:
            continue
        if len(one) > 1 or _is_command(path, line, words[at]):
            return tuple(words[at:])
    return ()


def _read_words(path: str, lines: list[str], number: int) -> list[str]:
    """Those of the command that a line begins; none of an item in a list that is no command."""
    line = lines[number]
    is_item = _LISTED.match(line) is not None and path.endswith((".yml", ".yaml"))
    if is_item and not _is_in_command(lines, number):
        return []
    if path.endswith("package.json"):
        command = " ".join(_VALUE.findall(line))
    else:
        command = whole_command(lines, number, _JOINED, listed=is_item)
    command = _LIST_OF_OPTION.sub(_keep_commas, command)
    command = _VARIABLE.sub(lambda found: _find_value(lines, found), command)
    words = command.translate(_SEPARATORS).replace(_KEPT_COMMA, ",").split()
    return [word for word in words if word.strip("-:")]


def _find_value(lines: list[str], variable: re.Match[str]) -> str:
    """What the same file sets a variable to, else what is written beside it, `${APP:-shop}`; the
    variable itself where nobody says.
    """
    name, default = variable[1] or variable[2], variable[3]
    for line in lines:
        found = _SET.fullmatch(line)
        if found and found[1] == name:
            return found[2]
    return default or variable[0]


def _keep_commas(found: re.Match[str]) -> str:
    """`-Q mail,celery` is one value, whatever its parts are called."""
    return found[0].replace(",", _KEPT_COMMA)


def _is_in_command(lines: list[str], number: int) -> bool:
    above = lines[max(0, number - _ABOVE) : number]
    return any(_COMMAND_KEY.search(line) for line in above)


def _find_words(said: list[str], words: list[str]) -> int | None:
    """Where the first of the words stands, if all are there in this order."""
    at = first = -1
    for word in words:
        if word not in said[at + 1 :]:
            return None
        at = said.index(word, at + 1)
        if first < 0:
            first = at
    return first


def _is_command(path: str, line: str, program: str) -> bool:
    """Of a program that needs no further word: it is neither a dependency nor a name."""
    before = line[: line.find(program)]
    if _NO_START.search(before):
        return False
    return not path.endswith(_SETTINGS) or _ASSIGNED.search(before) is not None
