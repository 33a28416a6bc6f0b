# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# A real service for remote execution on loopback: buildbox-casd, which is cache, scheduler and
# worker, and in front of it the relay, which has the only port (relay.py says why).

worker_root=$("$here/worker_root")
readonly worker_root

# Runs a command in the worker's root. Only what further arguments bind is there of this machine:
# no home, no workspace, no variable, no other process.
readonly in_worker_root=(
  bwrap --ro-bind "$worker_root/usr" /usr --symlink usr/bin /bin --symlink usr/lib /lib
  --symlink usr/lib64 /lib64 --dev /dev --proc /proc --tmpfs /tmp
  --unshare-pid --unshare-ipc --clearenv
)

# Starts a command there in the background under the name "$1". The output is in $work/NAME.log.
start() {
  local name=$1
  shift
  "${in_worker_root[@]}" "$@" >"$work/$name.log" 2>&1 &
  echo $! >"$work/$name.pid"
}

# The worker has no network. It listens on a socket in its store.
start_worker() {
  mkdir -p "$work/store"
  rm -f "$work/store/socket"
  start worker --unshare-net --bind "$work/store" /store --chdir / /usr/bin/buildbox-casd \
    --bind=unix:/store/socket --jobs=2 \
    --buildbox-run=/usr/bin/buildbox-run-hosttools --runner-arg=--staging-mode=copy-or-link /store/cas
  until [[ -S $work/store/socket ]]; do is_up worker; sleep 0.1; done
}

# Starts the relay, on the port "$1" if it is given, else on a free port.
start_relay() {
  start relay --bind "$work/store" /store --ro-bind "$here/relay.py" /relay.py \
    /usr/bin/python3 /relay.py /store/socket "${1:-0}" /store/calls
  until [[ -s $work/relay.log ]]; do is_up relay; sleep 0.1; done
}

is_up() { [[ -e /proc/$(<"$work/$1.pid") ]] || { cat "$work/$1.log"; fail "$1: did not start"; }; }

# Prints the descendants of the process "$1".
descendants() {
  local child
  for child in $(pgrep -P "$1"); do
    echo "$child"
    descendants "$child"
  done
}

# Kills everything that was started under the name "$1", without a warning, and waits for the end.
kill_all() {
  local pid processes
  pid=$(<"$work/$1.pid")
  processes=$(descendants "$pid")
  # The first one is the init process of the others, which end with it.
  kill -KILL "${processes%%$'\n'*}" || true
  for pid in $pid $processes; do
    while [[ -e /proc/$pid ]]; do sleep 0.05; done
  done
}

port() { head -n 1 "$work/relay.log"; }

# Succeeds if a process listens on the port "$1". (An IPv4 socket can be in the list of IPv6.)
is_listening() { grep -qsE ":$(printf '%04X' "$1") 0+:0000 0A" /proc/net/tcp /proc/net/tcp6; }

# Waits until the worker runs an action, and prints its process.
runner() {
  local pid
  for _ in {1..300}; do
    for pid in $(descendants "$(<"$work/worker.pid")"); do
      if [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == /usr/bin/buildbox-run-hosttools* ]]; then
        echo "$pid"
        return
      fi
    done 2>/dev/null
    sleep 0.1
  done
  return 1
}

# Fails unless the last Bazel ran all actions but its internal ones on the worker. (A build can also
# succeed without the worker, so its success does not prove remote execution.)
ran_remotely() {
  local ran
  ran=$(ran) || { cat "$work/log"; fail "nothing ran"; }
  [[ $ran =~ [0-9]+\ remote[.,] && ! $ran =~ (sandbox|local|worker|hit) ]] || fail "not remote: $ran"
}

# Fails unless all results of the last Bazel came from the cache.
came_from_the_cache() {
  local ran
  ran=$(ran) || { cat "$work/log"; fail "nothing ran"; }
  [[ $ran =~ [0-9]+\ remote\ cache\ hit && ! $ran =~ (sandbox|local|worker|[0-9]+\ remote[.,]) ]] || fail "not from the cache: $ran"
}

# Runs a QEMU tool of the worker's root, which sees only $work and $root of this machine.
qemu() { "${in_worker_root[@]}" --bind "$work" "$work" --ro-bind "$root" "$root" "$@"; }

# Fails unless QEMU opens the image "$1" with its chain.
opens() { qemu /usr/bin/qemu-img info --backing-chain "$1" >"$work/info" 2>&1 || { cat "$work/info"; fail "does not open: $1"; }; }
