"""What reads a stranger's file does work in proportion to its size; figures:
`tests/bench/growth_bench.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.skill import load_skill
from skillrun.core.secret_names import MASK
from skillrun.core.text import excerpt, masked
from skillrun.frameworks.known import sights_source
from skillrun.frameworks.known.sights_source import see_source
from skillrun.runner.declared import slug
from skillrun.runner.planned import match_stages


class Counting(set[str]):
    """A set that counts how often it was asked."""

    asked = 0

    def __contains__(self, item: object) -> bool:
        self.asked += 1
        return super().__contains__(item)


def test_a_step_is_named_after_as_many_questions_as_there_are_names() -> None:
    taken, numbers = Counting(), dict[str, int]()
    names = [slug("Do it.", taken, numbers) for _ in range(2_000)]
    assert names[:3] == ["do-it", "do-it-2", "do-it-3"]
    assert len(set(names)) == 2_000
    assert taken.asked <= 3 * 2_000


def test_the_names_of_steps_are_those_that_they_were(tmp_path: Path) -> None:
    """A recorded step is found again by its name."""
    steps = ("Do it.", "Do it 2.", "Do it.", "Do it.", "Else.")
    listed = "".join(f"{number}) {text}\n" for number, text in enumerate(steps, 1))
    path = tmp_path / "SKILL.md"
    path.write_text(f"---\nname: x\ndescription: X.\n---\n\n## Workflow\n{listed}")
    planned, _ = match_stages(load_skill(path))
    taken: set[str] = set()
    assert [one.stage.ID for one in planned] == [slug(text, taken) for text in steps]


def test_a_place_in_a_bundle_is_its_line_and_elsewhere_as_exact_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import {Queue} from 'bullmq';\n\nconst q = new Queue('a');\n"
    exact = [
        sight.line for sight in see_source("a.js", code.encode()).sights if sight.kind == "call"
    ]
    assert exact == [3]

    def refuse(node: object) -> int:
        raise AssertionError("the parser was asked for the place of a node in a bundle")

    monkeypatch.setattr(sights_source, "_find_line", refuse)
    bundle = f"// a banner\n{code.replace(chr(10), ' ')}{'f(g);' * 10_000}"
    found = [
        sight
        for sight in see_source("b.js", bundle.encode()).sights
        if sight.name == "bullmq.Queue"
    ]
    assert [sight.line for sight in found if sight.kind == "call"] == [2]


@pytest.mark.real
def test_a_chain_of_calls_has_no_name() -> None:
    text = "import {Queue} from 'bullmq';a" + ".b('c')" * 20_000
    names = [sight.name for sight in see_source("chain.js", text.encode()).sights]
    assert max(map(len, names)) <= 200


def test_of_a_line_only_its_beginning_is_looked_at() -> None:
    assert len(excerpt("x" * 1_000_000)) == 200
    assert (
        excerpt("celery -A shop worker --password=hunter2x")
        == f"celery -A shop worker --password={MASK}"
    )


@pytest.mark.real
def test_every_header_of_many_keys_is_masked() -> None:
    header = "-----BEGIN RSA PRIVATE KEY-----\n"
    assert "BEGIN" not in masked(header * 5_000)
