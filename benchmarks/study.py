"""The study in results/: what it consists of, and the one command that computes what is missing of it.

    make study                        # compute what is missing, then write the report and README's headline
    make study STUDY=--dry-run        # what is there, what is missing, and how long that will take
    make study STUDY='--hours 2'      # end after two hours; the same call goes on later
    make study STUDY=--report         # the report and the headline only

Every part is a call of `mmbench run`, which `--dry-run` prints. Complete cells are kept, an interrupted one goes on
where it was. Start it in a clean checkout, for each cell records the commit that made it. Its judges are
kept in results/judges: copy the folder of results to another machine and they go on judging there.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from PIL import Image
from study_headline import draw_headline, fill_tables, headline_cells, write_headline
from study_judges import keep, lend

from mmbench import store
from mmbench.cells.estimate import complete
from mmbench.cells.plan import CellPlan, Planner
from mmbench.cells.request import Request
from mmbench.cli.terminal import Terminal
from mmbench.engine.hand import Hand
from mmbench.errors import MmbenchError
from mmbench.progress import Progress, duration
from mmbench.report.figures import write_figures
from mmbench.report.selection import Selection

VAES = "mvae,mmvae,mopoe,nexus,mvtcae"
SEVEN = f"mld,{VAES},mmvae_dreg"
TWINS = "multivae:MVAE,multivae:MMVAE,multivae:MoPoE,multivae:MVTCAE,multivae:Nexus"
"""The peer library's own of models that this suite has."""
HEADLINE = ("mnist_fashion", "laptop")
"""The dataset and budget of README's table and picture."""
SAMPLES = "-samples-"
"""In the names of pictures that need the samples of a runs folder."""
TRAINING = "-training-"
"""In the names of training curves."""


@dataclass(frozen=True)
class Part:
    """Some models on a dataset, a cell for each seed."""

    models: str
    dataset: str
    seeds: int
    budget: str = "laptop"
    settings: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The call of `mmbench`, its places left out."""
        more = [word for setting in self.settings for word in ("--set", setting)]
        return ["run", "--model", self.models, "--dataset", self.dataset, "--budget", self.budget,
                "--seeds", str(self.seeds), *more]  # fmt: skip

    def plans(self, places: Places) -> list[CellPlan]:
        """The cells that are missing."""
        request = Request(
            models=tuple(self.models.split(",")), dataset=self.dataset, seeds=range(self.seeds), budget=self.budget,
            settings=list(self.settings), data_root=places.data, results=places.results, runs=places.runs,
        )  # fmt: skip
        shop = Hand(request, Progress()).shop
        return [plan for plan in Planner(shop).plan() if not complete(plan, shop)]


STUDY = (
    Part(SEVEN, "mnist_fashion", 5),
    Part("mld_uni,mld_inpaint", "mnist_fashion", 5),
    Part(SEVEN, "glyphs", 5),
    Part("multivae:MMVAEPlus,multivae:CMVAE", "mnist_fashion", 3),
    Part("mld,mvae,mopoe,mvtcae,mmvae", "polymnist_drawn", 3),
    Part("mld,mopoe,mvtcae", "flowers", 2),
    Part(TWINS, "mnist_fashion", 3),
    Part("mld,mld_uni", "mnist_fashion", 3, settings=("sampler.kind=path",)),
    Part(SEVEN, "mnist_fashion", 3, settings=("eval.second_judge=wide",)),
    Part("nexus,mopoe", "mnist_fashion", 1, settings=("schedule.steps=32000",)),
    Part("mvae,mopoe,mvtcae", "mnist_fashion", 3, settings=("beta=2.5",)),
    Part("mvtcae", "mnist_fashion", 3, settings=("prior_expert=true",)),
    Part("mvae,mopoe,mvtcae", "mnist_fashion", 3, settings=("latent=64",)),
    Part("mopoe,mvtcae", "mnist_fashion", 3, settings=("schedule.precision=bfloat16",)),
)
"""By what is wanted first."""


@dataclass(frozen=True)
class Places:
    """Where everything lies."""

    data: Path
    results: Path
    runs: Path
    jobs: int

    def words(self) -> list[str]:
        return ["--data-root", str(self.data), "--results", str(self.results), "--runs", str(self.runs),
                "--jobs", str(self.jobs)]  # fmt: skip


def needed(part: Part, places: Places, cells: Sequence[store.Cell]) -> str:
    """'12 cells are missing: about 40 min', as long as cells of the same models have taken."""
    plans = part.plans(places)
    if not plans:
        return "complete"
    known = [seconds(plan, cells) for plan in plans]
    told = [each for each in known if each is not None]
    unknown = len(known) - len(told)
    time_words = [f"about {duration(sum(told) / places.jobs)}"] if told else []
    time_words += [f"{unknown} of models that no cell tells the time of; `--dry-run` of the call probes them"] * (
        unknown > 0
    )
    one = len(plans) == 1
    return f"{len(plans)} cell{'s' * (not one)} {'is' if one else 'are'} missing: {', and '.join(time_words)}"


def seconds(plan: CellPlan, cells: Sequence[store.Cell]) -> float | None:
    """What complete cells of the same model, dataset and budget took, the median, those of the same settings before
    others, whose number of steps is counted; None where there are none."""
    key = plan.key
    same = [
        cell
        for cell in cells
        if (cell["model"]["name"], cell["dataset"]["name"], cell["budget"]) == (key.model, key.dataset, key.budget)
    ]
    alike = [cell for cell in same if cell["hash"] == key.hash]
    times = [sum(cell["time"].values()) * longer(plan, cell) for cell in alike or same]
    return median(times) if times else None


def longer(plan: CellPlan, cell: store.Cell) -> float:
    """How many times a cell's steps the plan has; 1 where a model has no schedule of that name."""
    planned = getattr(getattr(plan.config, "schedule", None), "steps", None)
    taken = (cell["config"].get("schedule") or {}).get("steps")
    return planned / taken if planned and taken else 1.0


def say(parts: Sequence[Part], places: Places) -> None:
    """A line for each part."""
    cells = store.cells(places.results)
    for part in parts:
        try:
            print(f"mmbench {shlex.join(part.words())}\n    {needed(part, places, cells)}")
        except MmbenchError as error:
            print(f"mmbench {shlex.join(part.words())}\n    cannot be run: {error}")


def mmbench(words: Sequence[str], deadline: float = float("inf")) -> int:
    """Call the command line; its exit status. At the deadline it is interrupted, which loses nothing."""
    print(f"mmbench {shlex.join(words)}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "mmbench", *words])
    try:
        return process.wait(None if deadline == float("inf") else max(0.0, deadline - time.monotonic()))
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as stop:
        if isinstance(stop, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
        process.wait()
        raise KeyboardInterrupt from None


def run(parts: Sequence[Part], places: Places, deadline: float) -> int:
    """Compute what is missing, part by part; how many parts ended with an error."""
    return sum(mmbench([*part.words(), *places.words()], deadline) != 0 for part in parts)


def draw(places: Places) -> None:
    """Figures as a page shows them: PNG alone, a column wide (README's a page), of 256 colours, and without those that
    report.html alone shows, so that they fit into the repository."""
    found = Selection(recipes=True).of(store.gather(places.results))
    folder = places.results / "figures"
    made = write_figures(found.cells, places.runs, folder, Terminal(), width="column", forms=("png",))
    drawn = [path for path in made if not _on_the_page_alone(path.stem)]
    if (first := draw_headline(headline_cells(places.results, *HEADLINE, SEVEN.split(",")), folder)) is not None:
        drawn.append(first)
    for path in drawn:
        with Image.open(path) as picture:
            few = picture.convert("RGB").quantize(256)
        few.save(path, optimize=True)
    for old in set(folder.glob("*.png")) - set(drawn):
        if _on_the_page_alone(old.stem) or not _of_samples_elsewhere(old, drawn, found.cells):
            old.unlink()


def _on_the_page_alone(name: str) -> bool:
    """Of the training, of reconstructions, and of what is made from neither one nor all other modalities."""
    given, goes, made = name.partition(SAMPLES)[2].partition("-to-")
    sets = [part.split("+") for part in (given, made)]
    between = bool(goes) and len(sets[0]) > 1 and len(sets[1]) > 1
    return TRAINING in name or bool(goes and sets[0] == sets[1]) or between


def _of_samples_elsewhere(old: Path, drawn: Sequence[Path], cells: Sequence[store.Cell]) -> bool:
    """Whether a picture shows samples of a table that is still there, of whose samples this runs folder has none."""
    table, shows, _ = old.name.partition(SAMPLES)
    there = table in {f"{cell['dataset']['name']}-{cell['budget']}" for cell in cells}
    return bool(shows) and there and not any(path.name.startswith(table + SAMPLES) for path in drawn)


def report(places: Places) -> int:
    """All that is made of the cells; how many of the calls ended with an error. Every cell is in report.md and
    numbers.csv, pages and figures are of the recipes' own settings."""
    base = ["report", "--results", str(places.results), "--runs", str(places.runs)]
    out = places.results
    for added in keep(store.cells(out), out, places.runs):
        print(f"{added.relative_to(out)}: judges the study")
    failed = mmbench([*base, "--out", str(out / "report.md")]) != 0
    failed += mmbench([*base, "--recipes", "--out", str(out / "recipes.md")]) != 0
    draw(places)
    failed += mmbench([*base, "--format", "csv-wide", "--out", str(out / "numbers.csv")]) != 0
    for form, name in (("html", "report.html"), ("tex", "tables.tex")):
        failed += mmbench([*base, "--recipes", "--format", form, "--out", str(out / name)]) != 0
    write_headline(places.results, *HEADLINE, SEVEN.split(","))
    if (findings := out / "FINDINGS.md").exists():
        fill_tables(findings, places.results)
    return int(failed)


def main(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing and how long it takes.")] = False,
    only_report: Annotated[bool, typer.Option("--report", help="The report and README's headline only.")] = False,
    hours: Annotated[float, typer.Option("--hours", min=0, help="End after so many.")] = float("inf"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Cells at once.")] = max(1, min(2, os.cpu_count() or 1)),
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    results: Annotated[Path, typer.Option("--results")] = Path("results"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS")] = Path("runs"),
) -> None:
    places, deadline = Places(data_root, results, runs, jobs), time.monotonic() + 3600 * hours
    try:
        stopped, failed = compute(places, deadline, dry_run) if not only_report else (False, 0)
        if not dry_run and store.cells(results):
            failed += report(places)
    except MmbenchError as error:
        print(f"study: {error}")
        raise typer.Exit(1) from None
    if stopped:
        print("Stopped; the same call goes on where it was.")
        raise typer.Exit(130)
    if failed:
        print(f"{failed} calls ended with an error, see above; the same call tries again.")
        raise typer.Exit(1)


def compute(places: Places, deadline: float, dry_run: bool) -> tuple[bool, int]:
    """Say what is missing, and unless `dry_run` compute it: whether it was stopped, and how many parts failed."""
    say(STUDY, places)
    if dry_run:
        return False, 0
    lend(places.results, places.runs)
    try:
        return False, run(STUDY, places, deadline)
    except KeyboardInterrupt:
        return True, 0


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
