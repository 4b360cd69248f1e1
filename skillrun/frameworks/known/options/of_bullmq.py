"""Reads the options of a BullMQ job from its queue, from the calls that add it, and its worker.

- `attempts` counts the first try, and without it a job is tried once; options of `add` come before
  `defaultJobOptions` of the queue. `backoff: 1000` is fixed; exponential is `delay * 2 ** n`,
  without a cap (https://docs.bullmq.io/guide/retrying-failing-jobs, `classes/backoffs.ts`).
- A failed job is kept, unless `removeOnFail` is true or keeps none; the job's option comes before the
  worker's (https://docs.bullmq.io/guide/queues/auto-removal-of-jobs).
- A job with a `jobId` that the queue still has is not added again
  (https://docs.bullmq.io/guide/jobs/job-ids).
- What is added inside of a database transaction is in Redis before the commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.known import grammars
from skillrun.frameworks.known.options.job_options import (
    Attempts,
    Failed,
    JobOptions,
    NamedHandler,
    NotUnderstood,
    Waits,
    find_at,
    read_count,
)
from skillrun.frameworks.known.options.queue_names import QueueName
from skillrun.frameworks.known.options.source_nodes import (
    JAVASCRIPT_SUFFIXES,
    find_files,
    find_kinds,
    last_part,
    list_arguments,
    list_named,
    parse_file,
    place_of,
)

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.repo.tree import Tree
    from skillrun.repo.uses import Place

_TITLE = "BullMQ"
# Prisma's name is nobody else's; `transaction` is what Knex, Sequelize, TypeORM and Drizzle say.
_SURE_TRANSACTION = "$transaction"
_FUNCTIONS = ("arrow_function", "function_expression", "function_declaration", "method_definition")
# `tx.afterCommit(() => ...)`, `setImmediate(...)`: what they are given runs later.
_LATER = re.compile(r"commit|^set[A-Z]|^nextTick$|^queueMicrotask$|^on$|^once$", re.IGNORECASE)
_TRANSACTIONS = (_SURE_TRANSACTION, "transaction", "withTransaction")
# A call that gives another value each time: an id of it keeps no second message away. `d.uuid` is a
# field, and `uuidv5(name, space)` is the same for the same name.
_PER_CALL = re.compile(
    r"\b(Date\.now|(Math\.)?random|randomUUID|randomBytes|uuidv?[1467]|uuid\.v[1467]|v4|nanoid|ulid"
    r"|cuid)\(|\buuid\(\s*\)"
)
# No value has an empty text.
_ABSENT = ""
# "5", "60_000", "0.5"; "010" is octal, or no number at all.
_FACTOR = re.compile(r"(0|[1-9][0-9_]*)(\.[0-9]+)?")
# A year: a job that waits longer waits for another reason than a retry.
_MOST_MILLISECONDS = 366 * 24 * 3600 * 1000


@dataclass(frozen=True)
class _Made:
    """`new Queue(name, options)` or `new Worker(name, processor, options)`."""

    kind: str
    path: str
    node: SgNode
    name: str | None  # of the queue; None where it was not read
    bound: str  # the variable or field that holds it


@dataclass
class _Options:
    """An object literal: its values, and what may hide others."""

    path: str
    # Name -> the file in which its value stands, and the value.
    values: Mapping[str, tuple[str, SgNode]] = field(default_factory=dict)
    hidden: NotUnderstood | None = None

    def find_node(self, name: str) -> SgNode | None:
        """The value of an option; None where it is not written."""
        found = self.values.get(name)
        if found is None:
            return None
        return found[1]


def read_bullmq(tree: Tree, handler: NamedHandler) -> JobOptions:
    """The options of the job that the spec's handler processes."""
    made = list(_find_made(tree))
    queue = _find_queue(tree, made, handler)
    if isinstance(queue, NotUnderstood):
        return JobOptions(_TITLE, queue, queue, queue)
    name = QueueName(queue.path, queue.node, queue.bound)
    other = name.find_other_meaning(tree)
    if other is not None:
        return JobOptions(_TITLE, other, other, other)
    adds = list(_find_adds(tree, queue))
    for path, call in adds:
        owner = _find_owner(call)
        if owner is None or not name.is_owner(path, owner):
            why = NotUnderstood("this may be another queue of the name", place_of(path, call))
            return JobOptions(_TITLE, why, why, why)
    if not adds:
        why = NotUnderstood(
            f"no call was found that adds to {queue.bound or 'the queue'}",
            place_of(queue.path, queue.node),
        )
        return JobOptions(_TITLE, why, why, why)
    layers = [_read_layers(tree, path, call, queue) for path, call in adds]
    workers = [one for one in made if one.kind == "Worker" and one.name == queue.name]
    return JobOptions(
        _TITLE,
        _read_attempts(layers),
        _read_waits(tree, layers),
        _read_failed(tree, layers, workers),
        tuple(_judge_ids(layers)),
        tuple(_find_early_adds(adds)),
    )


# -- which queue it is


def _find_made(tree: Tree) -> Iterator[_Made]:
    """Every queue and worker of BullMQ that the code makes, outside of the tests."""
    for path in find_files(tree, "bullmq", JAVASCRIPT_SUFFIXES):
        root = parse_file(tree, path)
        if root is None:
            continue
        names = _read_imports(root)
        for node in find_kinds(root, "new_expression"):
            constructor = node.field("constructor")
            if constructor is None:
                continue
            for full in names.resolve(constructor.text(), "."):
                module, _, kind = full.rpartition(".")
                if module == "bullmq" and kind in ("Queue", "Worker"):
                    name = _read_queue_name(tree, root, node)
                    bound = next(grammars.JAVASCRIPT.sights["new_expression"](node))[2]
                    yield _Made(kind, path, node, name, bound)


def _read_imports(root: SgNode) -> grammars.Names:
    names = grammars.Names()
    reader = grammars.JAVASCRIPT
    for node in find_kinds(root, *reader.imports):
        for local, imported in reader.imports[node.kind()](node):
            names.bind(local, imported)
    return names


def _read_queue_name(tree: Tree, root: SgNode, node: SgNode) -> str | None:
    """The first argument: a text, a constant that is one text wherever it is declared, or a member
    of an enum or of constants (`QueueName.Mail`), which stands for itself.
    """
    arguments = list_arguments(node)
    if not arguments:
        return None
    first = arguments[0]
    if first.kind() == "string":
        return first.text().strip("\"'")
    if first.kind() == "member_expression" and first.text()[:1].isupper():
        return first.text()
    if first.kind() != "identifier":
        return None
    values = set(_find_texts(root, first.text()))
    if not values:
        for path in find_files(tree, first.text(), JAVASCRIPT_SUFFIXES):
            other = parse_file(tree, path)
            if other is not None:
                values |= set(_find_texts(other, first.text()))
    if len(values) == 1:
        # "" stands for what is no text.
        return values.pop() or None
    return None


def _find_texts(root: SgNode, name: str) -> Iterator[str]:
    """What `const NAME = "text"` says; "" stands for a value that is no text."""
    for node in find_kinds(root, "variable_declarator"):
        declared, value = node.field("name"), node.field("value")
        if declared is None or declared.text() != name:
            continue
        if value is not None and value.kind() == "as_expression":
            value = value.child(0)
        if value is not None and value.kind() == "string":
            yield value.text().strip("\"'")
        else:
            yield ""


def _find_queue(tree: Tree, made: list[_Made], handler: NamedHandler) -> _Made | NotUnderstood:
    """The queue whose worker runs the handler."""
    names = {one.name for one in made if one.kind == "Worker" and _runs(one, handler)}
    if None in names:
        return NotUnderstood("the name of its worker's queue is no text", handler.place)
    if len(names) != 1:
        how = "no worker was found that is made with this handler"
        if names:
            how = (
                f"workers of several queues run this handler ({', '.join(sorted(map(str, names)))})"
            )
        return NotUnderstood(how, handler.place)
    (name,) = names
    if any(one.kind == "Queue" and one.name is None for one in made):
        return NotUnderstood("the name of a queue is no text", handler.place)
    queues = [one for one in made if one.kind == "Queue" and one.name == name]
    if len(queues) == 1 and queues[0].bound:
        return queues[0]
    how = f"the queue {name} is made in {len(queues)} places"
    if len(queues) == 1:
        how = f"the queue {name} is bound to no name"
    return NotUnderstood(how, handler.place)


def _runs(worker: _Made, handler: NamedHandler) -> bool:
    """Whether a worker is given the handler by its name, or stands in it or in its value."""
    arguments = list_arguments(worker.node)
    if len(arguments) > 1 and last_part(arguments[1].text()) in handler.words[:1]:
        return True
    return worker.path == handler.place.path and worker.bound in handler.words[:1]


# -- what it is added with


def _find_adds(tree: Tree, queue: _Made) -> Iterator[tuple[str, SgNode]]:
    """(path, call) of each `queue.add(...)` and `queue.addBulk(...)` outside of the tests."""
    for path in find_files(tree, queue.bound, JAVASCRIPT_SUFFIXES):
        root = parse_file(tree, path)
        if root is None:
            continue
        for call in find_kinds(root, "call_expression"):
            called = call.field("function")
            if called is None or called.kind() != "member_expression":
                continue
            owner, method = called.field("object"), called.field("property")
            if owner is None or method is None or method.text() not in ("add", "addBulk"):
                continue
            if last_part(owner.text()) == queue.bound:
                yield path, call


def _find_owner(call: SgNode) -> SgNode | None:
    """What the method of a call belongs to: `mails.queue` of `mails.queue.add(...)`."""
    called = call.field("function")
    if called is None:
        return None
    return called.field("object")


def _read_layers(tree: Tree, path: str, call: SgNode, queue: _Made) -> tuple[_Options, _Options]:
    """The options of a call, then the queue's defaults."""
    arguments = list_arguments(call)
    given = _Options(path)
    called = call.field("function")
    if called is not None and called.text().endswith("addBulk"):
        why = NotUnderstood("addBulk gives options to each", place_of(path, call))
        given = _Options(path, hidden=why)
    elif len(arguments) > 2:
        given = _read_object(tree, path, arguments[2])
    made_with = list_arguments(queue.node)
    defaults = _Options(queue.path)
    if len(made_with) > 1:
        around = _read_object(tree, queue.path, made_with[1])
        inner = around.values.get("defaultJobOptions")
        if inner is not None and not _is_behind_spread(made_with[1], "defaultJobOptions"):
            defaults = _read_object(tree, *inner)
        else:
            defaults = _Options(queue.path, hidden=around.hidden)
    return given, defaults


def _is_behind_spread(node: SgNode, name: str) -> bool:
    """Whether a spread comes after an option, and may replace it: `{ name: 1, ...rest }`."""
    was_met = False
    for part in list_named(_unwrap(node)):
        key = part.field("key")
        if key is not None and key.text().strip("\"'") == name:
            was_met = True
        elif was_met and part.kind() == "spread_element":
            return True
    return False


def _read_object(tree: Tree, path: str, node: SgNode) -> _Options:
    """An object literal, also one that a constant stands for; another expression, a spread or a
    computed name hides what it has.
    """
    path, node = _follow(tree, path, node)
    if node.kind() != "object":
        because = f"{' '.join(node.text().split())[:60]} is no literal"
        return _Options(path, hidden=NotUnderstood(because, place_of(path, node)))
    values: dict[str, tuple[str, SgNode]] = {}
    hidden = None
    for part in list_named(node):
        key, value = part.field("key"), part.field("value")
        if part.kind() == "shorthand_property_identifier":
            values[part.text()] = _follow(tree, path, part)
        elif part.kind() != "pair" or key is None or value is None or "[" in key.text():
            because = f"{' '.join(part.text().split())[:60]} was not followed"
            hidden = NotUnderstood(because, place_of(path, part))
        else:
            values[key.text().strip("\"'")] = _follow(tree, path, value)
    return _Options(path, values, hidden)


def _follow(tree: Tree, path: str, node: SgNode) -> tuple[str, SgNode]:
    """The value that a constant stands for, with its file, where its name is declared once in the
    repository; any other node as it is.
    """
    node = _unwrap(node)
    if node.kind() not in ("identifier", "shorthand_property_identifier"):
        return path, node
    declared: list[tuple[str, SgNode]] = []
    for other in find_files(tree, node.text(), JAVASCRIPT_SUFFIXES):
        root = parse_file(tree, other)
        if root is None:
            return path, node
        declared += [(other, one) for one in _find_declared(root, node.text())]
    if len(declared) != 1:
        return path, node
    return declared[0]


def _find_declared(root: SgNode, name: str) -> Iterator[SgNode]:
    """The values of `const NAME = ...`; a parameter or `let` of the name stands for itself."""
    for node in find_kinds(root, "variable_declarator"):
        declared, value, statement = node.field("name"), node.field("value"), node.parent()
        if declared is None or declared.text() != name:
            continue
        is_constant = statement is not None and statement.text().startswith("const")
        if is_constant and value is not None:
            yield _unwrap(value)
        else:
            yield declared
    # Both grammars have this kind; what stands in it differs.
    for parameters in find_kinds(root, "formal_parameters"):
        for parameter in list_named(parameters):
            pattern = parameter.field("pattern") or parameter
            if pattern.text() == name:
                yield pattern


def _unwrap(node: SgNode) -> SgNode:
    """The value below `as const`, `satisfies X` and parentheses."""
    while node.kind() in ("as_expression", "satisfies_expression", "parenthesized_expression"):
        inner = next(list_named(node), None)
        if inner is None:
            return node
        node = inner
    return node


@dataclass(frozen=True)
class _Found:
    """A value of an option, and where it stands; both None where nothing gives it."""

    node: SgNode | None
    place: Place | None


def _find_option(layers: list[tuple[_Options, _Options]], name: str) -> _Found | NotUnderstood:
    """The one value that every call comes to."""
    found: dict[str, _Found] = {}
    for pair in layers:
        for options in pair:
            if options.hidden is not None:
                # A spread may come behind the value that is written, or have another one.
                return options.hidden
            value = options.values.get(name)
            if value is not None:
                found[value[1].text()] = _Found(value[1], place_of(*value))
                break
        else:
            found[_ABSENT] = _Found(None, None)
    if len(found) == 1:
        return next(iter(found.values()))
    places = [one.place for one in found.values() if one.place is not None]
    return NotUnderstood(f"its calls give different {name}", places[0])


def _read_number(node: SgNode) -> float | None:
    """`5`, `60_000`, `60 * 1000`; None for what is no number, or a larger one than
    anybody waits.
    """
    product = 1.0
    for factor in node.text().split("*"):
        text = factor.strip()
        if not _FACTOR.fullmatch(text):
            return None
        product *= float(text.replace("_", ""))
        # At each factor: a repository may have a number of any length.
        if product > _MOST_MILLISECONDS:
            return None
    return product


def _read_attempts(layers: list[tuple[_Options, _Options]]) -> Attempts | NotUnderstood:
    found = _find_option(layers, "attempts")
    if isinstance(found, NotUnderstood):
        return found
    if found.node is None:
        return Attempts(1, _place_of_default(layers))
    tries = read_count(found.node.text())
    if tries is None:
        return NotUnderstood(f"attempts is {found.node.text()[:60]}", found.place)
    return Attempts(max(1, tries), found.place)


def _place_of_default(layers: list[tuple[_Options, _Options]]) -> Place | None:
    """Some value beside which the option could stand; what rests on a default stands nowhere."""
    for options in layers[0]:
        for path_and_value in options.values.values():
            return place_of(*path_and_value)
    return None


def _read_waits(tree: Tree, layers: list[tuple[_Options, _Options]]) -> Waits | NotUnderstood:
    found = _find_option(layers, "backoff")
    if isinstance(found, NotUnderstood):
        return found
    if found.node is None:
        return Waits(Backoff("none"), None)
    number = _read_number(found.node)
    if number is not None:
        return Waits(Backoff("fixed", number / 1000), found.place)
    options = _read_object(tree, found.place.path if found.place else "", found.node)
    kind, delay, jitter = (options.find_node(name) for name in ("type", "delay", "jitter"))
    is_plain = options.hidden is None and kind is not None and delay is not None
    if not is_plain or kind is None or delay is None:
        return NotUnderstood(f"backoff is {' '.join(found.node.text().split())[:60]}", found.place)
    named, base = kind.text().strip("\"'"), _read_number(delay)
    if named not in ("fixed", "exponential") or base is None:
        return NotUnderstood(f"backoff is {' '.join(found.node.text().split())[:60]}", found.place)
    factor = 1.0
    if named == "exponential":
        factor = 2.0
    is_jittered = jitter is not None and jitter.text() != "0"
    return Waits(Backoff(named, base / 1000, factor, jitter=is_jittered), found.place)


def _read_failed(
    tree: Tree, layers: list[tuple[_Options, _Options]], workers: list[_Made]
) -> Failed | NotUnderstood:
    """By the job's `removeOnFail`, else by its worker's."""
    found = _find_option(layers, "removeOnFail")
    if isinstance(found, NotUnderstood):
        return found
    if found.node is None:
        pairs = []
        for worker in workers:
            arguments = list_arguments(worker.node)
            options = _Options(worker.path)
            if len(arguments) > 2:
                options = _read_object(tree, worker.path, arguments[2])
            pairs.append((options, _Options(worker.path)))
        found = _find_option(pairs, "removeOnFail")
    if isinstance(found, NotUnderstood):
        return found
    if found.node is None:
        return Failed(True, "it stays in the queue's failed set", None)
    return _judge_removal(tree, found.node, found.place)


def _judge_removal(tree: Tree, node: SgNode, place: Place | None) -> Failed | NotUnderstood:
    """`true`, and what keeps none, leave no failed job."""
    text = " ".join(node.text().split())
    words = f"removeOnFail: {text[:60]}"
    number = _read_number(node)
    if text == "false" or (number is not None and number > 0):
        return Failed(True, words, place)
    if text == "true" or number == 0:
        return Failed(False, f"{words} removes a job that failed", place)
    options = _read_object(tree, "", node)
    count, age = options.find_node("count"), options.find_node("age")
    if options.hidden is not None or (count is None and age is None):
        return NotUnderstood(f"{words} is no literal", place)
    if count is not None and count.text() == "0":
        return Failed(False, f"{words} removes a job that failed", place)
    return Failed(True, words, place)


# -- uniqueness and publishers


def _judge_ids(layers: list[tuple[_Options, _Options]]) -> Iterator[Finding]:
    """A note for a `jobId`, a warning for one that differs at each call."""
    for given, _ in layers:
        value = given.values.get("jobId")
        if value is None:
            continue
        place = place_of(*value)
        if _PER_CALL.search(value[1].text()):
            message = (
                f"jobId: {place.text} is another one at each call: no second message is kept away"
            )
            hint = "make it of the key fields"
            yield find_at(place, Severity.WARNING, "idempotency.job-id-per-call", message, hint)
        else:
            message = (
                f"jobId: {place.text} keeps a second message out while the queue has the first"
            )
            hint = "removed jobs are forgotten: a second delivery must do no harm all the same"
            yield find_at(place, Severity.NOTE, "idempotency.unique-option", message, hint)


def _find_early_adds(adds: list[tuple[str, SgNode]]) -> Iterator[Finding]:
    """A finding for each call inside of a function that a transaction runs."""
    for path, call in adds:
        opened = _find_transaction(call)
        if opened is None:
            continue
        place = place_of(path, call)
        severity = Severity.WARNING
        if opened == _SURE_TRANSACTION:
            severity = Severity.ERROR
        message = (
            f"{place.text} inside {opened}: a worker may start before the commit, or although it is"
            " rolled back"
        )
        hint = "add it once the transaction has returned"
        yield find_at(place, severity, "handler.published-in-transaction", message, hint)


def _find_transaction(call: SgNode) -> str | None:
    """The name of the innermost call that runs a transaction around this one; None where there is
    none, or where a function between them may run later.
    """
    inner = call
    for ancestor in call.ancestors():
        if inner.kind() in _FUNCTIONS and ancestor.kind() != "arguments":
            return None
        if ancestor.kind() == "call_expression" and inner.kind() == "arguments":
            called = ancestor.field("function")
            name = ""
            if called is not None:
                name = last_part(called.text())
            if name in _TRANSACTIONS:
                return name
            if _LATER.search(name):
                return None
        inner = ancestor
    return None
