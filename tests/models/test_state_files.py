"""Files of weights: what is read of them, and what each that cannot be read is called."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from orchestrator.errors import UserError
from orchestrator.models.state_files import WeightsRead, file_hash, named_like, read_weights

STATE = {"fc.weight": torch.arange(2000.0).view(2, 1000), "fc.bias": torch.zeros(2)}


class RunsCode:
    def __reduce__(self) -> object:
        return os.system, ("touch was_executed",)


def saved(content: object, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "unwrapped"),
    [
        (STATE, ""),
        ({"model": STATE, "epoch": 3}, "its model alone"),  # a checkpoint of this project
        ({"state_dict": STATE, "optimizer": {"state": {}}}, "its state_dict alone"),
        ({f"module.{name}": value for name, value in STATE.items()}, "without module. before each name"),
        (
            {"model": {f"_orig_mod.{name}": value for name, value in STATE.items()}},
            "its model alone, without _orig_mod. before each name",
        ),
        (
            {f"_orig_mod.module.{name}": value for name, value in STATE.items()},
            "without _orig_mod. before each name, without module. before each name",
        ),
        (
            {f"module._orig_mod.{name}": value for name, value in STATE.items()},
            "without module. before each name, without _orig_mod. before each name",
        ),
        ({f"1.{name}": value for name, value in STATE.items()}, ""),  # of ours, behind what repeats grey images
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_found_in_what_trainers_wrap_around_them(
    content: object, unwrapped: str, zipped: bool, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(saved(content, zipped=zipped))
    read = named_like(read_weights(file), lambda: STATE)
    assert read.unwrapped == unwrapped
    assert read.tensors.keys() == STATE.keys()
    assert all(torch.equal(read.tensors[name], value) for name, value in STATE.items())


@pytest.mark.parametrize("prefix", ["module.", "1.", "module.1.", "1.module."])
@pytest.mark.parametrize("wrapped", ["", "module.", "_orig_mod.module."])
def test_names_that_are_the_networks_own_stay(prefix: str, wrapped: str) -> None:
    own = {f"{prefix}{name}": value for name, value in STATE.items()}
    read = WeightsRead({f"{wrapped}{name}": value for name, value in own.items()})
    assert named_like(read, lambda: own).tensors.keys() == own.keys()


@pytest.mark.parametrize("name", ["weights.safetensors", "sha256-without-an-ending"])
def test_safetensors_are_read_by_their_library_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / name)
    assert torch.equal(read_weights(tmp_path / name).tensors["fc.weight"], STATE["fc.weight"])


def safe() -> bytes:
    return safetensors.torch.save(STATE)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pt", lambda: saved(STATE)[:-4000], r"no whole PyTorch file of weights \([\d,]+ bytes; .+\)"),
        ("a.pt", lambda: saved(STATE, zipped=False)[:-4000], "no whole PyTorch file of weights .*EOF.*\n.*cut off"),
        ("a.pt", lambda: b"", "no whole PyTorch file of weights"),
        ("a.pt", lambda: b"<!DOCTYPE html><html>not found", "it does not begin as one"),
        ("a.pt", lambda: b"hello, this is text\n", "no whole PyTorch file of weights"),
        ("a.pt", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS"),
        ("a.safetensors", lambda: safe()[:-100], "no whole safetensors file of weights"),
        ("a.safetensors", lambda: safe()[:5], "no whole safetensors file of weights"),
        (
            "a.pt",
            lambda: saved({"fc": RunsCode()}),
            "more than tensors and plain values",
        ),
        ("a.pt", lambda: pickle.dumps({"fc": RunsCode()}, protocol=2), "would have to be executed"),
        ("a.pt", lambda: saved(nn.Linear(2, 2)), "would have to be executed"),
        (
            "a.pt",
            lambda: pickle.dumps(STATE),
            "a pickle of Python, and no file of torch.save: it would have to be ex",
        ),
        ("a.pt", lambda: b"text\n", r"\(5 bytes; it does not begin as one\)"),
        ("a.pt", lambda: saved({"epoch": 3, "lr": 0.1}), "no weights are in it, but 'epoch', 'lr'"),
        ("a.pt", lambda: saved(torch.zeros(3)), "it holds one Tensor, no weights"),
    ],
)
def test_what_cannot_be_read_says_why_and_nothing_is_executed(
    name: str, content: Callable[[], bytes], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    file.write_bytes(content())
    with pytest.raises(UserError, match=sentence) as refused:
        read_weights(file)
    assert str(file) in str(refused.value)
    assert refused.value.remedy
    assert "weights_only" not in str(refused.value)  # torch's way to execute it all the same
    assert not (tmp_path / "was_executed").exists()


def test_a_file_that_is_not_there_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_weights(tmp_path / "nowhere.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        read_weights(tmp_path / "folder.pt")


def test_the_hash_is_that_of_the_bytes_that_are_there_now(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(b"one")
    one = file_hash(file)
    assert file_hash(file) == one == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    file.write_bytes(b"two, longer")
    assert file_hash(file) != one
