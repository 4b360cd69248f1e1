"""The statements around one, in its own block."""

import ast

from skillrun.repo.syntax import divide_block

SOURCE = """\
for job in jobs:
    first()
    if late:
        raise
    else:
        last()
        return
    after()
"""


def name_calls(statements: list[ast.stmt]) -> list[str]:
    return [ast.unparse(statement) for statement in statements]


def test_what_stands_before_and_after_a_statement() -> None:
    loop = ast.parse(SOURCE).body[0]
    assert isinstance(loop, ast.For)
    branch = loop.body[1]
    assert isinstance(branch, ast.If)
    before, after = divide_block(loop, branch)
    assert (name_calls(before), name_calls(after)) == (["first()"], ["after()"])
    # A branch is a block of its own.
    assert divide_block(branch, branch.body[0]) == ([], [])
    assert name_calls(divide_block(branch, branch.orelse[1])[0]) == ["last()"]


def test_a_statement_of_another_block_has_none_around_it() -> None:
    loop = ast.parse(SOURCE).body[0]
    assert isinstance(loop, ast.For) and isinstance(loop.body[1], ast.If)
    assert divide_block(loop, loop.body[1].orelse[0]) == ([], [])
    lambda_body = ast.parse("lambda: job", mode="eval").body
    assert isinstance(lambda_body, ast.Lambda)
    assert divide_block(lambda_body, loop) == ([], [])
