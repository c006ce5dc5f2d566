"""Results, samples and artefacts on disk, and where they come from. No torch."""

from . import provenance
from .artefacts import Artefact, Artefacts, Card
from .destinations import check_file, check_folder
from .files import check_writable, write_text
from .found import BadFile, Found, cells, failures, gather
from .locks import exclusive
from .reading import children, only_reading, there
from .results import COLUMNS, DISPLAY_ONLY, CellKey, existing, frame, protocol_hash, read, write
from .samples import read_samples, sample_key, write_samples
from .schema import (
    SCHEMA,
    Cell,
    CodeRecord,
    DatasetRecord,
    Environment,
    MetricRecord,
    ModalityRecord,
    ModelRecord,
    RowRecord,
    StageRecord,
)

__all__ = [
    "COLUMNS",
    "DISPLAY_ONLY",
    "SCHEMA",
    "Artefact",
    "Artefacts",
    "BadFile",
    "Card",
    "Cell",
    "CellKey",
    "CodeRecord",
    "DatasetRecord",
    "Environment",
    "Found",
    "MetricRecord",
    "ModalityRecord",
    "ModelRecord",
    "RowRecord",
    "StageRecord",
    "cells",
    "check_file",
    "check_folder",
    "check_writable",
    "children",
    "exclusive",
    "existing",
    "failures",
    "frame",
    "gather",
    "only_reading",
    "protocol_hash",
    "provenance",
    "read",
    "read_samples",
    "sample_key",
    "there",
    "write",
    "write_samples",
    "write_text",
]
