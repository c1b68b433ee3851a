"""Claim: the mixing kernels compile for the GPUs in use without spilling registers to memory.

Run, half a minute, no GPU needed::

    python benchmarks/kernel_report.py [--capability 90 80] [--json PATH]

Every variant is compiled for 128 x 3 x 224 x 224 bytes to bfloat16 channels_last, cropped and mirrored, and for float32
and bfloat16 images that are mixed as they are. Shown is what ptxas and Triton say of the machine code: registers and
bytes of spilled registers per thread, bytes of shared memory per program, tensor-core instructions in it, and how many
threads of a multiprocessor the registers and the shared memory leave room for. It says nothing about time.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

# The kernels are to be compiled, whatever the environment says; read when Triton is imported.
os.environ.pop("TRITON_INTERPRET", None)

import torch
import triton
import triton.language as tl
from figures import origin, write_json
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from augment import kernel, tiles

CHANNELS, HEIGHT, WIDTH = 3, 224, 224
# Of one multiprocessor, of all capabilities from 80 on but the small ones: registers, threads, bytes of shared memory.
REGISTERS, THREADS = 65536, 2048
SHARED_BYTES = {80: 164 * 1024, 90: 228 * 1024}


def main() -> None:
    """Compile every variant and print what the compiler says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, nargs="+", default=[90, 80], choices=sorted(SHARED_BYTES))
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there, too")
    arguments = parser.parse_args()
    rows = []
    for capability in arguments.capability:
        rows += [report(capability, name, *variant) for name, variant in variants().items()]
    print(f"{'sm':>4} {'kernel':<34}{'registers':>10}{'spilled':>9}{'shared':>9}{'mma':>6}{'threads':>9}")
    for row in rows:
        print(
            f"{row['capability']:>4} {row['kernel']:<34}{row['registers']:>10}{row['spilled_bytes']:>9}"
            f"{row['shared_bytes']:>9}{row['tensor_core_instructions']:>6}{row['resident_threads']:>9}"
        )
    source = origin()
    print(", ".join(f"{name} {value}" for name, value in source.items()))
    if arguments.json is not None:
        write_json(arguments.json, source=source, kernels=rows)


def variants() -> dict[str, tuple[Any, dict[str, str], dict[str, Any]]]:
    """Return kernel, types of the arguments that are no constants, and constants with options, of every variant."""
    windowed = {"channels": CHANNELS, "height": HEIGHT, "width": WIDTH, "channels_last": True}
    windowed |= {"windowed": True, "normalized": True, "interpreted": False}
    flat = {"channels": 1, "height": 1, "width": 1, "channels_last": False}
    flat |= {"windowed": False, "normalized": False, "interpreted": False}
    gather = {"sum_dtype": tl.float32, "tile": kernel.GATHER_TILE, "num_warps": kernel.GATHER_WARPS}
    gathers, products = tiles.gather_kernel, tiles.dense_kernel

    def dense(batch_size: int, dtype: torch.dtype, mixed_dtype: torch.dtype) -> dict[str, Any]:
        return kernel.dense_plan(batch_size, CHANNELS * HEIGHT * WIDTH, dtype, mixed_dtype)

    def types(images: str, mixed: str) -> dict[str, str]:
        return {"images": f"*{images}", "mixed": f"*{mixed}"}

    uint8, fp32, bf16 = torch.uint8, torch.float32, torch.bfloat16
    return {
        "weight matrix": (
            tiles.matrix_kernel,
            {},
            {"samples": kernel.DENSE_SAMPLES, "ranks": kernel.MATRIX_RANKS, "num_warps": kernel.GATHER_WARPS},
        ),
        "gather, uint8 to bf16": (gathers, types("u8", "bf16"), windowed | gather),
        "gather, fp32": (gathers, types("fp32", "fp32"), flat | gather),
        "dense, uint8 to bf16, B=128": (products, types("u8", "bf16"), windowed | dense(128, uint8, bf16)),
        "dense, uint8 to bf16, B=32": (products, types("u8", "bf16"), windowed | dense(32, uint8, bf16)),
        "dense, uint8 to bf16, B=512": (products, types("u8", "bf16"), windowed | dense(512, uint8, bf16)),
        "dense, uint8 to fp32, B=128": (products, types("u8", "fp32"), windowed | dense(128, uint8, fp32)),
        "dense, bf16, B=128": (products, types("bf16", "bf16"), flat | dense(128, bf16, bf16)),
        "dense, fp32, B=128": (products, types("fp32", "fp32"), flat | dense(128, fp32, fp32)),
    }


def report(
    capability: int, name: str, function: Any, types: dict[str, str], constants: dict[str, Any]
) -> dict[str, Any]:
    """Compile one variant and return what is known about its machine code."""
    options = {name: constants[name] for name in ("num_warps", "maxnreg") if constants.get(name) is not None}
    constants = {name: value for name, value in constants.items() if name not in ("num_warps", "maxnreg")}
    warps = options["num_warps"]
    types = {
        **{"indices": "*i64", "weights": "*fp64", "matrix": "*fp32", "scale": "*fp32", "shift": "*fp32"},
        **{"top": "*i64", "left": "*i64", "mirrored": "*i1"},
        **types,
    }
    arguments = [argument for argument in function.arg_names if argument not in constants]
    signature = {argument: types.get(argument, "i32") for argument in arguments}
    signature |= dict.fromkeys(constants, "constexpr")
    # As at run time: addresses and strides are multiples of 16, and a stride of 1 is a constant.
    aligned = [
        argument for argument in arguments if argument in types or argument in ("size", "sample_stride", "padded_size")
    ]
    if "column_stride" in arguments:
        constants = constants | {"column_stride": 1}
        signature["column_stride"] = "constexpr"
    attributes = {(function.arg_names.index(argument),): [["tt.divisibility", 16]] for argument in aligned}
    source = ASTSource(function, signature, constexprs=constants, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    usage = resources_of(compiled.asm["cubin"])
    shared = compiled.metadata.shared
    by_registers = REGISTERS // (usage["registers"] * 32 * warps)
    by_shared = SHARED_BYTES[capability] // max(shared, 1)
    programs = min(by_registers, by_shared, THREADS // (32 * warps))
    return {
        "capability": capability,
        "kernel": name,
        **usage,
        "shared_bytes": shared,
        "tensor_core_instructions": len(re.findall(r"\b(?:wgmma\.mma_async|mma\.sync)", compiled.asm["ptx"])),
        "resident_threads": programs * 32 * warps,
    }


def resources_of(cubin: bytes) -> dict[str, int]:
    """Return registers and spilled bytes per thread of the only kernel in `cubin`."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # "REG:96 STACK:0 SHARED:0 LOCAL:0": what is spilled lies on the stack.
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
    return {"registers": found["REG"], "spilled_bytes": found["STACK"] + found["LOCAL"]}


if __name__ == "__main__":
    main()
