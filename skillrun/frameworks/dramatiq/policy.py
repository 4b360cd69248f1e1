"""The effective policy of a Dramatiq actor: how often it runs, how long it waits, and where it
ends.

Defaults and rules are those of Dramatiq 2.2.1: `max_retries` 20 means 21 runs, None is without end;
every exception that leaves the actor is retried but those of `throws`; waits are milliseconds,
doubled each time and stretched by a random factor of up to two (dramatiq/common.py,
`compute_backoff`), never above seven days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skillrun.frameworks.common.reading import import_path, place_of
from skillrun.frameworks.dramatiq.actors import (
    Actor,
    Option,
    milliseconds,
    option,
    read_actor,
)
from skillrun.frameworks.dramatiq.deadletter import find_dead_letter
from skillrun.frameworks.dramatiq.predicate import Predicate, read_predicate
from skillrun.frameworks.dramatiq.sends import find_message_sends
from skillrun.frameworks.dramatiq.setup import Setup, read_setup, redelivery_after
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.syntax import is_given
from skillrun.repo.uses import FrameworkUse, Place

SEVEN_DAYS = 86_400_000 * 7
_DEFAULTS: dict[str, Any] = {
    "max_retries": 20,
    "min_backoff": 15_000,
    "max_backoff": SEVEN_DAYS,
    "time_limit": 600_000,
}
_MIDDLEWARE = {"time_limit": "TimeLimit", "max_age": "AgeLimit"}
_RETRY = ("dramatiq.Retry", "dramatiq.errors.Retry")
_OWN_ENCODERS = {"JSONEncoder": "json", "PickleEncoder": "pickle"}


@dataclass(frozen=True)
class Value:
    """An effective option. `place` is None for the library's default."""

    value: Any
    place: Place | None


class Options:
    """The options of one actor as its messages have them: message, then actor, then middleware,
    then default.
    """

    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.actor: Actor = read_actor(project, handler)
        self.setup: Setup = read_setup(project, use)

    def of_actor(self, name: str) -> Value:
        """Without what a message may say."""
        given = self.actor.options.get(name)
        if (
            given is None
            and (part := self.setup.part(_MIDDLEWARE.get(name, "Retries")))
            and part.module
        ):
            node = part.keywords.get(name)
            given = None
            if node is not None:
                given = option(self.project, node, part.module)
            if given is not None and given.value is None and name in ("min_backoff", "max_backoff"):
                # Retries.__init__: `min_backoff or DEFAULT_MIN_BACKOFF`
                given = None
        if given:
            return Value(given.value, given.place)
        return Value(_DEFAULTS.get(name), None)

    def of_messages(self, name: str) -> tuple[Value, ...]:
        """The different values that senders outside the tests give it, the actor's own included
        where it counts.
        """
        found = []
        for send in find_message_sends(self.project, self.actor):
            given = send.options.get(name)
            if given is None:
                found.append(self.of_actor(name))
            else:
                read = option(self.project, *given)
                found.append(Value(read.value, read.place))
        if not found:
            found.append(self.of_actor(name))
        return tuple({repr(value.value): value for value in reversed(found)}.values())

    def largest(self, name: str) -> Value:
        """The value of the longest policy: one without end, else one that cannot be read, else the
        largest.
        """
        found = self.of_messages(name)
        for value in found:
            if value.value is None or not is_known(value.value):
                return value
        return max(
            found, key=lambda value: value.value if isinstance(value.value, int | float) else 0
        )

    def predicate(self) -> tuple[Predicate, Place] | None:
        """The `retry_when` of the actor or of the middleware; a message cannot carry one."""
        given = self.actor.options.get("retry_when")
        part = self.setup.part("Retries")
        node = None
        if part and given is None:
            node = part.keywords.get("retry_when")
        if node is not None and part and part.module:
            given = option(self.project, node, part.module)
        if given is None or given.value is None:
            return None
        return read_predicate(self.project, given), given.place

    def throws(self) -> tuple[tuple[str, ...], Place | None]:
        """Exceptions that are never retried."""
        given = self.actor.options.get("throws")
        if given:
            return (self.project.exception_names(given.node, given.module), given.place)
        return ((), None)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler, as code and setup say; what cannot be read is named in `unknown`."""
    key = ("dramatiq.policy", use.app, handler.path, handler.name)
    return project.remember(key, lambda: _Reader(project, use, handler).read())


class _Reader:
    def __init__(self, project: Project, use: FrameworkUse, handler: Definition) -> None:
        self.project = project
        self.use = use
        self.options = Options(project, use, handler)
        self.sources: dict[str, Place | None] = {}
        self.unknown: dict[str, Place] = {}

    def read(self) -> Policy:
        actor, setup = self.options.actor, self.options.setup
        attempts = self._count_attempts()
        spared, throws_place = self.options.throws()
        retried, not_retried = self._list_exceptions(attempts)
        dead_letter = find_dead_letter(self.project, actor, setup)
        self.sources |= {
            "dead_letter": dead_letter.exhausted,
            "dead_letter_permanent": dead_letter.permanent,
        }
        self.sources |= {
            "acks_late": None,
            "reject_on_worker_lost": None,
            "not_retried": throws_place,
        }
        seconds, place = redelivery_after(setup, self.use)
        for where in actor.unread:
            self.unknown.setdefault("options", where)
        return Policy(
            max_attempts=attempts,
            backoff=self._read_backoff(attempts),
            retried=tuple(import_path(self.project, name) for name in retried),
            not_retried=tuple(
                import_path(self.project, name) for name in dict.fromkeys((*spared, *not_retried))
            ),
            acks_late=True,
            reject_on_worker_lost=True,
            visibility_timeout_s=self._read_number("visibility_timeout_s", Value(seconds, place)),
            time_limit_s=self._time_limit(),
            serializer=self._name_serializer(),
            dead_letter=dead_letter.exhausted or (dead_letter.permanent if attempts == 1 else None),
            sources=self.sources,
            unknown=self.unknown,
        )

    def _count_attempts(self) -> int | None:
        """Runs including the first."""
        setup = self.options.setup
        if not setup.has("Retries"):
            self.sources["max_attempts"] = setup.replaced
            return 1
        self.sources["autoretry"] = (
            None  # Dramatiq retries by itself, and logs each failure with its arguments
        )
        asked = self.options.predicate()
        if asked is not None:
            return self._count_by_predicate(*asked)
        found = self.options.largest("max_retries")
        self.sources["max_attempts"] = found.place
        if found.value is None:
            return None
        return int(self._read_number("max_attempts", found) or 0) + 1

    def _count_by_predicate(self, predicate: Predicate, place: Place) -> int | None:
        """With `retry_when`, `max_retries` counts for nothing."""
        self.sources["max_attempts"] = place
        if predicate.limit is not None or predicate.endless:
            if predicate.limit is None:
                return None
            return predicate.limit + 1
        self.unknown["max_attempts"] = place
        return int(_DEFAULTS["max_retries"]) + 1

    def _list_exceptions(self, attempts: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(retried, not retried): everything, unless `retry_when` names some."""
        asked = self.options.predicate()
        if asked:
            self.sources["retried"] = asked[1]
        else:
            self.sources["retried"] = self.options.actor.registered
        if attempts == 1 and "max_attempts" not in self.unknown:
            return (), ()
        if asked is None:
            return ("builtins.Exception",), ()
        if not asked[0].readable:
            self.unknown["retried"] = asked[1]
        return asked[0].retried or ("builtins.Exception",), asked[0].spared

    def _read_backoff(self, attempts: int | None) -> Backoff:
        """The waits that Dramatiq computes, or those of `raise Retry(delay=...)` where they are
        longer.
        """
        if attempts == 1:
            return Backoff("none")
        low, high = self.options.largest("min_backoff"), self.options.largest("max_backoff")
        self.sources["backoff"] = low.place or high.place
        base, cap = self._read_number("backoff.base", low), self._read_number("backoff.cap", high)
        computed = Backoff(
            "exponential",
            (base or 0) / 1000,
            2.0,
            min(cap or 0, SEVEN_DAYS) / 1000,
            jitter=True,
            spread=2.0,
        )
        if {"backoff.base", "backoff.cap"} & self.unknown.keys():
            self.unknown["backoff"] = (
                self.unknown.get("backoff.base") or self.unknown["backoff.cap"]
            )
        asked = explicit_delays(self.project, self.options.actor.handler)
        if not asked:
            return computed
        # Which of the ways is taken, a run will say.
        self.sources["backoff"] = self.unknown["backoff"] = asked[0].place
        delays = []
        for one in asked:
            if isinstance(delay := milliseconds(self.project, one), int | float):
                delays.append(delay)
        fixed = Backoff("fixed", max(delays, default=0) / 1000)
        longest = min((attempts or 11) - 1, 50)
        return max(computed, fixed, key=lambda backoff: sum(backoff.delays(longest)))

    def _time_limit(self) -> float | None:
        if not self.options.setup.has("TimeLimit"):
            self.sources["time_limit_s"] = self.options.setup.replaced
            return None
        found = self.options.largest("time_limit")
        self.sources["time_limit_s"] = found.place
        limit = self._read_number("time_limit_s", found)
        if limit is not None and limit != float("inf"):
            return limit / 1000
        return None

    def _name_serializer(self) -> str:
        encoder = self.options.setup.encoder
        if encoder:
            self.sources["serializer"] = encoder[1]
        else:
            self.sources["serializer"] = None
        if encoder is None:
            return "json"
        name = encoder[0].rpartition(".")[2]
        if encoder[0].startswith("dramatiq.") and name in _OWN_ENCODERS:
            return _OWN_ENCODERS[name]
        self.unknown["serializer"] = encoder[1]
        return "json"

    def _read_number(self, field: str, found: Value) -> float | None:
        """A number; one that cannot be read is named, and what the code falls back to is taken."""
        self.sources.setdefault(field, found.place)
        if isinstance(found.value, int | float):
            return found.value
        if is_known(found.value):
            return None
        registered = self.options.actor.registered
        self.unknown[field] = found.place or registered or Place(self.options.actor.handler.path, 1)
        name = {
            "max_attempts": "max_retries",
            "backoff.base": "min_backoff",
            "backoff.cap": "max_backoff",
        }.get(field)
        default = found.value.default
        if not isinstance(default, int | float):
            default = _DEFAULTS.get(name or "")
        if not isinstance(default, int | float):
            return None
        return float(default)


def explicit_delays(project: Project, handler: Definition) -> tuple[Option, ...]:
    """The `delay` of each `raise Retry(..., delay=...)` on the handler's way, in milliseconds."""
    found = []
    for call in project.calls(handler, depth=2):
        delay = None
        if call.origin in _RETRY:
            delay = call.argument(1, "delay")
        if is_given(delay):
            found.append(
                Option(
                    project.literal(delay, call.module),
                    place_of(call.module, call.node),
                    delay,
                    call.module,
                )
            )
    return tuple(found)
