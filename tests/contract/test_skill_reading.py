"""A SKILL.md as text in, a frozen `Skill` with line numbers out."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.skill import Skill, load_skill
from skillrun.core.errors import SkillInvalid

FULL = """\
---
name: tidy-queue
description: Clears a queue without losing anything.
metadata:
  layer: ops
  mode: write
  version: 1.10
  idempotent: false
---

# Skill: ops/tidy-queue

## Purpose
Empty a queue.

## Inputs
- Queue name (as the broker knows it)
- Limits:
  - messages
  - minutes
- Owner's address (optional)
- Repo profile (preferred): `REPO_PROFILE.json`
- Key plan (preferred) or a written invariant
- Old dump if present

## Outputs
- A report:
  - counts

---

## Workflow
1) Look at the queue:
   - count
   - age
     1. oldest
     2. newest
2) Decide what to drop,
   with the owner.
3) Drop it.

Tell `ops/watcher` if anything
is left.

## Checks
- Nothing was lost
- The report answers:
  - how many?
  - why?

## Failure modes
- Owner silent → wait one day.
- Broker down -> stop.
- Unclear

## Telemetry
Log:
- skill: `ops/tidy-queue`
- how: `purge | move`
- which: `all | some` (subset)
- target: `<queue>` (if known)
- dropped: count
- files_touched
- outcome: `success | partial | blocked`
"""


def skill(tmp_path: Path, text: str | bytes, folder: str = "tidy-queue") -> Skill:
    return load_skill(write(tmp_path, text, folder))


def write(tmp_path: Path, text: str | bytes, folder: str = "tidy-queue") -> Path:
    path = tmp_path / folder / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def small(workflow: str) -> str:
    return f"---\nname: tidy-queue\ndescription: x\n---\n{workflow}"


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(FULL.split("\n"), start=1) if words in line)


def test_every_part_is_read_with_its_line(tmp_path: Path) -> None:
    found = skill(tmp_path, FULL)
    assert (found.id, found.layer, found.name, found.mode) == (
        "ops/tidy-queue",
        "ops",
        "tidy-queue",
        "write",
    )
    assert [step.text for step in found.steps] == [
        "Look at the queue:",
        "Decide what to drop, with the owner.",
        "Drop it.",
    ]
    assert [bullet.text for bullet in found.steps[0].bullets] == ["count", "age"]
    assert [bullet.text for bullet in found.steps[0].bullets[1].bullets] == ["oldest", "newest"]
    assert found.steps[0].bullets[1].bullets[1].line == line_of("2. newest")
    assert [step.line for step in found.steps] == [
        line_of("1) Look"),
        line_of("2) Decide"),
        line_of("3) Drop"),
    ]
    assert [note.text for note in found.tail_notes] == ["Tell `ops/watcher` if anything is left."]
    assert [question.text for question in found.checks[1].questions] == ["how many?", "why?"]
    assert found.checks[1].questions[1].line == line_of("- why?")
    assert [(mode.condition, mode.reaction) for mode in found.failure_modes] == [
        ("Owner silent", "wait one day."),
        ("Broker down", "stop."),
        ("Unclear", ""),
    ]
    assert found.outputs[0].bullets[0].text == "counts"
    assert found.sections[:2] == ("Skill: ops/tidy-queue", "Purpose")
    assert found.warnings == ()


def test_metadata_becomes_the_text_that_was_written(tmp_path: Path) -> None:
    metadata = skill(tmp_path, FULL).frontmatter["metadata"]
    assert metadata == {"layer": "ops", "mode": "write", "version": "1.10", "idempotent": "false"}


def test_inputs_are_required_unless_they_say_otherwise(tmp_path: Path) -> None:
    assert [(given.slug, given.required) for given in skill(tmp_path, FULL).inputs] == [
        ("queue-name", True),
        ("limits", True),
        ("owners-address", False),
        ("repo-profile", False),
        ("key-plan", True),
        ("old-dump-if-present", False),
    ]


def test_two_inputs_of_one_name_get_two_slugs(tmp_path: Path) -> None:
    text = small("## Inputs\n- Name (a)\n- Name (b)\n- ???\n\n## Workflow\n1. Go\n")
    assert [given.slug for given in skill(tmp_path, text).inputs] == ["name", "name-2", "input"]


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ("## Workflow\n1. a\n2. b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n1) a\n2) b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n1. a\n1. b\n1. c\n", [(1, "a"), (2, "b"), (3, "c")]),
        ("## Workflow\n0) a\n1) b\n", [(0, "a"), (1, "b")]),
        ("## Workflow\n1) a\n- note of a\n\n2) b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n1) a\n\nwords\n\n2) b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n\n### 1) a\n1. not a step\n\n### 2. b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n### Step 1: a\n#### 1) inner\n### Step 2: b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n### 1) a\n### Aside\n- x\n### 2) b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n### First phase\n1. a\n### Second phase\n1. b\n", [(1, "a"), (2, "b")]),
        ("## Minimal workflow\n1. a\n", [(1, "a")]),
        ("## **Workflow:**\n1. a\n", [(1, "a")]),
        ("Workflow\n--------\n1. a\n", [(1, "a")]),
        ("```\n## Workflow\n1. sham\n```\n## Workflow\n1. real\n", [(1, "real")]),
        ("## Workflow\n1. a\n\n   ```\n   2. in code\n   ```\n2. b\n", [(1, "a"), (2, "b")]),
        ("## Workflow\n> 1. quoted\n\n1. a\n", [(1, "a")]),
        ("## Workflow\n1. a\n## Workflow\n1. second section\n", [(1, "a")]),
    ],
)
def test_steps_are_found_in_every_form(
    tmp_path: Path, workflow: str, expected: list[tuple[int, str]]
) -> None:
    assert [(step.number, step.text) for step in skill(tmp_path, small(workflow)).steps] == expected


def test_a_list_without_indentation_belongs_to_the_step_above(tmp_path: Path) -> None:
    found = skill(tmp_path, small("## Workflow\n1) a\n- x\n- y\n\n2) b\n"))
    assert [bullet.text for bullet in found.steps[0].bullets] == ["x", "y"]


def test_a_step_under_a_heading_keeps_paragraphs_and_lists(tmp_path: Path) -> None:
    found = skill(tmp_path, small("## Workflow\n### 1) a\nDo it well.\n\n1. so\n2. and so\n"))
    assert [bullet.text for bullet in found.steps[0].bullets] == ["Do it well.", "so", "and so"]
    assert found.tail_notes == ()


def test_lines_are_right_with_a_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    plain = skill(tmp_path / "a", FULL)
    windows = skill(tmp_path / "b", b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert windows.steps == plain.steps
    assert windows.checks == plain.checks
    assert windows.sha256 != plain.sha256


@pytest.mark.parametrize("mode", ["mode: read", "mode: read-only", "read-only: true"])
def test_a_skill_can_say_that_it_only_reads(tmp_path: Path, mode: str) -> None:
    text = f"---\nname: tidy-queue\ndescription: x\nmetadata:\n  {mode}\n---\n## Workflow\n1. a\n"
    assert skill(tmp_path, text).mode == "read"


def test_unknown_keys_are_warnings_with_their_line(tmp_path: Path) -> None:
    text = "---\nname: tidy-queue\ndescription: x\nversion: 2\n---\n## Workflow\n1. a\n"
    assert skill(tmp_path, text).warnings == (
        "SKILL.md:4: unknown key version in the front-matter",
    )


def test_a_missing_name_is_that_of_the_folder(tmp_path: Path) -> None:
    found = skill(tmp_path, "---\nlicense: MIT\n---\n## Workflow\n1. a\n")
    assert found.id == "tidy-queue"
    assert len(found.warnings) == 2


def test_a_layer_that_is_no_name_makes_no_id(tmp_path: Path) -> None:
    text = (
        '---\nname: tidy-queue\ndescription: x\nmetadata: {layer: "../up"}\n---\n##'
        " Workflow\n1. a\n"
    )
    assert skill(tmp_path, text).id == "tidy-queue"


def test_a_fence_that_swallows_the_rest_is_said(tmp_path: Path) -> None:
    found = skill(tmp_path, small("## Workflow\n1. a\n\n```text\n2. lost\n"))
    assert [step.text for step in found.steps] == ["a"]
    assert found.warnings[0].startswith("SKILL.md:8: this code block is never closed")


REFUSED = {
    "no front-matter": ("# Just text\n", ":1: no front-matter"),
    "empty": ("", ":1: no front-matter"),
    "a space before the fence": (" ---\nname: x\n---\n", ":1: no front-matter"),
    "never closed": ("---\nname: x\n", ":1: the front-matter is never closed"),
    "empty front-matter": ("---\n---\n## Workflow\n1. a\n", ":1: the front-matter is empty"),
    "a list": ("---\n- a\n---\n## Workflow\n1. a\n", ":2: the front-matter is no mapping"),
    "broken YAML": ("---\nname: [x\n---\n", ":2: front-matter:"),
    "a key twice": (
        "---\nname: x\nname: y\n---\n",
        ":3: front-matter: the key 'name' is given twice",
    ),
    "a Python object": (
        "---\nname: !!python/name:os.system x\n---\n",
        ":2: front-matter: the tag !!python",
    ),
    "no workflow": (small("## Steps\n1. a\n"), ":5: no section Workflow"),
    "somebody else's workflow": (
        small("## Table creation workflow\n1. a\n"),
        ":5: no section Workflow",
    ),
    "no numbers": (small("## Workflow\n- a\n- b\n"), ":5: the workflow has no numbered steps"),
    "a name with a slash": ("---\nname: ../x\n---\n## Workflow\n1. a\n", ":2: the name"),
    "a name with an escape": ('---\nname: "x\\e[31m"\n---\n## Workflow\n1. a\n', ":2: the name"),
    "too deep": (
        "---\nname: x\nmetadata: " + "[" * 400 + "]" * 400 + "\n---\n",
        ":3: front-matter: nested deeper",
    ),
    "aliases": (
        (
            "---\na: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c"
            " [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e"
            " [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e]\n---\n"
        ),
        "once its aliases are expanded",
    ),
    "an alias of itself": ("---\nname: &a [*a]\n---\n", "an alias that contains itself"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_refused_with_one_line(tmp_path: Path, name: str) -> None:
    text, expected = REFUSED[name]
    path = write(tmp_path, text)
    with pytest.raises(SkillInvalid) as refusal:
        load_skill(path)
    assert refusal.value.message.startswith(f"{path}:")
    assert expected in refusal.value.message
    assert "\n" not in refusal.value.message
    assert refusal.value.hint
    assert refusal.value.exit_code == 4


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(SkillInvalid, match=r":2: not UTF-8"):
        skill(tmp_path, b"---\nname: caf\xe9\n---\n")


def test_ten_megabytes_are_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, FULL)
    with path.open("r+b") as file:
        file.truncate(10_000_000)
    with pytest.raises(SkillInvalid, match="larger than 1 MB"):
        load_skill(path)


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillInvalid, match=r"no such SKILL\.md"):
        load_skill(tmp_path / "nothing")
    (tmp_path / "SKILL.md").mkdir()
    with pytest.raises(SkillInvalid, match="is not a file"):
        load_skill(tmp_path)


def test_markdown_that_nests_without_end_is_read_all_the_same(tmp_path: Path) -> None:
    assert (
        skill(tmp_path, small("## Workflow\n1. a\n\n" + ">" * 5000 + " x\n")).steps[0].text == "a"
    )
    deep = "".join("  " * depth + "- x\n" for depth in range(200))
    assert skill(tmp_path, small("## Workflow\n1. a\n\n## Checks\n" + deep)).checks[0].text == "x"


LONG = {
    "optional": "(optional " * 60_000,
    "spaces": "a" + " " * 600_000 + "b",
    "ticks": "`" * 300_000 + "a",
    "underscores": "_" * 300_000,
    "if present": "if present " * 60_000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_item_is_read_in_reasonable_time(tmp_path: Path, name: str) -> None:
    """A pattern that goes back and forth would need hours for these, so this test would never
    end.
    """
    for section in ("Inputs", "Failure modes"):
        text = small(f"## Workflow\n1. a\n\n## {section}\n- {LONG[name]}\n")
        assert skill(tmp_path, text).steps[0].text == "a"
