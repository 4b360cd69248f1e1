"""What a branch changes behind an effect's call: no proof sees that, since it stands in for it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, base_document, listed
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.key_flow import KeyFlow, iterate_losses
from skillrun.wall.watched.key_making import KeyMaking, Shortened
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach
from skillrun.wall.watched.silent_ways import list_silent_ways

ID = "altered-adapter"
HELP = (
    "A proof stands in for the function behind an effect's call, and sees nothing of its code. "
    "Found there: an idempotency key that is cut, replaced or dropped, a further call that goes "
    "out, errors that no longer come out, and a condition under which nothing goes out without an "
    "error (errors); a call that lost its time-out (warning); any other change (note)."
)
_HINT = "put it back, or let a person decide it: no proof looks behind an effect's call"


_COPIES = ("cc", "bcc", "cc_addresses", "bcc_addresses", "ccaddresses", "bccaddresses")


@dataclass(frozen=True)
class Adapter:
    """The code behind an effect on one side."""

    definition: Definition
    reach: Reach
    parameter: str | None

    def count_calls(self) -> int:
        """How many calls go out of one call of the adapter at most."""
        return Outgoing(self.reach).count(self.definition.node, self.definition.module)

    def list_calls(self) -> list[tuple[str, str, int]]:
        """(name, path, line) of those calls."""
        found = []
        for node, definition in self.reach.functions.items():
            for name, line in Outgoing(self.reach).list_calls([node]):
                found.append((name, definition.path, line))
        return found

    def list_waits(self) -> list[tuple[str, str, int, bool]]:
        """(name, path, line, whether it has a time-out) of the calls that go out."""
        found = []
        for node, definition in self.reach.functions.items():
            outgoing = {line for _, line in Outgoing(self.reach).list_calls([node])}
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and call.lineno in outgoing:
                    is_ended = self._has_timeout(definition, call)
                    found.append((ast.unparse(call.func), definition.path, call.lineno, is_ended))
        return found

    def _has_timeout(self, definition: Definition, call: ast.Call) -> bool:
        for keyword in call.keywords:
            if keyword.arg == "timeout":
                value = self.reach.project.literal(keyword.value, definition.module)
                return value is not None
        return False

    def list_copies(self) -> list[tuple[str, str, int]]:
        """(word, path, line) of each further recipient that a message is given."""
        found = []
        for node, definition in self.reach.functions.items():
            for part in ast.walk(node):
                word, line = "", 0
                if isinstance(part, ast.keyword):
                    word, line = part.arg or "", part.value.lineno
                elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                    word, line = part.value, part.lineno
                if word.lower() in _COPIES:
                    found.append((word.lower(), definition.path, line))
        return found

    def count_keyless(self, flow: KeyFlow) -> int:
        """How many functions call out and have no key at hand."""
        outgoing = Outgoing(self.reach)
        count = 0
        for node in self.reach.functions:
            if node not in flow.users and outgoing.list_calls([node]):
                count += 1
        return count

    def follow_key(self) -> KeyFlow:
        """What becomes of the key."""
        flow = KeyFlow(self.reach)
        if self.parameter is not None:
            flow.follow(self.definition, self.parameter)
        return flow

    def list_texts(self) -> Counter[str]:
        """Each function, without what says nothing: comments, lines, texts that document."""
        texts: Counter[str] = Counter()
        for node in self.reach.functions:
            if isinstance(node, FunctionNode):
                texts[_dump_code(node)] += 1
        return texts


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of each effect that both sides have."""
    told: set[str] = set()
    for spec in diff.specs:
        old = base_document(diff, spec)
        if spec.new_document is None or old is None:
            continue
        were = {str(at(effect, "name")): effect for effect in listed(at(old.value, "effects"))}
        for effect in listed(at(spec.new_document.value, "effects")):
            was = were.get(str(at(effect, "name")), effect)
            call = str(at(effect, "call"))
            if call not in told:
                told.add(call)
                yield from _compare_effect(diff, was, effect)
                yield from _find_short_keys(diff, effect)


def _compare_effect(diff: Diff, was: object, effect: object) -> Iterator[Finding]:
    old = _read_adapter(diff.before, was)
    new = _read_adapter(diff.after, effect)
    if old is None or new is None:
        return
    name = quoted(at(effect, "call"))
    # Whether a call ends by itself is often said by a constant beside the function.
    yield from _find_endless_calls(diff, old, new, name)
    if old.list_texts() == new.list_texts():
        return
    findings = [
        *_find_losses(diff, old, new, name),
        *_find_further_calls(diff, old, new, name),
        *_find_silent(diff, old, new, name),
        *_find_recipients(diff, old, new, name),
    ]
    yield from findings
    if not findings:
        yield _note_change(diff, old, new, name)


def _find_short_keys(diff: Diff, effect: object) -> Iterator[Finding]:
    """A key that the handler newly makes into less than what tells the jobs apart."""
    parameter = at(effect, "key_arg")
    if not isinstance(parameter, str):
        return
    call = str(at(effect, "call"))
    known = Counter(one.said for one in _list_shortened(diff, diff.before, call, parameter))
    for one in _list_shortened(diff, diff.after, call, parameter):
        known[one.said] -= 1
        if known[one.said] < 0:
            file = _find_file(diff, one.path)
            said = f"the key of {quoted(call)} {one.said}: {quoted(file.new_line(one.line))}"
            yield taken(ID, file, one.line, said, hint=_HINT)


def _list_shortened(
    diff: Diff, sources: CommitSources, call: str, parameter: str
) -> list[Shortened]:
    reach = sources.reach_from(read_asked(diff, sources).handlers)
    return list(KeyMaking(reach).find_shortened(call, parameter))


def _read_adapter(sources: CommitSources, effect: object) -> Adapter | None:
    project = sources.project
    call = str(at(effect, "call"))
    definition = project.find(call)
    if definition is None:
        return None
    reach = sources.reach_from([call])
    parameter = at(effect, "key_arg")
    # Importing its module runs more than the adapter does.
    return Adapter(definition, _keep_below(reach, definition), parameter or None)


def _keep_below(reach: Reach, definition: Definition) -> Reach:
    """Only what the adapter itself reaches, and not what else its modules hold."""
    below: set[ast.AST] = set()
    waiting: list[ast.AST] = []
    for part in reach.project.callables(definition):
        waiting.append(part.node)
    while waiting:
        node = waiting.pop()
        if node not in below:
            below.add(node)
            waiting += reach.below.get(node, ())
    for node in [*reach.functions]:
        if node not in below:
            del reach.functions[node]
    return reach


def _find_losses(diff: Diff, old: Adapter, new: Adapter, name: str) -> Iterator[Finding]:
    was, now = old.follow_key(), new.follow_key()
    for loss in iterate_losses(now, was):
        file = _find_file(diff, loss.path)
        said = f"the key of {name} {loss.kind}: {quoted(file.new_line(loss.line))}"
        yield taken(ID, file, loss.line, said, hint=_HINT)
    is_dropped = now.uses < was.uses and new.count_keyless(now) > old.count_keyless(was)
    if is_dropped:
        file = _find_file(diff, new.definition.path)
        said = f"{name} calls out without its key now"
        yield taken(ID, file, new.definition.line, said, hint=_HINT)


def _find_further_calls(diff: Diff, old: Adapter, new: Adapter, name: str) -> Iterator[Finding]:
    before, after = old.count_calls(), new.count_calls()
    if after <= before:
        return
    known = Counter(call for call, _, _ in old.list_calls())
    place = (new.definition.path, new.definition.line)
    for call, path, line in new.list_calls():
        known[call] -= 1
        if known[call] < 0:
            place = (path, line)
            break
    file = _find_file(diff, place[0])
    said = (
        f"one call of {name} may go out {after} times now, and went out {before} times:"
        f" {quoted(file.new_line(place[1]))}"
    )
    yield taken(ID, file, place[1], said, hint=_HINT)


def _find_endless_calls(diff: Diff, old: Adapter, new: Adapter, name: str) -> Iterator[Finding]:
    """Calls that waited for a while only, and now for ever; a client may say it instead."""
    known = {call for call, _, _, is_ended in old.list_waits() if is_ended}
    for call, path, line, is_ended in new.list_waits():
        if call in known and not is_ended:
            file = _find_file(diff, path)
            said = f"{quoted(call)} behind {name} no longer has a time-out"
            yield doubtful(ID, file, line, f"{said}: {quoted(file.new_line(line))}", hint=_HINT)


def _find_silent(diff: Diff, old: Adapter, new: Adapter, name: str) -> Iterator[Finding]:
    """Ways that end normally though nothing went out, or though it failed, more than there were."""
    known = Counter(way.condition for way in list_silent_ways(old.reach))
    for way in list_silent_ways(new.reach):
        known[way.condition] -= 1
        if known[way.condition] >= 0:
            continue
        file = _find_file(diff, way.path)
        line = quoted(file.new_line(way.line))
        if way.is_caught:
            said = f"{name} no longer lets {way.condition} out: {line}"
        else:
            said = (
                f"{name} sends nothing, and says that it did, where {quoted(way.condition)}: {line}"
            )
        yield taken(ID, file, way.line, said, hint=_HINT)


def _find_recipients(diff: Diff, old: Adapter, new: Adapter, name: str) -> Iterator[Finding]:
    """Somebody else gets what goes out, in the same call."""
    known = Counter(word for word, _, _ in old.list_copies())
    for word, path, line in new.list_copies():
        known[word] -= 1
        if known[word] < 0:
            file = _find_file(diff, path)
            said = f"{name} sends to somebody else as well ({word}): {quoted(file.new_line(line))}"
            yield taken(ID, file, line, said, hint=_HINT)


def _note_change(diff: Diff, old: Adapter, new: Adapter, name: str) -> Finding:
    """The first function that is not the base's."""
    known = old.list_texts()
    path, line = new.definition.path, new.definition.line
    for node, definition in new.reach.functions.items():
        if isinstance(node, FunctionNode) and known[_dump_code(node)] == 0:
            path, line = definition.path, definition.line
            break
    file = _find_file(diff, path)
    for number, _ in file.added_lines():
        if number >= line:
            line = number
            break
    said = (
        f"the code behind {name} is another one, which no proof sees: {quoted(file.new_line(line))}"
    )
    return Finding(f"gaming.{ID}", Severity.NOTE, said, path, max(line, 1), _HINT)


def _dump_code(node: ast.AST) -> str:
    assert isinstance(node, FunctionNode)
    body = node.body
    if ast.get_docstring(node, clean=False) is not None:
        body = body[1:]
    parts = [ast.dump(node.args), *map(ast.dump, node.decorator_list), *map(ast.dump, body)]
    return "\n".join(parts)


def _find_file(diff: Diff, path: str) -> File:
    for file in diff.files:
        if file.path == path:
            return file
    text = diff.after.texts.get(path)
    return File(path, path, text, text)
