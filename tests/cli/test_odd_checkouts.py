"""Odd repositories in which a run works as in any other."""

from __future__ import annotations

import json
from pathlib import Path

import fixtures_repos as odd
import helpers
import pytest
import shops


def with_shop(repo: Path) -> Path:
    """The shop's files laid over an odd repository, uncommitted."""
    source = shops.shop(repo.parent / f"{repo.name}-shop")
    files = {
        name: (source / name).read_bytes() for name in helpers.git(source, "ls-files").splitlines()
    }
    if (repo / ".gitignore").exists():
        files[".gitignore"] = (repo / ".gitignore").read_bytes() + files[".gitignore"]
    return helpers.write_files(repo, files)


def succeeds(repo: Path, *args: str | Path, **options: object) -> dict[str, object]:
    report = shops.report(repo, "--trust", *args, code=0, **options)
    assert set(shops.stages(report).values()) == {"passed"}
    return report


@pytest.mark.real
def test_a_linked_worktree_shares_the_ledger_of_the_main_checkout(tmp_path: Path) -> None:
    main = shops.shop(tmp_path / "main")
    linked = tmp_path / "linked"
    helpers.git(main, "worktree", "add", "--quiet", "-b", "feature", str(linked))
    report = succeeds(linked)
    assert report["ledger"]["path"] == str(shops.ledger_of(main))  # type: ignore[index]
    assert not (linked / ".skillrun" / "ledger.db").exists()
    assert (
        helpers.git(main, "status", "--porcelain")
        == helpers.git(linked, "status", "--porcelain")
        == ""
    )
    assert len(shops.telemetry(shops.ledger_of(main))) == 1
    succeeds(main)
    assert len(shops.telemetry(shops.ledger_of(main))) == 2


@pytest.mark.real
def test_a_detached_head(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    helpers.git(repo, "checkout", "--quiet", "--detach")
    report = succeeds(repo)
    assert report["run"]["git_head"] == helpers.git(repo, "rev-parse", "HEAD")  # type: ignore[index]


@pytest.mark.real
def test_an_unborn_head(tmp_path: Path) -> None:
    repo = with_shop(odd.unborn(tmp_path / "repo"))
    report = succeeds(repo)
    assert report["run"]["git_head"] is None  # type: ignore[index]
    (row,) = shops.telemetry(shops.ledger_of(repo))
    assert json.loads(row["files_touched"]) == []
    helpers.write_files(repo, {"shop/more.py": "X = 1\n"})
    shops.run(repo, code=0)
    assert json.loads(shops.telemetry(shops.ledger_of(repo))[-1]["files_touched"]) == [
        "shop/more.py"
    ]


@pytest.mark.real
def test_a_dirty_tree_touches_only_what_changes_afterwards(tmp_path: Path) -> None:
    repo = with_shop(odd.dirty(tmp_path / "repo"))
    succeeds(repo)
    helpers.write_files(
        repo, {"untracked.txt": "newer\n", "fresh.txt": "x\n", "ignored.log": "more noise\n"}
    )
    (repo / "staged.txt").unlink()
    helpers.commit(repo, "Everything")
    shops.run(repo, "--trust", code=0)
    touched = json.loads(shops.telemetry(shops.ledger_of(repo))[-1]["files_touched"])
    assert touched == ["fresh.txt", "staged.txt", "untracked.txt"]


@pytest.mark.real
def test_a_read_only_tree_with_the_ledger_elsewhere(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    ledger = tmp_path / "elsewhere" / "ledger.db"
    with odd.read_only(repo) as prefix:
        succeeds(repo, "--ledger", ledger, prefix=prefix)
        status = helpers.run_cli("status", "--ledger", ledger, cwd=repo, prefix=prefix)
        assert (status.returncode, "success" in status.stdout) == (0, True), status.stderr
    assert not (repo / ".skillrun" / "ledger.db").exists()
    assert len(shops.telemetry(ledger)) == 1


@pytest.mark.real
def test_the_environment_names_a_ledger(tmp_path: Path) -> None:
    repo, ledger = shops.shop(tmp_path / "repo"), tmp_path / "ledgers" / "mine.db"
    succeeds(repo, env={"SKILLRUN_LEDGER": str(ledger)})
    assert len(shops.telemetry(ledger)) == 1
    assert not shops.ledger_of(repo).exists()


@pytest.mark.real
def test_submodules_are_left_alone(tmp_path: Path) -> None:
    repo = with_shop(odd.with_submodule(tmp_path / "repo"))
    report = succeeds(repo)
    (identify,) = [s for s in report["stages"] if s["id"] == "identify"]  # type: ignore[attr-defined]
    assert "shop/celery.py" in identify["summary"]


def test_the_ledger_does_not_make_the_tree_dirty(finished_shop: Path) -> None:
    assert helpers.git(finished_shop, "status", "--porcelain") == ""
    assert (finished_shop / ".skillrun" / ".gitignore").is_file()


@pytest.mark.real
def test_from_a_folder_below_the_root(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    # Beside the folder that it is called in, the state would lie in the repository.
    succeeds(repo / "shop", env={"SKILLRUN_STATE_DIR": str(tmp_path / "state")})
    assert len(shops.telemetry(shops.ledger_of(repo))) == 1


@pytest.mark.long
def test_50_000_files(tmp_path: Path) -> None:
    repo = with_shop(odd.many_files(tmp_path / "repo"))
    succeeds(repo)
    report = shops.report(repo, code=0)
    assert set(shops.stages(report, "cached").values()) == {True}
