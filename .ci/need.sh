# shellcheck shell=bash
# Sourced by scripts that need programs of Debian's packages, or packages of Python.

# What is set up once for all clones.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rules_qcow2

# The status of a check that this machine cannot run.
readonly SKIPPED=77

# Installs Debian's package "$1".
install_package() {
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "needs the Debian package $1, and only root can install it" >&2
    return 1
  fi
  echo "installing the Debian package $1" >&2
  apt-get update -q && apt-get install -qy --no-install-recommends "$1"
}

# Installs Debian's package "$2" if there is no command "$1".
need() { command -v "$1" >/dev/null || install_package "$2"; }

# Prints the directory of the Python package "$1", a name==version, after installing it if needed.
python_package() {
  local prefix=$cache/${1/==/-}
  if [[ ! -d $prefix ]]; then
    need pip3 python3-pip >&2 || return "$SKIPPED"
    echo "installing $1 in $cache" >&2
    # pip does not replace what an interrupted run left there.
    rm -rf "$prefix.new"
    { pip3 install --quiet --target "$prefix.new" "$1" && mv "$prefix.new" "$prefix"; } >&2 || return
  fi
  printf '%s\n' "$prefix"
}
