import re
from dataclasses import dataclass
from typing import Any, Mapping

_CLAIM_NO = re.compile(r"C-[0-9]{4,10}")


class InvalidCommand(Exception):
    """The message is not one of ours; no repetition will mend it."""


@dataclass(frozen=True)
class PayInstalment:
    claim_no: str
    instalment: int

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "PayInstalment":
        if set(fields) != {"claim_no", "instalment"}:
            raise InvalidCommand(f"fields {sorted(fields)}")
        claim_no, instalment = fields["claim_no"], fields["instalment"]
        if not isinstance(claim_no, str) or not _CLAIM_NO.fullmatch(claim_no):
            raise InvalidCommand(f"claim_no {claim_no!r}")
        if type(instalment) is not int or instalment < 1:
            raise InvalidCommand(f"instalment {instalment!r}")
        return cls(claim_no, instalment)

    def log_fields(self) -> dict[str, Any]:
        return {"claim_no": self.claim_no, "instalment": self.instalment}
