#!/usr/bin/env bash
# Replaces rules/reference.md in the workspace by the generated file "$1".
set -euo pipefail
install -m 644 "$1" "$BUILD_WORKSPACE_DIRECTORY/rules/reference.md"
