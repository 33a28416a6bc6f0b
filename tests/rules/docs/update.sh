#!/usr/bin/env bash
# Makes rules/reference.md what the .bzl files say.
set -euo pipefail
install -m 644 "$1" "$BUILD_WORKSPACE_DIRECTORY/rules/reference.md"
