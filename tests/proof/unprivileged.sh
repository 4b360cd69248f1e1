#!/usr/bin/env bash
# The tests of the sandbox and of what a handler tries to get out of it, as an ordinary user, where root runs the suite.
#   tests/proof/unprivileged.sh PYTHON
set -euo pipefail
python=$1
cd "$(dirname "$0")/../.."
if [ "$(id -u)" -ne 0 ]; then
    echo "this is an ordinary user already: nothing more to run"
    exit 0
fi
# Through `env`: setpriv itself still starts programs with root's rights, and a Python in root's home would seem to run.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups -- env -u TMPDIR)
if ! command -v setpriv >/dev/null || ! "${nobody[@]}" "$python" -c 'import skillrun, pytest' 2>/dev/null; then
    echo "an ordinary user may not run $python here: the sandbox was not tried as one"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" && chown 65534:65534 "$folder"
# pytest's own folder is /tmp/pytest-of-nobody: sockets of servers want short paths.
"${nobody[@]}" HOME="$folder" PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m pytest -q -p no:cacheprovider -n 2 -m 'not long and not hostile' \
    tests/proof/test_sandbox.py tests/proof/test_escapes*.py tests/proof/test_bad_input.py \
    tests/proof/test_services*.py
