"""The jobs of the workers."""
import asyncio
from uuid import uuid4

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hosthub import dns, servers, tokens
from hosthub.cloud import Cloud, OrderRejected, QuotaExceeded, ServerExists
from hosthub.dns import DnsRejected
from hosthub.servers import Server, Status
from hosthub.settings import get_settings

logger = structlog.get_logger("hosthub.jobs")

PERMANENT = (QuotaExceeded, OrderRejected, DnsRejected)


class Provision(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    server_id: int = Field(ge=1)


async def provision_server(ctx, **message) -> None:
    """Set a server up. The message is {server_id: 17}."""
    job = ctx.get("job")
    saq_key = job.key if job else str(uuid4())
    log = logger.bind(job="provision-server", saq_key=saq_key, **{"server_id": message.get("server_id")})
    try:
        server_id = Provision.model_validate(message).server_id
        server, go_on = await servers.begin(server_id)
    except ValidationError as exc:
        reason = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        await servers.fail_message(saq_key, message, f"malformed message: {reason}")
        log.error("provisioning_given_up", reason=f"malformed message: {reason}")
        return
    except servers.NoSuchServer as exc:
        await servers.fail_message(saq_key, message, f"NoSuchServer: {exc}")
        log.error("provisioning_given_up", reason=f"NoSuchServer: {exc}")
        return
    if server.ended:
        log.info("provisioning_had_ended", status=server.status)
        return
    log = log.bind(attempt=server.attempts)
    if not go_on:
        # The last attempt may be under way. Where it has died, the sweep writes the failure down.
        log.warning("provisioning_has_no_attempts_left")
        return

    log.info("provisioning_started", of=get_settings().max_attempts)
    try:
        if server.status is Status.CREATING:
            machine = await machine_for(server)
            server = await servers.created(server, machine["id"], machine["ip"])
        await dns.point(server.hostname, server.ip)
        await servers.activate(server)
    except servers.Changed as exc:
        # Another delivery is ahead of us; it carries on, and if it does not, the sweep does.
        log.warning("provisioning_left_to_another", reason=str(exc))
    except PERMANENT as exc:
        await give_up(log, server, saq_key, f"{type(exc).__name__}: {exc}", exc)
    except asyncio.CancelledError:
        log.warning("provisioning_interrupted", reason="timeout or shutdown of the worker")
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        if server.last_attempt:
            await give_up(log, server, saq_key, reason, exc)
            return
        log.warning("provisioning_will_be_retried", reason=reason)
        raise  # SAQ tries again
    else:
        log.info("provisioning_done", provider_id=server.provider_id, ip=server.ip)


async def machine_for(server: Server) -> dict:
    machine = await tokens.recall(server.id)
    if machine is not None:
        return machine
    async with Cloud() as cloud:
        try:
            machine = await cloud.create_server(
                name=server.hostname, plan=server.plan, region=server.region,
                client_token=f"hosthub-server-{server.id}")
        except ServerExists as exc:
            machine = exc.machine
    await tokens.remember(server.id, machine)
    return machine


async def give_up(log, server: Server, saq_key: str, reason: str, exc: BaseException | None = None) -> None:
    """Only in the version that we know: where another delivery has got further, it goes on."""
    try:
        await servers.fail(server, saq_key, reason)
    except servers.Changed as changed:
        log.warning("provisioning_left_to_another", reason=str(changed))
    else:
        log.error("provisioning_given_up", reason=reason, exc_info=exc)
