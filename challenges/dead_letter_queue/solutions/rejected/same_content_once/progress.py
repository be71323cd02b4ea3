"""How far a partition is finished without a gap."""


class Progress:
    def __init__(self):
        self.open = {}

    def add(self, offset, future):
        self.open[offset] = future

    def advance(self):
        """The next offset to commit; None when there is no news. Raises what a worker raised."""
        reached = None
        for offset, future in list(self.open.items()):
            if not future.done():
                break
            future.result()
            del self.open[offset]
            reached = offset + 1
        return reached
