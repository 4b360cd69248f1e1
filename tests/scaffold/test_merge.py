"""A template merged into a module: what it lacked is there, and every line that was there still is, in its order."""

from __future__ import annotations

import ast
import io
import sysconfig
from pathlib import Path

import pytest

from skillrun.scaffold.merge import Merged, merge_module

STDLIB = Path(sysconfig.get_paths()["stdlib"])
REAL = sorted((*STDLIB.glob("*.py"), *STDLIB.glob("asyncio/*.py"), *STDLIB.glob("email/*.py")))
FUNCTION = '''\
def send_receipt(order_id: int) -> None:
    """Send the receipt of an order."""
    print(order_id)
'''


def read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def merge(path: str, existing: str | None, wanted: str) -> Merged:
    """Merged, and merged again: the second time changes nothing."""
    merged = merge_module(path, existing, wanted)
    ast.parse(merged.text.removeprefix("\ufeff"))
    again = merge_module(path, merged.text, wanted)
    assert again.text == merged.text
    assert again.added == ()
    return merged


def old_lines_stay(old: str, new: str) -> bool:
    """Whether every line of `old` is in `new`, in its order; a missing end of the last line may have been added."""
    lines = iter(io.StringIO(new, newline=""))
    return all(
        any(line == other or line == other.rstrip("\r\n") for other in lines) for line in io.StringIO(old, newline="")
    )


# -- real modules


@pytest.mark.real
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.relative_to(STDLIB).as_posix())
def test_a_real_module(path: Path) -> None:
    text = read(path)
    assert merge_module(path.name, text, text) == Merged(text, (), ())
    merged = merge(path.name, text, FUNCTION)
    assert merged.added == ("send_receipt",)
    assert old_lines_stay(text, merged.text)
