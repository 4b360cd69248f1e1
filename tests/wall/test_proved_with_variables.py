"""A variable that an effect newly depends on: the job is proved with its values, too."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from looks import diff
from test_proved import job_of, replace_in, shop_branch
from verifying import verify
from watched_shop import config, shop, tasks

from skillrun.wall.variables import list_settings

SEND = "    mailer.send(order_id, email, idempotency_key=key)\n"
IMPORT = ("from typing import Any\n", "import os\nfrom typing import Any\n")
RULE = "verify.not-proved-with"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            tasks(imports="import os", first='if os.getenv("RECEIPTS") == "no":\n    return'),
            {"RECEIPTS": ["no", "1", "0"]},
        ),
        (tasks(imports="import os", first='if os.getenv("PAUSED"):\n    return'), None),
        (
            {
                **config(fields='ON = os.environ.get("RECEIPTS", "on") == "on"'),
                **tasks(first="if not settings.ON:\n    return"),
            },
            {"RECEIPTS": ["on", "1", "0"]},
        ),
        (tasks(imports="import os", last='log.info(os.getenv("REGION"))'), {}),
        (tasks(imports="import os", first='if os.getenv("SHOP_DB") == "x":\n    return'), {}),
    ],
)
def test_the_values_that_make_a_difference_are_tried(
    files: dict[str, str], expected: dict[str, list[str]] | None
) -> None:
    base = shop()
    found: dict[str, list[str]] = {}
    for setting in list_settings(diff(base, {**base, **files})):
        found.setdefault(setting.name, []).append(setting.value)
    assert found == ({"PAUSED": ["1", "0"]} if expected is None else expected)


def test_what_the_base_asks_for_is_not_tried() -> None:
    asks = tasks(imports="import os", first='if os.getenv("PAUSED"):\n    return')
    assert list_settings(diff({**shop(), **asks}, {**shop(), **asks, "README.md": "words"})) == []


@pytest.mark.real
def test_a_switch_that_drops_the_job_fails_the_branch(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    switch = '    if os.environ.get("SHOP_RECEIPTS") == "no":\n        return\n'
    replace_in(repo, "shop/tasks.py", SEND, switch + SEND)
    replace_in(repo, "shop/tasks.py", *IMPORT)
    helpers.commit(repo, "A switch")
    verified = verify(repo, "--ci", code=1)
    (finding,) = job_of(verified.document)["proof"]["findings"]
    assert (finding["rule"], finding["severity"]) == (RULE, "error")
    assert "SHOP_RECEIPTS=no" in finding["message"]
    assert finding["path"] == "shop/tasks.py"


@pytest.mark.real
def test_a_switch_whose_both_sides_keep_the_promises_passes(tmp_path: Path) -> None:
    repo = shop_branch(tmp_path / "repo")
    switch = (
        '    if os.environ.get("SHOP_LOOKS_FIRST") == "no":\n    ' + SEND + "    else:\n    " + SEND
    )
    replace_in(repo, "shop/tasks.py", SEND, switch)
    replace_in(repo, "shop/tasks.py", *IMPORT)
    helpers.commit(repo, "A switch")
    verified = verify(repo, "--ci", code=0)
    assert job_of(verified.document)["proof"]["findings"] == []
    warned = {finding["rule"] for finding in verified.document["gaming"]["findings"]}
    assert "gaming.asks-if-watched" in warned


def test_what_the_base_says_of_production_is_not_asked_again() -> None:
    """How a person accepts such a switch: the base's spec sets the variable."""
    said = shop()
    spec = ".skillrun/jobs/send-receipt.yaml"
    assert "  env:\n" in said[spec]
    said[spec] = said[spec].replace("  env:\n", '  env:\n    PAUSED: "no"\n')
    asks = tasks(imports="import os", first='if os.getenv("PAUSED") == "yes":\n    return')
    assert list_settings(diff(said, {**said, **asks})) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("PAUSED", {"PAUSED": ["later"]}), ("REGION", {}), ("SHOP_DB", {})]
)
def test_the_value_that_a_branch_deploys_is_tried(
    name: str, expected: dict[str, list[str]]
) -> None:
    """An effect depends on it already, and was proved for the case that nobody sets it."""
    asks = tasks(imports="import os", first='if os.getenv("PAUSED"):\n    return')
    base = {**shop(), **asks, "deploy/worker.env": f"{name}=now\n"}
    found: dict[str, list[str]] = {}
    for setting in list_settings(diff(base, {**base, "deploy/worker.env": f"{name}=later\n"})):
        found.setdefault(setting.name, []).append(setting.value)
    assert found == expected
