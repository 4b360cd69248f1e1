"""Which tests a declared command would run: pytest tells, and none is run.

The wall counts the tests by itself. What `make test` runs is another matter: `-m`, a path, a plugin
or a variable in its recipe leave tests out, and the stage that runs it is as green as before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from skillrun.core.opening import read_file

# A plugin for the target's interpreter. It writes what is collected, after all options and plugins
# have had their say, and lets nothing run; that nothing ran is no failure of the command.
_PLUGIN = """
import os

import pytest

OUT, ROOT = {out!r}, {root!r}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session):
    with open(OUT, "a", encoding="utf-8", errors="surrogateescape") as out:
        for item in session.items:
            path = os.path.realpath(str(getattr(item, "path", None) or item.fspath))
            name = item.nodeid.partition("::")[2].partition("[")[0]
            out.write(os.path.relpath(path, ROOT) + "::" + name + "\\n")
    del session.items[:]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if session.exitstatus == 5:
        session.exitstatus = 0
"""


class Listener:
    """A folder with the plugin, for one run of a command."""

    def __init__(self, name: str, root: Path) -> None:
        """`name`: of the plugin; `root`: of the checkout."""
        self._name = name
        self._folder = Path(tempfile.mkdtemp(prefix="collected-"))
        self._out = self._folder / "tests"
        plugin = _PLUGIN.format(out=str(self._out), root=os.path.realpath(root))
        (self._folder / f"{name}.py").write_text(plugin, encoding="utf-8")

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add_to(self, env: dict[str, str]) -> dict[str, str]:
        """The environment in which pytest loads the plugin."""
        folders = [str(self._folder), *filter(None, [env.get("PYTHONPATH")])]
        plugins = [self._name, *filter(None, [env.get("PYTEST_PLUGINS")])]
        return {
            **env,
            "PYTHONPATH": os.pathsep.join(folders),
            "PYTEST_PLUGINS": ",".join(plugins),
        }

    def read_tests(self) -> frozenset[str]:
        """`tests/test_a.py::test_one`, without parameters; empty where no pytest ran."""
        with suppress(OSError):
            text = read_file(self._out).decode("utf-8", "surrogateescape")
            return frozenset(text.splitlines())
        return frozenset()
