import dramatiq

from backoffice import logs
from backoffice.adapters.bank import BankApi, BankRejected
from backoffice.domain.commands import InvalidCommand, PayInstalment
from backoffice.domain.model import ClaimNotPayable
from backoffice.entrypoints.broker import make_broker
from backoffice.service import payouts
from backoffice.service.unit_of_work import UnitOfWork

logs.configure()
broker = make_broker()


@dramatiq.actor(
    queue_name="payouts",
    max_retries=4,
    min_backoff=10_000,
    max_backoff=300_000,
    throws=(InvalidCommand, ClaimNotPayable, BankRejected),
)
def pay_instalment(**fields):
    command = PayInstalment.parse(fields)
    payouts.pay_instalment(command, UnitOfWork(), BankApi.from_settings())
