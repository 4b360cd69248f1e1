"""python -m bank_payouts.schema: makes the tables, and two accounts to play with."""
from .models import Account, Base
from .uow import UnitOfWork, engine


def main():
    Base.metadata.create_all(engine)
    with UnitOfWork() as uow:
        for account_id, balance in (("ac-1", 500_000), ("ac-2", 80_000)):
            if uow.accounts.get(account_id) is None:
                uow.accounts.add(id=account_id, balance_cents=balance)
        uow.commit()


if __name__ == "__main__":
    main()
