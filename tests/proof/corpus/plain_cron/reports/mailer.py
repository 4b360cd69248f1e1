"""Mail to the owners."""

import smtplib
from email.message import EmailMessage


class Refused(Exception):
    """The server does not take it now."""


def send(subject: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"], message["To"] = subject, "owners@example.com"
    message.set_content(text)
    try:
        with smtplib.SMTP("mail") as server:
            server.send_message(message)
    except smtplib.SMTPException as error:
        raise Refused(str(error)) from error
