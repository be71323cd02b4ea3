"""What can go wrong while a scenario is played, apart from the program's own doing."""


class PlatformFault(Exception):
    """Our own ground gave way: broker, database, box or gateway. Never the program's mark."""


class NotExercised(Exception):
    """What the scenario waited for never came; the message names it."""


class ProgramGone(NotExercised):
    """Every instance of the program ended by itself too often and was given up."""
