"""Options that several verbs share, each written once; and the request that they make."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..cells.request import Request

__all__ = [
    "Budget",
    "Chosen",
    "Measuring",
    "Places",
    "Results",
    "Runs",
    "Workers",
    "numbers",
    "path_option",
    "request",
    "seconds",
    "shared",
    "words",
]

Budget = Literal["smoke", "laptop", "paper"]
Chosen = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Cells with this setting only: beta=0.5, mld.p_joint=0.7 (of one model); several values choose several.",
    ),
]


def path_option(*names: str, **more: Any) -> Any:
    """An option that takes a path: '~' is the user's home wherever it stands first, which shells see to only where it
    begins a word ('--out=~/x.md' reaches us as it is)."""
    return typer.Option(*names, parser=_path, metavar="PATH", **more)


def _path(typed: str | Path) -> Path:
    """Raises ConfigError for the home of nobody: no folder named '~' is made; and for nothing, which is what a shell
    makes of a variable that is not set, and would be the folder one is in."""
    if not os.fspath(typed):
        raise ConfigError("a path is empty (a variable that is not set?): name a file or folder, or . for this folder")
    path = os.path.expanduser(typed)
    home = path.partition("/")[0]
    if home.startswith("~") and not os.path.lexists(home):
        raise ConfigError(f"{typed}: there is no home {home}; write ./{typed} for a file or folder of this name")
    return Path(path)


DataRoot = Annotated[
    Path, path_option("--data-root", envvar="MMBENCH_DATA", help="Folder that holds the datasets' files.")
]
Results = Annotated[Path, path_option("--results", help="Folder of the results, one small JSON file a cell.")]
Runs = Annotated[
    Path, path_option("--runs", envvar="MMBENCH_RUNS", help="Folder of trained models, judges and sample files.")
]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Use a folder that holds only part of the images, as NAME_partial.")
]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything is, and which dataset."""

    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="An installed one ('mmbench list'), module:Class, or a TOML file that describes folders of images; "
            "several, a,b, are computed one after the other.",
        ),
    ] = "glyphs"
    views: Annotated[
        int | None,
        typer.Option("--views", metavar="N", help="Use the first N views of PolyMNIST, as a dataset NAME_N."),
    ] = None
    data_root: DataRoot = Path("data")
    results: Results = Path("results")
    runs: Runs = Path("runs")
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")] = "auto"
    allow_partial: AllowPartial = False


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured and kept."""

    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="Measure these instead of the dataset's own: fid,fmd; default,prdc for its own and one more; or "
            "module:Class. May be given several times.",
        ),
    ] = None
    weights: Annotated[
        Path | None,
        path_option("--weights-root", envvar="MMBENCH_WEIGHTS", help="Folder of pretrained weights for metrics."),
    ] = None
    keep: Annotated[
        int,
        typer.Option("--save-samples", min=0, metavar="N", help="Keep the first N samples of each condition on disk."),
    ] = 0
    keep_format: Annotated[
        Literal["safetensors", "png"],
        typer.Option("--save-format", help="png: image and text files for other tools, beside the exact values."),
    ] = "safetensors"
    stale: Annotated[
        Literal["keep", "rerun"],
        typer.Option("--stale", help="What other code made is kept and named, or computed anew."),
    ] = "keep"


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who computes."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=0,
            metavar="N",
            envvar="MMBENCH_JOBS",
            help="Cells that are computed at once, each in a process of its own with its part of the cores (1; on a "
            "cluster as many as there is room for). 0: in this process, for a debugger.",
        ),
    ] = None
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="What a cell may take, 90s, 30m or 12h; then it is stopped, recorded as failed, and the others go on.",
        ),
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, metavar="N", help="Of each cell: the cores that there are, divided by --jobs; 1 by Ray."
        ),
    ] = None
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="WHERE",
            help="local; ray (Ray on this machine); or a cluster of Ray by its address: auto, HOST:6379, "
            "ray://HOST:10001.",
        ),
    ] = "local"
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-cell",
            min=0.0,
            metavar="SHARE",
            help="On a cluster: 0.25 lets four cells share a GPU (1 where there is one).",
        ),
    ] = None


def shared(*groups: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The verb's own options and, after them, those of these groups; the verb gets an instance of each group under
    the group's name in small letters."""

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        names = {group: group.__name__.lower() for group in groups}
        fields = {group: [f.name for f in dataclasses.fields(group)] for group in groups}

        def run(**values: Any) -> Any:
            made = {names[g]: g(**{name: values.pop(name) for name in fields[g]}) for g in groups}
            return verb(**values, **made)

        own = [p for p in inspect.signature(verb).parameters.values() if p.name not in names.values()]
        hints = get_type_hints(verb, include_extras=True)
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        for group in groups:
            parameters += _parameters(group)
        run.__name__, run.__doc__ = verb.__name__, verb.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def request(
    places: Places, measuring: Measuring | None = None, *, models: Sequence[str], seeds: Sequence[int], **more: Any
) -> Request:
    """The request of a verb."""
    from ..cells.request import Request

    values = dataclasses.asdict(places) | (dataclasses.asdict(measuring) if measuring else {})
    values["metrics"] = words(values.get("metrics"))
    return Request(models=tuple(models), seeds=tuple(dict.fromkeys(seeds)), **values, **more)


def seconds(typed: str) -> float:
    """'90', '90s', '30m', '12h' or '2d' in seconds; ConfigError for what is no positive time."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(typed.strip()[-1:].lower())
    try:
        value = float(typed.strip()[:-1] if unit else typed) * (unit or 1)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{typed!r} is no time: write 90s, 30m or 12h")
    return value


def words(values: Sequence[str] | None) -> tuple[str, ...]:
    """'a,b' and 'c' as ('a', 'b', 'c')."""
    return tuple(dict.fromkeys(word for value in values or () for word in value.split(",") if word))


def numbers(option: str, values: Sequence[str] | None) -> tuple[int, ...]:
    """'0,1' and '2' as (0, 1, 2); ConfigError, naming the option, for what is no whole number >= 0."""
    for word in words(values):
        if not word.strip().isdecimal():
            raise ConfigError(f"{option} {word!r} is no seed: write whole numbers, {option} 0,1,2")
    return tuple(dict.fromkeys(map(int, words(values))))


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in dataclasses.fields(group)
    ]
