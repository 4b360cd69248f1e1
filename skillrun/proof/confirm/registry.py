"""The libraries of which a real worker can be started."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skillrun.proof.confirm.celery import CeleryBroker
from skillrun.proof.confirm.interface import Broker

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting

BROKERS: dict[str, Callable[[Setting], Broker]] = {"celery": CeleryBroker}
