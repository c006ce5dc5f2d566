"""What belongs to the whole process stays as it was while a stranger's module is imported: other cells follow in it."""

from __future__ import annotations

import locale
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["untouched"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def untouched() -> Iterator[None]:
    """Umask, locale, recursion limit and handlers of signals; of torch the default type and device, gradients and
    determinism."""
    mask = os.umask(0o077)
    os.umask(mask)
    place, depth = locale.setlocale(locale.LC_ALL), sys.getrecursionlimit()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    back = _torch()
    try:
        yield
    finally:
        os.umask(mask)
        sys.setrecursionlimit(depth)
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, place)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with suppress(ValueError):  # in another thread nobody can have set one either
                    signal.signal(number, handler)
        back()


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
