"""The number that the interpreter of a proof reports of itself: somebody else may write there."""

from __future__ import annotations

import os

import pytest

from skillrun.proof.zygote import BootFailed, Zygote


def read_reported(said: bytes, *, is_open: bool = True) -> int:
    read, write = os.pipe()
    os.write(write, said)
    zygote = Zygote.__new__(Zygote)
    zygote._report = read
    if not is_open:
        os.close(write)
    try:
        return zygote._read_number()
    finally:
        os.close(read)
        if is_open:
            os.close(write)


@pytest.mark.parametrize(
    "said",
    [b"\xff\xfe garbage {]\n", b"[" * 1_000 + b"\n", b"{}\n", b"x" * 10_000, b'{"pid": []}\n'],
)
def test_garbage_ends_the_proof_at_once(said: bytes) -> None:
    with pytest.raises(BootFailed, match="never says"):
        read_reported(said)


def test_a_report_is_read_and_none_is_nobody() -> None:
    assert read_reported(b'{"pid": 41}\n') == 41
    assert read_reported(b"", is_open=False) == 0
