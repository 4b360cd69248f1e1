"""`skillrun lint FILE...`: what is wrong for certain with the job specs and the jobs in these
files.

For a hook before a commit: nothing runs, nothing is written, and what reading cannot decide is not
mentioned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from skillrun.core.errors import SkillrunError

_SPECS = (".yaml", ".yml", ".json")
# Characters of a finding in one line.
_LONGEST = 400


def lint_files(files: Sequence[Path], repo: Path) -> int:
    """Prints a line for each; exit code 1 where there is one. Files of other kinds say nothing."""
    lines: dict[str, None] = {}  # a spec and its job may say the same
    for file in files:
        if file.suffix in _SPECS:
            lines.update(dict.fromkeys(_check_spec(file, repo)))
    sources = [file for file in files if file.suffix == ".py"]
    if sources:
        lines.update(dict.fromkeys(_read_jobs(sources, repo)))
    if lines:
        _show_lines(lines)
    return int(bool(lines))


def _show_lines(lines: Iterable[str]) -> None:
    # A file that is fine loads nothing that only speaks.
    from skillrun.core.text import masked, visible
    from skillrun.reports.watchers import show

    for line in lines:
        show(visible(masked(line), limit=_LONGEST))


def _check_spec(file: Path, repo: Path) -> Iterator[str]:
    from skillrun.cli.commands.spec import list_missing
    from skillrun.contract.spec import load_spec

    try:
        spec = load_spec(file)
    except SkillrunError as error:
        yield from str(error).splitlines()
        return
    yield from list_missing(spec, file, repo)


def _read_jobs(files: Sequence[Path], repo: Path) -> Iterator[str]:
    """What reading is certain of, of each job whose handler is in one of the files."""
    from skillrun.contract.specfile import SPEC_FOLDER
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.skills.job_worker.overview.rows import JobReader

    opened = open_repo(repo)
    # Nobody asks for past verdicts: no ledger is looked for.
    nothing = opened.root / SPEC_FOLDER / "no-ledger"
    reader = JobReader(opened, Tree(opened.root), nothing)
    given = {file.absolute() for file in files}
    for job in reader.jobs:
        if reader.repo.root / job.handler.path not in given:
            continue
        for finding in reader.read_certain(job):
            from skillrun.reports.lines import format_place

            found = {"path": finding.path, "line": finding.line}
            hint = f"; do: {finding.hint}" if finding.hint else ""
            yield f"{format_place(found)}{finding.message}{hint}  [{finding.rule}]"
