"""The barrier's controller. It opens for a plate until the day of departure."""
from dataclasses import dataclass

from campingplatz.http import HouseClient, Unavailable
from campingplatz.settings import Settings


@dataclass
class Barrier:
    http: HouseClient

    @classmethod
    def from_settings(cls, settings: Settings) -> "Barrier":
        return cls(HouseClient(settings.barrier_url, settings.barrier_secret))

    def open(self, gate: str, plate: str, until: str, key: str) -> str:
        """The receipt. With a key that the controller knows, nothing opens twice and the first receipt comes back."""
        answer = self.http.post(f"/gates/{gate}/openings", {"plate": plate, "until": until}, key)
        try:
            return answer["receipt"]
        except (KeyError, TypeError):
            raise Unavailable("an answer without a receipt") from None
