"""A repository in a state that takes seconds to reach: reached once, and found again by each test
as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


class Place:
    """One folder, used by one test after the other, because a run is known by its repository's
    path.

    `build(repo)` makes the repository and brings it to its state. All that stands beside the
    repository belongs to it.
    """

    def __init__(self, folder: Path, build: Callable[[Path], object]) -> None:
        self._folder, self._kept = folder / "place", folder / "kept"
        self._folder.mkdir(parents=True)
        build(self._folder / "repo")
        shutil.copytree(self._folder, self._kept, symlinks=True)

    def restored(self) -> Path:
        """The repository as it was built, and nothing of what an earlier test has done to it."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder, symlinks=True)
        return self._folder / "repo"
