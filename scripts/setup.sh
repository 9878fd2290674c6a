# shellcheck shell=sh
# What demo and test have in common. Sourced, not run.
: "${root:?the project folder, set by the caller}"

DENO_MINIMUM=2.9
DENO_PINNED=2.9.6

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# --- Leaving nothing behind -------------------------------------------------

temporary=$(mktemp -d "${TMPDIR:-/tmp}/fibrpc.XXXXXX")
brokers="$temporary/brokers" # private ones, and whatever else tests make
mkdir "$brokers"
child=

# on_exit is the caller's part of the clean-up.
clean_up() {
  status=$?
  trap '' HUP INT TERM # once is enough
  stop "$child"
  on_exit
  rm -rf "$temporary"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, because a shell sees a signal only when its foreground
# command has ended.
run() {
  "$@" &
  child=$!
  wait "$child" && status=0 || status=$?
  child=
  return "$status"
}

stop() {
  [ -n "$1" ] || return 0
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# A private broker and its folder go a moment after the process they belong to.
# Waits for that, then names what is left in a folder for temporary files.
left_in() {
  tries=0
  while left=$(ls -A "$1") && [ -n "$left" ] && [ "$tries" -lt 100 ]; do
    sleep 0.2 2>/dev/null || sleep 1 # not every sleep knows fractions
    tries=$((tries + 1))
  done
  printf '%s' "$left"
}

# --- Deno -------------------------------------------------------------------

deno_suits() {
  "$1" --version 2>/dev/null | awk -v minimum="$DENO_MINIMUM" '
    NR == 1 {
      split($2, has, "."); split(minimum, needs, ".")
      suits = has[1] > needs[1] || (has[1] == needs[1] && has[2] >= needs[2])
    }
    END { exit !suits }'
}

# Finds a Deno that suits, or gets one into the project, and puts it on PATH.
need_deno() {
  export DENO_NO_UPDATE_CHECK=1
  if command -v deno >/dev/null && deno_suits deno; then return; fi
  use_own_deno && return

  say "Deno $DENO_MINIMUM or newer is not on PATH: getting $DENO_PINNED into .fibrpc/"
  if command -v npm >/dev/null; then
    # The binary is in a package of its own for each platform, so that no
    # install script has to run. What is there already is not the right one.
    rm -rf "$root/.fibrpc/node_modules"
    npm install --prefix "$root/.fibrpc" --no-save --ignore-scripts --no-audit \
      --no-fund --no-update-notifier --loglevel=error "deno@$DENO_PINNED" >&2 || say "npm could not."
    use_own_deno && return
  fi
  die "no Deno. Install $DENO_MINIMUM or newer (npm install -g deno, or see https://docs.deno.com) and run this again"
}

use_own_deno() {
  for binary in "$root"/.fibrpc/node_modules/@deno/*/deno; do
    folder=${binary%/deno}
    if [ -x "$binary" ] && is_genuine "$binary" "${folder##*/}" && deno_suits "$binary"; then
      PATH="$folder:$PATH"
      return 0
    fi
  done
  return 1
}

# Before it is run: whether a platform's binary is the one of DENO_PINNED, by its SHA-256.
is_genuine() {
  case $2 in
    linux-x64-glibc) known=bceb5b6a6239b0b010418406d8c77a508f67cf4337d94288f1c19fe71304aab0 ;;
    linux-arm64-glibc) known=d08d392418df53f4e6e88a08909c0e1bccbf9adcead7232df72b6ad6075ec416 ;;
    darwin-x64) known=ec9fbd8e8f5f6ca5ceb0ebe4a564636f2c698bf60e3187460ded400cc0147fd5 ;;
    darwin-arm64) known=b3ac3bd206e48c26026cadd80c1367e96c149f9c66130952382a642b09fa8a71 ;;
    *) return 1 ;;
  esac
  if command -v sha256sum >/dev/null; then
    found=$(sha256sum "$1")
  else
    found=$(shasum -a 256 "$1")
  fi
  [ "${found%% *}" = "$known" ]
}

# --- System packages --------------------------------------------------------

# Debian and Ubuntu only. Fails where it may not install.
apt_install() {
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=sudo
  else
    return 1
  fi
  say "Installing $* ${as_root:+with sudo }(apt-get)"
  # A package's services are not started now if policy-rc.d says so: we run our
  # own, and port 5672 may be someone's.
  # shellcheck disable=SC2016 # for the inner shell
  $as_root sh -c '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap "rm -f $policy" EXIT
      trap "exit 1" HUP INT TERM
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$@"
  ' sh "$@" >"$temporary/apt.log" 2>&1 || {
    cat "$temporary/apt.log" >&2
    return 1
  }
}

# The command that installs a package by hand, for messages.
install_command() {
  for manager in 'brew install' 'apt-get install' 'dnf install' 'apk add' 'pacman -S' 'zypper install'; do
    if command -v "${manager%% *}" >/dev/null; then
      case $manager in brew*) ;; *) manager="sudo $manager" ;; esac
      printf '%s %s' "$manager" "$1"
      return
    fi
  done
  printf 'your package manager to install %s' "$1"
}

# --- RabbitMQ ---------------------------------------------------------------

broker() { deno run --quiet -A "$root/scripts/broker.ts" "$@"; }

# Makes sure that a private node can be started.
need_rabbitmq() {
  rabbitmq_installed && return
  apt_install rabbitmq-server && rabbitmq_installed && return
  case $(install_command '') in brew* | *pacman*) name=rabbitmq ;; *) name=rabbitmq-server ;; esac
  die "no RabbitMQ here. Run: $(install_command "$name")
Or set $1 to the URL of a broker"
}

rabbitmq_installed() {
  broker installed && return
  [ $? -eq 3 ] || die "could not look for RabbitMQ"
  return 1
}
