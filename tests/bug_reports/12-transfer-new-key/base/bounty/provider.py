import httpx


class ProviderTrouble(Exception):
    """No answer, or a 5xx."""


class TransferRefused(Exception):
    """The account cannot be paid."""


async def transfer(account, cents, idempotency_key):
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.post(
                "https://pay.invalid/transfers",
                json={"destination": account, "amount": cents},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.TransportError as error:
            raise ProviderTrouble(str(error)) from error
    if answer.status_code >= 500:
        raise ProviderTrouble(answer.status_code)
    if answer.status_code >= 400:
        raise TransferRefused(answer.status_code)
    return answer.json()["id"]
