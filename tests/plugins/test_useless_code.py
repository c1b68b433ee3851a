"""Plug-ins whose dictionaries are as they should be, and that cannot work: they are called before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import Call
from own_files import DOTS, EXPERIMENT, PAIRMIX, TINYNET, write

from orchestrator.data import open_dataset
from orchestrator.errors import DataError
from orchestrator.plugins import use_plugins

TAKES_NO_IMAGES = TINYNET.replace("return nn.Sequential(", "return nn.Sequential(nn.Linear(7, 7), ")
# A network or augmentation that cannot work, and what `plan` says of it.
USELESS: dict[str, tuple[str, str, str, str]] = {
    "raises": (
        TAKES_NO_IMAGES,
        "tinynet",
        "erm",
        r"tinynet of plug-in mine, called on 2 images: {file}, line 5: RuntimeError: ",
    ),
    "other classes": (
        TINYNET.replace("nn.Linear(width, num_classes)", "nn.Linear(width, num_classes + 1)"),
        "tinynet",
        "erm",
        r"{file}, line 5: it returns torch.float32 \[2, 11\]; 10 finite logits of each image are needed",
    ),
    "no tensor": (
        TINYNET.replace(
            "    return nn.S",
            "    class Two(nn.Module):\n"
            "        def forward(self, x):\n            return x, x\n    return Two()\n    nn.S",
        ),
        "tinynet",
        "erm",
        r"{file}, line 7: it returns a tuple; 10 finite logits",
    ),
    "no number": (
        TINYNET.replace("nn.Linear(width, num_classes)", "nn.Linear(width, num_classes), nn.Threshold(1e9, 1e999)"),
        "tinynet",
        "erm",
        r"{file}, line 5: it returns NaN or infinity; 10 finite logits",
    ),
    "no network": (
        TINYNET.replace("    return nn.S", "    return\n    nn.S"),
        "tinynet",
        "erm",
        r"model = tinynet\(width=4\) with dataset = digits: tinynet of plug-in mine: {file}, line 5: it returns N",
    ),
    "labels that are none": (
        PAIRMIX.replace("[1 - self.share, self.share]", "[1.0, self.share]"),
        "convnet",
        "pairmix",
        r"augment = pairmix\(share=0.2\) with dataset = digits: pairmix of plug-in mine, called on 2 .*labels that",
    ),
    "an augmentation that raises": (
        PAIRMIX.replace("        partners =", "        self.no_such\n        partners ="),
        "convnet",
        "pairmix",
        r"pairmix of plug-in mine, called on a few images: {file}, line 13: AttributeError: .*no_such",
    ),
}


@pytest.mark.parametrize("what", USELESS)
def test_what_cannot_work_starts_nothing(what: str, call: Call, tmp_path: Path) -> None:
    text, model, augment, said = USELESS[what]
    file = write(tmp_path, "mine.py", text)
    answer = call("plan", write(tmp_path, "x.yaml", EXPERIMENT % (model, augment)), "--plugin", file)
    assert answer.code == 2
    assert re.search(said.replace("{file}", re.escape(str(file))), answer.err), answer.err
    assert "Traceback" not in answer.err


# What a data set's function returns, changed, and what is said of it.
NO_SET: dict[str, tuple[tuple[str, str], str]] = {
    "a dictionary": (("return Source(", "return dict(class_names="), "it returns a dict, no orchestrator.data.Source"),
    "labels beyond the classes": (("% 2\n", "% 3\n"), "labels of train reach from 0 to 2: of 2 classes 0 to 1 are"),
    "labels below the classes": (("% 2\n", "% 2 - 1\n"), "labels of train reach from -1 to 0"),
    "labels that are no array": (("labels[part], images", "list(labels[part]), images"), "labels of train are a list"),
    "labels that are no integers": (("% 2\n", "% 2.0\n"), "labels of train are a ndarray of float64 [40]"),
    "float images": (
        ("images[part])", "images[part].float())"),
        "images of train are a Tensor of torch.float32 [40",
    ),
    "equal ids": (('f"dot-{number}"', 'f"dot-{number % 30}"'), "30 ids stand there more than once, dot-0, "),
    "fewer ids": (("(ids[part],", "(ids[part][1:],"), "train has 39 ids and 40 labels"),
    "fewer images": (("images[part])", "images[part][1:])"), "train has 39 images and 40 labels"),
    "other classes": (
        ("num_classes=2", "num_classes=3"),
        "it has 2 classes (dark, light), and DatasetInfo says num",
    ),
    "other channels": (("num_classes=2", "image_shape=(3, 8, 8)"), "are [1, 8, 8], and DatasetInfo says [3, 8, 8]"),
    "two channels": (("(60, 1, 8, 8)", "(60, 2, 8, 8)"), "images of train have 2 channels: 1 or 3 are possible"),
    "images that are not square": (("(60, 1, 8, 8)", "(60, 1, 8, 9)"), "images of train are 8 x 9 px: they must be sq"),
    "no text as class": (('("dark", "light")', "(0, 1)"), "class_names are (0, 1): a tuple of two or more different"),
    "nothing to test on": (("slice(40, 60)", "slice(60, 60)"), "test has no images"),
}


@pytest.mark.parametrize("what", NO_SET)
def test_a_data_set_that_cannot_be_trained_on(what: str, tmp_path: Path) -> None:
    (before, after), said = NO_SET[what]
    text = DOTS.replace(before, after)
    assert text != DOTS
    file = write(tmp_path, "mine.py", text)
    use_plugins([str(file)])
    with pytest.raises(DataError) as raised:
        open_dataset("dots", tmp_path)
    assert f"dots of plug-in mine: {file}, line 5: " in str(raised.value)
    assert said in str(raised.value)


def test_an_option_that_no_file_can_say(call: Call, tmp_path: Path) -> None:
    file = write(tmp_path, "mine.py", TINYNET.replace("width: int = 4", "width: int = 4, sizes: list = ()"))
    experiment = write(tmp_path, "x.yaml", EXPERIMENT % ("{tinynet: {sizes: [1, 2]}}", "erm"))
    answer = call("plan", experiment, "--plugin", file)
    assert answer.code == 2
    assert "sizes is annotated list, which no experiment file can say" in answer.err
    assert "remedy:  Annotate sizes as bool, int, float, str or Literal." in answer.err
