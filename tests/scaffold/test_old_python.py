"""A repository that runs on an older Python gets no newer syntax, and no newer argument of the standard library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import samples
import writing

pytestmark = pytest.mark.real


@pytest.mark.parametrize("framework", samples.FRAMEWORKS)
@pytest.mark.parametrize("older", [True, False])
def test_what_is_written_is_not_newer_than_the_repository(tmp_path: Path, framework: str, older: bool) -> None:
    more = {".python-version": "3.8\n" if older else "3.12\n"}
    written = writing.write(tmp_path, samples.usual(framework), more)
    sources = {c.path: c.after for c in written.plan.changes if c.path.endswith(".py")}
    assert sources
    for source in sources.values():
        ast.parse(source, feature_version=(3, 8))
    handler = "\n".join(sources.values())
    if "zip(" in handler:
        assert ("strict=" in handler) is not older
