"""The machine as /proc shows it: its memory, its load, what one process uses, and the file system of a folder."""

import os
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of memory.

    Attributes:
        total, free, cached, available: of the machine; what is cached can be had back.
        swap, swap_free: of it on the disk.
    """

    total: int
    free: int
    cached: int
    available: int
    swap: int
    swap_free: int

    @classmethod
    def read(cls) -> "Memory":
        """As it is now."""
        with open("/proc/meminfo") as file:
            lines = (line.split(":") for line in file)
            size = {name: int(rest.split()[0]) * 1024 for name, rest in lines}
        cached = size["Buffers"] + size["Cached"]
        return cls(size["MemTotal"], size["MemFree"], cached, size["MemAvailable"], size["SwapTotal"], size["SwapFree"])


@dataclass(frozen=True, slots=True)
class OwnUsage:
    """What this process uses.

    Attributes:
        user, system: milliseconds of processor time so far.
        size, resident, shared: bytes of memory.
    """

    user: int
    system: int
    size: int
    resident: int
    shared: int

    @classmethod
    def read(cls) -> "OwnUsage":
        """As it is now."""
        times = os.times()
        with open("/proc/self/statm") as file:
            size, resident, shared = (int(pages) * _PAGE for pages in file.read().split()[:3])
        return cls(int(times.user * 1000), int(times.system * 1000), size, resident, shared)


def resident_memory(process: int) -> int:
    """Bytes of memory that a process has; 0 if there is none of that id."""
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system that a folder is on.

    Attributes:
        device, kind: as it is mounted, such as `/dev/vda` and `ext4`.
        id: the same for all folders on it.
        total, available: bytes; what is available to others than root.
    """

    device: str
    kind: str
    id: int
    total: int
    available: int

    @classmethod
    def of(cls, folder: str) -> "FileSystem":
        """That of `folder`."""
        space = os.statvfs(folder)
        device, kind = _mount(os.path.realpath(folder))
        total, available = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
        return cls(device, kind, os.stat(folder).st_dev, total, available)

    @property
    def used(self) -> int:
        """Bytes that are not available."""
        return self.total - self.available

    @property
    def percent(self) -> int:
        """How full it is."""
        return self.used * 100 // self.total if self.total else 0


def _mount(path: str) -> tuple[str, str]:
    """Device and kind of the mount that has `path`: the one whose folder is the longest part of it."""
    found = ("", "none", "unknown")
    with open("/proc/self/mounts") as file:
        for line in file:
            device, folder, kind = line.split()[:3]
            folder = folder.replace("\\040", " ")
            if len(folder) >= len(found[0]) and os.path.commonpath((folder, path)) == folder:
                found = (folder, device, kind)
    return found[1], found[2]


def load() -> tuple[float, float, float]:
    """How many processes have wanted to run, on average over one, five and fifteen minutes."""
    return os.getloadavg()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
