"""Reads the options of a Sidekiq job from its class.

- `retry: 5` is tried six times, `retry: true` or nothing 26 times (`max_retries`, 25), and `retry:
  false` once; the wait before retry n is n**4 + 15 seconds, and jitter on top
  (https://github.com/sidekiq/sidekiq/wiki/Error-Handling, lib/sidekiq/job_retry.rb).
- A job that has used up its retries goes to the dead set, unless `dead: false`; one with `retry:
  false` is discarded.
- `unique_for` is Sidekiq Enterprise's, `lock` is of sidekiq-unique-jobs
  (https://github.com/sidekiq/sidekiq/wiki/Ent-Unique-Jobs).
- A push inside of a transaction reaches Redis before the commit, but for `transactional_push!`
  (https://github.com/sidekiq/sidekiq/wiki/Problems-and-Troubleshooting, "Cannot find ModelName").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding, Severity
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
from skillrun.frameworks.known.options.ruby_constants import RubyConstants, name_constant
from skillrun.frameworks.known.options.source_nodes import (
    find_files,
    find_kinds,
    last_part,
    list_arguments,
    list_named,
    parse_file,
    place_of,
)
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.repo.tree import Tree

_TITLE = "Sidekiq"
_DEFAULT_RETRIES = 25
_JOB_MODULES = ("Sidekiq::Job", "Sidekiq::Worker")
_SENDING = ("perform_async", "perform_in", "perform_at", "perform_bulk")
# What opens a transaction of Active Record's around its block.
_TRANSACTIONS = ("transaction", "with_lock")
# Callbacks that run inside of the transaction that saves the record.
_CALLBACKS = tuple(
    f"{when}_{what}"
    for when in ("before", "around", "after")
    for what in ("create", "save", "update", "destroy")
)
# What leaves the block for later, when the transaction is over.
_AFTER_COMMIT = (
    "after_commit",
    "after_create_commit",
    "after_update_commit",
    "after_save_commit",
    "after_destroy_commit",
    "after_all_transactions_commit",
)
# Anywhere, these words make what is pushed wait, or change what a class does not say.
_WAITING = ("transactional_push!", "TransactionAwareClient")
_DEFAULTS = ("default_job_options", "default_worker_options", "max_retries")
# What a module may do to the options of a class that includes it. `base.extend(ClassMethods)`
# brings a part of the same file.
_SETTING = re.compile(
    rb"sidekiq_(options|class_attribute|retr)|\binclude\b|\bextend\b(?!\W*ClassMethods\b)|class_eval|send\(|define_method"
)
# Option -> the gem without which nothing reads it.
_UNIQUE = {"unique_for": "sidekiq-ent", "lock": "sidekiq-unique-jobs"}


def read_sidekiq(tree: Tree, handler: NamedHandler) -> JobOptions:
    """The options of the class that the spec names."""
    root = parse_file(tree, handler.place.path)
    found = None
    if root is not None:
        found = _find_class(root, handler)
    if found is None:
        why = NotUnderstood("no class of its name was read", handler.place)
        return JobOptions(_TITLE, why, why, why)
    job = _SidekiqClass(tree, handler.place.path, found)
    return JobOptions(
        _TITLE,
        job.read_attempts(),
        job.read_waits(),
        job.read_failed(),
        tuple(job.judge_uniqueness()),
        tuple(_find_early_pushes(tree, job.whole_name)),
    )


def _find_class(root: SgNode, handler: NamedHandler) -> SgNode | None:
    classes = find_kinds(root, "class")
    for number, word in enumerate(handler.words):
        named = [one for one in classes if last_part(name_constant(one)) == word]
        # "Admin::ChargeJob", of its words with the last one first.
        whole = "::".join(reversed(handler.words[number:]))
        exact = [one for one in named if name_constant(one) == whole]
        if exact:
            return exact[0]
        if len(named) == 1:
            return named[0]
    return None


class _SidekiqClass:
    """One class with its options, and what may hide some of them."""

    def __init__(self, tree: Tree, path: str, node: SgNode) -> None:
        self.tree, self.path, self.node = tree, path, node
        self.whole_name = name_constant(node)
        self.name = last_part(self.whole_name)
        self.calls: list[SgNode] = []
        body = node.field("body")
        if body is not None:
            self.calls = [one for one in list_named(body) if one.kind() == "call"]
        self.options: dict[str, SgNode] = {}
        self.hidden = self._read_options()

    def _read_options(self) -> NotUnderstood | None:
        """Fills the options; returns why there may be others."""
        base = self.node.field("superclass")
        if base is not None:
            return NotUnderstood("its base class may set them", place_of(self.path, base))
        is_job = False
        for call in self.calls:
            method = call.field("method")
            if method is None:
                continue
            if method.text() == "include":
                for module in list_arguments(call):
                    if module.text() in _JOB_MODULES:
                        is_job = True
                    elif not self._is_harmless(module.text()):
                        because = f"{module.text()}, which it includes, may set them"
                        return NotUnderstood(because, place_of(self.path, call))
            elif method.text() == "sidekiq_options":
                hidden = self._add_options(call)
                if hidden is not None:
                    return hidden
        if not is_job:
            because = "it does not include Sidekiq::Job itself"
            return NotUnderstood(because, place_of(self.path, self.node))
        return None

    def _is_harmless(self, module: str) -> bool:
        """Whether the repository's own module of this name, which one file alone defines, has no
        word of Sidekiq's settings and brings no further module along.
        """
        word = last_part(module)
        defining = []
        for path in find_files(self.tree, word, (".rb",)):
            content = self.tree.read(path) or b""
            if re.search(rb"^\s*module\s+([\w:]+::)?%s\b" % word.encode(), content, re.MULTILINE):
                defining.append(content)
        return len(defining) == 1 and not _SETTING.search(defining[0])

    def _add_options(self, call: SgNode) -> NotUnderstood | None:
        for argument in list_arguments(call):
            pairs = [argument]
            if argument.kind() == "hash":
                pairs = list(list_named(argument))
            for pair in pairs:
                key, value = pair.field("key"), pair.field("value")
                if pair.kind() != "pair" or key is None or value is None:
                    because = f"{pair.text()[:60]} was not followed"
                    return NotUnderstood(because, place_of(self.path, call))
                self.options[key.text().strip("\"':")] = value
        return None

    def _find_overriding(self) -> NotUnderstood | None:
        """A sender that sets another `retry` for the messages that it pushes."""
        for path in find_files(self.tree, self.name, (".rb",)):
            root = parse_file(self.tree, path)
            if root is None:
                continue
            for call in find_kinds(root, "call"):
                receiver, method = call.field("receiver"), call.field("method")
                if receiver is None or method is None or method.text() != "set":
                    continue
                if last_part(receiver.text()) != self.name:
                    continue
                keys = [one.text() for one in find_kinds(call, "hash_key_symbol", "simple_symbol")]
                is_hidden = any(one.kind() != "pair" for one in list_arguments(call))
                if is_hidden or "retry" in keys or ":retry" in keys or "dead" in keys:
                    because = "a sender sets it for its own messages"
                    return NotUnderstood(because, place_of(path, call))
        return None

    def _find_default(self) -> NotUnderstood | None:
        """Where the application changes what holds for every job."""
        for word in _DEFAULTS:
            for path in find_files(self.tree, word, (".rb", ".yml", ".yaml", ".erb")):
                # Other libraries have a max_retries, too.
                if b"idekiq" in path.encode() + (self.tree.read(path) or b""):
                    return NotUnderstood(f"{path} changes what holds for all jobs", Place(path, 1))
        return None

    def _place_of(self, option: str) -> Place | None:
        if option not in self.options:
            return None
        return place_of(self.path, self.options[option])

    def read_attempts(self) -> Attempts | NotUnderstood:
        """By `retry`."""
        hidden = self.hidden or self._find_overriding()
        if hidden is not None:
            return hidden
        value = self.options.get("retry")
        place = self._place_of("retry")
        if value is not None and value.kind() == "integer":
            retries = read_count(value.text())
            if retries is None:
                return NotUnderstood("retry is no usual number", place)
            return Attempts(retries + 1, place)
        if value is not None and value.kind() == "false":
            return Attempts(1, place)
        if value is not None and value.kind() != "true":
            return NotUnderstood("retry is no literal", place)
        changed = self._find_default()
        if changed is not None:
            return changed
        return Attempts(_DEFAULT_RETRIES + 1, place or place_of(self.path, self.node))

    def read_waits(self) -> Waits | NotUnderstood:
        """Sidekiq's own manner, unless the class has its own."""
        attempts = self.read_attempts()
        if isinstance(attempts, NotUnderstood):
            return attempts
        for call in self.calls:
            method = call.field("method")
            if method is not None and method.text() == "sidekiq_retry_in":
                because = "sidekiq_retry_in computes them"
                return NotUnderstood(because, place_of(self.path, call))
        retries = attempts.most - 1
        least_s = float(sum(count**4 + 15 for count in range(retries)))
        words = "Sidekiq's own manner, n**4 + 15 seconds and more"
        return Waits(None, attempts.place, retries, least_s, words)

    def read_failed(self) -> Failed | NotUnderstood:
        """Whether it comes to the dead set."""
        attempts = self.read_attempts()
        if isinstance(attempts, NotUnderstood):
            return attempts
        retry, dead = self.options.get("retry"), self.options.get("dead")
        if retry is not None and retry.kind() == "false":
            words = "retry: false discards a job that fails"
            return Failed(False, words, self._place_of("retry"))
        if dead is not None and dead.kind() == "false":
            words = "dead: false keeps a job that failed out of the dead set"
            return Failed(False, words, self._place_of("dead"))
        if dead is not None and dead.kind() != "true":
            return NotUnderstood("dead is no literal", self._place_of("dead"))
        if dead is None:
            changed = self._find_default()
            if changed is not None:
                return changed
        return Failed(True, "it comes to the dead set", attempts.place)

    def judge_uniqueness(self) -> Iterator[Finding]:
        """A note for an option that keeps a second message away; a warning where nothing reads
        it.
        """
        for option, gem in _UNIQUE.items():
            place = self._place_of(option)
            if place is None:
                continue
            if self._is_gem_there(gem):
                message = (
                    f"{option}: {place.text} keeps a second message of this job out of the queue"
                )
                hint = (
                    "for a time, and not for ever: a second delivery must do no harm all the same"
                )
                yield find_at(place, Severity.NOTE, "idempotency.unique-option", message, hint)
            else:
                message = f"nothing reads {option}: no Gemfile of this repository names {gem}"
                hint = f"add {gem}, or take {option} out: a second message is not kept away"
                yield find_at(
                    place, Severity.WARNING, "idempotency.unique-option-unread", message, hint
                )

    def _is_gem_there(self, gem: str) -> bool:
        """Whether any manifest has the word; where there is no manifest, nobody can tell."""
        manifests = [
            *self.tree.match("**/Gemfile*"),
            *self.tree.match("**/*.gemspec"),
            *self.tree.match("**/gems.*"),
        ]
        if not manifests:
            return True
        return any(gem.encode() in (self.tree.read(path) or b"") for path in manifests)


def _find_early_pushes(tree: Tree, name: str) -> Iterator[Finding]:
    """An error for each push inside of a transaction, where nothing makes it wait."""
    for word in _WAITING:
        if find_files(tree, word.rstrip("!"), (".rb",)):
            return
    constants = RubyConstants(tree)
    for path in find_files(tree, last_part(name), (".rb",)):
        root = parse_file(tree, path)
        if root is None:
            continue
        for call in find_kinds(root, "call"):
            if _pushes(call, name, constants):
                opened = _find_transaction(call, constants)
                if opened is not None:
                    yield _tell_early_push(path, call, opened)


def _pushes(call: SgNode, name: str, constants: RubyConstants) -> bool:
    """Whether it is `ChargeJob.perform_async(...)`, also behind `.set(...)`."""
    method, receiver = call.field("method"), call.field("receiver")
    if method is None or receiver is None or method.text() not in _SENDING:
        return False
    inner = receiver.field("method")
    if receiver.kind() == "call" and inner is not None and inner.text() == "set":
        receiver = receiver.field("receiver")
    if receiver is None or last_part(receiver.text()) != last_part(name):
        return False
    return constants.resolve(receiver) == name


def _find_transaction(call: SgNode, constants: RubyConstants) -> str | None:
    """What opens the transaction around a push; None where there is none, or the push waits."""
    for ancestor in call.ancestors():
        if ancestor.kind() in ("method", "singleton_method"):
            return _find_callback(ancestor)
        # Whoever is given it may call it later.
        if ancestor.kind() == "lambda":
            return None
        method = ancestor.field("method")
        if ancestor.kind() != "call" or method is None or ancestor.field("block") is None:
            continue
        if method.text() in _AFTER_COMMIT:
            return None
        if method.text() in _CALLBACKS or _opens(ancestor, method.text(), constants):
            return method.text()
    return None


def _opens(call: SgNode, method: str, constants: RubyConstants) -> bool:
    """`Order.transaction do`, `ActiveRecord::Base.transaction do`, `order.with_lock do`."""
    receiver = call.field("receiver")
    if method not in _TRANSACTIONS or receiver is None:
        return False
    is_constant = receiver.kind() in ("constant", "scope_resolution")
    if method == "with_lock":
        # `RedisMutex.with_lock("key") do` is a lock of another kind; a record's takes no name.
        return not is_constant and all(one.kind() == "pair" for one in list_arguments(call))
    # Something else may have a method `transaction`, as Sentry has: only a record's class counts.
    return is_constant and constants.is_record(receiver)


def _find_callback(method: SgNode) -> str | None:
    """The callback by which a class calls one of its methods inside of the transaction:
    `after_create :enqueue`. None where it is called otherwise.
    """
    name = method.field("name")
    body = method.parent()
    if name is None or body is None:
        return None
    for call in find_kinds(body, "call"):
        called = call.field("method")
        if called is None or called.text() not in _CALLBACKS or call.field("receiver") is not None:
            continue
        symbols = [one.text() for one in list_arguments(call) if one.kind() == "simple_symbol"]
        if f":{name.text()}" in symbols:
            return called.text()
    return None


def _tell_early_push(path: str, call: SgNode, opened: str) -> Finding:
    place = place_of(path, call)
    message = (
        f"{place.text} inside {opened}: a worker may start before the commit, or although it is"
        " rolled back"
    )
    hint = "push it in after_commit, or let Sidekiq wait with Sidekiq.transactional_push!"
    return find_at(place, Severity.ERROR, "handler.published-in-transaction", message, hint)
