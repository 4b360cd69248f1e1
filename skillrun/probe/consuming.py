"""From which queues the workers of a repository take jobs, and who brings those that are due later,
as their command lines say it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

# What somebody else fills in: a variable, a template, a substitution.
_NOT_KNOWN_HERE = ("$", "{", "<", "%(", "*", "`")


@dataclass(frozen=True)
class QueueWords:
    """How a command line names queues: behind `options`, or in the words after `command` that
    belong to no option.
    """

    program: str
    command: str  # "worker"; "" where the program does nothing else
    options: tuple[str, ...] = ()
    # Options without a value, where the names stand after the command; () where they do not.
    flags: tuple[str, ...] = ()

    def is_worker(self, words: Sequence[str]) -> bool:
        """Whether a command line starts a worker."""
        is_said = not self.command or self.command in words[1:]
        return is_said and _begins_with(words, self.program)

    def list_named(self, words: Sequence[str]) -> list[str] | None:
        """The queues that it names, [] for none; None where they are known elsewhere alone.

        `words` are split at = as well.
        """
        named = self._list_behind_options(words) if self.options else self._list_free(words)
        if any(sign in word for word in named for sign in _NOT_KNOWN_HERE):
            return None
        return named

    def _list_behind_options(self, words: Sequence[str]) -> list[str]:
        named: list[str] = []
        is_queue = False
        for word in words:
            # -Qmail is -Q mail.
            short = next((one for one in self.options if _is_joined(word, one)), "")
            if short:
                named += word[len(short) :].split(",")
                is_queue = True
            elif word.startswith("-"):
                is_queue = word in self.options
            elif is_queue:
                named += word.split(",")
        return named

    def _list_free(self, words: Sequence[str]) -> list[str]:
        """Each option that is no flag has one value."""
        named: list[str] = []
        is_value = False
        for word in words[words.index(self.command) + 1 :]:
            if word.startswith("-"):
                is_value = word not in self.flags
            elif is_value:
                is_value = False
            else:
                named.append(word)
        return named


@dataclass(frozen=True)
class TimerWords:
    """How a command line starts what brings the jobs that are due later."""

    program: str
    command: str = ""  # "" where the program does nothing else
    options: tuple[str, ...] = ()  # one of them is there; () where none is needed

    def is_timer(self, words: Sequence[str]) -> bool:
        """Whether a command line starts it."""
        if not _begins_with(words, self.program):
            return False
        if self.command and self.command not in words:
            return False
        return not self.options or not _list_options(words).isdisjoint(self.options)


def _begins_with(words: Sequence[str], program: str) -> bool:
    """By itself, by its path, or as `python -m PROGRAM`."""
    return program in map(os.path.basename, words[:3])


def _list_options(words: Sequence[str]) -> set[str]:
    """With each letter of -vs as one of its own."""
    given: set[str] = set()
    for word in words:
        given.add(word)
        if word.startswith("-") and not word.startswith("--"):
            for letter in word[1:]:
                given.add(f"-{letter}")
    return given


def _is_joined(word: str, option: str) -> bool:
    is_short = len(option) == 2
    return is_short and word.startswith(option) and len(word) > 2


def list_consumed(
    ways: Sequence[QueueWords], commands: Sequence[Sequence[str]], default: Sequence[str]
) -> list[str] | None:
    """The queues that the workers which these command lines start take jobs from; None where that
    is not known. `default`: those of a worker that names none, empty where they are not known.
    """
    found: list[str] = []
    for words in commands:
        for way in ways:
            if not way.is_worker(words):
                continue
            named = way.list_named(words)
            queues = list(default) if named == [] else named
            if not queues:
                return None
            found += queues
    return list(dict.fromkeys(found))
