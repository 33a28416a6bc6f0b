# shellcheck shell=bash
# Sourced by scripts that need programs of Debian's packages.

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
