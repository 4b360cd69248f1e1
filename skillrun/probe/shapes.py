"""A function as a publisher sees it: without what the library fills in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def without_context(function: Any) -> Callable[..., None]:
    """Has the function's parameters but for the first, which the library gives."""

    def takes(*args: Any, **kwargs: Any) -> None: ...

    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    rest = [signature.parameters[name] for name in names[1:]]
    takes.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
    return takes
