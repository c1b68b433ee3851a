from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError, Problem
from orchestrator.experiment import Replicate, expand
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import Experiment

MINIMAL = {"name": "sweep", "dataset": "digits", "model": "convnet", "augment": "erm"}


def load(tmp_path: Path, *overrides: str, **parts: str | None) -> Experiment:
    """Load a minimal experiment with some parts replaced by YAML text, or left out if None."""
    path = tmp_path / "x.yaml"
    entries = {key: value for key, value in {**MINIMAL, **parts}.items() if value is not None}
    path.write_text("".join(f"{key}: {value}\n" for key, value in entries.items()))
    return load_experiment(path, overrides)


def problems(tmp_path: Path, *overrides: str, **parts: str | None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *overrides, **parts)
    return caught.value.problems


def test_minimal_file_takes_the_defaults(tmp_path: Path) -> None:
    experiment = load(tmp_path)
    assert (experiment.name, experiment.model[0].label, experiment.seed) == ("sweep", "convnet", (0,))
    assert [spec.label for spec in experiment.dataset] == ["digits"]
    assert experiment.augment == (AugmentSpec(name="erm"),)
    assert experiment.train[0].epochs == 5
    assert experiment.resources.slots == "auto"
    assert experiment.tracking.uri is None
    assert experiment.file == tmp_path / "x.yaml"


def test_empty_sections_take_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, train="", resources="", tracking="") == load(tmp_path)


def test_lists_are_kept_in_order(tmp_path: Path) -> None:
    experiment = load(
        tmp_path,
        dataset="[digits, {cifar10: {num_train: 100}}, {mnist: }]",
        model="[resnet18, convnet]",
        seed="[2, 0]",
    )
    assert [spec.label for spec in experiment.dataset] == ["digits", "cifar10(num_train=100)", "mnist"]
    assert [model.label for model in experiment.model] == ["resnet18", "convnet"]
    assert experiment.seed == (2, 0)


def test_lists_inside_an_augmentation_are_swept(tmp_path: Path) -> None:
    experiment = load(tmp_path, augment="[mixup, {zeta_mixup: {gamma: [2, 2.8], num_mixed: [4, batch]}}, {erm: }]")
    assert [spec.label for spec in experiment.augment] == [
        "mixup(alpha=1.0)",
        "zeta_mixup(gamma=2.0, num_mixed=4)",
        "zeta_mixup(gamma=2.0, num_mixed=64)",
        "zeta_mixup(gamma=2.8, num_mixed=4)",
        "zeta_mixup(gamma=2.8, num_mixed=64)",
        "erm",
    ]


def test_batch_is_the_workers_batch(tmp_path: Path) -> None:
    experiment = load(
        tmp_path, augment="{zeta_mixup: {gamma: 2, num_mixed: batch}}", train="{batch_size_per_worker: 32}"
    )
    assert experiment.augment[0].params == {"gamma": 2.0, "num_mixed": 32}


def test_model_of_torchvision_is_known(tmp_path: Path) -> None:
    assert load(tmp_path, model="mobilenet_v3_small").model[0].name == "mobilenet_v3_small"


@pytest.mark.parametrize(
    ("parts", "key", "value", "words"),
    [
        ({"modle": "convnet"}, "modle", "convnet", "Did you mean model?"),
        ({"train": "{epohs: 3}"}, "train.epohs", "3", "Did you mean epochs?"),
        ({"train": "{1: 3}"}, "train.1", "1", "one of the keys: epochs"),
        ({"train": "[1]"}, "train", "[1]", "a mapping with the keys epochs"),
        ({"train": "{epochs: 0}"}, "train.epochs", "0", "an integer from 1 to 1000000"),
        ({"train": "{epochs: '5'}"}, "train.epochs", "'5'", "without quotes"),
        ({"train": "{optimizer: adamww}"}, "train.optimizer", "adamww", "Did you mean adamw?"),
        ({"train": "{lr: .nan}"}, "train.lr", ".nan", "a finite number above 0"),
        ({"train": "{milestones: [1, x]}"}, "train.milestones[1]", "x", "a list of rising epochs"),
        ({"train": "{epochs: 3, warmup_epochs: 4}"}, "train.warmup_epochs", "4", "0 to train.epochs=3"),
        ({"train": "{momentum: null}"}, "train.momentum", "null", "Write 0"),
        ({"train": "{schedule: multistep}"}, "train.milestones", "[]", "at least one epoch"),
        ({"resources": "{workers: 2, gpus_per_worker: 0.5}"}, "resources.gpus_per_worker", "0.5", "workers=2"),
        ({"names": "{em: ERM}"}, "names.em", "ERM", "Did you mean erm?"),
        ({"names": "{erm: 5}"}, "names.erm", "5", "{what it is called here: text}"),
        ({"names": "{erm: ' '}"}, "names.erm", "' '", "text that is not blank"),
        ({"names": "[erm]"}, "names", "[erm]", "{what it is called here: text}"),
        (
            {"augment": "[{mixup: {alpha: [1, 2]}}]", "names": "{mixup(alpha=2.0): mixup(alpha=1.0)}"},
            "names.mixup(alpha=2.0)",
            "mixup(alpha=1.0)",
            "So mixup(alpha=1.0) is called, too.",
        ),
        ({"resources": "{slots: 0}"}, "resources.slots", "0", "auto, or an integer"),
        ({"resources": "{backend: triton}"}, "resources.backend", "triton", "auto or torch"),
        (
            {"augment": "{zeta_mixup_range: {gamma_low: 3, gamma_high: 2, num_mixed: 4}}"},
            "augment.zeta_mixup_range",
            "{gamma_low: 3, gamma_high: 2, num_mixed: 4}",
            "instead of gamma_low=3.0, a number below gamma_high=2.0\n  remedy:  Raise gamma_high, or take zeta_mixup",
        ),
        (
            {"augment": "{cutmix_zeta_mixup: {gamma: 2, num_mixed: 4, cutmix_prob: 1}}"},
            "augment.cutmix_zeta_mixup.cutmix_prob",
            "1",
            "a number above 0 and below 1",
        ),
        (
            {"augment": "{zeta_mixup: {gamma: 2, num_mixed: 4, backend: torch}}"},
            "augment.zeta_mixup.backend",
            "torch",
            "parameters of zeta_mixup",
        ),
        ({"tracking": "{url: x}"}, "tracking.url", "x", "Did you mean uri?"),
        ({"train": "{clip_grad_norm: None}"}, "train.clip_grad_norm", "None", "Write null"),
        ({"dataset": "{digits: {num_train: none}}"}, "dataset.digits.num_train", "none", "Write null"),
        ({"dataset": "{digits: {hflip: yes}}"}, "dataset.digits.hflip", "'yes'", "Write true"),
        ({"dataset": "{digits: {rot90: 'Off'}}"}, "dataset.digits.rot90", "'Off'", "Write false"),
        (
            {"augment": "{zeta_mixup: {gamma: 2, num_mixed: [4, Batch]}}"},
            "augment.zeta_mixup.num_mixed[1]",
            "Batch",
            "Did you mean batch?",
        ),
        (
            {"augment": "[erm, {zeta_mixup: {gamma: [2, 3, 2.0], num_mixed: 4}}]"},
            "augment[1].zeta_mixup.gamma[2]",
            "2.0",
            "The same cells come from augment[1].zeta_mixup.gamma[0] = 2: remove one of the two.",
        ),
        (
            {"train": "{schedule: multistep, milestones: [1, 3, 3]}"},
            "train.milestones",
            "[1, 3, 3]",
            "rising epochs, each once, instead of milestones[2] = 3 after milestones[1] = 3",
        ),
        ({"name": None}, "name", "", "It is missing"),
        ({"name": "2024"}, "name", "2024", "letters, digits"),
        ({"storage": "[a]"}, "storage", "[a]", "the path of the folder"),
        ({"storage": "hdfs://name/x"}, "storage", "hdfs://name/x", "that begins with s3://, gs://, abfs://"),
        ({"storage": "s3://bucket/../x"}, "storage", "s3://bucket/../x", "a name that is . or .."),
        ({"storage": "s3://"}, "storage", "s3://", "names no bucket"),
        ({"storage": "s3://b/x?acl=public"}, "storage", "s3://b/x?acl=public", "known is endpoint_override"),
        ({"storage": "s3://key:secret@b/x"}, "storage", "s3://***@b/x", "no credentials"),
        ({"data_dir": "file:///x"}, "data_dir", "file:///x", "that begins with s3://, gs://, abfs://"),
        ({"cache": "{dir: 'gs://b/x'}"}, "cache.dir", "gs://b/x", "a path, no address"),
        ({"tracking": "{experiment: '  '}"}, "tracking.experiment", "' '", "not blank"),
        ({"tracking": "{experiment: " + "x" * 501 + "}"}, "tracking.experiment", "x" * 96 + " ...", "at most 500"),
        ({"tracking": "{uri: 'sqlite+pysqlite:///x.db'}"}, "tracking.uri", "sqlite+pysqlite:///x.db", "four slashes"),
        ({"dataset": "{digits: {image_size: 100000}}"}, "dataset.digits.image_size", "100000", "1 to 8192"),
        ({"dataset": "{digits: {crop_padding: 9000}}"}, "dataset.digits.crop_padding", "9000", "from 0 to 8192"),
        ({"dataset": None}, "dataset", "", "At least one is needed"),
        ({"dataset": "cifar"}, "dataset", "cifar", "Did you mean cifar10?"),
        ({"dataset": "[digits, 5]"}, "dataset[1]", "5", "one of: cifar10"),
        ({"dataset": "{digits: 5}"}, "dataset.digits", "5", "options as a mapping"),
        ({"dataset": "{digits: {}, mnist: {}}"}, "dataset", "{digits: {}, mnist: {}}", "one name with its options"),
        ({"dataset": "{digits: {val: 0.5}}"}, "dataset.digits.val", "0.5", "Did you mean val_fraction?"),
        ({"dataset": "{digits: {name: mnist}}"}, "dataset.digits.name", "mnist", "a name that no other data set has"),
        (
            {"dataset": "{digits: {shown_as: x}}"},
            "dataset.digits.shown_as",
            "x",
            "one of the keys: name, on_unreadable",
        ),
        ({"dataset": "{digits: {csv: x.csv}}"}, "dataset.digits.csv", "x.csv", "for image_folder only"),
        ({"dataset": "{digits: {folds: 1}}"}, "dataset.digits.folds", "1", "an integer from 2 to 1000"),
        ({"dataset": "{digits: {folds: 1500}}"}, "dataset.digits.folds", "1500", "an integer from 2 to 1000"),
        ({"dataset": "{digits: {folds: 1500, fold: 0}}"}, "dataset.digits.folds", "1500", "an integer from 2 to 1000"),
        ({"dataset": "{digits: {folds: 3, fold: 3}}"}, "dataset.digits.fold", "3", "an integer from 0 to 2"),
        ({"dataset": "{digits: {fold: 0}}"}, "dataset.digits.fold", "0", "null without folds"),
        ({"dataset": "{digits: {folds: 3, fold: [1, 1]}}"}, "dataset.digits", "digits(folds=3)", "each cell once"),
        ({"dataset": "{digits: {on_unreadable: ignore}}"}, "dataset.digits.on_unreadable", "ignore", "refuse or skip"),
        (
            {"dataset": "{image_folder: {folder: x, columns: {label: y}}}"},
            "dataset.image_folder.columns",
            "{label: y}",
            "null without csv",
        ),
        (
            {"dataset": "{image_folder: {folder: x, splits: {valid: y}}}"},
            "dataset.image_folder.splits.valid",
            "y",
            "Did you mean val?",
        ),
        *(
            (
                {"dataset": f"{{image_folder: {{folder: x, splits: {splits}}}}}"},
                f"dataset.image_folder.splits.{key}",
                value,
                "another name than that of",
            )
            for splits, key, value in (
                ("{train: a, test: a}", "test", "a"),
                ("{val: a/b, test: ./A/b}", "test", "./A/b"),
                ("{val: train}", "val", "train"),
                ("{train: e\u0301, test: \u00e9}", "test", "\u00e9"),
            )
        ),
        (
            {"dataset": "[{digits: {name: x}}, {digits: {name: x, num_train: 500}}]"},
            "dataset[1].digits.name",
            "x",
            "a name of its own",
        ),
        ({"dataset": "{image_folder: }"}, "dataset.image_folder.folder", "null", "Write image_folder: {folder: PATH}"),
        ({"dataset": "{medmnist_npz: }"}, "dataset.medmnist_npz.file", "null", "Write medmnist_npz: {file: PATH}"),
        ({"dataset": "{cifar10: {file: x}}"}, "dataset.cifar10.file", "x", "for medmnist_npz only"),
        (
            {"dataset": "{cifar10: {image_size: 64, cache_size: 32}}"},
            "dataset.cifar10.cache_size",
            "32",
            "image_size=64",
        ),
        (
            {"dataset": "{cifar10: {random_resized_crop: {scale: [2.0, 1.0]}}}"},
            "dataset.cifar10.random_resized_crop.scale",
            "[2.0, 1.0]",
            "a pair of numbers above 0 and at most 1",
        ),
        (
            {"dataset": "{cifar10: {random_resized_crop: {}, crop_padding: 4}}"},
            "dataset.cifar10.random_resized_crop",
            "{}",
            "null with crop_padding above 0",
        ),
        (
            {"dataset": "{cifar10: {color_jitter: {contrst: 1}}}"},
            "dataset.cifar10.color_jitter.contrst",
            "1",
            "Did you mean contrast?",
        ),
        ({"dataset": "{cifar10: {color_jitter: {hue: 3}}}"}, "dataset.cifar10.color_jitter.hue", "3", "from 0 to 0.5"),
        ({"train": "{sampling: even}"}, "train.sampling", "even", "balanced, or null"),
        ({"resources": "{feed: stream}"}, "resources.feed", "stream", "Did you mean streaming?"),
        ({"cache": "{limit_gib: 0}"}, "cache.limit_gib", "0", "a finite number above 0"),
        ({"dataset": "[digits, digits]"}, "dataset[1]", "digits", "dataset[0] = digits"),
        ({"model": "convnett"}, "model", "convnett", "Did you mean convnet?"),
        ({"model": "[]"}, "model", "[]", "At least one is needed"),
        ({"model": "[convnet, {resnet: {}}]"}, "model[1]", "{resnet: {}}", "torchvision's"),
        ({"model": "[convnet, convnet]"}, "model[1]", "convnet", "model[0] = convnet"),
        ({"augment": "zeta_mixpu"}, "augment", "zeta_mixpu", "Did you mean zeta_mixup?"),
        ({"augment": "[[erm]]"}, "augment[0]", "[erm]", "one of: erm, mixup"),
        ({"augment": "{}"}, "augment", "{}", "one of: erm, mixup"),
        ({"augment": "{erm: {gamma: 2}}"}, "augment.erm.gamma", "2", "parameters of erm: combine"),
        ({"augment": "{mixup: {alhpa: 2}}"}, "augment.mixup.alhpa", "2", "Did you mean alpha?"),
        ({"augment": "{mixup: {alpha: -1}}"}, "augment.mixup.alpha", "-1", "a finite number above 0"),
        ({"augment": "{mixup: {alpha: []}}"}, "augment.mixup.alpha", "[]", "At least one is needed"),
        ({"augment": "{mixup: {alpha: batch}}"}, "augment.mixup.alpha", "batch", "a number"),
        ({"augment": "{mixup: {alpha: true}}"}, "augment.mixup.alpha", "true", "a number"),
        ({"augment": "{mixup: {alpha: 1" + "0" * 400 + "}}"}, "augment.mixup.alpha", "1" + "0" * 95 + " ...", "alpha"),
        ({"augment": "[mixup, {mixup: {alpha: 1}}]"}, "augment[1].mixup", "{alpha: 1}", "augment[0] = {alpha: 1.0}"),
        ({"augment": "[erm, erm]"}, "augment[1]", "erm", "augment[0] = erm"),
        ({"seed": "-1"}, "seed", "-1", "an integer from 0"),
        ({"seed": "[0, true]"}, "seed[1]", "true", "an integer from 0"),
        ({"seed": "4294967296"}, "seed", "4294967296", "an integer from 0"),
        ({"seed": "0,1"}, "seed", "0,1", "Write a list for several: [0, 1, 2]"),
        ({"seed": "null"}, "seed", "", "At least one is needed"),
        ({"seed": "[3, 4, 3]"}, "seed[2]", "3", "seed[0] = 3"),
    ],
)
def test_mistake_is_named_with_key_value_and_remedy(
    tmp_path: Path, parts: dict[str, str | None], key: str, value: str, words: str
) -> None:
    (problem,) = problems(tmp_path, **parts)
    assert (problem.file, problem.key, problem.value) == (str(tmp_path / "x.yaml"), key, value)
    assert words in str(problem)


@pytest.mark.parametrize(
    ("options", "key", "value", "words"),
    [
        ("{gamma: 0, num_mixed: 4}", "gamma", "0", "a finite number above 0"),
        ("{gamma: .nan, num_mixed: 4}", "gamma", ".nan", "a finite number above 0"),
        ("{gamma: .inf, num_mixed: 4}", "gamma", ".inf", "a finite number above 0"),
        ("{gamma: [2, -1], num_mixed: 4}", "gamma[1]", "-1", "a finite number above 0"),
        ("{gamma: 2, num_mixed: 1}", "num_mixed", "1", "an integer of at least 2"),
        ("{gamma: 2, num_mixed: 4.0}", "num_mixed", "4.0", "an integer of at least 2"),
        ("{gamma: 2, num_mixed: all}", "num_mixed", "all", "a number, or batch"),
        ("{gamma: 2, num_mixed: 65}", "num_mixed", "65", "2 to train.batch_size_per_worker=64"),
        ("{gamma: 2}", "num_mixed", "", "It is missing"),
        ("{gamma: 2, num_mixed: [64, batch]}", "num_mixed[1]", "batch", "num_mixed[0] = 64: remove"),
        ("{gamma: [2, 2.0], num_mixed: 4}", "gamma[1]", "2.0", "gamma[0] = 2: remove one"),
    ],
)
def test_mistake_in_zeta_mixup(tmp_path: Path, options: str, key: str, value: str, words: str) -> None:
    (problem,) = problems(tmp_path, augment=f"{{zeta_mixup: {options}}}")
    assert (problem.key, problem.value) == (f"augment.zeta_mixup.{key}", value)
    assert words in str(problem)


def test_parameters_indented_beside_the_name_get_a_hint(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, augment="\n  - zeta_mixup:\n    gamma: 2\n    num_mixed: 4")
    assert "Indent the options further" in problem.remedy


@pytest.mark.parametrize(
    ("augment", "key"),
    [
        ("mixup", "augment"),
        ("[erm, {cutmix: {alpha: 2}}]", "augment[1].cutmix"),
        ("{zeta_mixup: {gamma: 2, num_mixed: batch}}", "augment.zeta_mixup.num_mixed"),
    ],
)
def test_a_batch_too_small_to_mix_is_refused(tmp_path: Path, augment: str, key: str) -> None:
    (problem,) = problems(tmp_path, augment=augment, train="{batch_size_per_worker: 1}")
    assert problem.key == key
    assert problem.remedy == "Raise train.batch_size_per_worker."


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "train.epohs=2",
        "nonsense",
        name="a b",
        dataset="digitss",
        model="resnet19",
        augment="[{mixup: {alpha: 0}}, {zeta_mixup: {gamma: [0, 2], num_mixed: [1, 65, batch]}}]",
        seed="[0, 0, -1]",
        train="{epochs: 0, lr: x, lr_decay: 1, lr_decay: 2}",
        resources="{workers: 0, slots: none}",
        tracking="5",
        extra="1",
    )
    assert sorted((problem.file, problem.key) for problem in found) == sorted(
        [
            *(("-o", key) for key in ("train.epohs", "nonsense")),
            *(
                (str(tmp_path / "x.yaml"), key)
                for key in (
                    "name",
                    "dataset",
                    "model",
                    "augment[0].mixup.alpha",
                    "augment[1].zeta_mixup.gamma[0]",
                    "augment[1].zeta_mixup.num_mixed[0]",
                    "augment[1].zeta_mixup.num_mixed[1]",
                    "seed[1]",
                    "seed[2]",
                    "train.epochs",
                    "train.lr",
                    "train.lr_decay",
                    "train.lr_decay",
                    "resources.workers",
                    "resources.slots",
                    "tracking",
                    "extra",
                )
            ),
        ]
    )


def test_an_invalid_batch_size_is_one_problem(tmp_path: Path) -> None:
    augment = "{zeta_mixup: {gamma: 2, num_mixed: [4, batch]}}"
    found = problems(tmp_path, augment=augment, train="{batch_size_per_worker: many}")
    assert [problem.key for problem in found] == ["train.batch_size_per_worker"]


def test_another_mistake_in_train_does_not_hide_the_batch_size(tmp_path: Path) -> None:
    augment = "{zeta_mixup: {gamma: 2, num_mixed: 9}}"
    found = problems(tmp_path, augment=augment, train="{epochs: 0, batch_size_per_worker: 8}")
    assert [problem.key for problem in found] == ["augment.zeta_mixup.num_mixed", "train.epochs"]


def test_overrides_change_any_key(tmp_path: Path) -> None:
    experiment = load(
        tmp_path, "train.epochs=2", "seed=[0,1]", "dataset.digits.num_train=99", "augment={mixup: {alpha: [1, 2]}}"
    )
    assert (experiment.train[0].epochs, experiment.seed, experiment.dataset[0].num_train) == (2, (0, 1), 99)
    assert [spec.params for spec in experiment.augment] == [{"alpha": 1.0}, {"alpha": 2.0}]


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("train.epochs=0", "train.epochs", "an integer from 1 to 1000000"),
        ("train={epochs: 0}", "train.epochs", "an integer from 1 to 1000000"),
        ("trian.epochs=1", "trian", "Did you mean train?"),
        ("resources.slots=0", "resources.slots", "auto, or an integer"),
        ("train.schedule=multistep", "train.milestones", "at least one epoch"),
        ("sed=1", "sed", "Did you mean seed?"),
        ("seed=[0, 0]", "seed[1]", "each cell once"),
        ("dataset.digits.num_trian=1", "dataset.digits.num_trian", "Did you mean num_train?"),
    ],
)
def test_mistake_in_an_override_names_the_command_line(tmp_path: Path, override: str, key: str, words: str) -> None:
    (problem,) = problems(tmp_path, override)
    assert (problem.file, problem.key) == ("-o", key)
    assert words in str(problem)


def test_only_what_an_override_set_is_blamed_on_it(tmp_path: Path) -> None:
    found = problems(tmp_path, "train.lr=0", train="{lr_decay: 0}")
    assert {problem.key: problem.file for problem in found} == {
        "train.lr": "-o",
        "train.lr_decay": str(tmp_path / "x.yaml"),
    }


@pytest.mark.parametrize(
    "dataset",
    ["cifar10", "{cifar10: {val_fraction: 0.2}}", "[cifar10]", "[{cifar10: {val_fraction: 0.2}}]"],
)
def test_an_option_of_the_only_data_set_needs_no_name(tmp_path: Path, dataset: str) -> None:
    (spec,) = load(tmp_path, "dataset.image_size=64", dataset=dataset).dataset
    assert (spec.name, spec.image_size) == ("cifar10", 64)


def test_an_option_of_one_of_several_data_sets_needs_its_name(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "dataset.image_size=64", dataset="[cifar10, digits]")
    assert "dataset[0]" in problem.remedy


def test_folds_are_an_axis_like_seeds(tmp_path: Path) -> None:
    cells = expand(load(tmp_path, dataset="{digits: {folds: 3}}", seed="[0, 1]"))
    assert [cell.replicate for cell in cells] == [Replicate(seed, fold) for fold in range(3) for seed in range(2)]
    assert {cell.dataset.label for cell in cells} == {"digits(folds=3)"}
    assert len({cell.config_key for cell in cells}) == 1
    assert len({cell.key for cell in cells}) == 6
    assert cells[-1].label == "digits(folds=3) convnet erm seed=1 fold=2"
    assert {name: cells[-1].params()[name] for name in ("dataset.folds", "dataset.fold")} == {
        "dataset.folds": "3",
        "dataset.fold": "2",
    }
    some = load(tmp_path, dataset="{digits: {folds: 3, fold: [2, 0]}}").dataset
    assert [spec.fold for spec in some] == [2, 0]
    (one,) = load(tmp_path, "dataset.fold=1", dataset="{digits: {folds: 3}}").dataset
    assert one.fold == 1


def test_a_name_is_for_tables_and_changes_no_training(tmp_path: Path) -> None:
    plain, named = (
        expand(load(tmp_path, dataset=f"{{digits: {{num_train: 100{name}}}}}"))[0] for name in ("", ", name: few")
    )
    assert (plain.dataset.label, named.dataset.label) == ("digits(num_train=100)", "few")
    assert (plain.key, plain.config_key) == (named.key, named.config_key)
    assert plain.params() == named.params()
    (problem,) = problems(tmp_path, dataset="[{digits: {name: a}}, {digits: {name: b}}]")
    assert (problem.key, problem.allowed) == ("dataset[1].digits", "each cell once")


def test_what_is_called_otherwise_in_tables_is_the_same_training(tmp_path: Path) -> None:
    names = "{digits(num_train=100): Scans, convnet: Small, zeta_mixup: ours, 'mixup(alpha=1.0)': a | b}"
    swept = {"dataset": "{digits: {num_train: 100}}", "augment": "[mixup, {zeta_mixup: {gamma: 2, num_mixed: batch}}]"}
    plain, named = (load(tmp_path, **swept, names=text) for text in (None, names))
    assert named.names["mixup(alpha=1.0)"] == "a | b"
    assert [cell.key for cell in expand(plain)] == [cell.key for cell in expand(named)]
    assert load(tmp_path, names="").names == {}
    # What the command line leaves out of the sweep may keep its name, and a mistake elsewhere makes no other.
    assert load(tmp_path, "augment=mixup", "dataset=digits", **swept, names=names).names == named.names
    (problem,) = problems(tmp_path, dataset="digit", names="{digits: Scans}")
    assert problem.key == "dataset"


ROWS = {"augment": "[erm, {mixup: {alpha: 1}}]", "train": "{lr: [0.05, 0.1]}", "seed": "[0, 1, 2]"}


def test_a_row_with_its_settings_can_be_called_otherwise_and_named_so(tmp_path: Path) -> None:
    names = "{'erm, lr=0.05': Plain, mixup: ours}"
    search = "{race: ladder, keep: Plain, confirm: {against: ['ours(alpha=1.0), lr=0.1', erm]}}"
    found = load(tmp_path, **ROWS, names=names, search=search, compare="{baseline: Plain}")
    assert found.search is not None
    assert found.search.confirm is not None
    assert found.compare_in_file is not None
    assert found.compare.baseline == found.compare_in_file.baseline == "erm, lr=0.05"
    assert found.search.keep == ("erm, lr=0.05",)
    assert found.search.confirm.against == ("mixup(alpha=1.0), lr=0.1", "erm")
    (problem,) = problems(tmp_path, **ROWS, names="{'erm, lr=0.5': Plain}")
    assert (problem.key, problem.remedy) == ("names.erm, lr=0.5", "Did you mean erm, lr=0.05?")
    (problem,) = problems(tmp_path, **ROWS, names="{'erm, lr=0.05': Plain, 'erm, lr=0.1': Plain}")
    assert (problem.key, problem.remedy) == ("names.erm, lr=0.1", "So erm, lr=0.05 is called, too.")
    # What the command line leaves out may keep its name.
    assert load(tmp_path, "train.lr=0.1", **ROWS, names=names).names == found.names


def test_the_layout_of_images_of_your_own_is_part_of_the_cell(tmp_path: Path) -> None:
    layouts = ("", ", csv: a.csv", ", csv: b.csv", ", csv: a.csv, columns: {label: dx}", ", splits: {val: valid}")
    text = ", ".join(f"{{image_folder: {{folder: x{layout}}}}}" for layout in layouts)
    specs = load(tmp_path, dataset=f"[{text}]").dataset
    assert [spec.layout for spec in specs] == [
        {},
        {"csv": "a.csv"},
        {"csv": "b.csv"},
        {"csv": "a.csv", "columns": {"label": "dx"}},
        {"splits": {"val": "valid"}},
    ]
    assert len({spec.images_id for spec in specs}) == len(layouts)
    assert specs[3].label == "image_folder(columns(label=dx), csv=a.csv, folder=x)"
    (usual,) = load(tmp_path, dataset="{image_folder: {folder: x, splits: {}, on_unreadable: refuse}}").dataset
    assert usual == specs[0]
