"""The gateway of the general practitioners: HL7 segments in JSON."""
import os

import httpx


class GatewayUnavailable(Exception):
    """Nobody knows whether the message has arrived."""


class GatewayRejected(Exception):
    """The message has not arrived, and will not."""


class ConsentRevoked(Exception):
    """The gateway's register has no consent of the patient. The message has not arrived."""


def transmit(practice: str, segments: list[str], *, message_control_id: str) -> str:
    """Returns the number of the acknowledgement."""
    try:
        answer = httpx.post(
            f"{os.environ.get('KLINIKUM_GATEWAY_URL', 'http://localhost:8060')}/practices/{practice}/messages",
            json={"MessageControlId": message_control_id, "segments": segments},
            headers={"Authorization": f"Bearer {os.environ.get('KLINIKUM_GATEWAY_TOKEN', '')}"},
            timeout=httpx.Timeout(20, connect=5),
        )
    except httpx.TransportError as error:
        raise GatewayUnavailable(type(error).__name__) from error
    if answer.status_code >= 500 or answer.status_code in (408, 409, 425, 429):
        raise GatewayUnavailable(f"HTTP {answer.status_code}")
    if answer.status_code == 451:
        raise ConsentRevoked("HTTP 451")
    if not answer.is_success:
        raise GatewayRejected(f"HTTP {answer.status_code}")
    try:
        msa = answer.json()["MSA"]
        code, number = msa["code"], msa["number"]
    except (ValueError, KeyError, TypeError) as error:
        raise GatewayUnavailable("unreadable answer") from error
    if code == "AR":  # the practice's system is away
        raise GatewayUnavailable("MSA AR")
    if code != "AA":
        raise GatewayRejected(f"MSA {code}")
    return number
