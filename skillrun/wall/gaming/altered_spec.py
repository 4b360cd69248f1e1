"""Whatever else a job spec says otherwise than the base's, and specs that are hard to tell
apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.spec_findings import OTHERS, find_altered
from skillrun.wall.gaming.specs import at

ID = OTHERS
HELP = (
    "A spec is held to what the base's says, word for word, where nothing says that the change "
    "asks for more. Found: another trigger, message form, input or version, any word that this "
    "list does not know; a second spec of the same job; specs whose paths differ in their case "
    "alone; and a base whose spec cannot be read."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each word, and for each spec that has a double."""
    yield from find_altered(diff, ID)
    yield from _find_doubles(diff)
    for file in diff.specs:
        if file.old is not None and file.old_document is None and file.new is not None:
            said = (
                f"the base's {file.old_path} cannot be read, so that nothing was compared with it"
            )
            yield doubtful(ID, file, 1, said, hint="read the spec as if it were new")


def _find_doubles(diff: Diff) -> Iterator[Finding]:
    """What the base has already is not said again."""
    jobs: dict[str, str] = {}
    paths: dict[str, str] = {}
    held = _doubled_in_base(diff)
    for file in diff.specs:
        if file.new is None:
            continue
        job = at(file.new_document.value, "job") if file.new_document else None
        if (
            isinstance(job, str)
            and jobs.setdefault(job, file.path) != file.path
            and job not in held
        ):
            said = f"the job {quoted(job)} has a spec already: {quoted(jobs[job])}"
            yield taken(ID, file, 1, said, hint="keep one spec for a job")
        folded = file.path.casefold()
        if paths.setdefault(folded, file.path) != file.path and folded not in held:
            said = f"{quoted(file.path)} and {quoted(paths[folded])} are one file on some machines"
            yield taken(ID, file, 1, said, hint="give one of them another name")


def _doubled_in_base(diff: Diff) -> set[str]:
    """Jobs and folded paths that the base has twice."""
    once: set[str] = set()
    twice: set[str] = set()
    for file in diff.specs:
        if file.old is None:
            continue
        job = at(file.old_document.value, "job") if file.old_document else None
        for word in (str(job), file.old_path.casefold()):
            if word in once:
                twice.add(word)
            once.add(word)
    return twice
