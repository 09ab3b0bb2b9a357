"""The chart beside the report; runs in the bench environment, with the results as JSON on stdin and a path to write."""

import json
import sys
from typing import Any

OURS, THEIRS = "#1f6f54", "#b9bec6"


def draw(results: dict[str, Any], path: str) -> None:
    """Contests above, growth curves below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = [curve for curve in results["curves"] if "," not in curve["axis"]]
    figure = pyplot.figure(figsize=(17, 8.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    for axes, (contest, contestants) in zip(
        above.subplots(1, len(results["contests"]), squeeze=False)[0], results["contests"].items(), strict=True
    ):
        _contest(axes, contest, contestants)
    for axes, curve in zip(below.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        _curve(axes, curve)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _contest(axes: Any, contest: str, contestants: list[dict[str, Any]]) -> None:
    ordered = sorted(contestants, key=lambda one: -one["ratio"])
    bars = axes.barh(
        [one["title"] for one in ordered],
        [one["ratio"] for one in ordered],
        color=[OURS if one["ours"] else THEIRS for one in ordered],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlim(0.8, 2.2 * max(one["ratio"] for one in ordered))
    axes.set_title(f"Wall time / ideal, {contest}", fontsize=10)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _curve(axes: Any, curve: dict[str, Any]) -> None:
    axes.plot(*zip(*curve["points"], strict=True), marker="o", color=OURS)
    axes.set_xscale("log", base=2 if curve["points"][-1][0] <= 8 else 10)
    axes.set_ylim(0, 1.1 * max(cost for _, cost in curve["points"]))
    axes.set_title(curve["axis"], fontsize=9)
    axes.set_ylabel(curve["unit"], fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
