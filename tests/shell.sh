#!/usr/bin/env bash
# Runs the command "$@" in the root of the workspace.
set -euo pipefail
cd "$BUILD_WORKSPACE_DIRECTORY"
exec "$@"
