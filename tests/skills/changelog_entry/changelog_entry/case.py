"""What the stages see: the changelog, read once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from changelog_entry.release import Release
from skillrun.runner.case import Case

FILE = "CHANGELOG.md"
_HEADING = re.compile(r"## (\S+)")


@dataclass
class ReleaseCase(Case):
    """One release of one repository."""

    spec: Release | None

    def read_entries(self) -> dict[str, tuple[str, ...]]:
        """Version -> its bullets."""
        return self.once("entries", self._parse)

    def _parse(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        version = ""
        for line in (self.tree.read(FILE) or b"").decode().splitlines():
            heading = _HEADING.match(line)
            if heading:
                version = heading[1]
            elif line.startswith("- "):
                found[version] = (*found.get(version, ()), line)
        return found
