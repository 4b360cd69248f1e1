from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Charged:
    charge_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The bank's no. Nothing was taken, and the same key will not take it later."""
    code: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """No definite answer: whether the money was taken, only the same key asked again will tell."""
    reason: str


Result = Charged | Declined | TryLater
