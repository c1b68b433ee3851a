"""What papers call the data sets, models, augmentations and metrics that an experiment names."""

from __future__ import annotations

import re

from orchestrator.metric_names import GROUP
from orchestrator.results.metric import Metric

DATASETS = {
    "digits": "Digits",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
    "svhn": "SVHN",
    "flowers102": "Flowers-102",
    "oxford_pets": "Oxford-IIIT Pet",
    "imagenette": "Imagenette",
    "eurosat": "EuroSAT",
    "medmnist_npz": "MedMNIST",
    "isic2016": "ISIC 2016",
    "isic2017": "ISIC 2017",
    "isic2018": "ISIC 2018",
    "ham10000": "HAM10000",
    "dermofit": "DermoFit",
}
AUGMENTATIONS = {
    "erm": "ERM",
    "mixup": "mixup",
    "cutmix": "CutMix",
    "zeta_mixup": "ζ-mixup",
    "zeta_mixup_range": "ζ-mixup",
    "cutmix_zeta_mixup": "CutMix + ζ-mixup",
    "mixup_pseries": "mixup, p-series weights",
    "dirichlet": "Dirichlet weights",
}
SINGLE_IMAGES = {
    "trivial_augment": "TrivialAugment",
    "rand_augment": "RandAugment",
    "auto_augment": "AutoAugment",
    "random_erasing": "Random Erasing",
}
# A parameter as text, and in TeX's mathematics.
SYMBOLS = {
    "gamma": ("γ", r"\gamma"),
    "gamma_low": ("γ_min", r"\gamma_{\min}"),
    "gamma_high": ("γ_max", r"\gamma_{\max}"),
    "num_mixed": ("N", "N"),
    "alpha": ("α", r"\alpha"),
    "cutmix_prob": ("p", "p"),
    "per": ("per", r"\mathrm{per}"),
    "probability": ("p_mix", r"p_{\mathrm{mix}}"),
    "combine.num_ops": ("ops", r"\mathrm{ops}"),
    "combine.magnitude": ("M", "M"),
    "combine.policy": ("policy", r"\mathrm{policy}"),
    "combine.p": ("p_erase", r"p_{\mathrm{erase}}"),
    "combine.scale": ("area", r"\mathrm{area}"),
    "combine.ratio": ("ratio", r"\mathrm{ratio}"),
}
# The first that fits the whole name.
_MODELS: tuple[tuple[str, str], ...] = (
    (r"convnet", "ConvNet"),
    (r"alexnet", "AlexNet"),
    (r"googlenet", "GoogLeNet"),
    (r"resnet(\d+)", r"ResNet-\1"),
    (r"wide_resnet(\d+)_(\d+)", r"Wide ResNet-\1-\2"),
    (r"resnext(\d+)_(\w+)", r"ResNeXt-\1 (\2)"),
    (r"densenet(\d+)", r"DenseNet-\1"),
    (r"vgg(\d+)", r"VGG-\1"),
    (r"vgg(\d+)_bn", r"VGG-\1-BN"),
    (r"inception_v(\d)", r"Inception-v\1"),
    (r"mobilenet_v(\d)", r"MobileNetV\1"),
    (r"mobilenet_v(\d)_(\w+)", r"MobileNetV\1-{\2}"),
    (r"efficientnet_b(\d)", r"EfficientNet-B\1"),
    (r"efficientnet_v2_(\w)", r"EfficientNetV2-{\1}"),
    (r"convnext_(\w+)", r"ConvNeXt-{\1}"),
    (r"regnet_(\w)_(\d+)(mf|gf)", r"RegNet{\1}-\2{\3}"),
    (r"regnet_(\w)_(\d)_(\d)(mf|gf)", r"RegNet{\1}-\2.\3{\4}"),
    (r"shufflenet_v2_x(\d)_(\d)", r"ShuffleNetV2 \1.\2×"),
    (r"squeezenet(\d)_(\d)", r"SqueezeNet \1.\2"),
    (r"mnasnet(\d)_(\d+)", r"MNASNet \1.\2"),
    (r"swin_(\w)", r"Swin-{\1}"),
    (r"swin_v2_(\w)", r"SwinV2-{\1}"),
    (r"maxvit_(\w)", r"MaxViT-{\1}"),
    (r"vit_(\w)_(\d+)", r"ViT-{\1}/\2"),
)
_STAGES = {"test": "Test", "best": "Validation", "val": "Last validation", "train": "Training"}
_METRICS = {"auroc": "AUROC", "ece": "ECE", "f1_macro": "macro F1", "f1_micro": "micro F1"}


def model_name(name: str) -> str:
    """Return e.g. ``ResNet-18`` for ``resnet18``; a name that is not known as it is."""
    for pattern, called in _MODELS:
        if found := re.fullmatch(pattern, name):
            return re.sub(r"\{(\w+)\}", lambda letters: _capital(letters[1]), found.expand(called))
    return name


def metric_name(metric: Metric) -> str:
    """Return e.g. ``Test error``, ``Validation AUROC`` or ``Test recall of melanoma over groups``."""
    name, _, class_name = metric.name.removeprefix(GROUP).partition("/")
    words = _METRICS.get(name) or re.sub(r"_(\d+)$", r" \1 %", name).replace("_", " ")
    of_class = f" of {class_name}" if class_name else ""
    return f"{_STAGES[metric.stage]} {words}{of_class}" + (" over groups" if metric.name.startswith(GROUP) else "")


def _capital(letters: str) -> str:
    """Return the letters of a size (``t``, ``gf``) as papers write them: ``T``, ``GF``, and ``Tiny`` for ``tiny``."""
    return letters.upper() if len(letters) <= 2 else letters.capitalize()
