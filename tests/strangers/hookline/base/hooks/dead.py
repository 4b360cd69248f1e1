from typing import Any

from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult

from hooks.errors import RetryLater
from hooks.log import logger
from hooks.store import get_store


class DeadLetterMiddleware(TaskiqMiddleware):
    """Keeps what no retry will mend, before the message is acknowledged. If that fails, the stream delivers it again."""

    def __init__(self, retryable: tuple[type[Exception], ...]) -> None:
        super().__init__()
        self.retryable = retryable

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        if message.labels.get("dead_letters") is None or isinstance(exception, RetryLater):
            return
        event_id = message.kwargs.get("event_id")
        if isinstance(exception, self.retryable) or not isinstance(exception, Exception):
            # The store is away, or the worker is told to stop. What no retry follows, the sweep has.
            logger.bind(
                job=message.task_name,
                event_id=event_id,
                task_id=message.task_id,
                attempt=int(message.labels.get("_retries", 0)) + 1,
                result="retry",
                reason=repr(exception),
            ).warning("interrupted")
            return
        key = event_id if isinstance(event_id, str) else f"task:{message.task_id}"
        buried = await get_store().bury(key, {"args": message.args, "kwargs": message.kwargs}, repr(exception))
        logger.bind(
            job=message.task_name,
            event_id=event_id,
            task_id=message.task_id,
            result="dead" if buried else "ignored",
            reason=repr(exception),
        ).error("given up")
