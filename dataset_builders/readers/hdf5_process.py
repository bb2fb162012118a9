# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The parent's side of the process that runs libhdf5; [`hdf5_worker`] is the other one and describes what is said."""

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


class _LibHDF5Process:
    """Started when first needed, and again after a file has made it crash."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], consume: Callable[[bytes], None]) -> None:
        with self.lock:
            started = time.monotonic()
            try:
                error = self._exchange(request, consume)
            except EOFError:
                self.stop()
                slow = time.monotonic() - started >= request["seconds"]
                error = f"libhdf5 takes more than {request['seconds']} s" if slow else "libhdf5 crashes on it"
            except BaseException:  # an interrupt, say: the rest of this answer must not be taken for the next one
                self.stop()
                raise
        if error:
            raise ValueError(
                f"{request['path']} cannot be read as HDF5 ({error}): download it again, and if it stays so, do not "
                "open it with other programs"
            )

    def _exchange(self, request: dict[str, Any], consume: Callable[[bytes], None]) -> str:
        """Sends a request, hands on the blocks of its answer and returns the text of its error, if any."""
        send, receive = self._pipes()
        try:
            send.write(json.dumps(request).encode() + b"\n")
            send.flush()
        except BrokenPipeError as gone:
            raise EOFError from gone
        error = ""
        while length := _length(receive):
            block = receive.read(abs(length))
            if len(block) != abs(length):
                raise EOFError
            if length < 0:
                error = block.decode(errors="replace")
            else:
                consume(block)
        return error

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """To and from the process, which is started if it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("hdf5_worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # its forks can be ended with it, and a terminal's interrupt does not reach them
                # One thread, so that it may fork; and no compression but that which libhdf5 was built with.
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"},
            )
            try:
                _length(_open(self.process.stdout))
            except EOFError:
                raise RuntimeError("h5py does not start: see what `python -c 'import h5py'` says") from None
        return _open(self.process.stdin), _open(self.process.stdout)

    def stop(self) -> None:
        """Ends the process and its fork, whatever they are doing."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # both have ended
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def forget(self) -> None:
        """In a fork of this process: another process is needed, and a lock that nobody holds."""
        self.of_parent = self.process  # kept, for a collected one would warn that it still runs
        self.lock, self.process = threading.Lock(), None


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EOFError
    return pipe


def _length(pipe: IO[bytes]) -> int:
    header = pipe.read(8)
    if len(header) != 8:
        raise EOFError
    return struct.unpack("<q", header)[0]


_PROCESS = _LibHDF5Process()
atexit.register(_PROCESS.stop)
os.register_at_fork(after_in_child=_PROCESS.forget)


def ask_libhdf5(request: dict[str, Any], consume: Callable[[bytes], None]) -> None:
    """
    Has a process of its own serve a request, and hands each block of bytes of the answer to `consume`.

    Args:
        request (`dict`):
            `serve` (a function of `hdf5_worker`), `path`, the arguments of that function, and `seconds`, after which
            it is given up.
        consume (`Callable`):
            Called with each block in turn.

    Raises:
        ValueError: libhdf5 or `hdf5_worker` refuses the file, or crashes, or takes too long.
    """
    _PROCESS.ask(request, consume)


__all__ = ["ask_libhdf5"]
