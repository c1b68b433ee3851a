"""What may be said where more than one table is looked at: of several data sets, and of one that grows."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence

from orchestrator.results.statistics.verdicts import ALPHA

# The error rate of one table of those that are looked at with 3, 4, ... 10 seeds: of all of them together it is ALPHA.
_OF_A_LOOK = 0.013


def partial_conjunction(p_values: Sequence[float], *, alpha: float = ALPHA) -> int:
    """Return on how many of D data sets at least a row is better, as far as that may be said; 0 for none.

    "On at least u of D" may be said if (D - u + 1) times the u-th smallest p-value is below `alpha`: of the others, so
    many are left that one of them is small by chance. On which ones is not said.

    Args:
        p_values: Of each data set, that the row is not better there; 1 where it is worse. Two models on one data set
            are not two data sets.
        alpha: The probability that too many are said, of data sets whose trainings are independent.

    Source: Benjamini and Heller, "Screening for partial conjunction hypotheses", Biometrics 64 (2008).
    """
    num = len(p_values)
    claimed = [at for at, p in enumerate(sorted(p_values), start=1) if (num - at + 1) * p < alpha]
    return max(claimed, default=0)


def looks_alpha(looks: Iterable[Collection[Hashable]], seeds: Collection[Hashable], *, alpha: float = ALPHA) -> float:
    """Return the error rate of a table, where tables of fewer seeds were looked at before.

    Who adds seeds until rows are told apart would find that in 16 % of tables in which nothing differs.

    Args:
        looks: The seeds that stood at each time that the table was looked at.
        seeds: Those that stand now.
        alpha: That of a table that is looked at once.
    """
    now = set(seeds)
    grew = any(now - set(look) for look in looks if look)
    return alpha * _OF_A_LOOK / ALPHA if grew else alpha
