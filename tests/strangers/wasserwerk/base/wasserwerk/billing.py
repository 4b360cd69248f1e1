from .broker import publish
from .uow import Conflict, UnitOfWork


async def release(bill_id: int) -> str | None:
    """The clerk's button. Pressed twice it queues once, or the job finds nothing to do.
    Where Redis is away the bill stays released, and the sweep queues it."""
    for _ in range(5):
        try:
            async with UnitOfWork() as uow:
                bill = await uow.bills.get(bill_id)
                if bill is None:
                    return None
                if bill.status == "draft":
                    bill.status = "released"
                    await uow.commit()
            break
        except Conflict:
            continue
    else:
        raise Conflict
    if bill.status == "released":
        await publish(bill.id)
    return bill.status
