from . import ledger
from .tasks import book_lab_test


async def request_test(ref: str) -> None:
    """The vet wants a sample tested. Once the row is there the test will be ordered: if queueing fails, the rescue
    finds the row."""
    await ledger.open_request(ref)
    await book_lab_test.kiq(ref=ref)
    await ledger.expect(ref, 0)
