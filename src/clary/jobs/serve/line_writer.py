"""Lines of many requests in few writes, by a thread: whoever reads them slowly stops no client."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading

# Lines wait for company for so long.
_FLUSH_S = 0.05
# And so many of them for a reader; later ones are left out.
_MOST_LINES = 20_000
# The last ones are waited for so long.
_LAST_S = 5.0


class LineWriter:
    """Writes lines to standard output. For one event loop, and `close` for its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread.

        Args:
            loop: where `say` is called.
        """
        self._loop = loop
        self._lines: list[str] = []
        self._left_out = 0
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Write a line, soon."""
        if not self._lines:
            self._loop.call_later(_FLUSH_S, self._flush)
        if len(self._lines) < _MOST_LINES:
            self._lines.append(line)
        else:
            self._left_out += 1

    def close(self) -> None:
        """Write what is left, for as long as somebody reads it."""
        self._hand_over()
        self._texts.put(None)
        self._thread.join(_LAST_S)

    def _flush(self) -> None:
        if self._writing.is_set() and self._thread.is_alive():
            self._loop.call_later(_FLUSH_S, self._flush)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        if self._left_out:
            lines.append(f"{self._left_out} lines were left out: nobody read the ones before")
            self._left_out = 0
        if lines and self._thread.is_alive():
            self._writing.set()
            self._texts.put("\n".join(lines) + "\n")

    def _write(self) -> None:
        try:
            while (text := self._texts.get()) is not None:
                sys.stdout.write(text)
                sys.stdout.flush()
                self._writing.clear()
        except (OSError, ValueError) as error:
            print(f"clary: lines are written no more: {error}", file=sys.stderr, flush=True)
