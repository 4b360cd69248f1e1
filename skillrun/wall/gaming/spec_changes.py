"""What HEAD's job spec says otherwise than the base's, but for what asks more of the same code.

Every difference is a change. `spec_rules` alone says which ones are additions or narrower promises,
so that a word that it does not know is held to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.wall.diff import Diff
from skillrun.wall.gaming.queries import dialect_of, same_query
from skillrun.wall.gaming.renamed import Renames
from skillrun.wall.gaming.spec_places import OPEN_PLACES, spec_places
from skillrun.wall.gaming.spec_rules import RULES, says_nothing
from skillrun.wall.gaming.specs import Pair, at, listed, mapping, pairs

Path = tuple[str | int, ...]
# Keys of a JSON Schema that only describe.
_DESCRIBING_KEYS = ("title", "description", "$comment")
_GIVEN_UP = "it is a kind of an error that the base tries again, and is given up at once now"
_HANDLED_BEFORE = "the base's code deals with it already, and the spec did not let it be given up"
_MEANS_SUCCESS = "the job that meets it counts as done"
_STAND_IN = "its function ran for real in the base's proof, and would be replaced by a stand-in"
# An error of these would make every other one permanent, or worth another try.
_EVERY_ERROR = ("Exception", "BaseException", "builtins:Exception", "builtins:BaseException")


@dataclass(frozen=True)
class Change:
    """A difference between two specs that is neither an addition nor narrower. `old` or `new` is
    None where there is nothing on that side.
    """

    place: str  # in the schema: effects[].guarantee
    name: str  # for people: effects.email.guarantee
    path: Path  # in HEAD's spec
    old: Any
    new: Any
    why: str = ""


def find_changes(diff: Diff) -> Iterator[tuple[Pair, Change]]:
    """Yields the changes of every spec that both sides have."""
    for pair in pairs(diff):
        for change in _Comparison(diff, pair).find_changes():
            yield pair, change


def is_same(old: Any, new: Any) -> bool:
    """Whether two values are equal as JSON. In Python `1` and `true` are equal."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


class _Comparison:
    """Compares one spec with the base's. Its methods take a place in the schema, its name for
    people, the path to it, and what stands there in the base and in HEAD.
    """

    def __init__(self, diff: Diff, pair: Pair) -> None:
        self.renames = Renames(diff.before, diff.after)
        self.pair = pair
        self.old, self.new = mapping(pair.old.value), mapping(pair.new.value)
        # Without `proof:` the base has run nothing: what its spec leaves open may be filled in.
        self.is_draft = not self.old.get("proof")

    def find_changes(self) -> Iterator[Change]:
        """Yields the changes of the whole spec."""
        for key in sorted(self.old.keys() | self.new.keys()):
            yield from self.compare(key, key, (key,), self.old.get(key), self.new.get(key))

    def compare(self, place: str, name: str, path: Path, old: Any, new: Any) -> Iterator[Change]:
        """Yields the changes at one place and below it."""
        compare_specially = {
            "payload": self._compare_payload,
            "recovers": self._compare_sweeps,
            "effects": self._compare_effects,
            "failures.transient": self._compare_errors,
            "failures.permanent": self._compare_errors,
            "failures.success": self._compare_errors,
            "idempotency": self._compare_idempotency,
            "proof": self._compare_proof,
            "proof.state": self._compare_state,
            "proof.dead_letters": self._compare_dead_letters,
        }.get(place)
        if compare_specially is not None:
            yield from compare_specially(place, name, path, old, new)
            return
        old, new = _spell_out(place, old), _spell_out(place, new)
        if is_same(old, new) or self._is_allowed(place, old, new):
            return
        # `kind: none` turns the whole section off.
        is_off = at(new, "kind") == "none"
        is_section = isinstance(old, dict) and isinstance(new, dict) and not is_off
        if place in RULES and not is_section:
            why = RULES[place](old, new)
            yield Change(place, name, path, old, new, why or "")
        elif is_section or (old is None and isinstance(new, dict)):
            yield from self._compare_members(place, name, path, mapping(old), new)
        else:
            yield Change(place, name, path, old, new)

    def _is_allowed(self, place: str, old: Any, new: Any) -> bool:
        """Whether a change is allowed: the table of rules lets it pass, the base has left it open,
        or it is the new name of a function.
        """
        if place in RULES and RULES[place](old, new) is None:
            return True
        if old is None and self.is_draft:
            return True
        schema = spec_places().get(place, {})
        if schema.get("$ref") == "#/$defs/importPath":
            return isinstance(old, str) and self.renames.is_renamed(old, new)
        return False

    def _compare_members(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of the members of two mappings."""
        for key in sorted(old.keys() | new.keys()):
            below = f"{place}.{key}"
            # A name that the schema does not know is somebody's own, as those of `env` are.
            if below not in spec_places() and f"{place}.*" in spec_places():
                below = f"{place}.*"
            yield from self.compare(
                below, f"{name}.{key}", (*path, key), old.get(key), new.get(key)
            )

    # -- sweeps

    def _compare_sweeps(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of `recovers`. They are compared one by one, since a function may have
        moved, and 60s is 1m.
        """
        were, are = listed(old), listed(new)
        if len(were) != len(are):
            if not (self.is_draft and says_nothing(old)):
                yield Change(place, name, path, old, new)
            return
        for index, (was, now) in enumerate(zip(were, are, strict=True)):
            title, where = f"{name}.{index}", (*path, index)
            yield from self._compare_members(f"{place}[]", title, where, mapping(was), mapping(now))

    # -- effects

    def _compare_effects(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of the effects, known by their names, else by their calls."""
        left = dict(enumerate(listed(new)))
        for effect in listed(old):
            index = _find_effect(effect, left, self.renames)
            title = f"{name}.{at(effect, 'name')}"
            if index is None:
                yield Change(f"{place}[]", title, path, effect, None)
                continue
            now = left.pop(index)
            yield from self._compare_effect(title, (*path, index), mapping(effect), mapping(now))
        for index, effect in left.items():
            # One that passes through replaces nothing; of a draft nothing was proved.
            if self.is_draft or at(effect, "mode") == "pass_through":
                continue
            call = str(at(effect, "call"))
            if self.renames.is_reached(self.old.get("handler"), call):
                title = f"{name}.{at(effect, 'name')}"
                yield Change(f"{place}[]", title, (*path, index), None, effect, _STAND_IN)

    def _compare_effect(self, name: str, path: Path, old: Any, new: Any) -> Iterator[Change]:
        """Yields the changes of one effect. The key argument that comes with a stronger guarantee
        is none.
        """
        is_keyed_now = at(new, "guarantee") == "keyed" and at(old, "guarantee") != "keyed"
        for change in self._compare_members("effects[]", name, path, old, new):
            is_its_key = change.place == "effects[].key_arg" and change.old is None
            if not (is_keyed_now and is_its_key):
                yield change

    # -- errors

    def _compare_errors(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of a list of errors. One that is gone is a change unless it has a new
        name; one that is new is a change where it takes attempts from other errors.
        """
        before, after = _spell_errors(old), _spell_errors(new)
        further = [error for error in after if error not in before]
        for error in before:
            if error in after or self._has_new_name(error, further):
                continue
            yield Change(f"{place}[]", name, path, error, None, "nothing is tried with it any more")
        if self.is_draft:
            return
        for error in further:
            why = self._explain_further_error(place, error["type"])
            if why is not None:
                yield Change(f"{place}[]", name, path, None, error, why)

    def _explain_further_error(self, place: str, error: Any) -> str | None:
        """Why an error that HEAD adds to a list weakens the spec; None where it does not."""
        if error in _EVERY_ERROR:
            return "it means every error"
        if place == "failures.success":
            return _MEANS_SUCCESS
        if place != "failures.permanent":
            return None
        if self._is_transient_at_base(error):
            return _GIVEN_UP
        if self.renames.is_known_elsewhere(error):
            return _HANDLED_BEFORE
        return None

    def _is_transient_at_base(self, error: Any) -> bool:
        """Whether an error is a kind of one that the base's spec tries again."""
        transient = _spell_errors(at(self.old.get("failures"), "transient"))
        return any(self.renames.is_kind_of(error, other["type"]) for other in transient)

    def _has_new_name(self, error: dict[str, Any], further: list[dict[str, Any]]) -> bool:
        """Whether one of the further errors is this one under another name."""
        for other in further:
            if {**other, "type": ""} != {**error, "type": ""}:
                continue
            if self.renames.is_renamed(error["type"], other["type"]):
                return True
        return False

    # -- idempotency

    def _compare_idempotency(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of the idempotency: another strategy is one, unless the base had none,
        or a key is asked for now.
        """
        old, new = _spell_out(place, old), _spell_out(place, new)
        was, now = at(old, "strategy") or "unknown", at(new, "strategy") or "unknown"
        if was == "unknown" or (was == "invariant" and now == "keyed"):
            return
        if was != now:
            why = ""
            if was == "keyed":
                why = "no key is asked for any more"
            title, where = f"{name}.strategy", (*path, "strategy")
            yield Change(f"{place}.strategy", title, where, was, now, why)
            return
        yield from self._compare_members(place, name, path, mapping(old), mapping(new))

    # -- the payload

    def _compare_payload(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of the payload: of its examples and of its schema."""
        if not isinstance(old, dict) or not isinstance(new, dict):
            if old is not None:
                yield Change(place, name, path, old, new)
            return
        were, are = listed(old.get("examples")), listed(new.get("examples"))
        yield from self._compare_examples(place, name, path, were, are)
        old_schema, new_schema = _drop_examples(old), _drop_examples(new)
        yield from self._compare_schema(name, path, old_schema, new_schema)

    def _compare_examples(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields a change for each example that is not where it was. The first is the job that is
        delivered, so each has to stay; further ones come behind them.
        """
        for index, example in enumerate(old):
            now = None
            if index < len(new):
                now = new[index]
            if not is_same(example, now):
                title, where = f"{name}.examples", (*path, "examples", index)
                yield Change(f"{place}.examples", title, where, example, now)

    def _compare_schema(self, name: str, path: Path, old: Any, new: Any) -> Iterator[Change]:
        """Yields the changes of a JSON Schema. A further field that may be left out is none."""
        for key in sorted(old.keys() | new.keys()):
            was, now = old.get(key), new.get(key)
            title, where = f"{name}.{key}", (*path, key)
            if key in _DESCRIBING_KEYS or is_same(was, now):
                continue
            if key == "properties" and isinstance(was, dict) and isinstance(now, dict):
                yield from self._compare_fields(title, where, was, now)
            elif key == "required":
                yield from _compare_required(title, where, listed(was), listed(now))
            elif isinstance(was, dict) and isinstance(now, dict):
                yield from self._compare_schema(title, where, was, now)
            else:
                yield Change("payload", title, where, was, now)

    def _compare_fields(self, name: str, path: Path, old: Any, new: Any) -> Iterator[Change]:
        """Yields the changes of the fields that the base's schema has."""
        for field, was in old.items():
            if field not in new:
                yield Change("payload", f"{name}.{field}", path, was, None)
            elif isinstance(was, dict) and isinstance(new[field], dict):
                yield from self._compare_schema(f"{name}.{field}", (*path, field), was, new[field])
            elif not is_same(was, new[field]):
                yield Change("payload", f"{name}.{field}", (*path, field), was, new[field])

    # -- the proof

    def _compare_proof(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields the changes of the section `proof`. A section that the base had not is none."""
        if not old:
            return
        if not new:
            yield Change(place, name, path, old, new, "the job is read, not proved")
            return
        yield from self._compare_members(place, name, path, mapping(old), mapping(new))

    def _compare_state(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields a change for each state query that is gone or asks something else. It is known by
        its name, else by what it asks.
        """
        dialect = dialect_of(self.new)
        left = dict(mapping(new))
        for key, query in mapping(old).items():
            name_now: str | None = key
            if key not in left:
                name_now = _find_query(query, left, dialect)
            now = None
            if name_now is not None:
                now = left.pop(name_now, None)
            if now is None or not same_query(query, now, dialect):
                yield Change(f"{place}.*", f"{name}.{key}", (*path, key), query, now)

    def _compare_dead_letters(
        self, place: str, name: str, path: Path, old: Any, new: Any
    ) -> Iterator[Change]:
        """Yields a change where the query of dead letters is gone or asks something else."""
        if old is None:
            return
        if new is None or not same_query(old, new, dialect_of(self.new)):
            yield Change(place, name, path, old, new)


def _find_effect(effect: Any, left: dict[int, Any], renames: Renames) -> int | None:
    """The index of an effect of the base among those that are left in HEAD, or None."""
    for index, other in left.items():
        if at(other, "name") == at(effect, "name"):
            return index
    for index, other in left.items():
        was, now = at(effect, "call"), at(other, "call")
        if was == now or renames.is_renamed(was, now):
            return index
    return None


def _find_query(query: Any, left: dict[str, Any], dialect: str) -> str | None:
    """The name of the query that asks the same among those that are left, or None."""
    for name, other in left.items():
        if same_query(query, other, dialect):
            return name
    return None


def _compare_required(name: str, path: Path, old: list[Any], new: list[Any]) -> Iterator[Change]:
    """Yields a change for each field that is required on one side alone."""
    for field in old:
        if field not in new:
            yield Change("payload", name, path, field, None)
    for field in new:
        if field not in old:
            yield Change("payload", name, path, None, field)


def _drop_examples(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of a payload's schema without its examples."""
    rest = dict(schema)
    rest.pop("examples", None)
    return rest


def _spell_errors(value: Any) -> list[dict[str, Any]]:
    """The errors of a list as mappings: `TimeoutError` is the exception without arguments."""
    spelled = []
    for error in listed(value):
        if not isinstance(error, dict):
            error = {"type": error}
        members: dict[str, Any] = {"args": []}
        for key in sorted(error):
            # What is not said of an error is as good as empty, but for `effects`: [] says none.
            if error[key] or key == "effects":
                members[key] = error[key]
        members["type"] = error.get("type")
        spelled.append(members)
    return spelled


def _spell_out(place: str, value: Any) -> Any:
    """The value without its short forms: what is left out has its default, `none` is a kind."""
    if value == "none" and place in ("retry", "dead_letter"):
        return {"kind": "none"}
    if value == "unknown" and place == "idempotency":
        return {"strategy": "unknown"}
    if value is None or (says_nothing(value) and place not in OPEN_PLACES):
        return spec_places().get(place, {}).get("default")
    return value
