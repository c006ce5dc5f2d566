"""What belongs to the whole process stays as it was while a stranger's module is imported: other cells follow in it."""

from __future__ import annotations

import locale
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

__all__ = ["staying", "untouched"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def untouched() -> Iterator[None]:
    """Umask, locale, recursion limit, handlers of signals and where the three streams lead; of torch the default type
    and device, gradients and determinism. A warning that was made an error is a warning again. os._exit asks to end the
    program as sys.exit does: it would end it without a word."""
    mask = os.umask(0o077)
    os.umask(mask)
    place, depth = locale.setlocale(locale.LC_ALL), sys.getrecursionlimit()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    back, reconnect, strict = _torch(), _streams(), list(warnings.filters)
    try:
        with staying():
            yield
    finally:
        reconnect()
        warnings.filters[:] = [rule for rule in warnings.filters if rule[0] != "error" or rule in strict]  # type: ignore[index]
        os.umask(mask)
        sys.setrecursionlimit(depth)
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, place)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with suppress(ValueError):  # in another thread nobody can have set one either
                    signal.signal(number, handler)
        back()


@contextmanager
def staying() -> Iterator[None]:
    """os._exit raises SystemExit inside; in a process that is forked meanwhile it is itself, and after."""
    leave, here = os._exit, os.getpid()

    def ask(status: int) -> NoReturn:
        if os._exit is ask and os.getpid() == here:
            raise SystemExit(status)
        leave(status)

    os._exit = ask
    try:
        yield
    finally:
        os._exit = leave


def _streams() -> Callable[[], None]:
    """What leads the numbers 0, 1 and 2 back to where they lead now, whoever closes them; until then 0 gives nothing:
    what a user types is not a module's to read."""
    kept: dict[int, int] = {}
    for number in range(3):
        with suppress(OSError):
            kept[number] = os.dup(number)
    if 0 in kept:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def back() -> None:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)

    return back


def _torch() -> Callable[[], None]:
    """What puts torch back: to what it is now, or to its defaults where it is not imported yet."""
    torch: Any = sys.modules.get("torch")
    kept = (torch.get_default_dtype(), torch.is_grad_enabled(), *_determinism(torch)) if torch else None

    def back() -> None:
        torch: Any = sys.modules.get("torch")
        if not hasattr(torch, "set_default_device"):  # not there, or only half imported
            return
        dtype, gradients, strict, warn = kept or (torch.float32, True, False, False)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.set_default_device(None)
        torch.use_deterministic_algorithms(strict, warn_only=warn)

    return back


def _determinism(torch: Any) -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
