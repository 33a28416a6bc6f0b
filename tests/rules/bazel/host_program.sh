# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# host_program with the real Bazel: a program of the machine is there, changes, fails, and is gone.

host_path="$work/host's programs"
# A directory is not a program.
mkdir -p "$host_path" "$work/directory/emulator"

# Puts the program of the version "$1" there.
install_emulator() {
  cat >"$host_path/emulator" <<END
#!/bin/sh
if [ "\$1" = --version ]; then echo "emulator version $1"; else echo "ran with \$#: \$1, \$2"; fi
END
  chmod +x "$host_path/emulator"
}

host_test() { bazel test "$@" --test_output=all --repo_env=PATH="$work/directory:$host_path:/usr/bin:/bin" >"$work/log" 2>&1; }

a_test_is_skipped_until_the_program_is_there() {
  host_test //host/... || true
  grep -qE '^//host:host_test +SKIPPED' "$work/log" || { cat "$work/log"; fail "not skipped"; }
  if host_test //host:host_test; then fail "passed"; fi
  printed "//:emulator_in_PATH"
  install_emulator 1
  host_test //host/... || { cat "$work/log"; fail "failed"; }
  printed "tested with emulator version 1"
}

a_test_runs_again_with_another_version_only() {
  host_test //host:host_test || { cat "$work/log"; fail "failed"; }
  grep -qE '^//host:host_test +\(cached\) PASSED' "$work/log" || { cat "$work/log"; fail "not cached"; }
  install_emulator 2
  host_test //host:host_test || { cat "$work/log"; fail "failed"; }
  printed "tested with emulator version 2"
  # Bazel's server does not remember it.
  bazel shutdown 2>"$work/log"
  install_emulator 3
  host_test //host:host_test || { cat "$work/log"; fail "failed"; }
  printed "tested with emulator version 3"
}

a_program_that_fails_is_an_error() {
  printf '#!/bin/sh\necho broken >&2\nexit 3\n' >"$host_path/emulator"
  if host_test //host:host_test; then fail "passed"; fi
  printed "emulator --version failed with status 3: broken"
  rm "$host_path/emulator"
  host_test //host/... || true
  grep -qE '^//host:host_test +SKIPPED' "$work/log" || { cat "$work/log"; fail "not skipped"; }
}

check a_test_is_skipped_until_the_program_is_there
check a_test_runs_again_with_another_version_only
check a_program_that_fails_is_an_error
