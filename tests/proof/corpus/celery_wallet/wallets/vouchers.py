"""What the till calls."""

from wallets import tasks


def redeem(voucher: str, wallet: int, cents: int) -> None:
    """Has a voucher credited. Calling it again is safe."""
    tasks.credit.delay(voucher=voucher, wallet=wallet, cents=cents)
