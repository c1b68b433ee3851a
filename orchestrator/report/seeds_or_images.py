"""What would narrow the intervals: more trainings, or more test images."""

from __future__ import annotations

import statistics

from orchestrator.amounts import counted
from orchestrator.report.columns import of_columns, points, scale, told
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import COLORS, INK, new_drawing
from orchestrator.results import Analysis, Column, about

# By how much seeds, or images, are multiplied.
TIMES = (1, 2, 3, 4, 6, 8)
OF_USUAL = (
    "Such an interval is that of a table like this one whose rows all spread alike, with a variance that is too low as "
    "often as too high; those of the table follow each row's own spread, and are not these."
)
TRAININGS, IMAGES = "trainings", "test images"


def seeds_or_images(material: Material) -> list[Figure]:
    """Return, for each column, what the width of its intervals comes from, and what would narrow them."""
    return of_columns(material, "seeds-or-images", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    told(material, column)
    analysis = material.comparison.new_images.get(column)
    entries = [material.comparison.entries[row, column] for row in material.comparison.rows]
    found = about(material.comparison, column)
    if found.in_folds:
        raise Unavailable("In folds each image has trainings of its own: what either adds cannot be told apart.")
    if analysis is None:
        raise Unavailable(f"What the test images add is not known: {found.why}.")
    num_seeds = max(2, round(statistics.median(entry.n for entry in entries if entry.is_judged)))
    of_seeds = 2 * analysis.variance / num_seeds
    total = of_seeds + analysis.image_variance
    if not total > 0:
        raise Unavailable("All trainings have the same value: there is no interval to narrow.")
    widths = {
        TRAININGS: [analysis.half_width(times * num_seeds) for times in TIMES],
        IMAGES: [analysis.half_width(num_seeds, times_images=times) for times in TIMES],
    }
    parts = {TRAININGS: of_seeds / total, IMAGES: analysis.image_variance / total}
    return Figure(
        name=name,
        title=f"Seeds or images{ending}",
        sentence=_sentence(material, analysis, num_seeds, parts, widths),
        draw=lambda: _drawn(material, num_seeds, parts, widths),
        data={
            "metric": material.comparison.metric.key,
            "seeds": num_seeds,
            "variance_of_a_difference": {"trainings": of_seeds, "test_images": analysis.image_variance},
            "half_width_times": list(TIMES),
            "half_width": {"more_seeds": widths[TRAININGS], "more_images": widths[IMAGES]},
        },
    )


def _sentence(
    material: Material, analysis: Analysis, num_seeds: int, parts: dict[str, float], widths: dict[str, list[float]]
) -> str:
    metric = material.comparison.metric
    narrower = min(widths, key=lambda what: widths[what][1])
    least = analysis.half_width(1000)
    never = f" No number of seeds brings it below ± {points(least, metric)}." if parts[IMAGES] > 0 else ""
    return (
        f"Of the variance of a difference with {counted(num_seeds, 'seed')}, {100 * parts[TRAININGS]:.0f} % come from "
        f"the trainings and {100 * parts[IMAGES]:.0f} % from the choice of the test images. Twice the seeds would make "
        f"an interval of ± {points(widths[TRAININGS][0], metric)} one of ± {points(widths[TRAININGS][1], metric)},"
        f" twice the images one of ± {points(widths[IMAGES][1], metric)}: more "
        f"{'seeds' if narrower == TRAININGS else 'test images'} would narrow it more.{never} {OF_USUAL}"
    )


def _drawn(material: Material, num_seeds: int, parts: dict[str, float], widths: dict[str, list[float]]) -> Drawing:
    metric, by = material.comparison.metric, scale(material.comparison.metric)
    drawing = new_drawing(2.6)
    shares, axes = drawing.subplots(1, 2, width_ratios=(1, 2.6))
    below = 0.0
    for place, (what, part) in enumerate(parts.items()):
        look = {"color": COLORS[place], "hatch": "" if place == 0 else "////", "edgecolor": "white"}
        shares.bar(0, 100 * part, bottom=below, width=0.5, **look)
        shares.annotate(f"{what}\n{100 * part:.0f} %", (0.32, below + 50 * part), va="center", annotation_clip=False)
        below += 100 * part
    shares.set_xlim(-0.3, 1.3)
    shares.set_xticks([])
    shares.spines["bottom"].set_visible(False)
    shares.set_ylabel(f"% of the variance with {counted(num_seeds, 'seed')}")
    for place, (what, found) in enumerate(widths.items()):
        label = "more seeds" if what == TRAININGS else "more test images"
        style = {"color": COLORS[place], "linestyle": ("-", "--")[place], "marker": ("o", "s")[place]}
        axes.plot(TIMES, [by * width for width in found], markersize=4, label=label, **style)
    axes.set_xticks(TIMES, [f"×{times}" for times in TIMES])
    axes.set_ylim(0)
    axes.axhline(by * widths[TRAININGS][0], color=INK, linewidth=0.5, linestyle=":")
    axes.set_xlabel("how many times as many")
    axes.set_ylabel("half of the interval" + (" in points" if metric.is_fraction else ""))
    axes.legend()
    return drawing
