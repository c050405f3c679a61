# What the other scripts share: saying what is done, and installing what a bare machine lacks.

say() { printf '== %s\n' "$*" >&2; }

# need PROGRAM=PACKAGE ...: installs the Debian packages of the programs that are not on PATH.
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
  done
  [ "${#missing[@]}" = 0 ] && return
  if ! command -v apt-get >/dev/null 2>&1; then
    say "missing: ${missing[*]}. Install them with your package manager, then run this again."
    exit 69
  fi
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  say "installing ${missing[*]} (apt-get)"
  "${root[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# What every build and every test needs beside Rust: a C and C++ compiler for librdkafka, and Redis.
need_basics() {
  if ! command -v cargo >/dev/null 2>&1; then
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  fi
  if ! command -v cargo >/dev/null 2>&1; then
    say "Rust is missing: install it from https://rustup.rs, then run this again."
    exit 69
  fi
  need cc=gcc c++=g++ make=make redis-server=redis-server
}

# Where cargo puts what it builds.
target_dir() { printf '%s\n' "${CARGO_TARGET_DIR:-target}"; }

# start_up BINARY DIRECTORY [MORE...]: an `upnext up` of its own in the background, its pid in $up, its ready line in
# DIRECTORY/ready, its log in DIRECTORY/log.
start_up() {
  local binary=$1 work=$2
  shift 2
  "$binary" up --format json --data-dir "$work/data" \
    --set serve.listen=127.0.0.1:0 --set ops.listen=127.0.0.1:0 "$@" >"$work/ready" 2>"$work/log" &
  up=$!
  for _ in $(seq 600); do
    [ -s "$work/ready" ] && return
    kill -0 "$up" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/log" >&2
  say "upnext up did not start"
  return 1
}

# python_venv NAME PACKAGE MODULE: makes sure that a virtual environment has PACKAGE (importable as MODULE), and prints
# its path.
python_venv() {
  local venv
  venv="$(target_dir)/$1"
  need python3=python3
  # Debian ships the module that makes environments as a package of its own.
  python3 -c 'import ensurepip' 2>/dev/null || need ensurepip=python3-venv
  if ! "$venv/bin/python" -c "import $3" 2>/dev/null; then
    say "installing $2 into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$2" >&2
  fi
  printf '%s\n' "$venv"
}
