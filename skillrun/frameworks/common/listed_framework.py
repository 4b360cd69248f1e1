"""A library whose workers list their functions, with their jobs in Redis (arq, SAQ), made of its
own parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.common.redis_broker import RedisBroker
    from skillrun.frameworks.known.entry import Known
    from skillrun.frameworks.writer import JobWriter


def make_framework(
    entry: Known,
    idioms: Mapping[str, str],
    broker: type[RedisBroker],
    load_code: Callable[[], Code],
    load_writer: Callable[[], JobWriter],
) -> Framework:
    """Its driver, its command and its keys are named as it is."""
    features = Features(
        needs_redis=True,
        context_first=True,
        programs=(entry.id,),
        control=rf"{entry.id}(\.worker)?[.:](Retry|RetryJob)",
        keys=rf"{entry.id}:.*",
    )
    return Framework(
        ID=entry.id,
        TITLE=entry.title,
        IDIOMS=idioms,
        DRIVER=entry.id,
        FEATURES=features,
        recogniser=partial(make_recogniser, entry),
        make_broker=broker,
        load_code=load_code,
        load_writer=load_writer,
    )
