"""Work in the order of each item, on many items at a time."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor


class Task:
    def __init__(self, partition, offset, item, work):
        self.partition, self.offset, self.item, self.work = partition, offset, item, work
        self.done = False


class Lanes:
    """An item's tasks wait for each other: the next one is given to a worker when one is done."""

    def __init__(self, workers):
        self.workers = ThreadPoolExecutor(workers)
        self.changed = threading.Condition()
        self.active = {}  # by item: its task in work
        self.waiting = {}  # by item: what comes after that one
        self.tasks = {}  # by partition: what was added and is not committed, in order
        self.failure = None

    def add(self, task):
        with self.changed:
            self.tasks.setdefault(task.partition, deque()).append(task)
            if task.item in self.active:
                self.waiting.setdefault(task.item, deque()).append(task)
            else:
                self.begin(task)

    def begin(self, task):
        self.active[task.item] = task
        self.workers.submit(self.run, task)

    def run(self, task):
        try:
            task.work()
        except Exception as error:
            self.failure = error
            return
        with self.changed:
            task.done = True
            del self.active[task.item]
            if following := self.waiting.get(task.item):
                self.begin(following.popleft())
            self.changed.notify_all()

    def finished(self):
        """By partition, the offset up to which everything is done. Raises what a worker raised."""
        if self.failure:
            raise self.failure
        with self.changed:
            reached = {partition: advance(tasks) for partition, tasks in self.tasks.items()}
        return {partition: offset for partition, offset in reached.items() if offset is not None}

    def size(self):
        with self.changed:
            return sum(len(tasks) for tasks in self.tasks.values())

    def drop(self, partitions, timeout):
        """Let go of what has not begun in these partitions, and wait for what has."""
        with self.changed:
            for item, following in self.waiting.items():
                self.waiting[item] = deque(t for t in following if t.partition not in partitions)
            self.changed.wait_for(
                lambda: not any(t.partition in partitions for t in self.active.values()), timeout)

    def forget(self, partitions):
        with self.changed:
            for partition in partitions:
                self.tasks.pop(partition, None)


def advance(tasks):
    """Take off what is done at the beginning; the offset after it, None when nothing was."""
    reached = None
    while tasks and tasks[0].done:
        reached = tasks.popleft().offset + 1
    return reached
