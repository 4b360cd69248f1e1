"""What one log record says, and whether somebody who has it can tell the job."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.reference import Reference

# `will_retry=False`: what a record says yes or no to.
_FLAG = re.compile(r"\b\w+['\"]?\s*[=:]\s*(?:true|false|yes|no)\b", re.IGNORECASE)
# UUIDs, addresses and numbers: what differs between two records of one kind.
_VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+(?:\.\d+)?", re.I)
# "retry", "gave up": an argument that makes another sentence of the same format. Names of
# exceptions have capitals in them, ids have digits.
_WORD = re.compile(r"[a-z]{2,}(?:[ _-][a-z]+){0,3}|[A-Z]{2,}(?:_[A-Z]+){0,3}")
# The beginning of "retry in=20s": a word with fields behind it.
_WORD_WITH_FIELDS = re.compile(r"([a-z]{2,}(?:_[a-z]+)*)(?: [a-z_]+=\S+)+")
# Ids that libraries make: UUIDs, digests, ULIDs.
_MADE_ID = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?=[a-f]*\d)[0-9a-f]{12,}\b"
    r"|\b[0-9A-HJKMNP-TV-Z]{26}\b"
)
# `id=17`, `task_id: 'x'`, `"trace": "y"`, `message 4711`: what is called an id.
_NAMED_ID = re.compile(
    r"(?<![A-Za-z])(?P<name>(?:[A-Za-z]+[_.-])*(?:id|uuid|key|task|message|msg|job|correlation|trace|request|ref))"
    r"['\"]?(?:\s*[=:]\s*|\s+#?)['\"]?(?P<value>[\w./:@-]*\d[\w./:@-]*)",
    re.IGNORECASE,
)
# `letter-2-2`, `job:4f2a`: what somebody made of letters and digits. Times and numbers are none.
_LOOSE_ID = re.compile(r"(?<![\w.@/-])(?=[\w.@/-]*[A-Za-z]{2})(?=[\w.@/-]*\d)[\w.@/-]{6,}")
# A shorter key may stand in any record by chance.
_SHORTEST_KEY = 4
# What is called an id and names who works, not what is worked on.
_OF_THE_WORKER = ("worker", "process", "thread", "host", "node", "container", "pod")


@dataclass(frozen=True)
class Records:
    """What is known of all records of a proof, so that one of them can be read.

    `ambiguous`: ids that stand in the records of two different jobs, so that they tell neither.
    `of_one_job`: other words with digits in them that stand in the records of one job alone.
    `references`: job -> the keys under which it alone calls its effects, such as `order-7-ship`.
    """

    reference: Reference
    payloads: Mapping[int, Any] = field(default_factory=dict)
    ambiguous: frozenset[str] = frozenset()
    of_one_job: frozenset[str] = frozenset()
    references: Mapping[int, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, histories: Iterable[History], reference: Reference, payloads: Mapping[int, Any]
    ) -> Records:
        """What the records of these histories tell of each other. `payloads`: by job."""
        histories = list(histories)
        ambiguous = _find_ambiguous_ids(histories)
        of_one_job = _find_words_of_one_job(histories)
        fields = cls(reference, payloads).key_fields(0)
        references = _find_references(reference, fields)
        return cls(reference, payloads, ambiguous, of_one_job, references)

    def key_fields(self, job: int) -> list[tuple[str, str]]:
        """(name, value as text) of each key field in a job's payload."""
        idempotency = self.reference.spec.idempotency
        if idempotency is None:
            return []
        values: list[tuple[str, str]] = []
        for path in idempotency.key:
            value = _read_path(self.payloads.get(job), path)
            if value is not None:
                # "order.id" -> "id"
                values.append((path.rpartition(".")[2], str(value)))
        return values

    def is_of_library(self, event: Event) -> bool:
        """Whether the job library wrote a record, and not the application."""
        return str(event["logger"]).startswith(self.reference.facts.loggers)

    def tells_job(self, event: Event, delivery: Delivery, fields: list[tuple[str, str]]) -> bool:
        """Whether somebody who has this record can tell the job: by its key fields, or by an id
        that other records of the same delivery have beside these, or by the key of one of its
        effects.
        """
        if has_all_values(event, fields):
            return True
        text = _read_record(event)
        for key in self.references.get(delivery.job, ()):
            if re.search(_stand_alone(key), text):
                return True
        ids = self._find_ids(event)
        if not ids:
            return False
        # What the record itself does not name, others with the same id may.
        missing = list(fields)
        for other in delivery.all("log"):
            if not ids.isdisjoint(self._find_ids(other)):
                missing = [field for field in missing if not has_all_values(other, [field])]
        return not missing

    def _find_ids(self, event: Event) -> set[str]:
        """The ids in a record that stand in the records of one job alone."""
        found = find_ids(event) - self.ambiguous
        found |= self.of_one_job.intersection(_LOOSE_ID.findall(_read_record(event)))
        has_made_id = _MADE_ID.search(str(event["text"])) is not None
        if event["names_message"] or (self.is_of_library(event) and has_made_id):
            # The library's own formatter writes the message's id in front of it; the library itself
            # has that id in its own records.
            found.add("the message")
        return found


def _find_ambiguous_ids(histories: Iterable[History]) -> frozenset[str]:
    """The ids that stand in the records of two different jobs."""
    jobs_of_id: dict[str, set[int]] = {}
    for delivery in itertools.chain.from_iterable(history.deliveries for history in histories):
        # A poison message may name the job that it is a bad copy of.
        if delivery.job < 0:
            continue
        for event in delivery.all("log"):
            for id_ in find_ids(event):
                jobs_of_id.setdefault(id_, set()).add(delivery.job)
    return frozenset(id_ for id_, jobs in jobs_of_id.items() if len(jobs) > 1)


def _read_path(payload: Any, path: str) -> Any:
    """The value at a dotted path in a payload; None where there is none."""
    value = payload
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _find_words_of_one_job(histories: Iterable[History]) -> frozenset[str]:
    """Words with digits in them that stand in the records of one job, where another one was there
    beside it. In another history the same word may be another job's.
    """
    telling: set[str] = set()
    shared: set[str] = set()
    for history in histories:
        jobs = {delivery.job for delivery in history.deliveries if delivery.job >= 0}
        if len(jobs) < 2:
            continue
        for word, jobs_of_word in _group_jobs_by_word(history).items():
            if len(jobs_of_word) == 1:
                telling.add(word)
            else:
                shared.add(word)
    return frozenset(telling - shared)


def _group_jobs_by_word(history: History) -> dict[str, set[int]]:
    """A word that may be an id -> the jobs in whose records it stands."""
    jobs_of_word: dict[str, set[int]] = {}
    for delivery in history.deliveries:
        for event in delivery.all("log"):
            for word in _LOOSE_ID.findall(_read_record(event)):
                jobs_of_word.setdefault(word, set()).add(delivery.job)
    return jobs_of_word


def _find_references(
    reference: Reference, fields: list[tuple[str, str]]
) -> dict[int, frozenset[str]]:
    """Job -> the keys of its effects that tell it, for each job that was run alone.

    A key that two jobs share tells neither, and one that is another one in each run tells nobody.
    `fields`: the key fields of the proof's own job.
    """
    keys: dict[int, set[str]] = {}
    for job, alone in {0: reference.once, **reference.jobs}.items():
        keys[job] = {_read_key(call) for call in alone.performed() if call["key"] is not None}
    if reference.later is not None:
        keys[0] &= {_read_key(call) for call in reference.later.performed()}
    found: dict[int, frozenset[str]] = {}
    if len(keys) < 2:
        # Whether a key names the job is seen by another job's keys, or in the job's row.
        telling = {key for key in keys[0] if len(key) >= _SHORTEST_KEY}
        return {0: frozenset(key for key in telling if _is_of_own_row(key, fields, reference))}
    for job, own in keys.items():
        telling = set(own)
        for other, keys_of_other in keys.items():
            if other != job:
                telling -= keys_of_other
        found[job] = frozenset(key for key in telling if len(key) >= _SHORTEST_KEY)
    return found


def _is_of_own_row(key: str, fields: list[tuple[str, str]], reference: Reference) -> bool:
    """Whether the rows that the state shows with this key have the values of all key fields beside
    it: who has the one finds the other. A key that stands in another row, too, tells no job.
    """
    found = []
    for rows in reference.once.state.values():
        for row in rows if isinstance(rows, list) else ():
            held = set(map(str, row))
            if key in held:
                found.append(all(value in held for _, value in fields))
    return bool(fields) and bool(found) and all(found)


def _read_key(call: Event) -> str:
    """The key of a call as it was given; an event has it as Python writes it, in quotes."""
    return str(call["key"]).strip("'\"")


def find_ids(event: Event) -> set[str]:
    """The words of a record that look like an id, in its text and its extra fields."""
    extra = event["extra"] or {}
    text = f"{event['text']} {_join_extra(event)}"
    found = set(_MADE_ID.findall(" ".join((text, *map(str, extra.values())))))
    for named in _NAMED_ID.finditer(text):
        if not named["name"].lower().startswith(_OF_THE_WORKER):
            found.add(named["value"].rstrip(".:"))
    return found


def has_all_values(event: Event, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether the value of every field is in a record. `fields`: (name, value)."""
    text = _read_record(event)
    return all(has_value(text, name, value) for name, value in fields)


def names_job(text: str, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a text names every key field of a job; False for a job without key fields."""
    fields = list(fields)
    return bool(fields) and all(has_value(text, name, value) for name, value in fields)


def has_value(text: str, name: str, value: str) -> bool:
    """Whether a text has the value of a field. Where it names the field (`order_id=7`), the value
    must stand beside the name.
    """
    here = _stand_alone(value)
    if not re.search(here, text):
        return False
    named = re.findall(rf"(?<![\w.]){re.escape(name)}['\"]?\s*[=:]\s*([^\s,;]+)", text)
    return not named or any(re.search(here, found) for found in named)


def _stand_alone(value: str) -> str:
    """A pattern that finds a value where it is no part of a longer number, name or id."""
    # A number may have its letter before it: "M-1001 v2".
    letter = "[A-Za-z]?" if value.isdigit() else ""
    return rf"(?<![\w.]){letter}{re.escape(value)}(?!\w|-\w)"


def _read_record(event: Event) -> str:
    """The text of a record and its extra fields."""
    return f"{event['text']} {_join_extra(event)}"


def make_template(event: Event) -> str:
    """A record without what differs each time that it is written: its format where it has one, else
    its text without numbers and ids.

    What it says yes or no to (`will_retry=False`, also among its extra fields) and the words that
    are put into its format (`"%s order=%s", "retry"`) are part of it.
    """
    text = event["text"]
    words: list[str] = []
    if event["template"] is not None and "%" in event["template"]:
        text = event["template"]
        words += _take_words(event["words"] or ())
    words += _take_words(map(str, (event["extra"] or {}).values()))
    flags = _FLAG.findall(f"{event['text']} {_join_extra(event)}")
    said = " ".join((*flags, *words))
    return f"{event['logger']}|{event['level']}|{_VOLATILE.sub('#', str(text))}|{said}"


def _take_words(texts: Iterable[str]) -> Iterator[str]:
    """Yields those that are words, and the word with which others begin."""
    for text in texts:
        with_fields = _WORD_WITH_FIELDS.fullmatch(text)
        if with_fields is not None:
            yield with_fields[1]
        elif _WORD.fullmatch(text) is not None:
            yield text


def collect_templates(deliveries: Iterable[Delivery]) -> set[str]:
    """The templates of all records of some deliveries."""
    found: set[str] = set()
    for delivery in deliveries:
        found.update(map(make_template, delivery.all("log")))
    return found


def _join_extra(event: Event) -> str:
    """The extra fields of a record as text: "order_id=7 attempt=2"."""
    extra = event["extra"] or {}
    return " ".join(f"{name}={value}" for name, value in extra.items())
