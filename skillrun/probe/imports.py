"""Hooks a module as soon as it has been imported, whoever does that and whenever."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

Work = Callable[[ModuleType], None]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing by itself: asks the others, and has the found loader tell when it is done."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Work]] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname not in self.waiting:
            return None
        spec = next(
            filter(None, (f.find_spec(fullname, path, target) for f in self._list_others())), None
        )
        if spec is not None and spec.loader is not None:
            self._tell_when_done(spec.loader, fullname)
        return spec

    def _list_others(self) -> list[Any]:
        found = []
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                found.append(finder)
        return found

    def _tell_when_done(self, loader: Any, name: str) -> None:
        """Whoever only asks for the spec does not import; a module that is loaded again is new."""
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            for work in self.waiting.get(name, ()):
                work(module)

        loader.exec_module = exec_module


_FINDER = _Finder()


def when_imported(name: str, work: Work) -> None:
    """Does `work(module)`: now if the module is there, and right after each time that it is
    loaded.
    """
    if name in sys.modules:
        work(sys.modules[name])
    _FINDER.waiting.setdefault(name, []).append(work)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
