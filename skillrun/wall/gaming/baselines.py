"""A baseline that knows more than the base's: what a branch breaks is not known for that."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.proof.baseline import BASELINE, Baseline, parse_baseline
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted, taken

ID = "baseline"
HELP = (
    "`pytest --prove` lets pass what .skillrun/baseline.json knows. Found: a cause that the branch"
    " adds to it, and a baseline that cannot be read. What is taken out of it was paid off."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each cause that is added."""
    for file in diff.files_named("baseline.json"):
        if file.path == BASELINE and file.new is not None:
            yield from _compare_sides(file)


def _compare_sides(file: File) -> Iterator[Finding]:
    try:
        now = _read_side(file, is_new=True)
    except ValueError as error:
        hint = "write it with: skillrun baseline"
        yield taken(ID, file, 1, f"the baseline cannot be read: {quoted(str(error))}", hint=hint)
        return
    try:
        before = _read_side(file, is_new=False)
    except ValueError:
        before = {}
    hint = "mend the job, or have a person put the cause on the base branch"
    for handler, causes in now.items():
        for one in sorted(causes - before.get(handler, frozenset())):
            of = f"{one.rule} {one.effect}".rstrip()
            said = f"the baseline knows {of} of {quoted(handler)}, and the base's does not"
            yield taken(ID, file, _find_line(file, one.rule), f"{said}: {one.cause}", hint=hint)


def _read_side(file: File, *, is_new: bool) -> Baseline:
    document, text = file.old_document, file.old
    if is_new:
        document, text = file.new_document, file.new
    # What lay elsewhere was nobody's baseline.
    is_elsewhere = not is_new and file.old_path != BASELINE
    if text is None or is_elsewhere:
        return {}
    if document is None:
        raise ValueError("it is no JSON")
    return parse_baseline(document.value)


def _find_line(file: File, rule: str) -> int:
    for number, text in enumerate((file.new or "").splitlines(), 1):
        if f'"{rule}"' in text:
            return number
    return 1
