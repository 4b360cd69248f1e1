"""The libraries of which a real worker can be started."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skillrun.proof.confirm.arq import ArqBroker
from skillrun.proof.confirm.celery import CeleryBroker
from skillrun.proof.confirm.django_q2 import DjangoQ2Broker
from skillrun.proof.confirm.django_tasks import DjangoTasksBroker
from skillrun.proof.confirm.dramatiq import DramatiqBroker
from skillrun.proof.confirm.huey import HueyBroker
from skillrun.proof.confirm.interface import Broker
from skillrun.proof.confirm.procrastinate import ProcrastinateBroker
from skillrun.proof.confirm.rq import RqBroker
from skillrun.proof.confirm.taskiq import TaskiqBroker

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting

BROKERS: dict[str, Callable[[Setting], Broker]] = {
    "arq": ArqBroker,
    "celery": CeleryBroker,
    "django-q2": DjangoQ2Broker,
    "django-tasks": DjangoTasksBroker,
    "dramatiq": DramatiqBroker,
    "huey": HueyBroker,
    "procrastinate": ProcrastinateBroker,
    "rq": RqBroker,
    "taskiq": TaskiqBroker,
}
