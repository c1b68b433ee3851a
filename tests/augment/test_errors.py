from __future__ import annotations

import pickle

import pytest

from augment import ParameterError, RandomResizedCrop, ZetaMixupRange


def test_a_refusal_is_a_sentence_and_its_parts() -> None:
    error = ParameterError("gamma", -1, "a finite number above 0", "Raise it.")
    assert isinstance(error, ValueError)
    assert str(error) == "gamma=-1 is not allowed: a finite number above 0 is. Raise it."
    assert str(ParameterError("gamma", -1, "a finite number above 0")).endswith("above 0 is.")


def test_a_refusal_reaches_another_process_whole() -> None:
    error = ParameterError("gamma", -1, "a finite number above 0", "Raise it.")
    sent = pickle.loads(pickle.dumps(error))
    assert type(sent) is ParameterError
    assert (sent.name, sent.value, sent.allowed, sent.remedy) == (error.name, error.value, error.allowed, error.remedy)


def test_values_that_do_not_suit_each_other_are_refused_with_a_remedy() -> None:
    with pytest.raises(ParameterError) as caught:
        ZetaMixupRange(3.0, 2.0, 4)
    assert (caught.value.name, caught.value.allowed) == ("gamma_low", "a number below gamma_high=2.0")
    assert caught.value.remedy == "Raise gamma_high, or take zeta_mixup for a single gamma."


def test_an_integer_beyond_all_floats_is_refused_like_infinity() -> None:
    with pytest.raises(ParameterError, match="a pair of numbers above 0 and finite"):
        RandomResizedCrop(ratio=(1, 10**400))
