"""A function as a publisher sees it: without what the library fills in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def without_context(function: Callable[..., Any]) -> Callable[..., None]:
    """Has the function's parameters but for the first, which the library gives."""
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name not in ("self", "cls")]
    return make_shape(function, [parameters[name] for name in names[1:]])


def make_shape(
    function: Callable[..., Any], kept: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """Takes these parameters of the function, and does nothing."""

    def takes(*args: Any, **kwargs: Any) -> None: ...

    signature = inspect.signature(function).replace(parameters=kept)
    takes.__dict__["__signature__"] = signature
    return takes
