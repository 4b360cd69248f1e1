"""Whatever makes a verdict incomplete says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import skillrun
from skillrun.proof.next_steps import NEXT_STEPS


def made() -> dict[str, bool]:
    """Rule -> whether each judgement of it says its own next step."""
    found: dict[str, bool] = {}
    for path in (Path(skillrun.__file__).parent / "proof").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            if not isinstance(node.func, ast.Name) or node.func.id != "Judgement":
                continue
            rule = node.args[1]
            if ast.unparse(node.args[0]) == "Verdict.INCOMPLETE" and isinstance(rule, ast.Constant):
                says = any(keyword.arg == "expected" for keyword in node.keywords)
                found[str(rule.value)] = found.get(str(rule.value), True) and says
    return found


def test_there_is_a_next_step_for_each_rule() -> None:
    rules = made()
    assert len(rules) > 20
    assert {rule for rule, says in rules.items() if not says} == set(NEXT_STEPS)
