#!/usr/bin/env bash
# Verifies HEAD. What runs here is the repository's code: no token of the runner is among its variables, nor the files by
# which a step says something to the steps behind it.
set -uo pipefail

options=(--ci)
if [ -n "$SKILLRUN_BASE" ]; then
    options+=("--base=$SKILLRUN_BASE")
fi
for format in json sarif markdown; do
    suffix=${format/markdown/md}
    options+=(--format "$format" --output "$SKILLRUN_FOLDER/skillrun.$suffix")
done
options+=(--format junit --output "$SKILLRUN_FOLDER/skillrun.junit.xml")

# A line of the repository that begins as a command of the runner is none.
word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$word"
env -u GITHUB_OUTPUT -u GITHUB_ENV -u GITHUB_PATH -u GITHUB_STATE -u GITHUB_STEP_SUMMARY -u GITHUB_TOKEN \
    -u GH_TOKEN -u ACTIONS_ID_TOKEN_REQUEST_TOKEN -u ACTIONS_ID_TOKEN_REQUEST_URL -u ACTIONS_RUNTIME_TOKEN \
    "$SKILLRUN_FOLDER/env/bin/skillrun" verify "${options[@]}" 2>&1
code=$?
echo "::$word::"
exit "$code"
