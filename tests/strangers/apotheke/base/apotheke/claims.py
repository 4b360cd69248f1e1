"""What the back office does with claims. Each method is one transaction."""
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from apotheke import config
from apotheke.db import sessions
from apotheke.model import Claim, ClaimStatus, now
from apotheke.repositories import ClaimRepository, DeadLetterRepository


class UnknownClaim(Exception):
    pass


class NotReleased(Exception):
    pass


class TooLate(Exception):
    pass


class TooManyStarts(Exception):
    pass


class ClaimService:
    def __init__(self, factory: sessionmaker[Session] | None = None):
        self._factory = factory or sessions()

    def release(self, claim_id: int) -> bool:
        """The pharmacist has signed. False if that had been done before."""
        moment = now()
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            released = claims.change(
                claim_id, ClaimStatus.DRAFT, status=ClaimStatus.RELEASED, released_at=moment, due_at=moment
            )
            if not released and claims.get(claim_id) is None:
                raise UnknownClaim(f"no claim {claim_id}")
        return released

    def start(self, claim_id: int) -> Claim | None:
        """The claim, one start richer, or None where nothing is left to do."""
        moment = now()
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            claims.change(
                claim_id, ClaimStatus.RELEASED, starts=Claim.starts + 1, due_at=moment + config.STALL_AFTER
            )
            claim = claims.get(claim_id)
        if claim is None:
            raise UnknownClaim(f"no claim {claim_id}")
        if claim.status is ClaimStatus.DRAFT:
            raise NotReleased(f"claim {claim_id} is a draft")
        if claim.status is not ClaimStatus.RELEASED:
            return None
        if claim.starts > config.SUBMIT_MAX_STARTS:
            raise TooManyStarts(f"{claim.starts - 1} starts and no end")
        if claim.released_at < moment - config.SUBMIT_WITHIN:
            raise TooLate("released too long ago")
        return claim

    def accept(self, claim_id: int, insurer_ref: str) -> bool:
        """What the insurer has, it has, even if another delivery has given up meanwhile."""
        with self._factory.begin() as session:
            moved = ClaimRepository(session).change(
                claim_id,
                ClaimStatus.RELEASED,
                ClaimStatus.FAILED,
                status=ClaimStatus.ACCEPTED,
                insurer_ref=insurer_ref,
                due_at=None,
            )
            if moved:
                DeadLetterRepository(session).drop(str(claim_id))
        return moved

    def fail(self, claim_id: int | None, letter: dict) -> bool:
        """The dead letter, together with the claim if there is one. False if it was over before."""
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            if claim_id is not None and not claims.change(
                claim_id, ClaimStatus.RELEASED, status=ClaimStatus.FAILED, due_at=None
            ):
                claim = claims.get(claim_id)
                if claim is not None and claim.status is not ClaimStatus.DRAFT:
                    return False
            return DeadLetterRepository(session).add(**letter)

    def stalled(self, moment: datetime | None = None) -> list[int]:
        with self._factory() as session:
            return ClaimRepository(session).stalled(moment or now())

    def published(self, claim_id: int) -> None:
        with self._factory.begin() as session:
            ClaimRepository(session).change(claim_id, ClaimStatus.RELEASED, due_at=now() + config.STALL_AFTER)
