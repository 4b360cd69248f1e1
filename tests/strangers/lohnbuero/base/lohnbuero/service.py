"""The steps of a declaration. Each is one unit of work."""

import functools

from loguru import logger
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from . import config, queue
from .model import ENDS_AS, OPEN, Declaration, Status, now
from .uow import UnitOfWork


class UnknownDeclaration(Exception):
    pass


class NotReleased(Exception):
    pass


def insisting(step):
    """What the world has seen already is worth a second try at writing it down."""

    @functools.wraps(step)
    def tried(*args, **kwargs):
        for _ in range(2):
            try:
                return step(*args, **kwargs)
            except SQLAlchemyError as error:
                logger.warning("database stumbled in {}: {}", step.__name__, type(error).__name__)
        return step(*args, **kwargs)

    return tried


def release(declaration_id):
    """The clerk's button. Pressing it again does nothing."""
    with UnitOfWork() as uow:
        declaration = uow.declarations.get(declaration_id)
        if declaration is None:
            raise UnknownDeclaration(f"no declaration {declaration_id}")
        number = f"LB-{declaration.period.replace('-', '')}-{declaration.id:06d}"
        released = uow.declarations.move(
            declaration_id, [Status.DRAFT], status=Status.RELEASED, transmission_no=number, due_at=now()
        )
        uow.commit()
    if released:
        publish_soon(declaration_id)
    return released


def publish_soon(declaration_id):
    try:
        publish(declaration_id)
    except (RedisError, SQLAlchemyError) as error:
        logger.bind(job=queue.JOB, key=str(declaration_id)).warning(
            "left to the sweep: {}", type(error).__name__
        )


def publish(declaration_id):
    queue.put(declaration_id)
    with UnitOfWork() as uow:
        uow.declarations.move(declaration_id, OPEN, due_at=now() + config.PATIENCE)
        uow.commit()


def requeue_stalled():
    """Every half hour: publish what should have moved by now."""
    with UnitOfWork() as uow:
        stalled = uow.declarations.stalled()
    for declaration_id in stalled:
        publish(declaration_id)
        logger.bind(job=queue.JOB, key=str(declaration_id), outcome="requeued").info("declaration requeued")
    return len(stalled)


def begin(declaration_id):
    """The declaration, one attempt on; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
            due_at=now() + config.PATIENCE,
        )
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None


@insisting
def record_ticket(declaration_id, ticket):
    """The authority has it, even if another delivery has given up meanwhile."""
    with UnitOfWork() as uow:
        moved = uow.declarations.move(
            declaration_id,
            [Status.RELEASED, Status.FAILED],
            status=Status.TRANSMITTED,
            ticket=ticket,
            due_at=now() + config.PATIENCE,
        )
        if moved:
            uow.dead_letters.drop(str(declaration_id))
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    return declaration


@insisting
def finish(declaration_id):
    with UnitOfWork() as uow:
        seen = [Status.TRANSMITTED, Status.UNRECEIPTED]
        if uow.declarations.move(declaration_id, seen, status=Status.DONE, due_at=None):
            uow.dead_letters.drop(str(declaration_id))
        uow.commit()


@insisting
def bury(burial):
    """False if the declaration has gone on, or has ended, without us."""
    with UnitOfWork() as uow:
        if burial.seen is not None:
            end = ENDS_AS.get(burial.seen)
            if end is None or not uow.declarations.move(
                burial.declaration_id, [burial.seen], status=end, due_at=None
            ):
                return False
        buried = uow.dead_letters.add(
            key=burial.key, message=burial.message, reason=burial.reason[:200], job_id=burial.job_id
        )
        uow.commit()
    return buried


def revive(declaration_id):
    """Somebody has mended what it died of. The transmission number stays."""
    with UnitOfWork() as uow:
        for living, dead in ENDS_AS.items():
            if uow.declarations.move(declaration_id, [dead], status=living, attempts=0, due_at=now()):
                uow.dead_letters.drop(str(declaration_id))
                break
        else:
            return False
        uow.commit()
    publish_soon(declaration_id)
    return True
