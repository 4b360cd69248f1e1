"""What the stages say of APScheduler alone; see `stages/test_libraries.py` for the rest."""

from __future__ import annotations

from pathlib import Path

import cases
from apscheduler_shop import FILES, build


def test_what_the_stages_see(tmp_path: Path) -> None:
    case = build(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.app) == ("apscheduler", "shop/clock.py:scheduler")
    assert "scheduled at shop/clock.py:6" in cases.examine("handler", case).summary
    assert (
        "tries 5 times, exponential backoff, capped at 1m" in cases.examine("retry", case).summary
    )


def test_a_crontab_never_outranks_a_job_library(tmp_path: Path) -> None:
    """Plain jobs beside a library: the library is the primary one, however many scripts the crontab
    names.
    """
    scripts = {f"jobs/j{n}.py": "def run(): ...\nrun()\n" for n in range(5)}
    crontab = "".join(f"0 {n} * * * python jobs/j{n}.py\n" for n in range(5))
    files = {**FILES, **scripts, "crontab": crontab}
    case = cases.build(tmp_path / "repo", files, spec=cases.spec_text(), alone=True)
    assert {use.id for use in case.survey_everything().frameworks} == {"apscheduler", "plain-cron"}
    assert case.use is not None
    assert case.use.id == "apscheduler"
    alone = cases.build(
        tmp_path / "alone", {**scripts, "crontab": crontab}, spec=cases.spec_text(), alone=True
    )
    assert alone.use is not None
    assert alone.use.id == "plain-cron"
