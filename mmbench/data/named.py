"""The source of a dataset by the word after --dataset: an installed one, 'module:Class', or a TOML file."""

from __future__ import annotations

from pathlib import Path

from .. import plugins
from .dataset import DatasetSource
from .folders import Folders

__all__ = ["ENDING", "source_of"]

ENDING = ".toml"


def source_of(typed: str) -> DatasetSource:
    """Raises PluginError for an unknown name, DataError for a file that describes no dataset."""
    if typed.endswith(ENDING):
        return Folders(Path(typed).expanduser())
    source: type[DatasetSource] = plugins.load(plugins.DATASETS, typed, DatasetSource)
    return source()
