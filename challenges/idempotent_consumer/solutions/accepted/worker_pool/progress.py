"""How far one partition is finished without a gap."""


class Progress:
    def __init__(self):
        self.futures = {}

    def add(self, offset, future):
        self.futures[offset] = future

    def running(self):
        return self.futures.values()

    def advance(self):
        """The next offset to commit; None when the first record is still running.

        Raises what the worker raised: a record that cannot be booked must not be passed.
        """
        reached = None
        for offset, future in list(self.futures.items()):
            if not future.done():
                break
            future.result()
            del self.futures[offset]
            reached = offset + 1
        return reached
