from __future__ import annotations

import smtplib
from email.message import EmailMessage

import pytest

from returns_portal import mailer
from returns_portal.mailer import Mailer, MailNotSent, MailRejected, MailUncertain


def send(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None, at: str = "send", to: str = "a@b.example") -> list[str]:
    accepted: list[str] = []

    class Server:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            if at == "connect" and error:
                raise error

        def ehlo(self) -> None:
            pass

        def send_message(self, message: EmailMessage) -> None:
            if at == "send" and error:
                raise error
            accepted.append(str(message["To"]))

        def quit(self) -> None:
            raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(mailer.smtplib, "SMTP", Server)
    Mailer("h", 25, "", "", "returns@shop.example").send_label(to=to, order_no="1", tracking_no="2", label_url="u")
    return accepted


def test_a_rude_goodbye_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(monkeypatch) == ["a@b.example"]


@pytest.mark.parametrize(
    ("error", "at", "meaning"),
    [
        (ConnectionRefusedError(), "connect", MailNotSent),
        (smtplib.SMTPRecipientsRefused({"a@b.example": (450, b"busy")}), "send", MailNotSent),
        (smtplib.SMTPRecipientsRefused({"a@b.example": (550, b"no such user")}), "send", MailRejected),
        (smtplib.SMTPDataError(452, b"full"), "send", MailNotSent),
        (smtplib.SMTPDataError(554, b"spam"), "send", MailRejected),
        (smtplib.SMTPServerDisconnected("gone"), "send", MailUncertain),
        (TimeoutError(), "send", MailUncertain),
    ],
)
def test_what_an_error_says(monkeypatch: pytest.MonkeyPatch, error: Exception, at: str, meaning: type[Exception]) -> None:
    with pytest.raises(meaning):
        send(monkeypatch, error, at)


def test_an_address_with_a_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MailRejected):
        send(monkeypatch, to="a@b.example\nBcc: x@y.example")
