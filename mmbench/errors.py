"""The errors a user can cause or meet: each message is one sentence that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BusyError",
    "ConfigError",
    "DamagedError",
    "DataError",
    "MemoryShortageError",
    "MmbenchError",
    "PluginError",
    "ResultError",
    "StorageError",
    "TrainingError",
    "UnavailableError",
    "UnreadableError",
    "deed",
    "near",
]


class MmbenchError(Exception):
    """Base of all errors that the command line prints as one sentence, without a traceback."""


class ConfigError(MmbenchError):
    """A setting is unknown or has an impossible value."""


class DataError(MmbenchError):
    """A data file is missing, damaged or not what it should be."""

    rule: str = ""
    """The check of `mmbench check --dataset` that says so; '' where none does."""


class PluginError(MmbenchError):
    """A model, dataset or metric cannot be found, loaded, or breaks its contract."""


class TrainingError(MmbenchError):
    """A stage failed: a NaN, a collapsed autoencoder; the message names the stage."""


class MemoryShortageError(MmbenchError):
    """The memory of the machine, or of its GPU, did not suffice."""


class UnavailableError(MmbenchError):
    """A metric cannot be measured here, for want of pretrained weights or of a package; the cell goes on without it."""


class ResultError(MmbenchError):
    """A result file is unreadable, stale or cannot be written."""


class DamagedError(ResultError):
    """A file is not what was written: it is set aside and made again, never believed."""


class UnreadableError(ResultError):
    """A file is there and may not be read: it is neither absent nor damaged, and nothing takes its place."""


class BusyError(ResultError):
    """Another process is at it: nothing failed, nothing is recorded."""


class StorageError(ResultError):
    """A file cannot be written: nothing that is computed could be kept, so the whole run stops."""


SAID = 300
"""Characters that are told of what somebody else's error says."""


def deed(error: BaseException) -> str:
    """What somebody else's code did, in a few words on one line ('failed with KeyError: ...'), whatever its error
    is and however it prints itself."""
    leaves = isinstance(error, SystemExit)
    try:
        text = str(error.code if leaves else error)
    except Exception as other:  # its own __str__
        text = f"(it cannot be printed, {type(other).__name__})"
    line = next((line for part in text.splitlines() if (line := " ".join(part.split()))), "")
    short = line if len(line) <= SAID else f"{line[:SAID]}..."
    if leaves:
        return f"asked to end the whole program, SystemExit: {short}"
    return f"failed with {type(error).__name__}: {short}"


def near(word: str, known: Iterable[str]) -> str:
    """A hint to append to 'unknown X': the near match if there is one, and what is known."""
    known = sorted(known)
    folded = {name.lower(): name for name in reversed(known)}
    match = difflib.get_close_matches(word.lower(), folded, n=1)
    hint = f"did you mean {folded[match[0]]!r}? " if match else ""
    return f"{hint}known: {', '.join(known) if known else 'none'}"
