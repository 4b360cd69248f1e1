"""docs/agents.md says of each agent what its module says."""

from __future__ import annotations

import helpers
import pytest

from skillrun.agents.registry import AGENTS, load_agent

DOCUMENT = (helpers.ROOT / "docs/agents.md").read_text(encoding="utf-8")
ROWS = {line.split("`")[1]: line for line in DOCUMENT.splitlines() if line.startswith("| `")}


def test_every_agent_has_a_row() -> None:
    assert list(ROWS) == list(AGENTS)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_row_says_what_the_module_says(agent: str) -> None:
    known, row = load_agent(agent), ROWS[agent]
    for folder in known.SKILLS:
        assert f"`{folder}`" in row
    for one in known.PROJECT:
        assert f"`{one.path}`" in row
        if one.how == "element":
            assert one.keys[-1] in row
    assert f"| {known.CHECKED} |" in row
    assert known.UNVERIFIED in row
