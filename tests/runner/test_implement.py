"""`--implement`: an agent gets the work order, the run is verified again, and all of it is bounded
and recorded.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

pytestmark = pytest.mark.real

HANDLER = "shop/tasks.py"
BREAKS = ("max_retries=4", "max_retries=None")


def broken_shop(folder: Path) -> Path:
    """A shop whose handler is gone; the one that was there lies beside the repository."""
    repo = shops.shop(folder)
    whole = (repo / HANDLER).read_text()
    (folder.parent / "whole.py").write_text(whole)
    (repo / HANDLER).write_text(whole[: whole.index("@app.task")])
    return repo


def agent(folder: Path, body: str) -> str:
    """The command line of a scripted agent; $order is what it was given."""
    script = folder / "agent.sh"
    script.write_text(f"order=$(cat)\nprintf '%s\\n' \"$order\" >> {folder}/orders.txt\n{body}\n")
    return f"sh {script}"


def attempts(repo: Path) -> list[dict[str, object]]:
    return shops.events(shops.ledger_of(repo), "implement.attempt")


def test_from_an_empty_handler_to_success(tmp_path: Path) -> None:
    """The first attempt leaves a bug, and the next order is about it."""
    repo = broken_shop(tmp_path / "shop")
    body = f"""
case "$order" in
  *"handler (blocked)"*) sed 's/{BREAKS[0]}/{BREAKS[1]}/' {tmp_path}/whole.py > {HANDLER} ;;
  *"retry (failed)"*) cp {tmp_path}/whole.py {HANDLER} ;;
esac
"""
    printed = shops.run(repo, "--trust", "--implement", agent(tmp_path, body), code=0)
    assert "attempt 1 of 3" in printed
    assert "attempt 2 of 3" in printed
    assert "attempt 3 of 3" not in printed
    first, second = attempts(repo)
    assert (first["attempt"], first["exit_code"]) == (1, 0)
    assert first["data"]["files"] == [HANDLER]  # type: ignore[index]
    assert second["data"]["files"] == [HANDLER]  # type: ignore[index]
    orders = (tmp_path / "orders.txt").read_text()
    assert "handler to write: shop/tasks.py send_receipt" in orders
    assert "Then run: skillrun job-worker-orchestration" in orders
    assert shops.asked(repo, "ledger verify")["integrity"] == "whole"


def test_an_agent_that_only_talks_is_asked_once(tmp_path: Path) -> None:
    repo = broken_shop(tmp_path / "shop")
    printed = shops.run(
        repo, "--trust", "--implement", agent(tmp_path, "echo all done, I promise"), code=3
    )
    assert "it changed no file" in printed
    (only,) = attempts(repo)
    assert only["data"]["files_changed"] == 0  # type: ignore[index]


def test_the_agent_may_not_waive(tmp_path: Path) -> None:
    repo = broken_shop(tmp_path / "shop")
    waive = (
        f"PYTHONPATH={helpers.ROOT} python -m skillrun {shops.SKILL} --waive retry=meh 2>"
        f" {tmp_path}/said.txt"
    )
    shops.run(repo, "--trust", "--implement", agent(tmp_path, waive), "--attempts", "1", code=3)
    assert "is an agent, and waivers are for people" in (tmp_path / "said.txt").read_text()
    assert shops.events(shops.ledger_of(repo), "waiver.given") == []


def test_attempts_are_bounded(tmp_path: Path) -> None:
    repo = broken_shop(tmp_path / "shop")
    work = agent(tmp_path, 'date +%N >> scratch.txt; echo "$order" | wc -l >> scratch.txt; exit 7')
    shops.run(repo, "--trust", "--implement", work, "--attempts", "2", code=3)
    assert [(event["attempt"], event["exit_code"]) for event in attempts(repo)] == [(1, 7), (2, 7)]


def test_an_agent_that_never_ends_is_ended(tmp_path: Path) -> None:
    repo = broken_shop(tmp_path / "shop")
    work = agent(tmp_path, "touch began; sleep 600")
    printed = shops.run(
        repo, "--trust", "--implement", work, "--attempts", "1", "--time-limit", "1s", code=3
    )
    assert "1 file changed" in printed
    (only,) = attempts(repo)
    assert only["exit_code"] is None


def test_a_finished_run_asks_nobody(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    shops.run(repo, "--trust", "--implement", agent(tmp_path, "touch asked"), code=0)
    assert not (repo / "asked").exists()


def test_consent_is_no_agents_to_give(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    printed = shops.run(repo, "--implement", agent(tmp_path, "touch asked"), code=3)
    assert "no agent can give" in printed
    assert not (repo / "asked").exists()


def test_nobody_is_started_in_a_working_tree_that_nobody_allowed(tmp_path: Path) -> None:
    """An agent runs what a repository says: its hooks, its settings."""
    repo = broken_shop(tmp_path / "shop")
    printed = shops.run(repo, "--implement", agent(tmp_path, "touch asked"), code=3)
    assert "nobody has allowed anything to run in this working tree" in printed
    assert not (repo / "asked").exists()


def test_with_json_there_is_the_last_report_alone(tmp_path: Path) -> None:
    repo = broken_shop(tmp_path / "shop")
    work = agent(tmp_path, f"cp {tmp_path}/whole.py {HANDLER}; echo noise")
    assert shops.report(repo, "--trust", "--implement", work, code=0)["outcome"] == "success"


@pytest.mark.parametrize(
    "options",
    [
        ("--implement", " "),
        ("--implement", "true", "--attempts", "0"),
        ("--implement", "true", "--time-limit", "soon"),
    ],
)
def test_wrong_options_are_one_line_and_run_nothing(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    repo = shops.shop(tmp_path / "shop")
    done = helpers.run_cli("run", shops.SKILL, *options, cwd=repo)
    assert done.returncode == 2
    assert done.stderr.startswith("skillrun: --")
    assert not shops.ledger_of(repo).exists()


def test_none_is_as_without(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    shops.run(repo, "--trust", "--implement", "none", code=0)
    assert attempts(repo) == []
