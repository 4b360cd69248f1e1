"""Command lines that start the workers of a library that is only recognised."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrun.frameworks.interface import Place
from skillrun.repo.managers import CI_FILES

START_FILES = (
    *(
        "procfile*",
        "dockerfile*",
        "*.dockerfile",
        "makefile",
        "justfile",
        "*.sh",
        "*.yml",
        "*.yaml",
        "*.service",
    ),
    *("*.conf", "*.ini", "*entrypoint*", "package.json"),
)
_SEPARATORS = str.maketrans(dict.fromkeys("[]\",'`();&|=", " "))
_COMMENT = ("#", "//", ";")
# Of a package.json: a key may be the name of a dependency.
_VALUE = re.compile(r'(?<!"name)(?<!"description)"\s*:\s*"((?:[^"\\]|\\.)*)"')


def find_starts(path: str, text: str, words: tuple[str, ...]) -> Iterator[Place]:
    """Every line that holds the words in this order, each as a word of a command; comments and CI
    are left out.
    """
    if path.startswith(".github/") or CI_FILES.fullmatch(path):
        return
    least = 1 if path.endswith("package.json") else 2
    for number, line in enumerate(text.splitlines(), 1):
        command = " ".join(_VALUE.findall(line)) if least == 1 else line
        if (
            words[0] in command
            and not line.lstrip().startswith(_COMMENT)
            and _starts(command, words, least)
        ):
            yield Place(path, number, line.strip())


def _starts(line: str, words: tuple[str, ...], least: int) -> bool:
    """More than the name of a service or an item of a list: `arq:` and `- arq` start nothing."""
    said = [
        word.rpartition("/")[2] for word in line.translate(_SEPARATORS).split() if word.strip("-:")
    ]
    at = -1
    for word in words:
        if word not in said[at + 1 :]:
            return False
        at = said.index(word, at + 1)
    return len(said) >= least
