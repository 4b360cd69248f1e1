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
