"""What makes a renewal due: the nightly export of the policy administration. `python -m renewals.intake export.csv`"""

import csv
import sys
from datetime import UTC, datetime

from sqlalchemy.dialects.sqlite import insert

from renewals import tables


def register(renewal_id: int, policy_no: str, period_start: str, premium_cents: int) -> None:
    """Registering a renewal again changes nothing. The poller sees it once its period begins."""
    due = int(datetime.fromisoformat(period_start).replace(tzinfo=UTC).timestamp())
    with tables.engine().begin() as connection:
        connection.execute(
            insert(tables.renewals)
            .values(
                id=renewal_id,
                policy_no=policy_no,
                period_start=period_start,
                premium_cents=premium_cents,
                next_attempt_at=due,
            )
            .on_conflict_do_nothing()
        )


def main(path: str) -> None:
    with open(path, newline="") as file:
        for line in csv.DictReader(file):
            register(int(line["id"]), line["policy_no"], line["period_start"], int(line["premium_cents"]))


if __name__ == "__main__":
    main(sys.argv[1])
