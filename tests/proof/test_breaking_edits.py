"""The edited handler does what it did while nothing is broken, and is broken in the way that is
asked for.
"""

from __future__ import annotations

import ast
import asyncio
import json
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.proof.breaking.edits import FileEdit, Span, edited

UNBROKEN: dict[str, Any] = {"drop": False, "swallow": [], "turn": []}
DROP = {**UNBROKEN, "drop": True}
SWALLOW = {**UNBROKEN, "swallow": ["transient"]}
TURN = {**UNBROKEN, "turn": ["permanent"]}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`load(source, settings)`: the namespace of the edited source, with the runtime beside it as
    in a copy.
    """

    def load(source: str, broken: dict[str, Any], **declared: Any) -> dict[str, Any]:
        text = textwrap.dedent(source).lstrip("\n")
        settings = {
            "out": str(tmp_path / "records"),
            "transient": [],
            "permanent": [],
            "returns": None,
            "watch": False,
        }
        (tmp_path / "skillrun_broken.py").write_bytes(Path(runtime_file()).read_bytes())
        (tmp_path / "skillrun_broken.json").write_text(
            json.dumps({**settings, **declared, **broken})
        )
        namespace: dict[str, Any] = {"__name__": "job"}
        exec(compile(edited(text.encode(), edit_of(text)), "job.py", "exec"), namespace)
        return namespace

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "skillrun_broken", raising=False)
    yield load
    sys.modules.pop("skillrun_broken", None)


def runtime_file() -> str:
    return str(helpers.ROOT / "skillrun" / "proof" / "breaking" / "runtime.py")


def edit_of(text: str) -> FileEdit:
    """`job` is the handler, `helper` tries again, and every `send` is the effect."""
    tree = ast.parse(text)
    lines = {
        node.name: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("send")
    ]
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    effects = {Span.of(call.func): id(call) in awaited for call in calls}
    helpers = frozenset({lines["helper"]} if "helper" in lines else ())
    return FileEdit(frozenset({lines["job"]}), helpers, effects)


def error(name: str, *args: str) -> list[dict[str, Any]]:
    """As the runtime's settings have it."""
    return [{"type": name, "args": list(args)}]


TRANSIENT = {"transient": error("TimeoutError", "slow")}
BOTH = {**TRANSIENT, "permanent": error("ValueError")}

RETRIES_ITSELF = """
    tried = []
    def send(error):
        tried.append(error)
        if error:
            raise error
    def job(error=None):
        '''Doc.'''
        try:
            send(error)
        except TimeoutError:
            return "again"
        except ValueError:
            return "dead"
        else:
            return f"sent {len(tried)}"
    """


@pytest.mark.parametrize(
    ("broken", "ends"),
    (
        (UNBROKEN, ["sent 1", "again", "dead"]),
        (DROP, ["sent 0", "sent 0", "sent 0"]),
        (SWALLOW, ["sent 1", None, "dead"]),
        (TURN, ["sent 1", "again", "again"]),
    ),
    ids=("unbroken", "dropped", "swallowed", "turned"),
)
def test_a_handler_with_except_clauses_of_its_own(
    load: Any, broken: dict[str, Any], ends: list[Any]
) -> None:
    job = load(RETRIES_ITSELF, broken, **BOTH)["job"]
    assert [job(), job(TimeoutError("slow")), job(ValueError("bad"))] == ends
    assert job.__doc__ == "Doc."


def test_what_leaves_the_handler_is_swallowed_or_turned(load: Any) -> None:
    source = "def job(error):\n    raise error\n"
    assert load(source, SWALLOW, **BOTH)["job"](TimeoutError()) is None


def test_a_turned_error_is_made_as_the_spec_says(load: Any) -> None:
    job = load("def job(error):\n    raise error\n", TURN, **BOTH)["job"]
    with pytest.raises(TimeoutError, match="slow"):
        job(ValueError("bad"))
    with pytest.raises(KeyError):
        job(KeyError("neither"))


def test_the_nearest_declared_class_decides(load: Any) -> None:
    declared = {
        "transient": [{"type": "OSError", "args": []}],
        "permanent": [{"type": "FileNotFoundError", "args": []}],
    }
    job = load("def job(error):\n    raise error\n", SWALLOW, **declared)["job"]
    assert job(ConnectionError()) is None
    with pytest.raises(FileNotFoundError):
        job(FileNotFoundError())


def test_an_error_declared_as_both_is_told_by_its_arguments(load: Any) -> None:
    declared = {
        "transient": [{"type": "OSError", "args": ["503"]}],
        "permanent": [{"type": "OSError", "args": ["410"]}],
    }
    job = load("def job(error):\n    raise error\n", SWALLOW, **declared)["job"]
    assert job(OSError("503")) is None
    for other in ("410", "404"):
        with pytest.raises(OSError, match=other):
            job(OSError(other))


def test_a_helper_that_tries_again_does_not_see_it(load: Any) -> None:
    source = """
        def helper(error):
            try:
                raise error
            except TimeoutError:
                return "again"
        def job(error):
            return helper(error)
        """
    assert load(source, UNBROKEN, **TRANSIENT)["job"](TimeoutError()) == "again"
    sys.modules.pop("skillrun_broken")
    assert load(source, SWALLOW, **TRANSIENT)["job"](TimeoutError()) is None


def test_async_handlers_and_methods(load: Any) -> None:
    source = """
        class Client:
            async def send(self, to):
                return to
        class Task:
            async def job(self, to):
                async with self:
                    return await Client().send(to)
            async def __aenter__(self): ...
            async def __aexit__(self, *error): ...
        """
    assert asyncio.run(load(source, UNBROKEN)["Task"]().job("a")) == "a"
    sys.modules.pop("skillrun_broken")
    assert asyncio.run(load(source, DROP, returns={"id": 1})["Task"]().job("a")) == {"id": 1}


def test_generators_and_signatures_stay(load: Any) -> None:
    made = load("def job(a, *, b: int = 2):\n    yield a\n    yield b\n", SWALLOW, **TRANSIENT)[
        "job"
    ]
    assert isinstance(made(1), types.GeneratorType)
    assert list(made(1)) == [1, 2]
    assert made.__code__.co_varnames[:2] == ("a", "b")


def test_the_runtime_keeps_to_old_python() -> None:
    ast.parse(Path(runtime_file()).read_text(), feature_version=(3, 8))
