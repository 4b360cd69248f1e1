"""Log records and printed lines of a delivery, as events."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .recorder import Recorder
from .swap import swap_code
from .values import shorten_text

_PLAIN = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}
# What a formatter writes of each record, whatever it is about.
_OF_EVERY_LINE = frozenset(
    (
        *("time", "timestamp", "ts", "asctime", "level", "levelname", "severity", "logger", "name"),
        *("message", "msg", "pid", "process", "thread", "line", "lineno", "exc_info", "stack"),
    )
)
_MOST = 500  # records of one delivery
# What names the job may stand behind a traceback in the same line of JSON.
_WHOLE = 20_000
_MOST_HANDLED = 8  # errors, each raised while the next was handled
_LONGEST_WORD = 40  # longer texts are no words of a sentence


def is_heard(logger: logging.Logger, level: int, root_is_heard: bool) -> bool:
    """Whether a handler takes a record of this level. `root_is_heard`: what comes to the root is
    written, whatever handlers the application gave it.
    """
    above: logging.Logger | None = logger
    while above is not None:
        for handler in above.handlers:
            if level >= handler.level and not isinstance(handler, logging.NullHandler):
                return True
        if above.parent is None:
            return root_is_heard
        if not above.propagate:
            return False
        above = above.parent
    return False


@contextlib.contextmanager
def say_nothing() -> Iterator[None]:
    """No record of any logger is kept inside."""
    said = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(said)


class Logs:
    """Reports each record that a worker would write: it passes its logger's level, and some handler
    takes it.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.seen = 0
        self.root_is_heard = True
        self.task_loggers: tuple[str, ...] = ()
        self.written: list[str] = []  # what handlers make of the record that is on its way

    def install(self, *, sets_level: bool = False, task_loggers: tuple[str, ...] = ()) -> None:
        """Once, in the zygote. `sets_level`: the library's worker gives the root logger a level
        itself. `task_loggers`: below these it then writes the id of the message.
        """
        # Where the application sets up all logs, the library's own formatter is set up nowhere.
        if sets_level:
            self.task_loggers = task_loggers
        before: Callable[..., Any]
        format_before: Callable[..., Any]

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            told = None
            if is_heard(logger, record.levelno, self.root_is_heard):
                told = self.read_record(record)
            if told is not None:
                told["names_message"] = self.names_message(logger)
            outer, self.written = self.written, []
            try:
                with self.recorder.quiet_log():
                    before(logger, record)
            finally:
                self.report_record(record, told)
                self.written = outer

        def format_record(handler: logging.Handler, record: logging.LogRecord) -> str:
            text = str(format_before(handler, record))
            self.written.append(text)
            return text

        before = swap_code(logging.Logger.callHandlers, call_handlers)
        format_before = swap_code(logging.Handler.format, format_record)
        # Where the application gives the root no handler, whoever starts the worker does.
        self.root_is_heard = sets_level or not logging.getLogger().handlers
        if self.root_is_heard:
            # As a worker that is started with --loglevel=INFO.
            logging.getLogger().setLevel(logging.INFO)

    def read_record(self, record: logging.LogRecord) -> dict[str, Any] | None:
        """What a record says, before a handler changes it; None where nobody asks."""
        if not self.recorder.is_delivery or self.seen >= _MOST:
            return None
        self.seen += 1
        try:
            text = record.getMessage()
        except Exception as error:
            text = f"{record.msg!r} (not formatted: {error})"
        cause = None
        if record.exc_info and len(record.exc_info) > 1:
            cause = record.exc_info[1]
        return {
            "logger": record.name,
            "level": record.levelname,
            "template": shorten_text(str(record.msg)),
            "text": shorten_text(text, _WHOLE),
            "words": _find_words(record.args),
            "error": f"{type(cause).__name__}: {cause}" if cause else None,
            "handled": _list_handled(self.recorder),
            "place": [_path_within(self.recorder.root, record.pathname), record.lineno],
        }

    def names_message(self, logger: logging.Logger) -> bool:
        """Whether the library's own formatter tells which message a record belongs to."""
        above: logging.Logger | None = logger
        while above is not None:
            if above.name in self.task_loggers:
                return True
            above = above.parent
        return False

    def report_record(self, record: logging.LogRecord, told: dict[str, Any] | None) -> None:
        """Reports one record, with the fields that the filters and the formatters of its handlers
        have added.
        """
        if told is not None:
            extra = {
                k: str(v)
                for k, v in vars(record).items()
                if k not in _PLAIN and not k.startswith("_")
            }
            for text in self.written:
                extra = {**extra, **_read_fields(text), **extra}
            self.recorder.emit(
                "log",
                extra={k: shorten_text(v) for k, v in list(extra.items())[:20]},
                # What is blotted out on the way is not in it.
                written=shorten_text("\n".join(self.written), _WHOLE),
                **told,
            )

    def report_line(self, stream: str, text: str) -> None:
        """Reports a printed line."""
        if not self.recorder.is_listening or not text.strip() or self.seen >= _MOST:
            return
        self.seen += 1
        text = text.rstrip("\n")
        self.recorder.emit(
            "log",
            logger=stream,
            level="PRINT",
            template=None,
            text=shorten_text(text, _WHOLE),
            extra={},
            error=None,
            handled=_list_handled(self.recorder),
            place=self.recorder.find_place(),
        )


def _list_handled(recorder: Recorder) -> list[tuple[str, str, bool]]:
    """(class, words, whether the class is the repository's own) of the errors that are being
    handled where a record is written, the last one first: an adapter has made it of the provider's,
    and it may end there.
    """
    found: list[tuple[str, str, bool]] = []
    error = sys.exc_info()[1]
    while error is not None and len(found) < _MOST_HANDLED:
        kind = type(error)
        file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
        is_own = file.startswith(recorder.root) and "site-packages" not in file
        with recorder.quiet():
            words = _read_words(error)
        found.append((f"{kind.__module__}:{kind.__qualname__}", words, is_own))
        # What `from None` hides is there all the same.
        error = error.__cause__ or error.__context__
    return found


def _read_words(error: BaseException) -> str:
    """What an error says; "" where it cannot say it."""
    try:
        return shorten_text(str(error))
    except Exception:
        return ""


def _read_fields(text: str) -> dict[str, str]:
    """What a formatter has put into a line of JSON, such as the job that a context variable holds.
    In a plain line nobody can tell a field from a time.
    """
    if not text.startswith("{"):
        return {}
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in line.items():
        if name.lower().lstrip("@") not in _OF_EVERY_LINE:
            found[str(name)] = str(value)
    return found


def _find_words(args: Any) -> list[str]:
    """The short texts among a record's arguments: a word that is put into a format is a part of
    what the record says.
    """
    given = args.values() if isinstance(args, dict) else args or ()
    found = []
    for arg in given:
        if isinstance(arg, str) and len(arg) <= _LONGEST_WORD:
            found.append(arg)
    return found


def _path_within(root: str, path: str) -> str:
    if path.startswith(root):
        return path[len(root) :]
    return path


class Printed(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr: whoever keeps a reference at import keeps this one."""

    def __init__(self, name: str, real: Any, logs: Logs) -> None:
        self.name_, self.real, self.logs = name, real, logs
        self._unread = ""

    encoding = "utf-8"
    errors = "backslashreplace"

    @property
    def buffer(self) -> Any:
        """The byte stream below, for those who write bytes."""
        return self.real.buffer

    def fileno(self) -> int:
        """The real descriptor."""
        return int(self.real.fileno())

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        self.real.flush()

    def write(self, text: str) -> int:
        """Whole lines become events of a delivery."""
        self.real.write(text)
        if self.logs.recorder.is_listening:
            *lines, self._unread = (self._unread + text).split("\n")
            for line in lines:
                self.logs.report_line(self.name_, line)
        return len(text)


def install_printed(logs: Logs) -> None:
    """Before anything of the repository is imported."""
    sys.stdout = Printed("stdout", sys.stdout, logs)
    sys.stderr = Printed("stderr", sys.stderr, logs)
