import argparse

from . import db, exports, logsetup, shipper


def main():
    parser = argparse.ArgumentParser(prog="pipeline")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("initdb")
    commands.add_parser("poll")
    export = commands.add_parser("export")
    export.add_argument("source")
    export.add_argument("day")
    args = parser.parse_args()
    logsetup.setup()
    if args.command == "initdb":
        db.initdb()
    elif args.command == "poll":
        shipper.poll()
    else:
        exports.request_export(args.source, args.day)


if __name__ == "__main__":
    main()
