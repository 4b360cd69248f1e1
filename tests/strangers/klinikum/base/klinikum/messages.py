"""The message of the actor, and the HL7 message that comes of it."""
import hashlib
import json

from .register import Work


class MalformedMessage(Exception):
    pass


def result_of(args, kwargs) -> int:
    number = kwargs.get("result_id")
    if args or set(kwargs) != {"result_id"} or type(number) is not int or not 0 < number < 2**63:
        raise MalformedMessage("fields")
    return number


def key_of(args, kwargs) -> str:
    try:
        return str(result_of(args, kwargs))
    except MalformedMessage:
        text = json.dumps([list(args), kwargs], sort_keys=True, default=str)
        return "malformed-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def segments_of(work: Work) -> list[str]:
    return [
        f"MSH|^~\\&|KLINIKUM|LAB|{work.practice}||||ORU^R01|{work.control_id}|P|2.5",
        f"PID|1||{work.patient_id}||{work.patient}||{work.born}",
        f"OBR|1||{work.result_id}|{work.code}",
        f"OBX|1|NM|{work.code}||{work.value}||||||F",
    ]
