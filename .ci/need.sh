# shellcheck shell=bash
# Sourced by .ci/run and tests/tool/readers/run.

# Installs Debian's package "$2" if there is no command "$1".
need() {
  command -v "$1" >/dev/null ||
    { apt-get update -q && apt-get install -qy --no-install-recommends "$2"; }
}
