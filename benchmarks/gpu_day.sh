#!/usr/bin/env bash
# Everything that only a GPU can say, in one call of less than nine minutes; see gpu_day.py beside it.
#
#   benchmarks/gpu_day.sh [--out FOLDER] [--wheels FOLDER] [--data-dir DIR] [--only STAGE]... [--seconds S]
#                         [--smoke]
#
# The host needs torch (from 2.11), torchvision, triton and Python 3.11 or newer: no network, no installation of this
# project. PYTHON names the interpreter.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
unset TRITON_INTERPRET
exec "${PYTHON:-python3}" "$root/benchmarks/gpu_day.py" "$@"
