"""Signals that ask a process to end: one exception for all of them, at once or at the end of a step."""

import signal

import pytest

from mmbench.errors import StorageError, TrainingError
from mmbench.interrupt import Interrupted, interrupt_between_steps, interruptible

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}  # what a shell calls them: 128 + the number


@pytest.fixture(autouse=True)
def handlers():
    """A test that fails must not leave a signal to its default, which ends pytest."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in CODES}
    yield
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_is_an_exception_that_carries_it(number):
    with pytest.raises(KeyboardInterrupt) as caught, interruptible():
        signal.raise_signal(number)
    assert isinstance(caught.value, Interrupted)
    assert (caught.value.signal, caught.value.code) == (number, CODES[number])
    assert signal.getsignal(number) is signal.default_int_handler, "as it was before"


@pytest.mark.parametrize("inside", [interruptible, interrupt_between_steps])
def test_an_ignored_signal_stays_ignored(inside):
    """As `nohup` asks for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with inside():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("number", CODES)
def test_the_first_one_waits_for_the_end_of_the_step(number):
    done = []
    with pytest.raises(Interrupted) as caught, interruptible(), interrupt_between_steps() as asked:  # noqa: PT012
        assert not asked()
        signal.raise_signal(number)
        done.append(asked())
    assert done == [True]
    assert caught.value.signal == number
    assert signal.getsignal(number) is signal.default_int_handler


@pytest.mark.parametrize("second", CODES)
@pytest.mark.parametrize("first", CODES)
def test_a_second_one_strikes_at_once_but_for_those_that_come_twice(first, second):
    done = []
    with pytest.raises(Interrupted) as caught, interrupt_between_steps():  # noqa: PT012
        signal.raise_signal(first)
        signal.raise_signal(second)
        done.append(True)
    # SIGHUP by the kernel and by the shell, SIGTERM by a cluster and by whom the process works for
    twice = first == second and second != signal.SIGINT
    assert done == ([True] if twice else [])
    assert caught.value.signal == second


def test_an_error_of_the_last_step_does_not_hide_that_it_was_asked_to_end():
    with pytest.raises(Interrupted), interrupt_between_steps():  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        raise TrainingError("the loss is not finite")
    with pytest.raises(TrainingError), interrupt_between_steps():
        raise TrainingError("the loss is not finite")
    with pytest.raises(StorageError), interrupt_between_steps():  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        raise StorageError("the disk is full")
