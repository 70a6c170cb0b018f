"""Ctrl-C, SIGTERM and SIGHUP: what is saved before work stops, and how often work is saved anyway.

Without more, each raises `KeyboardInterrupt` at once. Within `checkpoints` the step under way is finished first: the
work then saves where it is and raises `Stopped`. A second signal does not wait.

A library may swallow a `KeyboardInterrupt`, or wait for a server while it unwinds. So a process for which `install` was
called is ended `UNWIND` seconds after the signal, as by a kill: every command survives that.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType, TracebackType
from typing import Final

from kgplatform.errors import KgpError

EXIT_CODE: Final = 130  # as shells report a process that Ctrl-C ended
SECONDS = 60.0  # of work that a kill may cost; tests shorten it
SHARE: Final = 10  # saving takes at most one such part of the time: a large model is saved less often
_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C; a kill; the end of the terminal, which Windows lacks
SIGNALS: Final = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
UNWIND = 10.0  # seconds; tests shorten it
REPORT: Final = 3.0  # seconds after that, in which the report is to be written

_stop_requested = False
_timed = False  # whether the process ends by the clock
_finished = False  # whether all is done and printed
_end: Callable[[], None] | None = None  # ends the process that does not end by itself


class Stopped(KgpError):
    """Work was stopped by a signal and can go on: the message states what is kept, and where."""

    kind = "interrupted"
    exit_code = EXIT_CODE

    def __init__(self, message: str) -> None:
        super().__init__(message, "The same command goes on from there.")


class Checkpoints:
    """Says when to save: `due` once the interval is over or the work is to stop (`stopping`)."""

    def __init__(self, seconds: float | None = None) -> None:
        self.stopping = False
        self._seconds = self._interval = SECONDS if seconds is None else seconds
        self._began = time.monotonic()

    def due(self) -> bool:
        """Whether to save now. After saving, call `saved`."""
        is_late = time.monotonic() - self._began >= self._interval
        if is_late or self.stopping:
            self._began = time.monotonic()
        return is_late or self.stopping

    def saved(self) -> None:
        """The work was saved, in the time since `due`: the next interval begins."""
        current_time = time.monotonic()
        self._interval = max(self._seconds, SHARE * (current_time - self._began))
        self._began = current_time


@contextmanager
def checkpoints() -> Iterator[Checkpoints]:
    """Work in steps that can be saved. A signal within is reported by the checkpoints' `stopping`; the work then raises
    `Stopped`. Where it ends without that, as the signal came too late, `KeyboardInterrupt` is raised afterwards.
    """
    checkpoint_timer = Checkpoints()
    if threading.current_thread() is not threading.main_thread():  # only the main thread has signals
        yield checkpoint_timer
        return

    def handle(signal_number: int, frame: FrameType | None) -> None:
        global _stop_requested
        if checkpoint_timer.stopping:
            interrupted(signal_number, frame)
        checkpoint_timer.stopping = True
        _stop_requested = _end is not None

    previous_handlers = {signal_number: signal.getsignal(signal_number) for signal_number in SIGNALS}
    for signal_number, previous_handler in previous_handlers.items():
        if previous_handler is not signal.SIG_IGN:
            signal.signal(signal_number, handle)
    try:
        yield checkpoint_timer
    finally:
        for signal_number, previous_handler in previous_handlers.items():
            signal.signal(signal_number, previous_handler)
    if checkpoint_timer.stopping:
        interrupted()


def interrupted(number: int = 0, frame: FrameType | None = None) -> None:
    """A handler of signals that stops the work at once."""
    global _stop_requested
    _stop_requested = _end is not None  # a program that uses the library goes on after the interrupt
    _end_by_the_clock()
    raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """Work that is done whole: a signal within takes effect at its end. For what takes less than a second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received_signals: list[int] = []
    previous_handlers = {signal_number: signal.getsignal(signal_number) for signal_number in SIGNALS}
    for signal_number, previous_handler in previous_handlers.items():
        if callable(previous_handler):
            signal.signal(signal_number, lambda signal_number, frame: received_signals.append(signal_number))
    try:
        yield
    finally:
        for signal_number, previous_handler in previous_handlers.items():
            signal.signal(signal_number, previous_handler)
    if received_signals:
        signal.raise_signal(received_signals[0])


def was_interrupted() -> bool:
    """Whether a signal came: what code that is under way makes of a `KeyboardInterrupt` may be any other error."""
    return _stop_requested


def install(end: Callable[[], None]) -> None:
    """Let SIGTERM and SIGHUP stop the work as Ctrl-C does. A signal that is ignored (as under nohup) stays so.

    `end` reports the interrupt and ends the process; it is called in another thread where the work goes on in spite of
    the signal.
    """
    global _stop_requested, _timed, _finished, _end
    _stop_requested, _timed, _finished, _end = False, False, False, end
    atexit.unregister(_leave)
    atexit.register(_leave)  # early, so that it is called after what libraries register
    for signal_number in SIGNALS:
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, interrupted)
    sys.unraisablehook = _unraisable
    sys.excepthook = _uncaught


def ignore() -> None:
    """Let no further signal disturb what is said of the first; the process ends by the clock all the same."""
    for signal_number in SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    _end_by_the_clock()


def finish(code: int) -> None:
    """All is done and printed: a signal that comes now, or came too late, does not change the exit code. It ends the
    process by the clock where that hangs.
    """
    global _end, _finished
    _end = lambda: os._exit(code)  # noqa: E731  this module's only other way to end
    for signal_number in SIGNALS:
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, lambda signal_number, frame: _end_by_the_clock())
    _finished = True


def _leave() -> None:
    """Python takes its handlers off before it deletes modules, some 100 ms of work with torch: a signal then would end
    the process with another exit code, although all is done and printed. Where that hangs, an alarm ends it.
    """
    if not _finished:
        return
    for signal_number in SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.alarm(int(UNWIND + REPORT))


def _end_by_the_clock() -> None:
    """Have the process end after `UNWIND` seconds, regardless of what it does. Nothing where `install` was not
    called.
    """
    global _timed
    if _end is not None and not _timed:
        _timed = True
        _thread.start_new_thread(_end_late, ())  # threading's own takes locks, which this thread may hold


def _end_late() -> None:
    time.sleep(UNWIND)
    _thread.start_new_thread(_end_at_once, ())
    if _end is not None:
        _end()


def _end_at_once() -> None:
    """Even the report is not written: nobody reads what is at the other end of the pipe."""
    time.sleep(REPORT)
    os._exit(EXIT_CODE)


def _uncaught(error_type: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An interrupt that came while another one was dealt with is no traceback."""
    if issubclass(error_type, KeyboardInterrupt) and _end is not None:
        _end()
    sys.__excepthook__(error_type, error, traceback)


def _unraisable(event: sys.UnraisableHookArgs) -> None:
    """Python drops an exception that is raised while an object is deleted: a signal's is raised again."""
    if issubclass(event.exc_type, KeyboardInterrupt):
        _thread.start_new_thread(_interrupt_again, ())
    elif not issubclass(event.exc_type, OSError):  # a full disk is an error where the file is written, too
        sys.__unraisablehook__(event)


def _interrupt_again() -> None:
    time.sleep(0.05)  # the deletion is over
    _thread.interrupt_main()


@contextmanager
def shielded() -> Iterator[None]:
    """Processes that are started within do not get the terminal's Ctrl-C: the one that started them ends them."""
    if os.name == "nt":
        yield
        return
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


@contextmanager
def ending_workers() -> Iterator[None]:
    """End the processes that are started within, and what they are at, where this work ends by an exception: a pool
    would let them finish first.
    """
    from multiprocessing import active_children

    earlier_pids = {child_process.pid for child_process in active_children()}
    try:
        yield
    except BaseException:
        threading.excepthook = partial(_report_unless_pool_ended, threading.excepthook)
        for child_process in active_children():
            if child_process.pid not in earlier_pids:
                child_process.terminate()
        raise


def _report_unless_pool_ended(
    report: Callable[[threading.ExceptHookArgs], object], arguments: threading.ExceptHookArgs
) -> None:
    """Say nothing where the thread of a pool whose processes were ended finds that its work was cancelled, too: up to
    Python 3.12 that is an exception there.
    """
    from concurrent.futures import InvalidStateError

    is_of_pool = type(arguments.thread).__name__ == "_ExecutorManagerThread"
    if not (is_of_pool and arguments.exc_type is InvalidStateError):
        report(arguments)


def end_with_parent() -> None:
    """Let this process, which another one started to work for it, end when that one does, however it ends."""
    _thread.start_new_thread(_wait_for_parent, ())


def _wait_for_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(EXIT_CODE)
