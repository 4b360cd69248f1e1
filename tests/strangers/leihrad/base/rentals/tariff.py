"""One euro to unlock, then ten cents for each minute that has begun; a day costs fifteen euros at most."""
import math

UNLOCK, MINUTE, DAY = 100, 10, 1500


def fee_cents(started_at, returned_at):
    minutes = max(0, math.ceil((returned_at - started_at).total_seconds() / 60))
    days, rest = divmod(minutes, 24 * 60)
    return days * DAY + min(UNLOCK + rest * MINUTE, DAY)
