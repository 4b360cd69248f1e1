"""A verification as Markdown: what a reviewer reads, and what a browser makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, needs_chromium
from markdown_it import MarkdownIt
from test_formats import CHEATED, HOSTILE, MIXED, REFUSED, VERIFICATIONS, job, made, stage

from skillrun.proof.baseline import Compared, KnownCause
from skillrun.wall.formats.document import document
from skillrun.wall.formats.markdown import markdown, write_markdown
from skillrun.wall.verification import BaseProof, Job, Proof, Tally, Tests

READER = MarkdownIt("commonmark").enable("table")
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ font: 14px/1.5 sans-serif; margin: 16px; max-width: 860px; overflow-wrap: anywhere }}
pre, code {{ background: #eff1f3; padding: 2px 4px; border-radius: 6px }}
pre {{ padding: 12px; overflow: auto }} table {{ border-collapse: collapse }}
td, th {{ border: 1px solid #d1d9e0; padding: 6px 13px }} summary {{ cursor: pointer }}
</style>{body}
<script>onload = () => {{ document.title = [
  document.documentElement.scrollWidth, document.querySelectorAll("details").length,
  document.querySelectorAll("details[open]").length, document.querySelectorAll("ol li").length,
  document.querySelectorAll("img, iframe, a, script[src]").length, window.ran || "nothing ran"
].join("|") }}</script>"""
PINGS = '@octocat fixes #12 <img src=x onerror="window.ran=1"> </details></summary><script>ran=1</script>'


def step(number: int, text: str, *, fault: bool = False, path: str | None = None) -> dict[str, Any]:
    place = {"path": path, "line": 7 if path else None}
    process = f"delivery {1 + number // 3}"
    return {"number": number, "at_s": 1.0, "process": process, "text": text, "fault": fault} | place


def story(message: str = "charge took place twice", grade: str | None = None) -> dict[str, Any]:
    steps = [
        step(1, "begins"),
        step(2, "charge takes place: charge#1(order_id=7)", path="shop/tasks.py"),
        step(3, "the process is killed after charge#1", fault=True),
        step(4, PINGS),
    ]
    replay = "skillrun prove --spec .skillrun/jobs/send.yaml --schedule 'kill@after:charge#1'"
    said = {"cause": PINGS, "expected": "1", "seen": "2", "effect": "charge"}
    named = {"rule": "effect.repeated", "schedule": "kill@after:charge#1", "replay": replay}
    return {"grade": grade, "message": message, **said, **named, "steps": steps}


REFUTED = replace(
    job(stage("idempotency", "failed"), outcome="partial"),
    stories=[story(), story("the letter is lost", "lost"), story(PINGS)],
    proof=Proof("refuted", BaseProof("1" * 40, "proved")),
)


def list_words(text: str) -> str:
    """The text without the marks of Markdown, as somebody reads it."""
    return re.sub(r"[`*_\\]", "", text)


def test_the_first_story_is_told_step_by_step_and_replays() -> None:
    shown = markdown(made(REFUTED))
    head, first, *_ = shown.split("<details open>")
    assert "| `send` | ❌ partial: 1 failed | refuted | proved |" in head
    assert "**Cause:** `@octocat` fixes `#12`" in first
    assert "2. charge takes place: `charge#1(order_id=7)` — `shop/tasks.py:7`" in first
    assert "3. _delivery 2, after 1 s_: **fault: the process is killed after `charge#1`**" in first
    assert "\n```sh\nskillrun prove --spec .skillrun/jobs/send.yaml --schedule" in first
    assert shown.count("<details") == shown.count("\n</details>\n") == 3
    assert "risk of grade lost: the letter is lost" in shown


def test_a_risk_that_a_person_has_accepted_is_no_story() -> None:
    risk = {"rule": "effect.repeated", "grade": "lost", "message": "m", "accepted": "we know"}
    accepted = replace(REFUTED, report={**REFUTED.report, "risks": [risk]})
    assert "the letter is lost" not in markdown(made(accepted))
    assert "charge took place twice" in markdown(made(accepted))


def test_what_the_branch_changed_is_told_and_silence_is_said() -> None:
    assert "- nothing takes evidence away, and no job is worse" in markdown(VERIFICATIONS["passed"])
    one = KnownCause("effect.repeated", "charge", "two deliveries pass the check")
    other = KnownCause("effect.lost", "mail", "it is never sent")
    compared = Compared(new=(one,), known=(), paid=(other,), is_full=False)
    indebted = replace(REFUTED, compared=compared)
    tests = Tests("pytest", Tally(9, 9, 0, 1), Tally(11, 11, 0, 1))
    found = list_words(markdown(replace(made(indebted, gaming=CHEATED), tests=tests)))
    assert "- send: new: charge: two deliveries pass the check" in found
    assert "- send: paid off: mail: it is never sent" in found
    assert "- tests: 9 are collected, 11 at the base" in found
    assert "(gaming.deleted-test)" in found


def test_where_there_is_no_base_it_is_said_so() -> None:
    shown = markdown(VERIFICATIONS["blind"])
    assert "- not looked at: no base" in shown
    assert "no base to compare it with" in shown


def test_what_stands_in_the_way_without_a_story_is_told() -> None:
    shown = list_words(markdown(made(MIXED, REFUSED)))
    assert "Open in send" in shown
    assert "- tests: pending:" in shown
    assert "(handler.missing)" in shown
    assert "- refused: " in shown


def test_of_many_stories_the_first_are_told_in_full() -> None:
    many = replace(REFUTED, stories=[story(f"story {n}") for n in range(24)])
    found = document(made(many))
    whole = write_markdown(found, 900_000)
    assert whole.count("1. _delivery 1") == 12
    assert write_markdown(found, len(whole) - 1).count("1. _delivery 1") == 4


def hostile() -> Iterator[Job]:
    yield replace(REFUTED, stories=[story(HOSTILE), story(PINGS)])
    yield replace(MIXED, name=f"|{PINGS}", problem=PINGS, hint=f"# {PINGS}")


def test_hostile_text_calls_nobody_and_ends_nothing() -> None:
    text = markdown(made(*hostile(), gaming=CHEATED, notes=(PINGS,)))
    # What is code calls nobody.
    outside = re.sub(r"```.*?```|`[^`\n]*`|<code>.*?</code>", "", text, flags=re.DOTALL)
    assert "@octocat" not in outside
    assert "#12" not in outside
    assert "<img" not in outside
    assert "<script" not in outside
    assert outside.count("</details>") == 2


@pytest.mark.real
@needs_chromium
@pytest.mark.parametrize("width", (400, 900))
def test_a_browser_shows_it_and_runs_nothing(width: int, tmp_path: Path) -> None:
    text = markdown(made(*hostile(), gaming=CHEATED, notes=(PINGS,)))
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(body=READER.render(text)), encoding="utf-8")
    frame = f'<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
    copies = "document.title = document.querySelector('iframe').contentDocument.title"
    (tmp_path / "frame.html").write_text(
        f"<!doctype html><body style='margin:0'>{frame}<script>onload = () => {{ {copies} }}</script>"
    )
    shown = chromium(
        tmp_path / "chrome",
        "--allow-file-access-from-files",
        "--virtual-time-budget=5000",
        "--dump-dom",
        f"file://{tmp_path}/frame.html",
    )
    title = re.search("<title>(.*?)</title>", shown)
    assert title, shown[:500]
    content, details, opened, steps, loaded, ran = title[1].split("|")
    assert int(content) <= width
    assert (details, opened, steps) == ("2", "1", "8")
    assert (loaded, ran) == ("0", "nothing ran")
