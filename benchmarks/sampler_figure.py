"""The figure of `samplers.py`: each number against network calls, joint and conditional, from the table alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from mmbench.report.figures import save
from mmbench.report.figures.style import new_figure, styled

__all__ = ["draw_figure"]

WORDS = {
    "coherence": "coherence in % (higher is better)",
    "fmd": "FMD (lower is better)",
    "label_entropy": "entropy of the labels in nats",
    "latent_variance": "variance of the latents (1 is right)",
    "nn_diversity": "distance to the next sample (1 is right)",
    "nn_training": "distance to training latents (1 is right)",
}

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h", "d", "8")

TICKS = (10, 20, 40, 100, 250, 1000, 2410)


def draw_figure(rows: pd.DataFrame, path: Path) -> None:
    """One row of panels a number: of joint samples, and the mean of the conditional tasks. Points are means over seeds,
    bars their standard deviation; samplers of one family have one colour and marker."""
    side = rows["task"].eq("joint").map({True: "joint", False: "conditional"})
    keys = ["side", "metric", "family", "sampler", "calls", "seed"]
    means = rows.assign(side=side).groupby(keys, as_index=False)["value"].mean()
    families = sorted(means["family"].unique())
    colours = dict(zip(families, sns.color_palette("husl", len(families)), strict=True))
    with styled():
        figure = new_figure(11.0, 2.6 * len(WORDS))
        axes = figure.subplots(len(WORDS), 2, sharex=True, squeeze=False)
        for line, metric in zip(axes, WORDS, strict=True):
            for ax, kind in zip(line, ("joint", "conditional"), strict=True):
                shown = means[(means["metric"] == metric) & (means["side"] == kind)]
                if shown.empty:
                    ax.set_visible(False)
                    continue
                panel(ax, shown, colours)
                ax.set_title(f"{kind}: {WORDS[metric]}", fontsize=9)
        for ax in axes[-1]:
            ax.set_xlabel("network calls")
            ax.set_xticks(TICKS, [str(tick) for tick in TICKS])
            ax.set_xticks([], minor=True)
        handles = {
            text: handle for ax in axes.flat for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
        save(figure, path)


def panel(ax: Axes, rows: pd.DataFrame, colours: dict[str, tuple[float, float, float]]) -> None:
    """One number: a point for each sampler."""
    ax.set_xscale("log")
    for k, (family, colour) in enumerate(colours.items()):
        mine = rows[rows["family"] == family].groupby(["calls", "sampler"])["value"].agg(["mean", "std"]).reset_index()
        if len(mine):
            style = {"color": colour, "marker": MARKERS[k % len(MARKERS)], "markersize": 5, "capsize": 2}
            ax.errorbar(mine["calls"], mine["mean"], mine["std"].fillna(0.0), ls="none", label=family, **style)
