"""What replays the pages: a page that says something else than its commands print is found."""

from __future__ import annotations

from pathlib import Path

import replay

PAGE = """# A page

```python title="shop/price.py"
print(1999)
```

```console
$ python shop/price.py
SHOWN
$ git init -q
```

<!-- not run: it is the reader's -->
```console
$ false
```
"""


def write_page(folder: Path, shown: str) -> replay.Page:
    path = folder / "page.md"
    path.write_text(PAGE.replace("SHOWN", shown), encoding="utf-8")
    return replay.read_page(path)


def test_a_page_that_shows_what_is_printed_is_right(tmp_path: Path) -> None:
    page = write_page(tmp_path, "1999")
    assert [command.line for command in page.commands] == ["python shop/price.py", "git init -q"]
    assert page.left_out == ["it is the reader's"]
    assert replay.differences(page, replay.replay(page, tmp_path)) == []


def test_another_output_is_a_difference_and_can_be_kept(tmp_path: Path) -> None:
    page = write_page(tmp_path, "1998")
    printed = replay.replay(page, tmp_path)
    (difference,) = replay.differences(page, printed)
    assert difference.startswith("$ python shop/price.py\n")
    assert "-1998" in difference and "+1999" in difference
    replay.keep(page, printed)
    assert page.path.read_text(encoding="utf-8") == PAGE.replace("SHOWN", "1999")


def test_how_long_it_took_is_no_difference() -> None:
    assert replay.settle("2 passed in 0.08s") == replay.settle("2 passed in 1.20s (0:00:01)")
    assert replay.settle("proved: charge  (47.1 s)") == replay.settle("proved: charge  (9 s)")
    assert replay.settle("1 job, 0 with a spec") != replay.settle("2 jobs, 0 with a spec")


PROOF = """refuted: charge: 12 schedules, 1 refutation; risks: 1 lost, 2 minor  (3 s)
1. charge took place twice  [effect.repeated]
   delivery 1     1 s  ● charge
risk, lost: its retry could not be published  [retry-lost]
   delivery 1     1 s  ✗ the effect fails
more    skillrun prove -v
"""


def test_a_proof_may_have_more_schedules_and_risks_and_no_other_story() -> None:
    later = PROOF.replace("12 sch", "13 sch").replace("; risks: 1 lost, 2 minor", "")
    later = later.replace("risk, lost: its", "risk, stuck: its").replace(
        "✗ the effect", "✗ an effect"
    )
    assert replay.settle(later) == replay.settle(PROOF)
    assert replay.settle(PROOF.replace("     1 s", "    12 s, 3 s later")) == replay.settle(PROOF)
    assert replay.settle(PROOF.replace("refuted", "proved")) != replay.settle(PROOF)
    assert replay.settle(PROOF.replace("● charge", "● mail")) != replay.settle(PROOF)
