"""The door: what runs in the repository's interpreter is started through this file.

    python main.py forking CONTROL_FD
    python main.py real CONFIG publish|work

Standard library only, and nothing of skillrun but the files beside this one and those of one job
library: skillrun itself need not be installed there. Its folders become packages under a name that
no repository has, laid out as they lie on disk, so that a relative import finds the same module in
the repository's interpreter as in skillrun's own.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from typing import Any

ROOT = "_skillrun"


def make_packages() -> None:
    """Names of folders alone: their `__init__.py` is for skillrun's own interpreter."""
    here = os.path.dirname(os.path.abspath(__file__))
    above = os.path.dirname(here)
    make_package(ROOT, above)
    make_package(f"{ROOT}.probe", here)
    frameworks = os.path.join(above, "frameworks")
    make_package(f"{ROOT}.frameworks", frameworks)
    for name in os.listdir(frameworks):
        if os.path.isfile(os.path.join(frameworks, name, "driver.py")):
            make_package(f"{ROOT}.frameworks.{name}", os.path.join(frameworks, name))


def make_package(name: str, folder: str) -> None:
    """Its modules are found in the folder from now on."""
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def main(part: str, *args: str) -> None:
    """Runs one of the programs of the probe."""
    # Python puts this folder first on the path: its modules are nobody's to import by plain names.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    make_packages()
    program: Any = importlib.import_module(f"{ROOT}.probe.{part}")
    program.main(*args)


if __name__ == "__main__":
    main(*sys.argv[1:])
