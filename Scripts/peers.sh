#!/usr/bin/env bash
# Installs the systems that Task Bench compares with (make peers, make taskbench) on
# Debian or Ubuntu: oneTBB, Open MPI, StarPU, gcc for OpenMP. Nothing else needs them.
#
#   Scripts/peers.sh [--quiet]
#
#   --quiet   not a word when nothing is missing
set -euo pipefail

quiet=
while (($#)); do
  case $1 in
    --quiet) quiet=1; shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "peers: unknown option $1: see --help" >&2; exit 2 ;;
  esac
done

missing=()
command -v gcc >/dev/null || missing+=(gcc)
command -v g++ >/dev/null || missing+=(g++)
command -v pkg-config >/dev/null || missing+=(pkg-config)
has() { command -v pkg-config >/dev/null && pkg-config --exists "$1"; }
has tbb || missing+=(libtbb-dev)
has starpu-1.3 || missing+=(libstarpu-dev)
command -v mpicc >/dev/null && command -v mpirun >/dev/null ||
  missing+=(libopenmpi-dev openmpi-bin)

if [ ${#missing[@]} -eq 0 ]; then
  [ -n "$quiet" ] || echo "peers: nothing is missing"
  exit 0
fi
echo "peers: installing ${missing[*]} with apt-get"
[ "$(id -u)" -eq 0 ] && sudo="" || sudo=sudo
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ $sudo apt-get update && $sudo apt-get install -y --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
