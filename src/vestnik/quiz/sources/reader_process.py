"""The reader's other side: a process that reads what strangers wrote, and can do little else.

`python -P -m vestnik.quiz.sources.reader_process`: jobs come on the standard input, what was found goes to the standard
output. It ends when its input does, so it never outlives the daemon.
"""

from __future__ import annotations

import itertools
import json
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any, BinaryIO

from vestnik.quiz.sources import frames
from vestnik.quiz.sources.formats.job import Job, from_json
from vestnik.quiz.sources.formats.reading import Found, read_answer, read_file
from vestnik.quiz.sources.formats.record import FormatError

MEMORY = 2 << 30  # bytes of address space: JSON of 100 MB takes the half of it
BATCH = 200  # records in a frame


def main() -> None:
    _confine()
    input_, output = sys.stdin.buffer, sys.stdout.buffer
    while (job := _next_job(input_)) is not None:
        for message in _answers(*job):
            output.write(frames.pack(message))
            output.flush()


def _confine() -> None:
    """No files written, no core, no end of memory; and the terminal's Ctrl-C is the daemon's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


def _next_job(input_: BinaryIO) -> tuple[Job, bytes] | None:
    head = input_.read(frames.LENGTH.size)
    if len(head) < frames.LENGTH.size:
        return None
    message = json.loads(input_.read(*frames.LENGTH.unpack(head)))
    return from_json(message["job"]), input_.read(message["body"])


def _answers(job: Job, body: bytes) -> Iterator[dict[str, Any]]:
    """Batches, and at last `done` or `failed`."""
    try:
        found, next_ = (read_file(job), None) if job.path else read_answer(job, body)
        yield from _batches(found)
        yield {"done": {"next": next_}}
    except FormatError as error:
        yield {"failed": str(error)}
    except OSError as error:
        yield {"failed": f"it cannot be read: {error.strerror or error}"}
    except MemoryError:
        yield {"failed": "reading it takes more memory than is allowed"}
    except RecursionError:
        yield {"failed": "it is nested too deeply"}
    except Exception as error:  # a bug in reading one page must not end the reading of others
        yield {"failed": f"reading it failed: {type(error).__name__}", "bug": traceback.format_exc()}


def _batches(found: Found) -> Iterator[dict[str, Any]]:
    while batch := list(itertools.islice(found, BATCH)):
        yield frames.batch(batch)


if __name__ == "__main__":
    main()
