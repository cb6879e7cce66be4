#!/usr/bin/env bash
# Installs what runs on several machines need on a Debian or Ubuntu machine: Open MPI, with
# mpicc for `make link` and mpirun. Does nothing when both are there. Any other MPI with
# MPI_Improbe (MPI 3.0) does as well: put its mpicc and mpirun on the PATH.
#
#   Scripts/setup-mpi.sh [--quiet]
#
#   --quiet   not a word when nothing is missing
set -euo pipefail

quiet=
while (($#)); do
  case $1 in
    --quiet) quiet=1; shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "setup-mpi: unknown option $1: see --help" >&2; exit 2 ;;
  esac
done

missing=()
command -v mpicc >/dev/null || missing+=(libopenmpi-dev)
command -v mpirun >/dev/null || missing+=(openmpi-bin)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || {
    echo "setup-mpi: no apt-get: install Open MPI or another MPI, with mpicc and mpirun" >&2
    exit 1
  }
  echo "setup-mpi: installing ${missing[*]} with apt-get"
  [ "$(id -u)" -eq 0 ] && sudo="" || sudo=sudo
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  quiet=1
fi
[ -n "$quiet" ] || echo "setup-mpi: nothing is missing"
