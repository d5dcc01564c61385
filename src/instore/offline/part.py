"""`--part I/N`: one of N parts of a job, which needs no coordinator: a name's hash says in which part its object is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from instore.errors import ConfigurationError
from instore.protocol.environment import (
    AWS_BATCH_JOB_ARRAY_INDEX,
    AWS_BATCH_JOB_ARRAY_SIZE,
    JOB_COMPLETION_INDEX,
    SLURM_ARRAY_TASK_COUNT,
    SLURM_ARRAY_TASK_ID,
    SLURM_ARRAY_TASK_MAX,
    SLURM_ARRAY_TASK_MIN,
)
from instore.store.placement import digest
from instore.system.printable import printable

_FORM = re.compile(r"(?:(\d{1,9})|auto)/(\d{1,9})|auto")


@dataclass(frozen=True, slots=True)
class JobPart:
    """One of several parts.

    Attributes:
        index: which, from 0.
        count: how many there are.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, variables: Mapping[str, str]) -> Self:
        """That of a text: `3/8`, `auto/8` or `auto`.

        Args:
            text: which part.
            variables: the environment, which says what is `auto`: that of a Kubernetes Job, a Slurm or AWS Batch array.

        Raises:
            ConfigurationError: it is none.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"--part {printable(text)} is no part; write I/N, as in 0/8, or auto/N, or auto")
        index, count = match[1], match[2]
        part = cls(int(index), int(count)) if index else cls(*_of_environment(variables, count))
        if part.index >= part.count:
            raise ConfigurationError(
                f"--part {printable(text)}: there is no part {part.index} of {part.count}; the last is {part.count - 1}"
            )
        return part

    def has(self, name: str) -> bool:
        """Whether the object is in this part."""
        return digest(name) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def _of_environment(variables: Mapping[str, str], count: str | None) -> tuple[int, int]:
    """Which part this process is to do, and of how many."""
    if variables.get(JOB_COMPLETION_INDEX):
        if count is None:
            raise ConfigurationError(
                f"--part auto: {JOB_COMPLETION_INDEX} says which part, and nothing how many; write auto/N, N being the "
                "Job's completions"
            )
        return _number(variables, JOB_COMPLETION_INDEX), int(count)
    if variables.get(SLURM_ARRAY_TASK_ID):
        task = _number(variables, SLURM_ARRAY_TASK_ID)
        if count is not None:
            return task, int(count)
        first, last, tasks = (
            _number(variables, name) for name in (SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_MAX, SLURM_ARRAY_TASK_COUNT)
        )
        if last - first + 1 != tasks:
            raise ConfigurationError(
                f"--part auto: the array's tasks, {tasks} from {first} to {last}, do not follow one another; write "
                "auto/N, with tasks from 0 to N-1"
            )
        return task - first, tasks
    if variables.get(AWS_BATCH_JOB_ARRAY_INDEX):
        index = _number(variables, AWS_BATCH_JOB_ARRAY_INDEX)
        return index, int(count) if count is not None else _number(variables, AWS_BATCH_JOB_ARRAY_SIZE)
    raise ConfigurationError(
        f"--part auto: none of {JOB_COMPLETION_INDEX}, {SLURM_ARRAY_TASK_ID} and {AWS_BATCH_JOB_ARRAY_INDEX} is set; "
        "write I/N, as in 0/8"
    )


def _number(variables: Mapping[str, str], name: str) -> int:
    value = variables.get(name, "")
    if not value.isascii() or not value.isdigit():
        raise ConfigurationError(f"--part auto: {name} is {value!r}, and no number; write I/N, as in 0/8")
    return int(value)
