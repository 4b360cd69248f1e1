"""Python's literals, read from text by several threads."""

from __future__ import annotations

import ast
import threading
from typing import Any

# Until 3.12 Python counts the depth of all trees that are being built in one place, whichever
# thread builds them: two at once end in a SystemError (python/cpython#106905).
_ONE_AT_A_TIME = threading.Lock()


def read_literal(text: str) -> Any:
    """The value that a text stands for: "[('order_id', '7')]", "7". Raises ValueError or
    SyntaxError for what is no literal.
    """
    with _ONE_AT_A_TIME:
        return ast.literal_eval(text)
