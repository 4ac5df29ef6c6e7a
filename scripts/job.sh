# For scripts that start something, run a command with it, and end it with the
# command, however that ends: sourced, not run. They set `undo` to what ends it.

# Below the range from which the system takes ports for outgoing connections.
free_port() {
  local p
  while p=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
  printf '%s\n' "$p"
}

job='' undo=:

# Ends what is left of the command, its process group, and then what it ran with.
finish() {
  local i
  trap '' INT TERM
  if [[ -n $job ]] && kill -TERM -- "-$job" 2>/dev/null; then
    for ((i = 0; i < 100; i++)); do
      kill -0 -- "-$job" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$job" 2>/dev/null || true
  fi
  $undo
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs the command in a process group of its own, so that a signal to the script
# reaches all of it, and exits as it does.
run_job() {
  local rc=0
  set -m
  "$@" </dev/null &
  job=$!
  set +m
  wait "$job" || rc=$?
  exit "$rc"
}
