#!/usr/bin/env bash
# Shows what was found: in the run's summary, and as the pull request's one comment. It decides nothing.
set -uo pipefail

found="$SKILLRUN_FOLDER/skillrun.json"
if [ ! -f "$found" ]; then
    printf '### skillrun: nothing was verified\n\nThe log of the step Verify says why.\n' >>"$GITHUB_STEP_SUMMARY"
    exit 0
fi
cat "$SKILLRUN_FOLDER/skillrun.md" >>"$GITHUB_STEP_SUMMARY"

outcome=$("$SKILLRUN_FOLDER/env/bin/python" -I -c 'import json, sys; print(json.load(open(sys.argv[1]))["outcome"])' "$found")
case "$outcome" in
success | known | partial | blocked | refused) echo "outcome=$outcome" >>"$GITHUB_OUTPUT" ;;
esac

if [ "$SKILLRUN_COMMENT" = true ]; then
    "$SKILLRUN_FOLDER/env/bin/skillrun" comment "$found" 2>&1 ||
        echo "::warning title=skillrun::the comment could not be written; the line above says why, and the summary has it all"
fi
