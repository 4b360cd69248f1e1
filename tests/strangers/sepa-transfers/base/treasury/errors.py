"""One hierarchy for the whole service. The base task retries TransientError and nothing else."""


class TreasuryError(Exception):
    """Root of everything that this service raises on purpose."""


class TransientError(TreasuryError):
    """May pass; another attempt is worth it."""


class GatewayUnavailable(TransientError):
    """The clearing gateway is down, busy, or its answer was lost. The transfer may or may not have gone through."""


class StoreUnavailable(TransientError):
    """The database could not be reached, or broke off the transaction."""


class ConcurrentUpdate(TransientError):
    """Somebody else changed the row since it was read (version column)."""


class PermanentError(TreasuryError):
    """Stays; a person has to look at it."""


class MalformedInstruction(PermanentError):
    """The message is not an execution order."""


class UnknownTransfer(PermanentError):
    """There is no such transfer."""


class TransferRejected(PermanentError):
    """The clearing gateway refuses this transfer for good (closed account, invalid IBAN, ...)."""


class AttemptsExhausted(PermanentError):
    """As often tried as the policy allows."""


class OutcomeUnknown(PermanentError):
    """Tried so long ago that the gateway no longer recognises the end-to-end id; sending again could pay twice."""


class AlreadyInstructed(TreasuryError):
    """The gateway has executed this end-to-end id before. Good news, not a failure."""
