"""The message of a payout, and what is wrong with it."""
import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class InvalidOrder(Exception):
    pass


class PayoutOrder(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    payout_id: str = Field(pattern=r"^po-[0-9]+$")
    account_id: str = Field(pattern=r"^ac-[0-9]+$")
    amount_cents: int = Field(gt=0)
    iban: str = Field(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$")

    @classmethod
    def read(cls, message):
        try:
            return cls.model_validate(message)
        except ValidationError as error:
            raise InvalidOrder(f"{error.error_count()} faults in the order: {[e['loc'] for e in error.errors()]}") from error


def fingerprint(message):
    return hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()


def label(message):
    """What an operator can look the message up by, however broken it is."""
    if isinstance(message, dict) and isinstance(message.get("payout_id"), str):
        return message["payout_id"]
    return "unreadable:" + fingerprint(message)[:12]
