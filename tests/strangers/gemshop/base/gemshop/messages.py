from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ChargeOrder(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: Annotated[str, Field(pattern=r"^K-[0-9]{4,20}$")]
