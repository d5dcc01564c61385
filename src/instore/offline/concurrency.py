"""How many objects are under way in one worker at once."""

_SPARE = 15  # objects under way in a worker beyond those that it transforms: on their way in, or out
_QUICK = 0.1  # seconds under way that are mostly way, and not transform


class ConcurrencyLimit:
    """The slots of one worker, which come and go with the pace of the objects.

    Args:
        transforms: how many the worker runs at once.
        fixed: how many slots there are to be; 0: at least as many as it runs, and more while objects are quick.
    """

    def __init__(self, transforms: int, fixed: int) -> None:
        self._transforms = transforms
        self._least = fixed or transforms
        self._most = fixed or transforms + _SPARE
        self.slots = self._least

    @property
    def turns(self) -> int:
        """How many turns of the worker it may take until an object that is sent now has had its own."""
        return -(-self.slots // self._transforms)

    def grows(self, seconds: float) -> bool:
        """Whether there is to be one slot more, after an object took so long; it is counted."""
        more = seconds < _QUICK and self.slots < self._most
        self.slots += more
        return more

    def shrinks(self, seconds: float) -> bool:
        """Whether there is to be one slot less; it is counted."""
        less = seconds >= _QUICK and self.slots > self._least
        self.slots -= less
        return less
