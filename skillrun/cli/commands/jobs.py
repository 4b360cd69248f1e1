"""`skillrun jobs`: every job of the repository, and what is known of it. Nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import print_json

if TYPE_CHECKING:
    from skillrun.skills.job_worker.overview.rows import JobReader


def list_jobs(repo: Path, ledger: Path | None, json: bool) -> int:
    """Prints the jobs, the costliest first; exit code 3 where there is none."""
    from skillrun.core.text import masked_json
    from skillrun.reports.job_lines import job_lines, note_lines
    from skillrun.reports.watchers import watcher_for

    reader = open_reader(repo, ledger)
    document = read_document(reader)
    if json:
        print_json(document)
    else:
        watcher = watcher_for(json=False)
        for shown in job_lines(masked_json(document)):
            watcher.show(shown)
        for shown in note_lines(reader.survey.notes):
            watcher.show(shown)
    if not document["jobs"]:
        return 3
    return 0


def read_document(reader: JobReader) -> dict[str, Any]:
    """The jobs as jobs.v1."""
    from skillrun.skills.job_worker.overview.rows import make_document

    return make_document(reader.read())


def open_reader(repo: Path, ledger: Path | None = None) -> JobReader:
    """What reads the jobs of a checkout. Raises what is refused."""
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.target import ledger_path, own_files
    from skillrun.skills.job_worker.overview.rows import JobReader

    opened = open_repo(repo)
    path = ledger_path(opened, ledger)
    return JobReader(opened, Tree(opened.root, without=own_files(opened, path)), path)
