#!/usr/bin/env bash
# Installs skillrun from the action's own checkout, into an environment that is nobody else's.
set -euo pipefail

refuse() {
    echo "::error title=skillrun::$1"
    exit 4
}

# These two run with the rights of the main branch, also for a fork's code: who verifies, runs that code.
case "$SKILLRUN_EVENT" in
pull_request_target | workflow_run)
    refuse "refused under pull_request_target and workflow_run: they hand a token that may write to code of a fork; use pull_request"
    ;;
esac
[ -f "$GITHUB_ACTION_PATH/pyproject.toml" ] && [ -f "$GITHUB_ACTION_PATH/constraints.txt" ] ||
    refuse "the action's checkout holds no skillrun, so there is nothing to install it from: uses: OWNER/NAME@COMMIT names one"
[[ "$SKILLRUN_EXTRAS" =~ ^[a-z]*(,[a-z]+)*$ ]] ||
    refuse "extras: names of letters with commas between them, e.g. services,mcp"
# -I: nothing is imported from the folder that we stand in, which is the repository's.
"$SKILLRUN_PYTHON" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "python: skillrun runs on Python 3.11 or newer; name one, or set it up in a step before"

folder=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/skillrun.XXXXXX")
"$SKILLRUN_PYTHON" -I -m venv "$folder/env"
"$folder/env/bin/python" -I -m pip install --quiet --disable-pip-version-check \
    -c "$GITHUB_ACTION_PATH/constraints.txt" "$GITHUB_ACTION_PATH${SKILLRUN_EXTRAS:+[$SKILLRUN_EXTRAS]}"
"$folder/env/bin/skillrun" --version
echo "folder=$folder" >>"$GITHUB_OUTPUT"
