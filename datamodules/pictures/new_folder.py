"""A folder that appears complete or not at all."""

import errno
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DAY = 86_400  # seconds
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A temporary folder to fill, which is moved to `place` in one step where the block ends without an exception.

    It lies beside `place`, as `.tmp-<name>@<host>@<process>@<random>`. Its files and its name are forced to the disk,
    so that `place` is complete or missing, also after SIGKILL or a loss of power. After an exception it is removed.
    Where another process has put its folder at `place` in the meantime, that one stays and ours is removed.

    Temporary folders of processes that were killed are removed at the start: those of this host whose process has
    ended, and all that nobody has written to for a day.

    Args:
        place: the folder to be; the folder it lies in is made where it is missing.

    Raises:
        OSError: something could not be written, or `place` is taken by a file.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "new"
        >>> with new_folder(place) as folder:
        ...     _ = (folder / "a.txt").write_text("one")
        ...     place.exists()
        False
        >>> (place / "a.txt").read_text()
        'one'
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(place.parent)
    folder = _temporary(place)
    folder.mkdir()
    try:
        yield folder
        for path in (*folder.iterdir(), folder):
            _sync(path)
        try:
            folder.rename(place)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        _sync(place.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_folder(place: Path) -> None:
    """Remove a folder; the name goes first and in one step, so that no other process finds half of it.

    Raises:
        OSError: it could not be renamed.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> remove_folder(place)
        >>> place.exists()
        False
    """
    away = _temporary(place)
    with suppress(FileNotFoundError):  # another process was first
        place.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def _temporary(place: Path) -> Path:
    return place.with_name(f".tmp-{place.name}@{_host()}@{os.getpid()}@{secrets.token_hex(4)}")


def _host() -> str:
    """This machine and, in a container, the container: process numbers are the same processes only within one."""
    processes = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}-{processes.stat().st_ino}" if processes.exists() else socket.gethostname()


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(".tmp-*@*@*@*"):
        with suppress(OSError, ValueError):  # another process was first, it is another user's, or no name of ours
            if _is_left_over(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_left_over(path: Path) -> bool:
    _, host, process, _ = path.name.rsplit("@", 3)
    written = max(part.stat().st_mtime for part in (path, *path.iterdir()))
    return (host == _host() and not _runs(int(process))) or time.time() - written > _DAY


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 is sent to nobody
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some network file systems refuse it for folders
            raise
    finally:
        os.close(descriptor)
