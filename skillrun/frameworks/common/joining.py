"""Command lines that run over several lines of a file."""

from __future__ import annotations


def whole_command(lines: list[str], number: int, joined: int, *, listed: bool) -> str:
    """The command that begins in a line: backslashes, open brackets and, where `listed`,
    one-word-a-line lists joined.

    At most `joined` lines are looked at.
    """
    text = lines[number]
    for line in lines[number + 1 : number + joined]:
        if text.rstrip().endswith("\\"):
            text = text.rstrip()[:-1] + " " + line
        elif listed and line.lstrip().startswith("- "):
            text += " " + line.lstrip()[2:]
        elif text.count("[") > text.count("]"):
            text += " " + line
        else:
            break
    return text
