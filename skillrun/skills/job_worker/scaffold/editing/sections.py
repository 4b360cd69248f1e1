"""A section at the end of a Markdown file."""

from __future__ import annotations

from skillrun.frameworks.pieces import Section
from skillrun.skills.job_worker.scaffold.editing.source import BOM, lines_of

FENCES = ("```", "~~~")


def add_section(existing: str | None, section: Section) -> str:
    """The text with the section at its end; unchanged where its heading is there, outside of code
    blocks.

    The result ends with one newline. The line ends are those of the existing text.
    """
    body = section.text.strip("\r\n")
    heading = section.heading.strip()
    text = body
    if not body.startswith(heading):
        text = f"{heading}\n\n{body}".rstrip()
    if existing is None or not existing.strip(f"{BOM} \t\r\n"):
        return text + "\n"
    if has_heading(existing, heading):
        return existing
    end = "\n"
    if "\r\n" in existing:
        end = "\r\n"
    return existing.rstrip("\r\n") + end * 2 + text.replace("\r\n", "\n").replace("\n", end) + end


def has_heading(text: str, heading: str) -> bool:
    """Whether a line outside of code blocks is this heading; closing `#`s and spaces at its end are
    no part of it.
    """
    fence = ""
    for line in lines_of(text.removeprefix(BOM)):
        bare = line.strip()
        if fence:
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
        elif bare.startswith(FENCES):
            fence = bare[:3]
        elif strip_heading(bare) == strip_heading(heading):
            return True
    return False


def strip_heading(heading: str) -> str:
    """A heading without what Markdown leaves out of it: closing `#`s, and spaces."""
    return " ".join(heading.rstrip("# ").split())
