#!/usr/bin/env bash
# The tests of the sandbox and of what a handler tries to get out of it, where the machine gives nobody a namespace.
#   tests/proof/denied.sh PYTHON
# Where it could not be tried, the only line begins with "not reached". That fails where there are namespaces that cannot
# be denied: a step that says nothing passes for one that held. Where there are none at all, every run of these tests is
# one without them.
set -euo pipefail
python=$1
cd "$(dirname "$0")/../.."
# A user namespace whose own limit is zero: in it nobody gets another one, as where an administrator forbids them.
deny=(unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"' sh)
if ! unshare -Ur true 2>/dev/null; then
    echo "not reached: this machine gives no user namespace at all; make test and make real tried the sandbox without them"
    exit 0
fi
if ! "${deny[@]}" true 2>/dev/null; then
    echo "not reached: this machine gives user namespaces, and lets nobody deny them (their limit in" \
        "/proc/sys/user/max_user_namespaces cannot be set); the sandbox was not tried without them"
    exit 1
fi
if "${deny[@]}" unshare -Ur true 2>/dev/null; then
    echo "not reached: this machine gives a user namespace although their limit is zero; the sandbox was not tried" \
        "without them"
    exit 1
fi
"${deny[@]}" "$python" -m pytest -q -p no:cacheprovider -n 2 -m 'not long and not hostile' \
    tests/proof/test_sandbox.py tests/proof/test_escapes*.py
