"""Template output in the repository's manner: it looks different and means the same."""

from __future__ import annotations

import ast
import inspect
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrun.frameworks.pieces import Conventions
from skillrun.skills.job_worker.scaffold.manner.style import restyle

SINGLE = Conventions(quote="'")
TABS = Conventions(indent="\t")
TWO = Conventions(indent="  ")
BARE = Conventions(annotations=False)
MANNERS = {
    "single": SINGLE,
    "tabs": TABS,
    "two": TWO,
    "bare": BARE,
    "all": Conventions(quote="'", indent="\t", annotations=False),
}
HANDLER = '''
"""Jobs of the shop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Task, shared_task

from shop import mailer

if TYPE_CHECKING:
    from shop.models import Order

logger = logging.getLogger(__name__)
DELAYS: tuple[float, ...] = (2.0, 4.0)


@shared_task(
    bind=True,
    name="shop.send_receipt",
    max_retries=4,  # five attempts
)
def send_receipt(
    self: Task[..., None], order_id: int, email: str = "a@example.com", *, again: bool = False, **rest: Any
) -> None:
    """Emails one receipt.

    A dead letter is a row in "dead_jobs"; mend the cause, then:
        settle the order again

    It says "it's sent".
    """
    try:
        # the key is the order's
        key: str = f"receipt-{order_id}"
        mailer.send(
            order_id,
            email,
            idempotency_key=key,
        )
    except mailer.Unavailable as error:
        logger.warning("receipt will retry order_id=%s: it's %r", order_id, error)
        raise self.retry(exc=error, countdown=DELAYS[self.request.retries], headers={"x": f"{rest['x']}-{error!r:>10}"})


def find(order: Order, *names: str) -> "Order | None":
    total = 1 + \\
        2
    return order if total and (
        names
        and order
    ) else None
'''.lstrip("\n")


def meaning(source: str) -> str:
    """The module without imports, without annotations, with docstrings as `inspect.getdoc` gives
    them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ast.parse(source)
    return ast.dump(_Bare().visit(module))


class _Bare(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if hasattr(node, "returns"):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_import(part)]  # type: ignore[attr-defined]
        first = (
            body[0] if isinstance(body, list) and body and isinstance(node, DOCUMENTED) else None
        )
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            first.value.value = inspect.cleandoc(first.value.value).rstrip()
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return node
        return ast.Assign(targets=[node.target], value=node.value)


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _is_import(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not node.orelse:
        return all(_is_import(part) for part in node.body)
    return isinstance(node, ast.Import | ast.ImportFrom)


def unbound(source: str) -> set[str]:
    """The names that the module uses and neither binds nor imports anywhere."""
    module = ast.parse(source)
    names = {
        (n.id, isinstance(n.ctx, ast.Load)) for n in ast.walk(module) if isinstance(n, ast.Name)
    }
    bound = {name for name, is_read in names if not is_read}
    bound |= {
        a.asname or a.name.partition(".")[0]
        for n in ast.walk(module)
        if hasattr(n, "names")
        for a in _aliases(n)
    }
    bound |= {n.arg for n in ast.walk(module) if isinstance(n, ast.arg)}
    bound |= {
        n.name
        for n in ast.walk(module)
        if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {name for name, is_read in names if is_read} - bound


def _aliases(node: ast.AST) -> Iterator[ast.alias]:
    return (alias for alias in node.names if isinstance(alias, ast.alias))  # type: ignore[attr-defined]


def restyled(source: str, conventions: Conventions) -> str:
    return restyle(textwrap.dedent(source).lstrip("\n"), conventions)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_handler_means_the_same(manner: str) -> None:
    result = restyle(HANDLER, MANNERS[manner])
    assert result != HANDLER
    assert meaning(result) == meaning(HANDLER)
    assert unbound(result) <= unbound(HANDLER)


@pytest.mark.parametrize("manner", ["single", "tabs", "bare", "all"])
def test_again_changes_nothing(manner: str) -> None:
    once = restyle(HANDLER, MANNERS[manner])
    assert restyle(once.replace("\t", "    "), MANNERS[manner]) == once


def test_the_usual_manner_changes_nothing_and_is_not_parsed_for_it() -> None:
    for source in (HANDLER, "def (\n"):
        assert restyle(source, Conventions()) == source


def test_a_handler_in_all_manners() -> None:
    assert (
        restyle(HANDLER, MANNERS["all"]).replace("\t", "~   ")
        == '''
"""Jobs of the shop."""

import logging

from celery import shared_task

from shop import mailer

logger = logging.getLogger(__name__)
DELAYS = (2.0, 4.0)


@shared_task(
~   bind=True,
~   name='shop.send_receipt',
~   max_retries=4,  # five attempts
)
def send_receipt(self, order_id, email='a@example.com', *, again=False, **rest):
~   """Emails one receipt.

~   A dead letter is a row in "dead_jobs"; mend the cause, then:
~       settle the order again

~   It says "it's sent".
~   """
~   try:
~   ~   # the key is the order's
~   ~   key = f'receipt-{order_id}'
~   ~   mailer.send(
~   ~   ~   order_id,
~   ~   ~   email,
~   ~   ~   idempotency_key=key,
~   ~   )
~   except mailer.Unavailable as error:
~   ~   logger.warning("receipt will retry order_id=%s: it's %r", order_id, error)
~   ~   raise self.retry(exc=error, countdown=DELAYS[self.request.retries], headers={'x': f"{rest['x']}-{error!r:>10}"})


def find(order, *names):
~   total = 1 + \\
~   ~   2
~   return order if total and (
~   ~   names
~   ~   and order
~   ) else None
'''.lstrip("\n")
    )


# -- quotes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('a = "x"', "a = 'x'"),
        ('a = ""', "a = ''"),
        ('a = "it\'s"', 'a = "it\'s"'),
        ('a = "say \\"x\\""', 'a = "say \\"x\\""'),
        ('a = "x\\\\"', "a = 'x\\\\'"),
        ('a = rb"x\\d"', "a = rb'x\\d'"),
        ('a = "x" "y"', "a = 'x' 'y'"),
        ('a = """x"""', 'a = """x"""'),
        ('a = f"x{b}y"', "a = f'x{b}y'"),
        ("a = f\"x{b['k']}y\"", "a = f\"x{b['k']}y\""),
        ('a = f"{b!r:>{c}}"', "a = f'{b!r:>{c}}'"),
        ('a = f"""x{b}"""', 'a = f"""x{b}"""'),
        ('a = f"{b}" "it\'s"', "a = f'{b}' \"it's\""),
        ("a = 'x'", "a = 'x'"),
        ('def f():\n    "A docstring."', 'def f():\n    "A docstring."'),
        ('"""Doc."""', '"""Doc."""'),
        ('a = {"k": ["v"]}["k"]', "a = {'k': ['v']}['k']"),
    ],
)
def test_single_quotes(before: str, after: str) -> None:
    assert restyle(f"{before}\n", SINGLE) == f"{after}\n"


# -- indentation


def test_two_spaces() -> None:
    source = "def f():\n    if a:\n        return g(\n            a,\n            b,\n        )\n"
    assert restyle(source, TWO) == "def f():\n  if a:\n    return g(\n      a,\n      b,\n    )\n"


def test_comments_and_texts_in_lines() -> None:
    source = 'def f():\n    # one\n    a = """\n    x\n    """\n\n    # two\n\n\n# three\n'
    assert (
        restyle(source, TABS)
        == 'def f():\n\t# one\n\ta = """\n    x\n    """\n\n\t# two\n\n\n# three\n'
    )


def test_a_docstring_that_tabs_would_change_is_left() -> None:
    source = 'def f():\n    """One.\n\n    a\\tb\n    """\n'
    assert restyle(source, TABS) == source.replace('    """One', '\t"""One')


def test_methods_docstrings_move_two_blocks() -> None:
    source = 'class A:\n    def f(self):\n        """One.\n\n        Two.\n        """\n'
    assert restyle(source, TABS) == 'class A:\n\tdef f(self):\n\t\t"""One.\n\n\t\tTwo.\n\t\t"""\n'


# -- imports


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from shop.billing.mail import send", "from .mail import send"),
        ("from shop.billing import mail as m, db", "from . import mail as m, db"),
        ("from shop.mail.smtp import send", "from ..mail.smtp import send"),
        ("from shop import mail", "from .. import mail"),
        ("from shop.billing.mail import (\n    send,\n)", "from .mail import (\n    send,\n)"),
        ("from shopping.mail import send", "from shopping.mail import send"),
        ("from celery import Task", "from celery import Task"),
        ("from .mail import send", "from .mail import send"),
        ("import shop.billing.mail", "import shop.billing.mail"),
    ],
)
def test_relative_imports(before: str, after: str) -> None:
    assert (
        restyle(f"{before}\n", Conventions(absolute_imports=False), "shop.billing") == f"{after}\n"
    )


def test_imports_from_far_above_stay() -> None:
    source = "from shop.mail import send\n"
    assert restyle(source, Conventions(absolute_imports=False), "shop.billing.eu") == source


def test_absolute_imports_stay() -> None:
    assert (
        restyle("from shop.mail import send\n", Conventions(), "shop")
        == "from shop.mail import send\n"
    )


# -- annotations


def test_class_attributes_keep_their_annotations() -> None:
    source = """
        from __future__ import annotations

        from dataclasses import dataclass
        from typing import Any


        @dataclass
        class Job:
            key: str
            payload: dict[str, Any] | None = None

            def run(self, count: int) -> Any:
                left: int = count
                return left
        """
    assert restyled(source, BARE) == restyled(
        source.replace("count: int) -> Any", "count)").replace("left: int", "left"), Conventions()
    )


def test_imports_that_are_still_used_stay() -> None:
    source = """
        from typing import Any, cast
        import datetime


        def f(a: Any, b: datetime.date) -> None:
            return cast("str", datetime.date.today())
        """
    assert restyled(source, BARE) == restyled(
        source.replace("Any, cast", "cast").replace("a: Any, b: datetime.date) -> None", "a, b)"),
        Conventions(),
    )


def test_names_that_are_offered_stay() -> None:
    source = 'from shop import Order\n\n__all__ = ["Order"]\n\n\ndef f(a: Order):\n    pass\n'
    assert restyle(source, BARE) == source.replace("a: Order", "a")


def test_an_import_that_was_never_used_stays() -> None:
    source = "import shop.signals\nfrom shop import tasks\n\n\ndef f(a: int):\n    pass\n"
    assert restyle(source, BARE) == source.replace("a: int", "a")


def test_an_import_over_lines_is_written_anew() -> None:
    names = [f"name_number_{n}" for n in range(8)]
    listed = "".join(f"    {name},\n" for name in names)
    rest = f")\n\n\ndef f(a):\n    return {', '.join(names)}\n"
    source = f"from shop import (\n    Order,\n{listed}{rest}".replace("(a)", "(a: Order)")
    assert restyle(source, BARE) == f"from shop import (\n{listed}{rest}"


def test_a_long_signature_stays_in_lines() -> None:
    names = [f"parameter_number_{n}" for n in range(6)]
    lines = "".join(f"    {name}: int,\n" for name in names)
    assert (
        restyle(f"def f(\n{lines}) -> None:\n    pass\n", BARE)
        == f"def f(\n{lines.replace(': int', '')}):\n    pass\n"
    )


def test_a_signature_with_a_comment_stays_in_lines() -> None:
    source = "def f(\n    a: int,  # one\n    b: int,\n) -> None:\n    pass\n"
    assert restyle(source, BARE) == source.replace(": int", "").replace(" -> None", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(a: int = 1, *, b: str = 'x') -> None: pass", "def f(a=1, *, b='x'): pass"),
        (
            "def f(\n    a: int,\n    /,\n    b: int,\n    *,\n    c: int = 1,\n) -> None: pass",
            "def f(a, /, b, *, c=1): pass",
        ),
        ("async def f(*a: int, **k: str) -> None: pass", "async def f(*a, **k): pass"),
        ("a: int = 1; b: int = 2", "a = 1; b = 2"),
        ("a: int", "a: int"),
        ("f = lambda a=1: a", "f = lambda a=1: a"),
        ("def f(\n    a,\n    b,\n): pass", "def f(\n    a,\n    b,\n): pass"),
    ],
)
def test_annotations_go(before: str, after: str) -> None:
    assert restyle(f"{before}\n", BARE) == f"{after}\n"


# -- files that other people wrote


def library() -> list[Path]:
    """Modules of the standard library, a spread of them, none too large."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in root.rglob("*.py") if "site-packages" not in path.parts)
    fit = [
        path for path in files if 500 < path.stat().st_size < 25_000 and "lib2to3" not in path.parts
    ]
    return fit[:: max(1, len(fit) // 110)]


def _read(path: Path) -> str | None:
    """Its text; None where it is no Python in UTF-8, or holds what templates never write: form
    feeds, CRLF.
    """
    try:
        text = path.read_bytes().decode()
        ast.parse(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
    return text if "\f" not in text and "\r" not in text else None


@pytest.mark.real
@pytest.mark.parametrize("manner", MANNERS)
def test_the_standard_library_means_the_same(manner: str) -> None:
    seen = 0
    for path in library():
        source = _read(path)
        if source is not None:
            seen += 1
            assert meaning(restyle(source, MANNERS[manner])) == meaning(source), path
    assert seen > 90
