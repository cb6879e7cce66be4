#!/usr/bin/env bash
# Installs what a bare Debian or Ubuntu machine may lack beside the Swift
# toolchain; says in one line what that is, and does nothing when it is there.
#
#   Scripts/setup.sh [--for run|test] [--quiet]
#
#   --for run    make, the C library's headers, the linker, the C++ library to
#                link statically
#   --for test   these, and for the models SPIN and the compiler it needs, for installations
#                pkg-config, for the Python package Python and numpy (default)
#   --quiet      not a word when nothing is missing
set -euo pipefail

for=test quiet=
while (($#)); do
  case $1 in
    --for) for=${2-}; shift 2 ;;
    --quiet) quiet=1; shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "setup: unknown option $1: see --help" >&2; exit 2 ;;
  esac
done
case $for in
  run | test) ;;
  *) echo "setup: --for $for: expected run or test" >&2; exit 2 ;;
esac

missing=()
command -v make >/dev/null || missing+=(make)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
command -v ld >/dev/null || missing+=(binutils)
compgen -G '/usr/lib/gcc/*/*/libstdc++.a' >/dev/null || missing+=(g++)
[ -e /usr/include/linux/futex.h ] || missing+=(linux-libc-dev)
if [ "$for" = test ]; then
  command -v spin >/dev/null || missing+=(spin)
  command -v gcc >/dev/null || missing+=(gcc)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  command -v python3 >/dev/null || missing+=(python3)
  # Debian's numpy is for Debian's Python, which need not be the first one on the PATH.
  python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null ||
    missing+=(python3-numpy)
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]} with apt-get (SETUP=no leaves this out)"
  [ "$(id -u)" -eq 0 ] && sudo="" || sudo=sudo
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
elif [ -z "$quiet" ]; then
  echo "setup: nothing is missing"
fi
command -v swift >/dev/null || {
  echo "setup: no swift on the PATH: install Swift 6.2 or later from swift.org" >&2
  exit 1
}
