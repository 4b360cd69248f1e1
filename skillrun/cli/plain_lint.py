"""`skillrun lint FILE...` as hooks call it, without typer: the same function, and the
same words.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def lint_plainly(words: Sequence[str]) -> int | None:
    """The exit code, where the words are names of files alone; None for everything that only the
    command line's parser knows: an option, no word at all.
    """
    if not words or any(word.startswith("-") for word in words):
        return None
    # Pydantic looks through every installed package for plug-ins of its own, and none is wanted.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from skillrun.cli.commands.lint import lint_files

    return lint_files([Path(word) for word in words], Path())
