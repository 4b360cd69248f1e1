"""An answer that says of a failure, and is read as a success: a failure is no exception alone."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.answers.coded_errors import find_given_up, list_coded_errors
from skillrun.wall.answers.ways import (
    SUCCESS,
    Compared,
    Mistaken,
    Way,
    compare_sides,
    find_root,
    read_code,
)
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import found, quoted
from skillrun.wall.gaming.specs import at, base_document, listed

ID = "failed-answer"
HELP = (
    "A failure is also an answer: a status, a word in its body, a receipt that is missing. Found, in"
    " code behind an effect's call and in a handler: an answer with which the base raised an error"
    " (or gave back something else than after a success), and with which the branch goes on as after"
    " a success (error; warning where code of elsewhere looks at the answer); and one that is given"
    " up for ever with a status that may pass."
)
_HINT = "raise an error where the answer says that it failed; a person decides what is no failure"


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each function and way."""
    if next(iter(diff.python_files()), None) is None:
        return
    told: set[str] = set()
    for spec in diff.specs:
        old = base_document(diff, spec)
        if spec.new_document is None or old is None:
            continue
        new = spec.new_document.value
        yield from _look_at_pairs(diff, _pair_names(old.value, new), new, told)
        yield from _look_at_codes(diff, old.value, new)


def _look_at_codes(diff: Diff, old: object, new: object) -> Iterator[Finding]:
    """A handler that tells an effect's errors by their code, and gives up more of them."""
    was, now = str(at(old, "handler")), str(at(new, "handler"))
    effects = read_asked(diff, diff.after).effects
    for coded in list_coded_errors(diff.before.project, old):
        before = read_code(diff.before, [was], effects, coded)
        after = read_code(diff.after, [now], effects, coded)
        old_root, new_root = find_root(before, was), find_root(after, now)
        if old_root is None or new_root is None or before.list_texts() == after.list_texts():
            continue
        given_up = find_given_up((before, old_root), (after, new_root), coded)
        if given_up is None:
            continue
        file, line = _find_place(diff, given_up.way)
        said = (
            f"{quoted(now)} no longer tries again after {quoted(coded.kinds[0])} with the code"
            f" {given_up.code}; the base does the same with it as with {given_up.passing}:"
            f" {quoted(file.new_line(line))}"
        )
        yield found(ID, file, line, said, is_error=given_up.is_certain, hint=_HINT)


def _pair_names(old: object, new: object) -> list[tuple[str, str]]:
    """The effects' functions of both sides, and the handlers."""
    were = {}
    for effect in listed(at(old, "effects")):
        were[str(at(effect, "name"))] = str(at(effect, "call"))
    pairs = [(str(at(old, "handler")), str(at(new, "handler")))]
    for effect in listed(at(new, "effects")):
        call = str(at(effect, "call"))
        pairs.append((were.get(str(at(effect, "name")), call), call))
    return pairs


def _look_at_pairs(
    diff: Diff, pairs: list[tuple[str, str]], spec: object, told: set[str]
) -> Iterator[Finding]:
    effects = read_asked(diff, diff.after).effects
    for was, now in pairs:
        if now in told:
            continue
        told.add(now)
        compared = _compare_function(diff, was, now, effects)
        if compared is not None:
            yield from _tell_mistaken(diff, compared, now)
            yield from _tell_given_up(diff, compared, spec, now)


def _compare_function(diff: Diff, was: str, now: str, effects: frozenset[str]) -> Compared | None:
    # What an adapter calls by its own name is the client's function, and no effect.
    others = effects - {was.replace(":", "."), now.replace(":", ".")}
    old = read_code(diff.before, [was], others)
    new = read_code(diff.after, [now], others)
    old_root, new_root = find_root(old, was), find_root(new, now)
    if old_root is None or new_root is None:
        return None
    if not (old.leads_out(old_root) and new.leads_out(new_root)):
        return None
    if old.list_texts() == new.list_texts():
        return None
    return compare_sides((old, old_root), (new, new_root))


def _tell_mistaken(diff: Diff, compared: Compared, name: str) -> Iterator[Finding]:
    known: set[tuple[str, int]] = set()
    for mistaken in compared.find_mistaken():
        file, line = _find_place(diff, mistaken.way)
        if (file.path, line) in known:
            continue
        known.add((file.path, line))
        said = (
            f"{quoted(name)} takes {_say_answer(mistaken)} for a success{_say_before(mistaken)}:"
            f" {quoted(file.new_line(line))}"
        )
        yield found(ID, file, line, said, is_error=mistaken.is_certain, hint=_HINT)


def _say_answer(mistaken: Mistaken) -> str:
    if mistaken.status != SUCCESS:
        return f"an answer with status {mistaken.status}"
    return "an answer that says that it failed"


def _say_before(mistaken: Mistaken) -> str:
    if not mistaken.kinds:
        return ", which the base does not"
    return f", with which the base raises {quoted(mistaken.kinds[0])}"


def _tell_given_up(diff: Diff, compared: Compared, spec: object, name: str) -> Iterator[Finding]:
    passing = _list_words(spec, "transient")
    final = _list_words(spec, "permanent")
    for mistaken in compared.find_given_up(passing, final):
        file, line = _find_place(diff, mistaken.way)
        said = (
            f"{quoted(name)} raises {quoted(mistaken.way.failure[0])} for status {mistaken.status},"
            f" which is given up, and raised {quoted(mistaken.kinds[0])}, which is tried again:"
            f" {quoted(file.new_line(line))}"
        )
        yield found(ID, file, line, said, is_error=mistaken.is_certain, hint=_HINT)
        return


def _list_words(spec: object, kind: str) -> set[str]:
    words = set()
    for one in listed(at(spec, "failures", kind)):
        # Of `shop.mailer:BadAddress`, the class.
        words.add(str(one).replace(":", ".").rpartition(".")[2])
    return words


def _find_place(diff: Diff, way: Way) -> tuple[File, int]:
    """The last line of the way that the branch has written, else its last."""
    files = {file.path: file for file in diff.files}
    for path, line in reversed(way.trail):
        file = files.get(path)
        if file is not None and line in {number for number, _ in file.added_lines()}:
            return file, line
    path, line = way.trail[-1] if way.trail else ("", 1)
    text = diff.after.texts.get(path)
    return files.get(path, File(path, path, text, text)), line
