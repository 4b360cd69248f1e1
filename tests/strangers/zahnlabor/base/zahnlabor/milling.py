import logging

from zahnlabor import orders
from zahnlabor.jobs import job, positive
from zahnlabor.mill import MillClient

logger = logging.getLogger("zahnlabor.milling")


@job(queue="mill", max_tries=6, order_id=positive)
def submit_work_order(order_id: int) -> None:
    """Hand a released work order to the mill, and keep the number that it gives."""
    key = orders.key_of(order_id)
    order = orders.begin(order_id)
    if order is None:
        logger.info("submit_work_order key=%s outcome=nothing_to_do", key)
        return
    logger.info("submit_work_order key=%s outcome=started starts=%d", key, order.starts)
    reference = f"ZL-{order.id}"
    with MillClient.from_config() as mill:
        number = mill.find(reference=reference)
        if number is None:
            number = mill.submit(
                reference=reference,
                teeth=order.teeth.split(","),
                material=order.material,
                shade=order.shade,
                model_file=order.model_file,
            )
    first = orders.settle(order_id, number)
    logger.info("submit_work_order key=%s outcome=%s mill_job=%s", key, "milling" if first else "known", number)
