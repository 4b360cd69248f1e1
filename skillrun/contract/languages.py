"""The languages other than Python that a job spec may name, and how names look in each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """`handler`, `adapter`, `error`: an example of each name as the language's own
    people write it.
    """

    id: str
    title: str
    suffixes: tuple[str, ...]
    handler: str
    adapter: str
    error: str


LANGUAGES = {
    language.id: language
    for language in (
        Language(
            *("ruby", "Ruby", (".rb",)),
            *("FeedDownloader", "Mailer#deliver", "Net::ReadTimeout"),
        ),
        Language(
            *("typescript", "TypeScript", (".ts", ".mts", ".cts", ".tsx")),
            *("src/jobs/mail.ts#send", "src/mailer.ts#deliver", "src/mailer.ts#BadAddress"),
        ),
        Language(
            *("javascript", "JavaScript", (".js", ".mjs", ".cjs", ".jsx")),
            *("src/jobs/mail.js#send", "src/mailer.js#deliver", "src/mailer.js#BadAddress"),
        ),
        Language(
            *("go", "Go", (".go",)),
            *("jobs.SendWorker", "mailer.Deliver", "mailer.ErrBadAddress"),
        ),
        Language(
            *("php", "PHP", (".php",)),
            *(r"App\Jobs\SendMail", r"App\Mailer::deliver", r"App\Exceptions\BadAddress"),
        ),
        Language(
            *("elixir", "Elixir", (".ex", ".exs")),
            *("Shop.Workers.Mail", "Shop.Mailer.deliver", "Shop.Mailer.BadAddress"),
        ),
        Language(
            *("csharp", "C#", (".cs",)),
            *("Shop.Jobs.MailJob.Run", "Shop.Mailer.Deliver", "Shop.BadAddressException"),
        ),
        Language(
            *("java", "Java", (".java",)),
            *("com.shop.MailJob", "com.shop.Mailer#deliver", "com.shop.BadAddressException"),
        ),
        Language(
            *("kotlin", "Kotlin", (".kt",)),
            *("com.shop.MailJob", "com.shop.Mailer#deliver", "com.shop.BadAddressException"),
        ),
        Language(
            *("rust", "Rust", (".rs",)),
            *("jobs::send_mail", "mailer::deliver", "mailer::Error"),
        ),
    )
}


def find_language(path: str) -> Language | None:
    """The one in which a file is written; None for Python's and for all others."""
    for language in LANGUAGES.values():
        if path.endswith(language.suffixes):
            return language
    return None
