"""The house's mail. Every mail of the shelter goes through Post."""
import smtplib
import ssl
from email.message import EmailMessage


class MailError(Exception):
    """The text names codes only. What the server says often quotes the address, so it is not kept."""


class NotNow(MailError):
    """May pass. The mail may even have gone out, if the line broke late."""

    def __init__(self, reason, server=False):
        super().__init__(reason)
        self.server = server  # it is the server that is away, not this one mail


class Never(MailError):
    """The server will not take this mail, today or later."""


class Post:
    def __init__(self, host, port=25, user="", password="", sender="", timeout=20):
        self.host, self.port, self.user, self.sender, self.timeout = host, port, user, sender, timeout
        self._password = password

    def send(self, to, subject, text, message_id):
        try:
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = self.sender, to, subject, message_id
            mail.set_content(text)
        except ValueError:
            raise Never("unusable header") from None
        smtp = None
        try:
            smtp = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
            if self.user:
                smtp.starttls(context=ssl.create_default_context())
                smtp.login(self.user, self._password)
            smtp.send_message(mail)
        except smtplib.SMTPRecipientsRefused as exc:
            codes = sorted({code for code, _ in exc.recipients.values()})
            kind = Never if codes and all(code >= 500 for code in codes) else NotNow
            raise kind(f"recipient {codes}") from None
        except smtplib.SMTPDataError as exc:
            raise (Never if exc.smtp_code >= 500 else NotNow)(f"data {exc.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise Never("not supported") from None
        except smtplib.SMTPResponseException as exc:
            # Login or sender refused, 421: that is between the server and us, and no fault of the address.
            raise NotNow(f"{type(exc).__name__} {exc.smtp_code}", server=True) from None
        except (smtplib.SMTPException, OSError) as exc:
            raise NotNow(type(exc).__name__, server=True) from None
        except UnicodeError:
            raise Never("unusable address") from None
        finally:
            if smtp is not None:
                _goodbye(smtp)


def _goodbye(smtp):
    """The mail is accepted, or not, by now: a QUIT that goes wrong changes nothing about it."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()
