#!/usr/bin/env bash
# Runs the program, and compares it with its version.
set -euo pipefail
[[ $("$EMULATOR" 'two words' '') == "ran with 2: two words, " ]]
[[ $("$EMULATOR" --version) == $(<"$VERSION") ]]
echo "tested with $(<"$VERSION")"
