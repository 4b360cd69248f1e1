from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued

from pfandhaus import settings

app = App(
    connector=PsycopgConnector(conninfo=settings.DSN),
    import_paths=["pfandhaus.payouts", "pfandhaus.upkeep"],
)


def put(loan_id):
    """False if a job for this loan is waiting already."""
    with App(connector=SyncPsycopgConnector(conninfo=settings.DSN)).open() as publisher:
        task = publisher.configure_task("pay_out_loan", queue="payouts", queueing_lock=f"payout-{loan_id}")
        try:
            task.defer(loan_id=loan_id)
        except AlreadyEnqueued:
            return False
    return True
