import structlog
from sqlalchemy.dialects.sqlite import insert
from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError

from .db import DeadJob, Session

logger = structlog.get_logger()


class DeadLetters(TaskiqMiddleware):
    """Keeps what will not be tried again in dead_jobs, and says which job it was."""

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult, exception: BaseException) -> None:
        log = logger.bind(task=message.task_name, task_id=message.task_id, payload=message.kwargs)
        if isinstance(result.error, NoResultError):
            log.warning("job_will_retry", error=repr(exception))
            return
        with Session.begin() as session:
            session.execute(
                insert(DeadJob)
                .values(
                    task_id=message.task_id,
                    task=message.task_name,
                    payload=message.kwargs,
                    error=repr(exception),
                )
                .on_conflict_do_nothing()
            )
        log.error("job_dead", error=repr(exception))
