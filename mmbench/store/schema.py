"""The form of a cell's file: every key with what it means, validated on writing and on reading.

The records are plain dictionaries (`TypedDict`), so that a report reads the JSON as it is; pydantic checks types,
finiteness and sizes, and refuses keys that are not here. What no type can say is checked after it: the points of a
stage's history go together, modalities have names of their own, no row stands there twice. A report takes all of this
for granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import AllowInfNan, ConfigDict, FailFast, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # typing's own can carry no configuration before Python 3.12

from .bounds import LENGTH, excess, place

__all__ = [
    "SCHEMA",
    "Cell",
    "CodeRecord",
    "CostRecord",
    "DatasetRecord",
    "Environment",
    "HarnessRecord",
    "MetricRecord",
    "ModalityRecord",
    "ModelRecord",
    "QuantityRecord",
    "RowRecord",
    "StageRecord",
    "fault",
]

SCHEMA = 3
"""Version of the file format; a file of another version is refused, never guessed at."""

Text = Annotated[str, Field(max_length=LENGTH)]
Word = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(max_length=1000, pattern=r"\S")]
"""A word that is not blank: it is printed as a heading, or is a part of a path."""
Number = Annotated[float, AllowInfNan(False)]
Measured = Annotated[float, AllowInfNan(False), Field(ge=-1e100, le=1e100)]
"""A number that means and standard deviations are taken of: its square is finite, too."""
Amount = Annotated[float, AllowInfNan(False), Field(ge=0, le=1e100)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Few = Field(max_length=100)
Many = Field(max_length=10_000)
Settings = Annotated[dict[Word, Any], Few]
"""JSON data within the bounds of `store.bounds`."""
Module = Annotated[str, Field(pattern=r"^[\w.-]{1,200}$")]
Code = Annotated[dict[Module, Word], Few]
"""Package (or part of the harness) -> identity of its code, see `store.provenance`."""

strict = with_config(ConfigDict(extra="forbid", strict=True))


@strict
class ModalityRecord(TypedDict):
    """One modality as the models saw it: all of this must agree within a table."""

    name: Name
    title: Word  # its name in print
    shape: Annotated[list[Count], Field(max_length=8)]
    network: Word  # the architecture that every model was given
    latent: Count  # size of the uni-modal latent
    likelihood: Word
    scale: Number
    weight: Number  # reconstruction weight of the VAEs
    tokens: Count  # size of a text's vocabulary; 0 for an image


@strict
class DatasetRecord(TypedDict):
    name: Name  # the dataset in results and on disk
    typed: NotRequired[Name]  # the word typed after --dataset, where it is not the name: 'module:Class', a file's path
    views: NotRequired[Count]  # of a dataset that has a choice, where not all were asked for
    title: Word  # the name in print
    family: Word  # of recipes: 'digits', 'captions'
    fingerprint: Word  # hash over every byte of the data
    split: Literal["test", "validation"]  # what the cell was measured on
    train: Count  # tuples trained on
    test: Count  # tuples of the split that is measured on
    classes: Count  # of the shared label; 0 where there is none
    modalities: Annotated[list[ModalityRecord], Field(min_length=1), Few]  # in the dataset's order, names distinct
    primary: NotRequired[
        Annotated[list[Annotated[list[Name], Field(min_length=3, max_length=3)]], Few]
    ]  # the main table's columns: metric, task, modality; older files have none


ModelRecord = TypedDict(
    "ModelRecord",
    {
        "name": Name,  # the model in results and on disk
        "typed": Name,  # the word typed after --model
        "class": Word,  # 'module:Class'
        "distribution": Word,  # who brought it: 'mmbench 0.1.0'
    },
)


@strict
class HarnessRecord(TypedDict):
    training: Word
    measuring: Word


@strict
class CodeRecord(TypedDict):
    """Identities of the code that made the cell's weights and samples."""

    model: Code  # the packages of the model's class
    dataset: Code  # the packages of the dataset's class
    harness: HarnessRecord


@strict
class RowRecord(TypedDict):
    metric: Name  # 'coherence', 'fmd', ...
    plugin: Name  # the metric plugin that made the row: 'fmd' makes 'fmd' and 'fmd_ratio'
    task: Name  # 'joint', 'mnist->svhn'; 'mnist->mnist' is a reconstruction
    modality: Name  # the judged one; 'mnist+svhn' where the number belongs to several
    value: Measured
    count: Count  # samples behind the number
    judge: Word  # the frozen network that judged, with its accuracy; 'exact' where none was needed
    identity: Word  # 8 hex digits of that judge's weights; '' where none judged
    reference: Word  # 8 hex digits of the reference autoencoder that the value is relative to; '' where there is none
    higher_is_better: bool | None  # None for a number that is only described
    unit: Word  # '%', 'nats', '' ...
    interval: Annotated[list[Measured], Field(min_length=2, max_length=2)] | None  # 95 %, of the value over its samples
    note: Text  # a warning that belongs beside the number
    data: Word  # of a reference point: which real data it was measured on; '' for a model's samples
    source: Literal["model", "real", "shuffled", "reconstruction"]  # whose samples were measured


@strict
class QuantityRecord(TypedDict):
    """What a metric declares of its rows of one name."""

    title: Word  # the name in print; '' where the report makes one
    group: Word  # what it speaks of: 'coherence', 'quality', 'diversity', ...; '' where nothing is said


@strict
class MetricRecord(TypedDict):
    distribution: Word  # who brought the metric: 'mmbench 0.1.0'
    seconds: Number  # wall time of its own work, drawing the samples not counted
    commit: Word | None  # git commit of the code that measured
    code: Code  # identities of the metric's packages and of the harness's measuring path
    quantities: NotRequired[Annotated[dict[Word, QuantityRecord], Few]]  # its rows' names -> what is declared of them


History = Annotated[list[Measured | None], FailFast(), Many]


@strict
class StageRecord(TypedDict):
    steps: Count  # optimiser steps
    seconds: Number  # wall time of its training, whoever trained it first
    skill: Annotated[
        dict[Word, Number | None], Few
    ]  # what the stage said of itself on validation tuples; None where not finite
    collapsed: Annotated[list[Text], Few]  # why it counts as collapsed: a sentence for each skill that is too small
    precision: NotRequired[Word]  # the arithmetic that it was trained in: 'float32', 'bfloat16'
    artefact: Word  # where its weights are: 'stage/<key>'
    parameters: NotRequired[Count]  # trained ones
    gflop: NotRequired[Amount | None]  # 10^9 floating-point operations of its training; None where not counted
    history: Annotated[dict[Word, History], Few]  # 'step' and every loss term, equally long; None where not computed


@strict
class Environment(TypedDict):
    python: NotRequired[Word]
    torch: NotRequired[Word]
    mmbench: NotRequired[Word]
    platform: NotRequired[Word]
    device: NotRequired[Word]
    commit: NotRequired[Word | None]  # git commit as the process started, '-dirty' where files were changed
    finished: NotRequired[Word]  # when, ISO 8601, UTC


@strict
class CostRecord(TypedDict):
    """What a cell takes of a machine, beside the seconds of its stages, phases and metrics."""

    parameters: Count  # of the whole model
    gflop: Amount | None  # 10^9 floating-point operations of all training; None where a stage's were not counted
    calls: Annotated[
        dict[Word, Annotated[dict[Word, Amount], Many]], Many
    ]  # phase -> module -> how often it computes for one sample with all its targets; empty where nothing was drawn
    gflop_per_sample: Amount | None  # of one joint sample of all modalities; None where it could not be drawn
    memory: Amount | None  # MB (10^6 bytes) at most; None where the system does not say it
    memory_of: Word  # what that is the memory of: the process or the GPU, and since when


@strict
class Cell(TypedDict):
    schema: Literal[3]  # SCHEMA
    dataset: DatasetRecord
    model: ModelRecord
    budget: Name  # 'smoke', 'laptop', 'paper'
    hash: Name  # of what was run, code apart; the folder carries it too
    seed: Count  # training seed
    config: Settings  # the model's full configuration
    protocol: Settings  # how it was measured: mmbench.config.Protocol
    missing: NotRequired[
        Annotated[float, AllowInfNan(False), Field(gt=0, lt=1)]
    ]  # probability with which each modality of a training tuple was dropped; none where they were whole
    overrides: Annotated[dict[Word, Any], Many]  # settings that are not the recipe's; the protocol's begin with 'eval.'
    code: CodeRecord
    status: Literal["complete", "failed"]
    reason: Text | None  # of a failure, one sentence
    metrics: Annotated[dict[Word, MetricRecord], Few]  # the metrics that were measured
    left_out: Annotated[
        dict[Word, Text], Few
    ]  # metric -> why it could not be measured; `mmbench evaluate` adds it when it can
    rows: Annotated[list[RowRecord], FailFast(), Field(max_length=100_000)]
    stages: Annotated[dict[Word, StageRecord], Few]
    time: Annotated[dict[Word, Number], Many]  # phase -> wall seconds
    calls: Annotated[dict[Word, Annotated[dict[Word, Count], Many]], Many]  # phase -> module -> number of forward calls
    cost: NotRequired[CostRecord]
    environment: Environment
    samples: Word | None  # the sample file, relative to the runs folder; None where none was kept


def fault(data: Any) -> str | None:
    """What is wrong first with the data of a cell's file, 'rows.3.value: input should be a valid number'; else None."""
    if beyond := excess(data):
        return beyond
    return _first_error(Cell, data) or next(_disagreements(cast(Cell, data)), None)


def row_fault(row: Mapping[str, Any]) -> str | None:
    """The same of one row, before it is known who made it: 'metric: input should be a valid string'."""
    whole = {**row, "plugin": "?", "source": "model", "data": ""}
    return excess(whole) or _first_error(RowRecord, whole)


@cache
def _checker(kind: Any) -> TypeAdapter[Any]:
    """Made when it is first asked for: it takes as long as the rest of `mmbench --help`."""
    return TypeAdapter(kind)


def _first_error(kind: Any, data: Any) -> str | None:
    try:
        _checker(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{place(first['loc'])}: {first['msg'].lower()}"
    return None


def _disagreements(cell: Cell) -> Iterator[str]:
    """What no type can say."""
    names = [modality["name"] for modality in cell["dataset"]["modalities"]]
    if len(set(names)) < len(names):
        yield "dataset.modalities: two have one name"
    for stage, record in cell["stages"].items():
        history = record["history"]
        if history and ("step" not in history or len({len(points) for points in history.values()}) > 1):
            yield f"{place(['stages', stage, 'history'])}: its lists, 'step' among them, should be equally long"
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(cell["rows"]):
        first = seen.setdefault((row["source"], row["metric"], row["task"], row["modality"]), number)
        if first != number:
            yield f"rows.{number}: the same number as rows.{first}"
