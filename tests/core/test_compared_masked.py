"""What a red test compares with a secret is masked wherever it stands, in one pass."""

from __future__ import annotations

import time

from skillrun.core.masking import mask_text
from skillrun.core.secret_pairs import mask_compared


def test_each_of_many_values_is_masked_in_no_time() -> None:
    text = "".join(f"'x{number}yyy1' == u.password " for number in range(4600))
    begun = time.process_time()
    masked = mask_compared(text + "\nE   - x4599yyy1")
    assert time.process_time() - begun < 1
    assert "yyy1" not in masked


def test_a_value_is_masked_in_quotes_and_without() -> None:
    text = "assert 'hunter2x' == user.password\nE  - hunter2x\nE  say(\"it's 'hunter2x'\")\n"
    assert "hunter2x" not in mask_text(text)


def test_a_part_of_a_word_and_a_short_word_stay() -> None:
    text = "assert 'hunter2x' == user.password\nhunter2xy, my_hunter2x\n"
    assert mask_compared(text).endswith("\nhunter2xy, my_hunter2x\n")
    assert mask_compared("'kx7' == u.password; kx7, 'kx7'").count("kx7") == 1
