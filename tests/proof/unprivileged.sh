#!/usr/bin/env bash
# The tests of the sandbox and of what a handler tries to get out of it, as an ordinary user, where root runs the suite.
#   tests/proof/unprivileged.sh PYTHON
# Fails where they could not run: a step that says nothing passes for one that held.
set -euo pipefail
umask 022 # the folders that are made here are for somebody else
python=$1
cd "$(dirname "$0")/../.."
if [ "$(id -u)" -ne 0 ]; then
    echo "this is an ordinary user already: make test and make real run these tests as one"
    exit 0
fi

# Root's Python often lies in root's home, which nobody else may enter. In mounts of our own, and there alone, each such
# folder is an empty one that holds only what is needed of it, at the same paths.
if [ -z "${OWN_MOUNTS:-}" ] && unshare -m true 2>/dev/null; then
    exec env OWN_MOUNTS=1 unshare -m "$PWD/tests/proof/unprivileged.sh" "$(realpath -s "$python")"
fi
# Through `env`: setpriv itself still starts programs with root's rights, and a Python in root's home would seem to run.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups -- env -u TMPDIR)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" && chown 65534:65534 "$folder"

# The first folder on the way to a path that an ordinary user may not enter; nothing where all may be entered.
closed_folder() {
    local way="" parts
    IFS=/ read -ra parts <<<"${1#/}"
    for part in "${parts[@]}"; do
        way+="/$part"
        "${nobody[@]}" test -x "$way" || { echo "$way" && return; }
    done
}

needed=("$("$python" -c 'import sys; print(sys.base_prefix)')" "$("$python" -c 'import sys; print(sys.prefix)')" "$PWD")
for path in "${needed[@]}"; do
    closed=""
    [ -z "${OWN_MOUNTS:-}" ] || closed=$(closed_folder "$path")
    [ -n "$closed" ] || continue
    held=$(mktemp -d) # another name for the folder, while an empty one lies over it
    mount --bind "$closed" "$held"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    for inside in "${needed[@]}"; do
        [[ $inside == "$closed"/* ]] || continue
        mkdir -p "$inside"
        mount --bind "$held/${inside#"$closed"/}" "$inside"
    done
    umount "$held" && rmdir "$held"
done
cd "$(pwd)" # what is mounted there now
if ! "${nobody[@]}" "$python" -c 'import skillrun, pytest'; then
    echo "an ordinary user may not run $python here; name another one: make unprivileged PYTHON=... VENV=..."
    exit 1
fi

# pytest's own folder is /tmp/pytest-of-nobody: sockets of servers want short paths.
"${nobody[@]}" HOME="$folder" PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m pytest -q -p no:cacheprovider -n 2 -m 'not long and not hostile' \
    tests/proof/test_sandbox.py tests/proof/test_escapes*.py tests/proof/test_services*.py
