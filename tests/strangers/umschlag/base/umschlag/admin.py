import argparse
from importlib.resources import files

from .db import connect


def main(argv=None):
    parser = argparse.ArgumentParser(prog="umschlag-admin")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate").add_argument("--demo", action="store_true")
    for name in ("release", "revive"):
        command = commands.add_parser(name)
        command.add_argument("shipment_id", type=int)
        command.add_argument("revision", type=int)
    options = parser.parse_args(argv)
    if options.command == "migrate":
        with connect() as conn:
            conn.execute(files("umschlag").joinpath("schema.sql").read_text())
            if options.demo:
                conn.execute(files("umschlag").joinpath("demo.sql").read_text())
        return
    from . import releases

    getattr(releases, options.command)(options.shipment_id, options.revision)


if __name__ == "__main__":
    main()
