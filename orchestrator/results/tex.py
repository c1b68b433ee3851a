"""Text for TeX: each character is shown as it is, whatever it means there."""

from __future__ import annotations

import re
import unicodedata

# A brace around what LaTeX takes for an option where it begins a row of a table; the quotation mark by its place in the
# font, since languages give it a meaning.
_SPECIAL = (
    {character: f"\\{character}" for character in "_%&#${}"}
    | {character: f"{{{character}}}" for character in "[]*"}
    | {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        '"': r"\symbol{34}",
    }
)
_MATH = {
    "±": r"\pm",
    "≈": r"\approx",
    "≤": r"\leq",
    "≥": r"\geq",
    "×": r"\times",
    "−": "-",
    "→": r"\rightarrow",
    "†": r"\dagger",
    "‡": r"\ddagger",
}


def _greek(letter: str) -> str:
    """Return the letter's command; Unicode spells lambda without its b."""
    name = unicodedata.name(letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA")
    return name.lower() if letter.islower() else name.capitalize()


_ESCAPES = str.maketrans(
    _SPECIAL
    | {character: f"${command}$" for character, command in _MATH.items()}
    | {letter: rf"$\{_greek(letter)}$" for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"}
)
# Two of them would become another character: -- a dash.
_LIGATURES = re.compile(r"([-,'])(?=\1)")


def escaped(text: str) -> str:
    """Return what LaTeX shows as `text`, on one line; Greek letters and the signs of a table as mathematics."""
    return _LIGATURES.sub(r"\1{}", " ".join(text.splitlines()).translate(_ESCAPES))
