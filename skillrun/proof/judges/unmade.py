"""An error that the proof could not make as its class makes it: nobody said with
which arguments.
"""

from __future__ import annotations

import re

from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Judgement, Verdict

# What Python says of words where a number, a mapping, a list or an object was expected.
_OF_WORDS = re.compile(
    r"\bstr\b|string indices must be|string index|invalid literal|could not convert string"
    r"|not enough values to unpack|too many values to unpack|not all arguments converted"
)
_OF_KINDS = ("AttributeError", "TypeError", "ValueError", "IndexError")


def say_unmade(history: History) -> Judgement | None:
    """What is said where a handler asked such an error for what its arguments would have given it,
    and failed of that; None where none did. Production's error has it.
    """
    for run in history.runs:
        for fault in run.all("fault"):
            if fault["unmade"] and _lacks_attribute(run, str(fault["error"])):
                said = (
                    f"{fault['error']} was made without its arguments, and the handler asks for"
                    " what they give it"
                )
                return Judgement(
                    Verdict.INCOMPLETE, "failures.unmade", said, events=(fault.number,)
                )
    return None


def _lacks_attribute(run: Delivery, error: str) -> bool:
    """Whether a delivery failed since the error, "shop.mailer:Busy", has no such attribute, or has
    words there.
    """
    name = error.rpartition(":")[2].rpartition(".")[2]
    beginning = f"'{name}' object has no attribute "
    for raised in run.all("raised"):
        text = str(raised["text"])
        is_attribute_error = raised["error"] == "builtins:AttributeError"
        if is_attribute_error and text.startswith(beginning):
            return True
        kind = str(raised["error"]).removeprefix("builtins:")
        is_of_it = error in (raised["chain"] or ())
        if is_of_it and kind in _OF_KINDS and _OF_WORDS.search(text):
            return True
    return False
