"""dramatiq zahnlabor.worker"""

from zahnlabor.broker import broker  # noqa: F401
from zahnlabor.milling import submit_work_order  # noqa: F401
