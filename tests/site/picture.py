"""Draws docs/refutation.svg from what the tutorial's first proof printed.

python tests/site/picture.py    writes it; a test compares its words with the tutorial, and another runs the tutorial

What stands in the tutorial and not in the picture is left out behind an ellipsis. No font is loaded from elsewhere.
"""

from __future__ import annotations

import html
import io
import re

import replay
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = replay.DOCS / "refutation.svg"
COMMAND = "skillrun prove shop.tasks:charge"
WIDTH = 92
DURATION = re.compile(r"  \(\d+(?:\.\d+)? s\)$")  # "  (47.1 s)"
ALT = "skillrun refutes a job: the answer to its charge is lost, and the retry charges under another key"
# How a line of the proof's answer begins that the picture shows; the others are for the second look.
SHOWN = ("refuted", "job ", "effect", "1.", "   ")
# What a reader's eye should meet, and in which colour.
COLOURS = (
    (r"^\$ .*", "bold"),
    (r"^refuted", "bold red"),
    (r"^1\..*", "bold"),
    (r"●", "green"),
    (r"✗[^!]*", "red"),
    (r"→ publishes a retry", "yellow"),
    (r"^ +(?:where|cause|replay)", "cyan"),
    (r"\[[\w.-]+\]$", "dim"),
)
# Black, red, green, yellow, blue, magenta, cyan, white, on a background as dark as a terminal's.
ANSI = [
    *((24, 28, 32), (255, 107, 107), (105, 219, 124), (255, 212, 59)),
    *((116, 192, 252), (218, 119, 242), (102, 217, 232), (222, 226, 230)),
]
THEME = TerminalTheme((24, 28, 32), (222, 226, 230), ANSI)
SVG = """<svg class="terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>{alt}</title>
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def list_lines() -> list[str]:
    """The lines of the picture, out of the tutorial."""
    page = replay.read_page(replay.DOCS / "tutorial.md")
    first = next(command for command in page.commands if command.line.startswith(COMMAND))
    lines = [f"$ {COMMAND}"]
    for line in first.shown.splitlines():
        if line.startswith("risk,"):
            break
        # How long it took is another number on each machine.
        if line.startswith(SHOWN):
            lines.append(DURATION.sub("", line))
        elif line.startswith("guessed") and lines[-1] != "...":
            lines.append("...")
    return lines


def draw() -> str:
    """The picture, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in list_lines():
        text = Text(line)
        for pattern, style in COLOURS:
            text.highlight_regex(pattern, style)
        console.print(text, soft_wrap=False)
    template = SVG.replace("{alt}", html.escape(ALT))
    return console.export_svg(title="", theme=THEME, code_format=template, unique_id="refutation")


def read_words(svg: str) -> list[str]:
    """What a person reads in a picture, word by word."""
    text = " ".join(re.findall(r"<text [^>]*>([^<]*)</text>", svg))
    return html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").split()


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
