"""What an expression is worth while a function is gone through.

Numbers, texts, lists and their kin are Python's own; here is what else there is.
"""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass, field

from skillrun.repo.python import Definition, Project

# Stands in the text of whatever comes from an answer.
ANSWER = "<answer>"
# What the clients raise for an answer, with what may catch it: the last words of their classes.
ANSWER_ERRORS = (
    *("HTTPStatusError", "HTTPError", "RequestException", "ClientResponseError", "ClientError"),
    *("URLError", "OSError", "IOError", "EnvironmentError", "Exception", "BaseException"),
)
_MEMBER = re.compile(r"\w*[A-Z]\w*\.[A-Z][A-Z0-9_]*")
FAILING = 400


class Status(int):
    """The status of the answer."""


@dataclass(frozen=True)
class Opaque:
    """Anything else. `text` is the same for the same thing on both sides of a branch."""

    text: str
    # Code of elsewhere has looked at the answer: what it said of it cannot be read.
    is_unread: bool = False

    @property
    def is_of_answer(self) -> bool:
        return ANSWER in self.text

    @property
    def is_member(self) -> bool:
        """A member of an enumeration, `Outcome.SENT`."""
        return _MEMBER.fullmatch(self.text) is not None


@dataclass(frozen=True)
class Answer:
    """What a provider answered."""

    text: str = ANSWER


@dataclass(frozen=True)
class Class:
    """A class, of the repository where it has a definition; `kinds` are the last words of its
    ancestors, its own first.
    """

    kinds: tuple[str, ...]
    definition: Definition | None = None

    @property
    def is_error(self) -> bool:
        return "BaseException" in self.kinds


@dataclass(frozen=True)
class Function:
    """A function of the repository, with the object whose method it is."""

    definition: Definition
    owner: object = None


@dataclass(eq=False)
class Failure:
    """An error; `is_answer` where a client made it of an answer, whose status `holders` hold
    besides the usual attributes.
    """

    kinds: tuple[str, ...]
    is_answer: bool = False
    holders: frozenset[str] = frozenset()


@dataclass(eq=False)
class Instance:
    """An object of a class of the repository."""

    made_of: Class
    fields: dict[str, object] = field(default_factory=dict)


def make_class(project: Project, dotted: str) -> Class:
    """The class of a dotted name, here or elsewhere."""
    definition = project.definition(dotted)
    kinds = [name.rpartition(".")[2] for name in project.ancestors(dotted)]
    if definition is None:
        kinds += _list_python_bases(kinds[-1])
    is_known = "object" in kinds or definition is not None
    if not is_known or (definition is not None and _looks_like_error(kinds)):
        kinds += ["Exception", "BaseException"]
    return Class(tuple(dict.fromkeys(kinds)), definition)


def _list_python_bases(name: str) -> list[str]:
    known = getattr(builtins, name, None)
    if not isinstance(known, type):
        return []
    return [base.__name__ for base in known.__mro__]


def _looks_like_error(kinds: list[str]) -> bool:
    """A class of the repository whose last known ancestor is an error of elsewhere."""
    return kinds[-1].endswith(("Error", "Exception", "Timeout", "Retry"))


def is_told(value: object) -> bool:
    """Whether something is known of a value that depends on the answer."""
    if isinstance(value, Opaque):
        return value.is_of_answer
    if isinstance(value, Instance):
        return True
    return isinstance(value, Answer | Status | Failure | bool)


def name_end(value: object) -> str:
    """What a caller can tell apart of what a function gave back."""
    if isinstance(value, Instance):
        told = [f"{name}={one}" for name, one in value.fields.items() if isinstance(one, bool)]
        return f"{value.made_of.kinds[0]}({', '.join(sorted(told))})"
    if isinstance(value, Opaque) and value.is_member:
        return value.text
    if isinstance(value, Failure):
        return "error"
    if isinstance(value, Opaque | Answer | Class | Function):
        return "something"
    if value:
        return "something"
    return "nothing"
