"""The command line. torch is imported inside the verbs that need it, so that `--help` and `list` answer at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from . import plugins, store
from .errors import MmbenchError, ResultError, near
from .progress import Advance, Progress

if TYPE_CHECKING:
    from .runner import Outcome

__all__ = ["app", "main"]

app = typer.Typer(
    help="Multi-modal generative models on equal terms: train, generate, evaluate, report.\n\n"
    "Start with: mmbench run, then mmbench report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Bring the files of a dataset, or check them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

console = Console(stderr=True, soft_wrap=True, highlight=False)

DataRoot = Annotated[
    Path, typer.Option("--data-root", envvar="MMBENCH_DATA", help="Folder that holds the datasets' files.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of the results, one small JSON file a cell.")]
Runs = Annotated[
    Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Folder of checkpoints, caches and sample files.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", help="Measure these instead of the dataset's own: fid,fmd; may be given several times."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights-root", envvar="MMBENCH_WEIGHTS", help="Folder of pretrained weights that metrics need."),
]
Keep = Annotated[
    int,
    typer.Option("--save-samples", min=0, metavar="N", help="Keep the first N samples of each condition on disk."),
]
KeepFormat = Annotated[
    Literal["safetensors", "png"],
    typer.Option("--save-format", help="png: image and text files for other tools, beside the exact values."),
]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Use a folder that holds only part of the images, as NAME_partial.")
]
DATA, RESULTS, RUNS = Path("data"), Path("results"), Path("runs")


@app.command()
def run(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="An installed model, 'all', or module:Class; may be given several times."),
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", help="See 'mmbench list'.")] = "glyphs",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 5 means seeds 0 to 4.")] = 1,
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, help="This seed, instead of --seeds; may be given several times."),
    ] = None,
    budget: Annotated[
        Literal["smoke", "laptop", "paper"] | None,
        typer.Option(
            "--budget",
            help="smoke: seconds a cell; laptop: minutes; paper: the published schedule (wants a GPU). "
            "The paper's own datasets default to paper, the others to laptop.",
        ),
    ] = None,
    data_root: DataRoot = DATA,
    results: Annotated[
        Path, typer.Option("--results", "--out", help="Folder of the results, one small JSON file a cell.")
    ] = RESULTS,
    runs: Runs = RUNS,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a setting: width=256, score.steps=2000, mld.p_joint=0.7 (one model of several), "
            "eval.count=2000 (the protocol). --dry-run shows them all.",
        ),
    ] = None,
    metrics: Metrics = None,
    weights: Weights = None,
    keep: Keep = 0,
    keep_format: KeepFormat = "safetensors",
    allow_partial: AllowPartial = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and their settings, compute none.")
    ] = False,
) -> None:
    """Train, generate and evaluate: one cell for each model and seed.

    Cells that are complete are skipped; an interrupted run goes on where it stopped when it is started again.

    \b
    mmbench run                                             MLD on the embedded glyphs
    mmbench run --model mld --model mvae --seeds 5
    mmbench run --model all --dataset mnist_fashion --data-root data
    """
    from .runner import Request, Runner

    request = Request(
        models=tuple(model or ["mld"]),
        dataset=dataset,
        seeds=tuple(dict.fromkeys(seed)) if seed else tuple(range(seeds)),
        budget=budget,
        settings=tuple(settings or ()),
        data_root=data_root,
        results=results,
        runs=runs,
        device=device,
        metrics=_words(metrics),
        weights=weights,
        keep=keep,
        keep_format=keep_format,
        allow_partial=allow_partial,
    )
    runner = Runner(request, Terminal())
    if dry_run:
        _show_plan(runner)
        return
    _finish(runner.run, results)


@app.command()
def evaluate(
    dataset: Annotated[str, typer.Option("--dataset", help="See 'mmbench list'.")] = "glyphs",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Cells of this model only; may be given several times.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="Cells of this seed only; may be given several times.")
    ] = None,
    budget: Annotated[
        Literal["smoke", "laptop", "paper"] | None, typer.Option("--budget", help="Cells of this budget only.")
    ] = None,
    metrics: Metrics = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    weights: Weights = None,
    keep: Keep = 0,
    keep_format: KeepFormat = "safetensors",
    allow_partial: AllowPartial = False,
    data_root: DataRoot = DATA,
    results: Results = RESULTS,
    runs: Runs = RUNS,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure more of finished cells, from their trained models or kept samples; nothing is trained.

    A cell that lacks nothing is left as it is.

    \b
    mmbench evaluate --dataset mnist_svhn --metrics fid
    mmbench evaluate --dataset cub --metrics clip_s --weights-root weights
    mmbench evaluate --dataset glyphs --save-samples 1000 --save-format png
    """
    from .runner import Request, Runner

    request = Request(
        models=tuple(model or ()),
        dataset=dataset,
        seeds=tuple(seed or ()),
        budget=budget,
        metrics=_words(metrics),
        again=again,
        keep=keep,
        keep_format=keep_format,
        data_root=data_root,
        results=results,
        runs=runs,
        weights=weights,
        device=device,
        allow_partial=allow_partial,
    )
    _finish(Runner(request, Terminal()).evaluate, results)


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="The picture to write, a PNG.")],
    dataset: Annotated[str, typer.Option("--dataset", help="See 'mmbench list'.")] = "glyphs",
    model: Annotated[str, typer.Option("--model", help="A model with a finished cell.")] = "mld",
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            metavar="MODALITY=VALUE",
            help="A text or an image file; may be given several times.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="What to generate, where not all that is not given."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Number of samples.")] = 8,
    noise: Annotated[int, typer.Option("--noise-seed", min=0, help="Another seed, other samples.")] = 0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of this training seed's cell.")] = None,
    budget: Annotated[
        Literal["smoke", "laptop", "paper"] | None, typer.Option("--budget", help="Of a cell of this budget.")
    ] = None,
    allow_partial: AllowPartial = False,
    data_root: DataRoot = DATA,
    results: Results = RESULTS,
    runs: Runs = RUNS,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Generate from a finished cell's model, given anything or nothing; draw a picture, print texts.

    \b
    mmbench sample --out joint.png
    mmbench sample --dataset glyphs --given name=seven --out sevens.png
    mmbench sample --dataset cub --given caption="a small yellow bird with black wings" --out birds.png
    mmbench sample --dataset mnist_svhn --given mnist=digit.png --count 20 --out svhn.png
    """
    from .report.figures import given_grid, save
    from .runner import Request, Runner

    request = Request(
        models=(model,),
        dataset=dataset,
        seeds=() if seed is None else (seed,),
        budget=budget,
        data_root=data_root,
        results=results,
        runs=runs,
        device=device,
        allow_partial=allow_partial,
    )
    sampled = Runner(request, Terminal()).sample(given or (), target or (), count, noise)
    for name, values in sampled.made.items():
        if values.dtype.kind == "U":
            typer.echo("\n".join(f"{name}: {text}" for text in values.tolist()))
    title = f"{sampled.key.model} on {sampled.key.dataset}, seed {sampled.key.seed}, budget {sampled.key.budget}"
    console.print(f"wrote {save(given_grid(sampled.given, sampled.made, title), out)}")


@app.command()
def report(
    results: Results = RESULTS,
    dataset: Annotated[str | None, typer.Option("--dataset", help="This dataset only.")] = None,
    format: Annotated[Literal["md", "csv", "tex"], typer.Option("--format", help="Form of the tables.")] = "md",
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file, not to the terminal.")] = None,
    figures: Annotated[Path | None, typer.Option("--figures", help="Write the plots into this folder.")] = None,
    runs: Runs = RUNS,
) -> None:
    """Print the tables, with the paper's numbers beside ours where dataset and model are the paper's."""
    from .report import render

    cells, failures = store.cells(results, dataset), store.failures(results, dataset)
    if dataset and not cells and not failures:
        found = {cell["dataset"]["name"] for cell in store.cells(results)}
        raise ResultError(f"{results} holds no cells of {dataset!r}; {near(dataset, found)}")
    text = render(cells, failures, format)
    if out is None:
        typer.echo(text, nl=False)
    else:
        store.write_text(out, text)
        console.print(f"wrote {out}")
    if figures is not None:
        from .report.figures import write_figures

        for path in write_figures(cells, runs, figures, Terminal()):
            console.print(f"wrote {path}")


@app.command(name="list")
def list_() -> None:
    """List the installed models, datasets and metrics, and who brought them."""
    table = Table("kind", "name", "class", "from", box=None, pad_edge=False)
    for kind, group in (("model", plugins.MODELS), ("dataset", plugins.DATASETS), ("metric", plugins.METRICS)):
        for plugin in plugins.available(group).values():
            table.add_row(kind, plugin.name, plugin.value, plugin.source)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="An installed model, or module:Class.")],
) -> None:
    """Does a model keep the contract? A line for each check; exit code 1 if one fails."""
    from .checks import run_checks

    plugins.find(plugins.MODELS, model)
    failed = 0
    for result in run_checks(model):
        typer.echo(result.line())
        failed += not result.ok
    if failed:
        typer.echo(f"{failed} failed")
        raise typer.Exit(1)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A dataset, see 'mmbench list'.")],
    data_root: DataRoot = DATA,
) -> None:
    """Bring a dataset's files to the data root and verify them."""
    typer.echo(_source(name).fetch(data_root))


@data_app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A dataset, see 'mmbench list'.")],
    data_root: DataRoot = DATA,
    allow_partial: AllowPartial = False,
) -> None:
    """Check a dataset's files."""
    source = _source(name)
    source.allow_partial = allow_partial
    typer.echo(source.verify(data_root))


def main() -> NoReturn:
    """The console script: errors a user can meet are one sentence and an exit code, never a traceback."""
    try:
        app()
    except MmbenchError as error:
        console.print(f"mmbench: {error}", markup=False)
        sys.exit(1)
    sys.exit(0)


class Terminal(Progress):
    """Bars with rate and time left on a terminal; now and then a line elsewhere."""

    SECONDS = 30.0
    """Between two lines where there is no terminal."""

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        show = self._bars if console.is_terminal else self._lines
        with show(title, total, unit, done) as advance:
            yield advance

    def say(self, message: str) -> None:
        console.print(message, markup=False)

    @contextmanager
    def _bars(self, title: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        columns = (
            TextColumn("  {task.description:<28}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=console) as bars:
            task = bars.add_task(title, total=total, completed=done, note="", rate="")

            def advance(steps: int = 1, note: str = "") -> None:
                bars.update(task, advance=steps)
                if note:
                    bars.update(task, note=note)
                speed = bars.tasks[0].speed
                bars.update(task, rate=f"{speed:.1f} {unit}s/s" if speed else "")

            yield advance

    @contextmanager
    def _lines(self, title: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        start = last = time.monotonic()
        fresh, latest = 0, ""

        def line(now: float) -> str:
            rate = fresh / max(now - start, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
            return f"  {title}: {done}/{total} {unit}s, {rate:.1f}/s, {now - start:.0f} s{left} {latest}".rstrip()

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done, fresh, latest, last
            done, fresh, latest = done + steps, fresh + steps, note or latest
            now = time.monotonic()
            if now - last > self.SECONDS and done < total:
                last = now
                console.print(line(now), markup=False)

        yield advance
        console.print(line(time.monotonic()), markup=False)


def _words(values: list[str] | None) -> tuple[str, ...]:
    """'a,b' and 'c' as ('a', 'b', 'c')."""
    return tuple(dict.fromkeys(word for value in values or () for word in value.split(",") if word))


def _finish(work: Callable[[], Outcome], results: Path) -> None:
    """Do the work of a runner, say what became of the cells, and end with the right exit code."""
    try:
        outcome = work()
    except KeyboardInterrupt:
        console.print("mmbench: interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    extended = f"{len(outcome.extended)} extended, " if outcome.extended else ""
    console.print(
        f"{len(outcome.complete)} computed, {extended}{len(outcome.skipped)} complete already, "
        f"{len(outcome.failed)} failed. Next: mmbench report --results {results}"
    )
    if outcome.failed or outcome.broken or outcome.left_out:
        raise typer.Exit(1)


def _source(name: str):
    from .data.dataset import DatasetSource

    source: type[DatasetSource] = plugins.load(plugins.DATASETS, name, DatasetSource)
    return source()


def _show_plan(runner) -> None:
    import json

    from .config import to_json

    plans = runner.plan()
    shown = set()
    for plan in plans:
        if plan.key.model not in shown:
            shown.add(plan.key.model)
            settings = {"config": to_json(plan.config), "eval": to_json(plan.protocol)}
            typer.echo(f"{plan.key.model} {json.dumps(settings, indent=2)}")
    for plan in plans:
        state = "complete" if store.existing(runner.request.results, plan.key) else "to compute"
        typer.echo(f"{plan.key.path(runner.request.results)}  {state}")


if __name__ == "__main__":
    main()
