"""A command's output as it streams by: everything hashed, only a bounded tail kept."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable

from skillrun.core.text import masked, plain_lines, visible

# Kept beyond the tail, so that a secret that begins before it is still recognised.
_MARGIN = 8_192
_LONGEST_LINE = 2_000
_LINE_EVERY_S = 0.1


class Output:
    """Takes chunks of bytes; knows size and sha256 of all, the end as safe text, and shows a line
    now and then.
    """

    def __init__(self, tail_bytes: int, on_line: Callable[[str], None] | None = None) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._tail_bytes = tail_bytes
        self._keep = tail_bytes + _MARGIN
        self._kept = bytearray()
        self._on_line = on_line
        self._next_line_at = 0.0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self._hash.update(chunk)
        self._kept += chunk
        if len(self._kept) > 2 * self._keep:
            del self._kept[: -self._keep]
        if self._on_line and b"\n" in chunk and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + _LINE_EVERY_S
            self._show_line(self._on_line)

    def sha256(self) -> str:
        """The digest of every byte so far."""
        return self._hash.hexdigest()

    def tail(self) -> str:
        """The last lines, without colours, masked and visible; at most `tail_bytes` characters."""
        text = masked(plain_lines(self._kept_text()))
        if self.size > self._keep and not self._starts_with_whole_line():
            # Half a secret cannot be recognised.
            text = re.sub(r"\A\S{1,4096}", "…", text)
        shown = visible(text, None, lines=True)
        if len(shown) <= self._tail_bytes:
            return shown
        end = shown[len(shown) - self._tail_bytes + 1 :]
        _, newline, whole_lines = end.partition("\n")
        return "…" + (whole_lines if newline and whole_lines else end)

    def _kept_text(self) -> str:
        """The output that was kept, as text, without a line of which only the end is left."""
        kept = bytes(self._kept[-self._keep :])
        if self._starts_with_whole_line():
            kept = kept.partition(b"\n")[2]
        return kept.decode("utf-8", "backslashreplace")

    def _starts_with_whole_line(self) -> bool:
        """Whether what was cut off can be left out together with the line that it belongs to."""
        return self.size > self._keep and b"\n" in self._kept[-self._keep :][:_MARGIN]

    def _show_line(self, on_line: Callable[[str], None]) -> None:
        """Hands the last whole line of the output on, unless it is empty or its beginning was cut
        off.
        """
        _, newline, line = bytes(self._kept[-_LONGEST_LINE:]).rpartition(b"\n")[0].rpartition(b"\n")
        text = plain_lines(line.decode("utf-8", "backslashreplace")).strip()
        if text and (newline or self.size < _LONGEST_LINE):
            on_line(visible(masked(text)))
