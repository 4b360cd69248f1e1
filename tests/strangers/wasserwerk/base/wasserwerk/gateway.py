"""The e-invoicing gateway. An invoice is put under our number; the same once more changes nothing."""
import httpx

from . import config

REFUSED = {400, 404, 409, 413, 422}


class GatewayAway(Exception):
    """No answer, or one that does not say whether the invoice is there."""


class InvoiceRefused(Exception):
    """The gateway does not want this invoice, now or later."""


async def put_invoice(number: str, invoice: dict) -> str:
    try:
        async with httpx.AsyncClient(
            base_url=config.gateway_url(),
            headers={"Authorization": f"Bearer {config.gateway_token()}"},
            timeout=httpx.Timeout(20, connect=5),
        ) as client:
            answer = await client.put(f"/invoices/{number}", json=invoice)
            answer.raise_for_status()
        return str(answer.json()["receipt"])
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in REFUSED:
            raise InvoiceRefused(f"http {status}") from None
        raise GatewayAway(f"http {status}") from None
    except httpx.HTTPError as error:
        raise GatewayAway(type(error).__name__) from None
    except (ValueError, KeyError, TypeError):
        raise GatewayAway("no receipt in the answer") from None
