"""A shop whose jobs are scripts: started by cron, or loops of their own."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ()
FILES: dict[str, str] = {
    "crontab": "*/10 * * * * cd /srv/shop && python -m shop.sweep\n",
    "Procfile": "watch: python -m shop.watch\n",
    "shop/sweep.py": dedent("""\
        \"\"\"Looks for carts that nobody wants any more: cron starts it.\"\"\"

        import logging

        logger = logging.getLogger(__name__)


        def main() -> None:
            \"\"\"One tick.\"\"\"
            logger.info("sweeping")


        if __name__ == "__main__":
            main()
        """),
    "shop/watch.py": dedent("""\
        \"\"\"Looks at the shop's shelves.\"\"\"

        import time

        from shop.sweep import main

        while True:
            main()
            time.sleep(30)
        """),
}
COMMAND = """\
\"\"\"{doc}\"\"\"

from typing import Any

from django.core.management.base import BaseCommand

from shop.sweep import {name}


class Command(BaseCommand):
    help = "Looks for carts that nobody wants any more"

    def handle(self, *args: Any, **options: Any) -> None:
        {name}()
"""
IN_DJANGO: dict[str, str | None] = {
    "tests/__init__.py": None,
    "tests/test_shop.py": None,
    "shop/watch.py": None,
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/sweep.py": COMMAND.format(doc="Sweeps once.", name="main"),
    "shop/management/commands/watch.py": COMMAND.format(doc="Sweeps for ever.", name="watch"),
    "crontab": "*/10 * * * * cd /srv/shop && python manage.py sweep\n",
    "Procfile": "watch: python manage.py watch\n",
    "shop/sweep.py": dedent("""\
        \"\"\"Looks for carts that nobody wants any more.\"\"\"

        import logging
        import time

        logger = logging.getLogger(__name__)


        def main() -> None:
            \"\"\"One tick.\"\"\"
            logger.info("sweeping")


        def watch() -> None:
            \"\"\"A tick every half minute.\"\"\"
            while True:
                main()
                time.sleep(30)
        """),
}
"""What differs in a Django project: a file's text, or None where there is none."""
