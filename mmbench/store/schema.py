"""The form of a cell's file: every key with what it means, validated on writing and on reading.

The records are plain dictionaries (`TypedDict`), so that a report reads the JSON as it is; pydantic checks types,
finiteness and sizes, and refuses keys that are not here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AllowInfNan, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # typing's own can carry no configuration before Python 3.12

__all__ = [
    "SCHEMA",
    "Cell",
    "CodeRecord",
    "DatasetRecord",
    "Environment",
    "MetricRecord",
    "ModalityRecord",
    "ModelRecord",
    "RowRecord",
    "StageRecord",
    "faults",
]

SCHEMA = 3
"""Version of the file format; a file of another version is refused, never guessed at."""

Text = Annotated[str, Field(max_length=100_000)]
Word = Annotated[str, Field(max_length=1000)]
Number = Annotated[float, AllowInfNan(False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Code = dict[Word, Word]
"""Package (or part of the harness) -> identity of its code, see `store.provenance`."""

strict = with_config(ConfigDict(extra="forbid", strict=True))


@strict
class ModalityRecord(TypedDict):
    """One modality as the models saw it: all of this must agree within a table."""

    name: Word
    title: Word  # its name in print
    shape: list[Count]
    network: Word  # the architecture that every model was given
    latent: Count  # size of the uni-modal latent
    likelihood: Word
    scale: Number
    weight: Number  # reconstruction weight of the VAEs
    tokens: Count  # size of a text's vocabulary; 0 for an image


@strict
class DatasetRecord(TypedDict):
    name: Word  # the word typed after --dataset
    title: Word  # the name in print
    family: Word  # of recipes: 'digits', 'captions'
    fingerprint: Word  # hash over every byte of the data
    split: Literal["test", "validation"]  # what the cell was measured on
    train: Count  # tuples trained on
    test: Count  # tuples of the split that is measured on
    classes: Count  # of the shared label; 0 where there is none
    modalities: list[ModalityRecord]  # in the dataset's order


ModelRecord = TypedDict(
    "ModelRecord",
    {
        "name": Word,  # the model in results and on disk
        "typed": Word,  # the word typed after --model
        "class": Word,  # 'module:Class'
        "distribution": Word,  # who brought it: 'mmbench 0.1.0'
    },
)


@strict
class CodeRecord(TypedDict):
    """Identities of the code that made the cell's weights and samples."""

    model: Code  # the packages of the model's class
    dataset: Code  # the packages of the dataset's class
    harness: Code  # 'training', 'measuring'


@strict
class RowRecord(TypedDict):
    metric: Word  # 'coherence', 'fmd', ...
    plugin: Word  # the metric plugin that made the row: 'fmd' makes 'fmd' and 'fmd_ratio'
    task: Word  # 'joint', 'mnist->svhn'; 'mnist->mnist' is a reconstruction
    modality: Word  # the judged one; 'mnist+svhn' where the number belongs to several
    value: Number
    count: Count  # samples behind the number
    judge: Word  # the frozen network that judged, with its accuracy; 'exact' where none was needed
    identity: Word  # 8 hex digits of that judge's weights; '' where none judged
    reference: Word  # 8 hex digits of the reference autoencoder that the value is relative to; '' where there is none
    higher_is_better: bool | None  # None for a number that is only described
    unit: Word  # '%', 'nats', '' ...
    interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None  # 95 %, of the value over its samples
    note: Text  # a warning that belongs beside the number
    data: Word  # of a reference point: which real data it was measured on; '' for a model's samples
    source: Literal["model", "real", "shuffled", "reconstruction"]  # whose samples were measured


@strict
class MetricRecord(TypedDict):
    distribution: Word  # who brought the metric: 'mmbench 0.1.0'
    seconds: Number  # wall time of its own work, drawing the samples not counted
    commit: Word | None  # git commit of the code that measured
    code: Code  # identities of the metric's packages and of the harness's measuring path


@strict
class StageRecord(TypedDict):
    steps: Count  # optimiser steps
    seconds: Number  # wall time of its training, whoever trained it first
    skill: dict[Word, Number | None]  # what the stage said of itself on validation tuples; None where not finite
    collapsed: list[Text]  # why it counts as collapsed: a sentence for each skill that is too small
    artefact: Word  # where its weights are: 'stage/<key>'
    history: dict[Word, list[Number | None]]  # 'step' and every loss term, equally long; None where not computed


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
class Cell(TypedDict):
    schema: Literal[3]  # SCHEMA
    dataset: DatasetRecord
    model: ModelRecord
    budget: Word  # 'smoke', 'laptop', 'paper'
    hash: Word  # of what was run, code apart; the folder carries it too
    seed: Count  # training seed
    config: dict[Word, Any]  # the model's full configuration
    protocol: dict[Word, Any]  # how it was measured: mmbench.config.Protocol
    overrides: dict[Word, Any]  # settings that are not the recipe's -> their values; the protocol's begin with 'eval.'
    code: CodeRecord
    status: Literal["complete", "failed"]
    reason: Text | None  # of a failure, one sentence
    metrics: dict[Word, MetricRecord]  # the metrics that were measured
    left_out: dict[Word, Text]  # metric -> why it could not be measured; `mmbench evaluate` adds it when it can
    rows: list[RowRecord]
    stages: dict[Word, StageRecord]
    time: dict[Word, Number]  # phase -> wall seconds
    calls: dict[Word, dict[Word, Count]]  # phase -> module -> number of forward calls
    environment: Environment
    samples: Word | None  # the sample file, relative to the runs folder; None where none was kept


_CELL = TypeAdapter(Cell)


def faults(data: Any) -> list[str]:
    """What is wrong with the data of a cell's file: 'rows.3.value: input should be a finite number'."""
    try:
        _CELL.validate_python(data)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg'].lower()}" for e in error.errors()]
    return []
