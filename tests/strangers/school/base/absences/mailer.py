"""Mail to guardians. Sorts what SMTP can answer into 'later' and 'never'."""
import smtplib

from django.core.mail import EmailMessage


class MailUnavailable(Exception):
    """The mail server is away or busy."""


class AddressRefused(Exception):
    """The mail server will not take this address."""


def send_absence(absence, guardian):
    message = EmailMessage(
        subject=f"{absence.pupil.name} was absent on {absence.day:%d.%m.%Y}",
        body=(
            f"Dear {guardian.name},\n\n{absence.pupil.name} ({absence.pupil.form}) missed {absence.lessons} "
            f"lesson(s) on {absence.day:%d.%m.%Y}. Please send us a note within a week.\n\nThe office\n"
        ),
        to=[guardian.email],
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as exc:
        codes = [code for code, _ in exc.recipients.values()]
        if any(code < 500 for code in codes):
            raise MailUnavailable(f"recipient deferred: {codes}") from exc
        raise AddressRefused(f"recipient refused: {codes}") from exc
    except smtplib.SMTPResponseException as exc:
        if exc.smtp_code >= 500:
            raise AddressRefused(f"mail refused: {exc.smtp_code}") from exc
        raise MailUnavailable(f"mail deferred: {exc.smtp_code}") from exc
    except (smtplib.SMTPException, OSError) as exc:
        raise MailUnavailable(str(exc)) from exc
