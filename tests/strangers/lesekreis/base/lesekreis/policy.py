from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RetryPolicy:
    attempts: int
    base: timedelta
    factor: int
    cap: timedelta

    def wait_after(self, attempt: int) -> timedelta | None:
        """How long to wait after this attempt; None: it was the last."""
        if attempt >= self.attempts:
            return None
        return min(self.base * self.factor ** (attempt - 1), self.cap)


CHARGING = RetryPolicy(attempts=6, base=timedelta(minutes=1), factor=3, cap=timedelta(hours=1))
