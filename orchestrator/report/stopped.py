"""Who was stopped in which rung of a race, and why."""

from __future__ import annotations

from orchestrator.report.columns import of_columns
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.markup import filled
from orchestrator.report.searched import ROWS_AT_MOST, raced
from orchestrator.results import Column, Reached, rung_text, stopped_text


def stopped(material: Material) -> list[Figure]:
    """Return who was stopped in which rung, and why, for each column that is raced."""
    return of_columns(material, "stopped", _stopped_of)


def _stopped_of(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = raced(material, column)
    out = {each: at for each in found.raced.order if (at := found.raced.reached[each]).stop is not None}
    if not out:
        raise Unavailable("No configuration was stopped so far: zetasweep run goes on with the race.")
    shown = list(out)[:ROWS_AT_MOST]
    return Figure(
        name=name,
        title=f"Who was stopped, and why{ending}",
        sentence=_stopped_sentence(out, num_shown=len(shown)),
        html=filled(
            "stopped.html", rows=[{"label": found.called[each], **stopped_text(out[each])._asdict()} for each in shown]
        ),
        data={
            "metric": "best/error",
            "rows": {
                found.called[each]: {
                    "rung": at.standing.number,
                    "seeds": at.standing.rung.seeds,
                    "epochs": at.standing.rung.epochs,
                    "place": at.number,
                    "of": len(at.standing.places),
                    "mean": at.place.mean,
                    "cut": at.stop.cut if at.stop is not None else None,
                }
                for each, at in out.items()
            },
        },
    )


def _stopped_sentence(out: dict[str, Reached], *, num_shown: int) -> str:
    per_rung: dict[int, list[Reached]] = {}
    for at in out.values():
        per_rung.setdefault(at.standing.number, []).append(at)
    said = ", ".join(
        f"{len(per_rung[number])} in rung {number} ({rung_text(per_rung[number][0].standing.rung)})"
        for number in sorted(per_rung)
    )
    more = f" Shown are the {num_shown} that got furthest." if num_shown < len(out) else ""
    return (
        f"Stopped were {said}: whose validation error, mean over the seeds of the rung until its last epoch, was no "
        "better than that of the last to go on by its place; what is as good is told apart by the loss, then by the "
        f"order of the file. Their checkpoints are kept: without search they train on.{more}"
    )
