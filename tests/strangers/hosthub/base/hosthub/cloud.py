"""The cloud that makes our machines."""
import httpx

from hosthub.settings import get_settings


class CloudUnavailable(Exception):
    """No answer, or one that says: later."""


class QuotaExceeded(Exception):
    """Our account may not have more machines of this kind."""


class OrderRejected(Exception):
    """The cloud does not know the plan or the region, or does not like the name."""


class ServerExists(Exception):
    """There is a machine for this client token; it comes with the answer."""

    def __init__(self, machine: dict):
        super().__init__(machine)
        self.machine = machine


class Cloud:
    def __init__(self):
        settings = get_settings()
        self._http = httpx.AsyncClient(
            base_url=settings.cloud_url,
            headers={"Authorization": f"Bearer {settings.cloud_token}"},
            timeout=20,
        )

    async def __aenter__(self) -> "Cloud":
        return self

    async def __aexit__(self, *exc_info) -> None:
        await self._http.aclose()

    async def create_server(self, *, name: str, plan: str, region: str, client_token: str) -> dict:
        """Make a machine, or find the one that was made with this client token: {id, ip}."""
        try:
            response = await self._http.post(
                "/v3/servers",
                json={"name": name, "plan": plan, "region": region, "client_token": client_token},
            )
        except httpx.TransportError as exc:
            raise CloudUnavailable(repr(exc)) from exc
        if response.status_code == 409:
            raise ServerExists(response.json()["server"])
        if response.status_code == 402:
            raise QuotaExceeded(response.text[:200])
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise CloudUnavailable(f"status {response.status_code}")
        if response.status_code >= 400:
            raise OrderRejected(f"status {response.status_code}: {response.text[:200]}")
        server = response.json()
        return {"id": server["id"], "ip": server["ip"]}
