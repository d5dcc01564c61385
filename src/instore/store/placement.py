"""Which target has an object: highest random weight over the targets' digests, the very function of AIStore.

A client that asks a target directly computes the same from the cluster map, so neither the hash nor its seed may
change; nor may they because objects would not be found where they lie.
"""

from collections.abc import Sequence

import xxhash

_SEED = 1103515245
_MASK = (1 << 64) - 1


def digest(text: str) -> int:
    """The 64-bit hash of a target's id or of a uname."""
    return xxhash.xxh64_intdigest(text.encode(errors="surrogateescape"), seed=_SEED)


def owner(digests: Sequence[int], uname: str) -> int:
    """The index of the target that has `uname`; the first of equals."""
    if len(digests) == 1:
        return 0
    of_name = digest(uname)
    weights = [_mix(of_target ^ of_name) for of_target in digests]
    return weights.index(max(weights))


def _mix(seed: int) -> int:
    """One step of splitmix64 with the output scrambler of xoshiro256**, as AIStore has it."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z = ((z ^ (z >> 31)) + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z = ((z ^ (z >> 31)) * 5) & _MASK
    z = ((z << 7) | (z >> 57)) & _MASK
    return (z * 9) & _MASK
