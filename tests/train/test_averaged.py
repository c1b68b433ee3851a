"""The average of the weights, beside what a training makes of it."""

from __future__ import annotations

from io import BytesIO

import torch
from torch import nn

from orchestrator.train.averaged import averaged_model


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("index", torch.tensor([168, 3]))
        self.register_buffer("mask", torch.tensor([True, False]))


def moved(module: Counts, value: float) -> Counts:
    for tensor in (*module.parameters(), module.norm.running_mean, module.norm.running_var):
        assert tensor is not None
        tensor.data.fill_(value)
    return module


def test_weights_and_running_statistics_are_averaged_and_integers_are_not() -> None:
    module = Counts()
    average = averaged_model(module, 0.999)
    average.update_parameters(moved(module, 1.0))
    assert {float(tensor.detach().min()) for tensor in average.module.parameters()} == {1.0}, (
        "the first step is the average"
    )
    for _ in range(100):
        average.update_parameters(moved(module, 2.0))
    expected = torch.full((3,), 2 - 0.999**100)
    norm = average.module.norm
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.testing.assert_close(tensor.data, expected)
    assert average.module.index.tolist() == [168, 3]
    assert average.module.mask.tolist() == [True, False]


def test_it_goes_on_from_a_file() -> None:
    module = Counts()
    first, file = averaged_model(module, 0.9), BytesIO()
    for value in (1.0, 2.0):
        first.update_parameters(moved(module, value))
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = averaged_model(Counts(), 0.9)
    second.load_state_dict(torch.load(file, weights_only=True))
    for average in (first, second):
        average.update_parameters(moved(module, 3.0))
    assert all(torch.equal(first.state_dict()[name], tensor) for name, tensor in second.state_dict().items())
