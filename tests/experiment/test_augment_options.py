"""What stands beside the parameters of an augmentation in a file: its cells, keys, params and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from augment import CutMix, MixUp, RandAugment, TrivialAugment
from augment.single import Combined
from augment.sometimes import Sometimes
from orchestrator.errors import ConfigError
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.results.names import Names


def cells_of(tmp_path: Path, augment: str) -> list[Cell]:
    path = tmp_path / "x.yaml"
    path.write_text(f"{{name: x, dataset: digits, model: convnet, augment: {augment}}}")
    return expand(load_experiment(path))


@pytest.mark.parametrize(
    ("augment", "labels"),
    [
        ("{mixup: {per: [batch, sample]}}", ["mixup(alpha=1.0)", "mixup(alpha=1.0, per=sample)"]),
        ("{mixup: {probability: [1, 0.5]}}", ["mixup(alpha=1.0)", "mixup(alpha=1.0, probability=0.5)"]),
        ("{erm: {combine: [none, trivial_augment]}}", ["erm", "erm(combine=trivial_augment)"]),
        ("{erm: {combine: {auto_augment: {policy: svhn}}}}", ["erm(combine=auto_augment(policy=svhn))"]),
        (
            "{erm: {combine: [{rand_augment: {magnitude: [5, 9]}}]}}",
            [f"erm(combine=rand_augment(magnitude={magnitude}, num_ops=2))" for magnitude in (5, 9)],
        ),
        (
            "{erm: {combine: {random_erasing: {scale: [[0.1, 0.2], [0.1, 0.3]]}}}}",
            [f"erm(combine=random_erasing(p=0.5, ratio=0.3-3.3, scale=0.1-{most}))" for most in (0.2, 0.3)],
        ),
    ],
)
def test_lists_are_swept(tmp_path: Path, augment: str, labels: list[str]) -> None:
    cells = cells_of(tmp_path, augment)
    assert [cell.augment.label for cell in cells] == labels
    assert len({cell.key for cell in cells}) == len(labels)
    # As cells travel: through JSON.
    assert [Cell.model_validate_json(cell.model_dump_json()) for cell in cells] == cells


@pytest.mark.parametrize(
    "said", ["per: batch", "probability: 1.0", "probability: null", "combine: none", "combine: null"]
)
def test_what_is_off_is_the_cell_that_says_nothing(tmp_path: Path, said: str) -> None:
    (plain,) = cells_of(tmp_path, "mixup")
    (same,) = cells_of(tmp_path, f"{{mixup: {{{said}}}}}")
    assert (same, same.key, same.params()) == (plain, plain.key, plain.params())


def test_what_is_built_and_what_mlflow_is_told(tmp_path: Path) -> None:
    (cell,) = cells_of(tmp_path, "{cutmix: {per: sample, probability: 0.5, combine: rand_augment}}")
    built = cell.augment.build(backend="torch")
    mixing = Sometimes(CutMix(1.0, "sample", backend="torch"), 0.5, backend="torch")
    assert built == Combined(RandAugment(2, 9), mixing, backend="torch")
    names = ("augment", "alpha", "per", "probability", "combine", "combine.num_ops", "combine.magnitude")
    told = ["cutmix", "1.0", "sample", "0.5", "rand_augment", "2", "9"]
    assert [cell.params()[name] for name in names] == told
    assert cell.augment.short == "cutmix α1.0 per sample p0.5 + rand_augment(magnitude=9, num_ops=2)"
    (other,) = cells_of(tmp_path, "{mixup: {combine: trivial_augment}}")
    assert other.augment.build() == Combined(TrivialAugment(), MixUp())


REFUSED = [
    ("{erm: {probability: 0.5}}", "augment.erm.probability", "parameters of erm: combine"),
    ("{mixup: {probability: [0.5, 0]}}", "augment.mixup.probability[1]", "a number above 0 and at most 1"),
    ("{mixup: {per: samples}}", "augment.mixup.per", "batch or sample"),
    ("{mixup: {per: 3}}", "augment.mixup.per", "a word"),
    ("{erm: {combine: rand_augmnt}}", "augment.erm.combine", "one of: none, trivial_augment, rand_augment"),
    (
        "{erm: {combine: {rand_augment: {mag: 3}}}}",
        "augment.erm.combine.rand_augment.mag",
        "parameters of rand_augment",
    ),
    ("{erm: {combine: {rand_augment: {magnitude: 31}}}}", "augment.erm.combine.rand_augment.magnitude", "0 to 30"),
    ("{erm: {combine: [none, none]}}", "augment.erm.combine[1]", "each cell once"),
    ("{mixup: {probability: [null]}}", "augment.mixup.probability[0]", "a number above 0"),
    ("{mixup: {probabilty: 1}}", "augment.mixup.probabilty", "parameters of mixup: alpha, per, probability, combine"),
]


@pytest.mark.parametrize(("augment", "key", "allowed"), REFUSED)
def test_a_mistake_is_said_where_it_stands(tmp_path: Path, augment: str, key: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, augment)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert allowed in problem.allowed
    assert problem.remedy


@pytest.mark.parametrize(
    ("row", "readable", "tex"),
    [
        (
            "zeta_mixup(combine=rand_augment(magnitude=9, num_ops=2), gamma=2.8, num_mixed=4), lr=0.05",
            "ζ-mixup + RandAugment (γ=2.8, N=4, M=9, ops=2), lr=0.05",
            r"$\zeta$-mixup + RandAugment ($\gamma=2.8$, $N=4$, $M=9$, $\mathrm{ops}=2$), lr=0.05",
        ),
        ("erm(combine=trivial_augment)", "ERM + TrivialAugment", "ERM + TrivialAugment"),
        (
            "mixup(alpha=1.0, per=sample, probability=0.5)",
            "mixup (α=1.0, per=sample, p_mix=0.5)",
            r"mixup ($\alpha=1.0$, $\mathrm{per}=\mbox{sample}$, $p_{\mathrm{mix}}=0.5$)",
        ),
        (
            "erm(combine=random_erasing(p=0.5, ratio=0.3-3.3, scale=0.02-0.33))",
            "ERM + Random Erasing (p_erase=0.5, ratio=0.3-3.3, area=0.02-0.33)",
            r"ERM + Random Erasing ($p_{\mathrm{erase}}=0.5$, $\mathrm{ratio}=0.3\mbox{--}3.3$, "
            r"$\mathrm{area}=0.02\mbox{--}0.33$)",
        ),
    ],
)
def test_papers_call_a_row_by_both_names(row: str, readable: str, tex: str) -> None:
    assert (Names().readable_row(row), Names().row_tex(row)) == (readable, tex)
    assert Names().row(row) == row
