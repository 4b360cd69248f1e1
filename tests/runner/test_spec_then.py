"""What a run keeps of its spec: the text as it was, without what is nobody else's business."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.spec import load_spec
from skillrun.runner.spec_then import describe_spec

SPEC = """
version: 1
job: send
handler: shop.tasks:send
proof:
  env: {SHOP_KEY: quite-private-value}
payload:
  examples: [{password: hunter2hunter2}]
"""


def test_the_text_is_kept_without_secrets_and_private_values(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "send.yaml"
    file.write_text(SPEC)
    kept = describe_spec(file, "a" * 64, load_spec(file), [])["spec"]
    assert kept["sha256"] == "a" * 64
    assert "handler: shop.tasks:send" in kept["text"]
    assert "quite-private-value" not in kept["text"]
    assert "hunter2" not in kept["text"]


WRITTEN = [
    '"quite-private-v\\x61lue"',
    "'quite-private-value'",
    ">-\n      quite-private-value\n      and more",
    "&key quite-private-value",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_private_value_is_hidden_however_it_is_written(
    home: Path, tmp_path: Path, written: str
) -> None:
    file = tmp_path / "send.yaml"
    text = SPEC.replace("  env: {SHOP_KEY: quite-private-value}", f"  env:\n    KEY: {written}")
    file.write_text(text)
    kept = describe_spec(file, "a" * 64, load_spec(file), [])["spec"]["text"]
    assert "quite-private" not in kept
    assert "\npayload:\n" in kept


def test_the_same_text_is_kept_once(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "send.yaml"
    file.write_text(SPEC)
    began = [{"data": {"spec": {"sha256": "a" * 64, "text": "x"}}}, {"data": {}}]
    assert describe_spec(file, "a" * 64, load_spec(file), began) == {}
    assert describe_spec(file, "b" * 64, load_spec(file), began)["spec"]["sha256"] == "b" * 64
    assert describe_spec(None, None, None, began) == {}
