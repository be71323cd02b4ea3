"""Programs that want a verdict which they have not earned."""

from honest import book, work


def right_in_the_first_seconds():
    """Behaves while somebody may be looking, then skips every second event."""
    done = []

    def booking(db, event):
        done.append(event)
        if len(done) < 5 or len(done) % 2:
            book(db, event)

    work(booking)
