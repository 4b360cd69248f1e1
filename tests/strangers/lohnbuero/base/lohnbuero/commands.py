from dataclasses import dataclass


class BadMessage(Exception):
    pass


@dataclass(frozen=True)
class TransmitDeclaration:
    declaration_id: int

    @classmethod
    def parse(cls, message):
        given = message.get("declaration_id")
        if set(message) != {"declaration_id"} or type(given) is not int or not 0 < given <= 2**53:
            raise BadMessage("declaration_id, a positive integer, and nothing else is wanted")
        return cls(given)

    @property
    def key(self):
        return str(self.declaration_id)


@dataclass(frozen=True)
class Burial:
    key: str
    message: dict
    reason: str
    job_id: str
    declaration_id: int | None = None
    seen: str | None = None
