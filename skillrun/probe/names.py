"""Finds what an import path "module:object.attribute" names."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import os
import re
from typing import Any

from .answers import make_described_error, make_status_error, make_usual_status_error


class NotThere(Exception):
    """The import path names nothing; the words are for a person."""


def check_version(library: str, version: str, oldest: tuple[int, int]) -> None:
    """Raises NotThere for a release that the proof does not know."""
    if tuple(map(int, version.split(".")[:2])) < oldest:
        first = ".".join(map(str, oldest))
        raise NotThere(f"{library} {version} is too old: the proof knows {library} from {first} on")


def find_object(path: str) -> tuple[Any, str, Any]:
    """(owner, attribute, value). Raises NotThere, or whatever the import raises."""
    module_name, _, attributes = path.partition(":")
    if not attributes:
        if hasattr(builtins, module_name):
            return builtins, module_name, getattr(builtins, module_name)
        module_name, _, attributes = path.rpartition(".")
    owner: Any = importlib.import_module(module_name)
    *parents, last = attributes.split(".")
    for name in parents:
        owner = _get_attribute(owner, name, path)
    return owner, last, _get_attribute(owner, last, path)


def put_value(path: str, value: Any) -> None:
    """Has a value of the configuration be another one. A mapping stays the object that it is, since
    others may hold it: it gets the entries.
    """
    owner, name, known = find_object(path)
    if isinstance(known, dict) and isinstance(value, dict):
        known.update(value)
    else:
        setattr(owner, name, value)


def find_beside_django(path: str) -> tuple[Any, str, Any]:
    """As `find_object` in a worker that no `manage.py` starts, see `import_beside_django`."""
    if ":" in path:
        module = path.partition(":")[0]
    else:
        module = path.rpartition(".")[0]
    if module:
        import_beside_django(module)
    set_up_django()
    return find_object(path)


def import_beside_django(name: str) -> None:
    """An application that sets Django up as it is imported does what it does only then, such as say
    how logs are written. Where it does not, Django is set up first.
    """
    try:
        importlib.import_module(name)
    # Whatever it is that needs Django: a model, a setting, a translation.
    except Exception:
        set_up_django()
        importlib.import_module(name)


def set_up_django() -> None:
    """As `manage.py` does before it imports a command, where the environment names the settings."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return
    try:
        django = importlib.import_module("django")
    except ModuleNotFoundError:
        return
    # A second time would undo what the application has said of its logs since.
    if not importlib.import_module("django.apps").apps.ready:
        django.setup()


def _get_attribute(owner: Any, name: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise NotThere(
            f"{path}: there is no {name} in {getattr(owner, '__name__', type(owner).__name__)}"
        ) from None


_SAID = "injected by skillrun"
_UNMADE = "_skillrun_unmade"
# Parameters that take words in production, too.
_SAYS = re.compile(r"^(?:message|msg|text|reason|detail|details|description|args?)$", re.IGNORECASE)
_ERRORS = ("orig", "original", "error", "err", "exc", "exception", "cause", "inner")
_NUMBERS = ("code", "status", "errno", "number", "count", "after", "seconds", "pos", "response")


def make_ordered_error(order: dict[str, Any]) -> BaseException:
    """The exception of an order: its class, or the factory that makes it, and their arguments."""
    args, kwargs = order.get("args") or [], order.get("kwargs") or {}
    if not order.get("factory"):
        error = make_error(order["error"], args, kwargs)
        if order.get("says"):
            error.args = (order["says"],)
        return error
    made = find_object(order["factory"])[2](*args, **kwargs)
    kind = find_object(order["error"])[2]
    if not (isinstance(made, BaseException) and isinstance(made, kind)):
        raise NotThere(f"{order['factory']} makes no {order['error']}: {type(made).__name__}")
    return made


def make_error(path: str, args: list[Any], kwargs: dict[str, Any] | None = None) -> BaseException:
    """An exception of the named class. Raises NotThere where the class needs arguments that nobody
    can guess.
    """
    _, _, kind = find_object(path)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise NotThere(f"{path} is no exception")
    if kwargs:
        return make_described_error(kind, args, kwargs)
    if args:
        return make_status_error(kind, args) or kind(*args)
    for make in (make_usual_status_error, _make_bare, _make_filled, _make_unmade):
        made = make(kind)
        if made is not None and _can_be_logged(made):
            return made
    raise NotThere(f"{path} cannot be made without arguments")


def _make_bare(kind: type[BaseException]) -> BaseException | None:
    try:
        made = kind()
    except Exception:
        return None
    if not made.args:
        made.args = (_SAID,)
    return made


def _make_filled(kind: type[BaseException]) -> BaseException | None:
    """Words for what it cannot do without. What a handler may decide by, such as a status, is not
    made up.
    """
    given: dict[str, Any] = {}
    positional: list[Any] = []
    try:
        for name, parameter in inspect.signature(kind).parameters.items():
            if parameter.default is not parameter.empty or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                continue
            if any(word in name.lower() for word in _NUMBERS) or parameter.annotation in (
                int,
                float,
                "int",
                "float",
            ):
                return None
            value = Exception(_SAID) if name.lower() in _ERRORS else _SAID
            if parameter.kind is parameter.KEYWORD_ONLY:
                given[name] = value
            else:
                positional.append(value)
        made = kind(*positional, **given)
    except Exception:
        return None
    filled = [*list(inspect.signature(kind).parameters)[: len(positional)], *given]
    if not all(_SAYS.search(name) for name in filled):
        # A frozen one takes no note of it.
        with contextlib.suppress(Exception):
            setattr(made, _UNMADE, True)
    return made


def _make_unmade(kind: type[BaseException]) -> BaseException | None:
    """Without its own beginning: whoever asks for one of its attributes finds that it is not
    there.
    """
    made = kind.__new__(kind, _SAID)
    made.args = (_SAID,)
    setattr(made, _UNMADE, True)
    return made


def is_unmade(error: BaseException) -> bool:
    """Whether an error was made without its own beginning, or with words in the place of what it
    is made of: its attributes are missing, or are none of the kind that a handler expects.
    """
    return bool(getattr(error, _UNMADE, False))


def _can_be_logged(made: BaseException) -> bool:
    """Whether it can be logged."""
    try:
        return bool(str(made)) and bool(repr(made))
    except Exception:
        return False
