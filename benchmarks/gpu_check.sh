#!/usr/bin/env bash
# Test and time the mixing kernels on a host with a GPU, within 8 minutes, and write one JSON.
#
#   benchmarks/gpu_check.sh [OUT.json]          (default: benchmarks/results/gpu_check.json)
#
# The host needs torch (from 2.11), torchvision, triton, NumPy and pytest on Python 3.11 or newer: no Ray, no MLflow, no
# network, no installation of this project; test files that need more (pyproject.toml) are left out and named. PYTHON names
# the interpreter. It exits with 1 if a test failed, if no GPU test ran, or if a benchmark did
# not end; a bar that is not met is a figure and no failure.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(realpath -m "${1:-$root/benchmarks/results/gpu_check.json}")
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
unset TRITON_INTERPRET
cd "$root" || exit 1

# The options of pyproject.toml name plugins that such a host does not have.
pytest=("$python" -m pytest -o addopts= -p no:cacheprovider -q -m gpu)
tested=()
left_out=()
for file in tests/augment/test_kernel.py tests/augment/test_contract.py tests/augment/test_transforms.py \
    tests/train/test_feed.py; do
    if found=$("${pytest[@]}" --collect-only "$file" 2>&1); then
        tested+=("$file")
    else
        why=$(grep -m 1 "ModuleNotFoundError" <<<"$found" || tail -n 1 <<<"$found")
        left_out+=("$file: ${why#E }")
        echo "not tested: $file: ${why#E }" >&2
    fi
done

timeout 300 "${pytest[@]}" --junitxml="$scratch/tests.xml" "${tested[@]:-no test can be collected}"
tests=$?
timeout 100 "$python" benchmarks/mixing.py --device cuda --seconds 0.3 --json "$scratch/mixing.json"
mixing=$?
timeout 60 "$python" benchmarks/mixing.py --device cuda --seconds 0.1 --crossover --json "$scratch/crossover.json"
crossover=$?

"$python" - "$scratch" "$out" "$tests" "$mixing" "$crossover" "${left_out[@]}" <<'PYTHON'
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

scratch, out, codes, left_out = Path(sys.argv[1]), Path(sys.argv[2]), map(int, sys.argv[3:6]), sys.argv[6:]
result = {"exit_codes": dict(zip(("tests", "mixing", "crossover"), codes)), "not_tested": left_out}
# null: the time was up before they ended.
result["tests"] = None
report = scratch / "tests.xml"
if report.exists():
    suite = ElementTree.parse(report).getroot().find("testsuite")
    result["tests"] = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    result["failed"] = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite
        if case.find("failure") is not None or case.find("error") is not None
    ]
for name in ("mixing", "crossover"):
    path = scratch / f"{name}.json"
    result[name] = json.loads(path.read_text()) if path.exists() else None
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(result, indent=2) + "\n")
print(f"written to {out}")
PYTHON
[ "$tests" -eq 0 ] && [ "$mixing" -eq 0 ] && [ "$crossover" -eq 0 ]
