"""Which lines of a shell script run whatever is asked: neither those of a branch or a loop, nor
those of a function that nobody calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# `deploy() {` and `function deploy {`.
_FUNCTION = re.compile(r"(?:function\s+)?([\w-]++)\s*+(?:\(\s*+\))?\s*+\{(.*)$")
_HAS_NAME_OF_FUNCTION = re.compile(r"function\s|[\w-]++\s*+\(\s*+\)")
# `[ -n "$CI" ] && deploy`: what stands behind runs in one case alone.
_ASKS_FIRST = re.compile(r"(?:\[|test\s)")
_CALL = re.compile(r"(?:^|(?<!\|)\||[;&])\s*+([\w-]++)")

_CLOSED_BY = {
    "if": "fi",
    "case": "esac",
    "for": "done",
    "while": "done",
    "until": "done",
    "select": "done",
}
_HEREDOC = re.compile(r"(?<!<)<<-?[ \t]*+([\"']?)(\w++)\1")
_FILLED_IN = re.compile(r"\$\{\w{1,100}[^}$]{0,200}\}")
# What the shell reads as text or leaves out: `'done'`, `"${X:?}"`, `# if`.
_NO_WORDS = re.compile(r"(?s)'[^']*+'|\"(?:\\.|[^\"\\])*+\"|\\.|(?<![^\s;&|()])#[^\n]*+")
_WORD = re.compile(r"[;&|()]|[^\s;&|()]++")
# A word behind them is a command of its own, as one that begins a line is.
_BEFORE_COMMAND = frozenset(
    {*";&|()", *"{}!", "then", "do", "else", "elif", "if", "while", "until"}
)


def list_always_run(lines: list[str]) -> list[str]:
    """The lines of a script that run in every case, those of functions that it calls among them.
    A script whose branches are not understood is taken as one without any.
    """
    commands = _drop_heredocs(lines)
    try:
        outside = list(_leave_out_branches(commands))
    except _NotClosedError:
        return commands
    return _follow_calls(_read_bodies(outside))


def _read_bodies(lines: list[str]) -> dict[str, list[str]]:
    """The lines of each function by its name; by "" those outside of them."""
    bodies: dict[str, list[str]] = {"": []}
    function = ""
    for line in lines:
        name = _name_function(line)
        if name and not function:
            bodies[name] = [_FUNCTION.sub(r"\2", line).removesuffix("}")]
            if not line.endswith("}"):
                function = name
        elif line == "}":
            function = ""
        else:
            bodies[function].append(line)
    return bodies


class _NotClosedError(Exception):
    """A branch or a loop goes on at the end of the script: something was misread."""


def _drop_heredocs(lines: list[str]) -> list[str]:
    """The lines without texts such as `<<EOF`. Of one whose variables the shell fills in, what it
    needs counts as the command's.
    """
    last = {line.strip(): number for number, line in enumerate(lines)}
    kept: list[str] = []
    until, is_filled_in = "", False
    for number, line in enumerate(lines):
        if not until:
            kept.append(line)
            quote, word = _name_heredoc(line)
            if last.get(word, -1) > number:
                until, is_filled_in = word, not quote
        elif line.strip() == until:
            until = ""
        elif is_filled_in:
            kept[-1] = " ".join((kept[-1], *_FILLED_IN.findall(line)))
    return kept


def _name_heredoc(line: str) -> tuple[str, str]:
    """The quote and the word of `<<'EOF'`; ("", "") where there is none."""
    found = _HEREDOC.search(line)
    return (found[1], found[2]) if found is not None else ("", "")


def _leave_out_branches(lines: list[str]) -> Iterator[str]:
    """What stands outside of branches and loops, without what asks before it does something."""
    text = "\n".join(lines)
    open_blocks: list[str] = []
    start = 0
    # Line by line, but a text over several lines is a part of its command.
    for line in _NO_WORDS.sub(_blank, text).split("\n"):
        end = start + len(line)
        for part in _read_line(text[start:end], line, open_blocks):
            if not _ASKS_FIRST.match(part):
                yield part
        start = end + 1
    if open_blocks:
        raise _NotClosedError


def _read_line(line: str, words: str, open_blocks: list[str]) -> list[str]:
    """What of a line stands in no branch; a function on one line stays whole."""
    whole = line.strip()
    if not open_blocks and whole.endswith("}") and _name_function(whole):
        return [whole]
    return [line[begin:end].strip() for begin, end in _find_outside(words, open_blocks)]


def _blank(match: re.Match[str]) -> str:
    return "_" * len(match[0])


def _find_outside(line: str, open_blocks: list[str]) -> Iterator[tuple[int, int]]:
    """The parts of a line that stand in no branch and no loop, by their begin and end; each word
    that opens or closes one is put on the pile or taken from it.
    """
    begin, is_command = 0, True
    for found in _WORD.finditer(line):
        word = found[0]
        if is_command and _closes(word, open_blocks):
            open_blocks.pop()
            begin = found.end()
        elif is_command and _opens(word, line[found.end() : found.end() + 1]):
            if not open_blocks:
                yield begin, found.start()
            open_blocks.append(word)
        is_command = word in _BEFORE_COMMAND
    if not open_blocks:
        yield begin, len(line)


def _opens(word: str, behind: str) -> bool:
    """`if)` is a value in a case."""
    return word in _CLOSED_BY and behind != ")"


def _closes(word: str, open_blocks: list[str]) -> bool:
    return open_blocks != [] and word == _CLOSED_BY[open_blocks[-1]]


def _name_function(line: str) -> str:
    """The name of the function that a line begins; "" where it begins none."""
    found = _FUNCTION.match(line)
    if found is None or not _HAS_NAME_OF_FUNCTION.match(line):
        return ""
    return found[1]


def _follow_calls(bodies: dict[str, list[str]]) -> list[str]:
    """The lines outside of functions, and below them those of the functions that they call."""
    lines: list[str] = []
    seen = {""}
    waiting = [""]
    while waiting:
        body = bodies[waiting.pop()]
        lines += body
        for line in body:
            for called in _CALL.findall(line):
                if called in bodies and called not in seen:
                    seen.add(called)
                    waiting.append(called)
    return lines
