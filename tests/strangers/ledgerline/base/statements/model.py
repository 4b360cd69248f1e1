from dataclasses import dataclass
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class StatementRequest(BaseModel):
    """The message: one month of one account."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    account_id: PositiveInt
    period: str = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")

    @property
    def key(self) -> str:
        return f"{self.period}/{self.account_id}"

    @property
    def object_key(self) -> str:
        return f"{self.key}.csv"


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    booked_on: str
    text: str
    amount: Decimal
