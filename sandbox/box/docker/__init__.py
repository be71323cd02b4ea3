"""The `docker` driver: boxes that a local Docker engine makes.

`launch` is the way in, `container` one box at the engine, `engine` the way to it and what all
boxes there share.
"""
