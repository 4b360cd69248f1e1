import smtplib
import sqlite3

import httpx


def may_pass(exc):
    """Is it worth another try?"""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in exc.recipients.values())
    if isinstance(exc, smtplib.SMTPResponseException):
        return 400 <= exc.smtp_code < 500
    if isinstance(exc, smtplib.SMTPException):
        return isinstance(exc, smtplib.SMTPServerDisconnected)
    if isinstance(exc, httpx.HTTPStatusError):
        return exc.response.status_code == 429 or exc.response.status_code >= 500
    # refused, reset, timed out, no such host
    return isinstance(exc, (OSError, httpx.TransportError, sqlite3.OperationalError))
