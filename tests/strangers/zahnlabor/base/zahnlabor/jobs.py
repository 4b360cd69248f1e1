"""The house's decorator for background jobs."""

import functools
from typing import Callable

import dramatiq

from zahnlabor.broker import broker
from zahnlabor.errors import BadMessage, Hopeless


def positive(value) -> bool:
    return type(value) is int and 0 < value < 2**31


def job(*, queue: str, max_tries: int, **fields: Callable[[object], bool]):
    """An actor that is tried max_tries times, and takes exactly these fields, by name."""

    def decorate(work):
        @functools.wraps(work)
        def checked(*args, **message):
            if args or set(message) != set(fields):
                raise BadMessage(f"wanted: {', '.join(fields)}")
            for name, good in fields.items():
                if not good(message[name]):
                    raise BadMessage(f"{name} of type {type(message[name]).__name__}")
            return work(**message)

        return dramatiq.actor(
            checked,
            broker=broker,
            actor_name=work.__name__,
            queue_name=queue,
            max_retries=max_tries - 1,
            throws=(Hopeless,),
        )

    return decorate
