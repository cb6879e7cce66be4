#!/usr/bin/env bash
# Installs what a bare Debian or Ubuntu machine may lack beside the Swift
# toolchain: make, the C library's headers, the linker, the C++ library to link
# statically, and for the models SPIN and the compiler it needs. Does nothing
# when they are there.
set -euo pipefail

missing=()
command -v make >/dev/null || missing+=(make)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
command -v ld >/dev/null || missing+=(binutils)
compgen -G '/usr/lib/gcc/*/*/libstdc++.a' >/dev/null || missing+=(g++)
[ -e /usr/include/linux/futex.h ] || missing+=(linux-libc-dev)
command -v spin >/dev/null || missing+=(spin)
command -v gcc >/dev/null || missing+=(gcc)

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: nothing is missing"
else
  echo "setup: installing ${missing[*]}"
  [ "$(id -u)" -eq 0 ] && sudo="" || sudo=sudo
  $sudo apt-get update
  $sudo apt-get install -y --no-install-recommends "${missing[@]}"
fi
command -v swift >/dev/null || {
  echo "setup: no swift on the PATH: install Swift 6.2 or later from swift.org" >&2
  exit 1
}
