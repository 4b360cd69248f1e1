from contextvars import ContextVar

from loguru import logger
from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError

from tutorly import books

current: ContextVar[dict] = ContextVar("current", default={"task_id": "-", "attempt": 1})


class JobContext(TaskiqMiddleware):
    """Lets the lines of a job say which message they are about."""

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        current.set({"task_id": message.task_id, "attempt": int(message.labels.get("_retries", 0)) + 1})
        return message


class DeadLetters(TaskiqMiddleware):
    """Buries what will not be tried again. Stands before the retries in the list, and so comes after them."""

    def __init__(self, tasks: set[str]) -> None:
        super().__init__()
        self.tasks = tasks

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult, exception: BaseException) -> None:
        if message.task_name not in self.tasks:
            return
        reason = f"{type(exception).__name__}: {exception}"
        log = logger.bind(job=message.task_name, lesson_id=message.kwargs.get("lesson_id"), **current.get())
        if not isinstance(exception, Exception):
            log.warning("interrupted, outcome=redelivery")
            raise exception  # no acknowledgement: the message comes back
        if isinstance(result.error, NoResultError):
            log.warning("charge failed, outcome=retry reason={!r}", reason)
            return
        payload = dict(message.kwargs)
        if len(message.args) == 1 and not payload:
            payload = {"lesson_id": message.args[0]}
        elif message.args:
            payload["_args"] = list(message.args)
        if await books.bury(message.task_name, payload, reason):
            log.error("charge given up, outcome=dead reason={!r}", reason)
        else:
            log.info("charge was made by another delivery, outcome=charged reason={!r}", reason)
