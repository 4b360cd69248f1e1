"""The parser reads the parameters of the commands that are named; all the same, each help is that
of the whole.
"""

from __future__ import annotations

import inspect

import pytest

from skillrun.cli.app import app, make_parser

ALL = frozenset(info.name for info in app.registered_commands if info.name) | {"spec", "ledger"}


def test_a_command_that_is_not_named_is_listed_with_its_help() -> None:
    listed, whole = make_parser(frozenset()).commands, make_parser(ALL).commands
    assert {name: one.help for name, one in listed.items()} == {
        name: one.help for name, one in whole.items()
    }
    assert set(listed) == ALL


@pytest.mark.parametrize("info", app.registered_commands, ids=lambda info: str(info.name))
def test_a_command_that_is_named_has_its_parameters(info) -> None:
    made = make_parser(frozenset({info.name})).commands[info.name]
    assert len(made.params) == len(inspect.signature(info.callback).parameters)
