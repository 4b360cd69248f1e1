"""Wires ports to adapters. The only place that knows all of them."""

from functools import cache
from typing import Any

from treasury import services, settings, uow
from treasury.gateway import HttpSepaGateway

POLICY = settings.ExecutionPolicy()


@cache
def _engine():
    return uow.engine(settings.load().dsn)


def unit_of_work() -> uow.SqlUnitOfWork:
    return uow.SqlUnitOfWork(_engine())


class CeleryPublisher:
    def publish(self, payload: dict[str, Any]) -> None:
        from treasury.tasks import execute_transfer

        execute_transfer.apply_async(args=[payload])


def release_transfer(transfer_id: int) -> None:
    services.ReleaseTransfer(unit_of_work)(transfer_id)


def publish_pending() -> int:
    return services.RelayOutbox(unit_of_work, CeleryPublisher())()


def redispatch_stalled() -> int:
    """Arms what stalled, and does not wait for the next tick of the relay."""
    services.RedispatchStalled(unit_of_work, POLICY)()
    return publish_pending()


def execute(payload: dict[str, Any], holder: str) -> str:
    config = settings.load()
    gateway = HttpSepaGateway(config.gateway_url, config.gateway_token)
    return services.ExecuteTransfer(unit_of_work, gateway, POLICY)(payload, holder)


def abandon(payload: Any, reason: str) -> None:
    services.AbandonTransfer(unit_of_work)(payload, reason)
