"""Where a name of another language than Python is defined, as far as its line alone tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.repo.places import is_test
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.contract.languages import Language
    from skillrun.repo.tree import Tree

_WORD = re.compile(r"\w+[?!]?")
# Before the word that is defined, e.g. `class `, `def self.`, `export async function `,
# `func (w *Worker) `, `defmodule Shop.`, `export const `.
_DEFINES = (
    r"\s*((export|default|public|private|internal|final|sealed|abstract|async|static|pub|open|data)"
    r"\s+)*(class|module|def|defp|defmodule|function|func|fn|fun|struct|type|record|interface"
    r"|const|let|var)\s+(\([^)]*\)\s*)?([\w:.\\]*[.:\\])?"
)
# The file of a test, without its suffix: `test_mail`, `mail_test`, `mail.spec`, `MailTest`.
_TEST_NAME = re.compile(r"tests?[_.].*|(.*[._-])?(tests?|spec)|\w*(Tests?|Spec)")


def find_tests(tree: Tree, language: Language) -> list[str]:
    """The files of a language that are named as tests; helpers and factories beside
    them are not.
    """
    tests = []
    # Asked by a glob, which is a look-up: a test that comes later makes the stage stale.
    for suffix in language.suffixes:
        for path in tree.match(f"**/*{suffix}"):
            stem = path.rpartition("/")[2].rpartition(".")[0]
            if is_test(path) and _TEST_NAME.fullmatch(stem):
                tests.append(path)
    return sorted(set(tests))


def find_named(tree: Tree, language: Language, name: str) -> Place | None:
    """Where a name of the spec is defined: `src/mail.ts#send` in that file, every other one where
    its last word is, else the one before: `perform_async` of `Parser.perform_async` is nobody's
    own.
    """
    path, hash_sign, inner = name.rpartition("#")
    if hash_sign and path in tree.files:
        return _find_line(tree, path, inner)
    for word in reversed(_WORD.findall(name)):
        places = []
        for suffix in language.suffixes:
            for candidate in tree.search(word.rstrip("?!"), suffix):
                places += _find_definitions(tree, candidate, word)
        if places:
            return min(places, key=_rank_place)
    return None


def list_words(name: str) -> list[str]:
    """`Net`, `ReadTimeout` of `Net::ReadTimeout`; of `src/jobs/mail.ts#send` what is
    in that file.
    """
    inner = name.rpartition("#")[2]
    return [word.rstrip("?!") for word in _WORD.findall(inner)]


def find_last_word(name: str) -> str:
    """`send` of `src/jobs/mail.ts#send`, `ReadTimeout` of `Net::ReadTimeout`; ""
    where it has none.
    """
    words = list_words(name)
    if not words:
        return ""
    return words[-1]


def _rank_place(place: Place) -> tuple[bool, str, int]:
    """Outside of the tests first."""
    return is_test(place.path), place.path, place.line


def _find_definitions(tree: Tree, path: str, word: str) -> list[Place]:
    """The lines of a file that define a word, as far as the line alone tells."""
    defines = re.compile(_DEFINES + re.escape(word) + r"(?!\w)")
    found = []
    for number, text in enumerate(_read_lines(tree, path), 1):
        if defines.match(text):
            found.append(Place(path, number, text.strip()))
    return found


def _find_line(tree: Tree, path: str, word: str) -> Place | None:
    """The line of a file that defines a word, else the first one that has it."""
    for place in _find_definitions(tree, path, word):
        return place
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    for number, text in enumerate(_read_lines(tree, path), 1):
        if word and whole.search(text):
            return Place(path, number, text.strip())
    return None


def _read_lines(tree: Tree, path: str) -> list[str]:
    return (tree.read(path) or b"").decode("utf-8", "replace").splitlines()
