"""The `process` driver: boxes by bubblewrap, without any daemon.

`launch` is the way in: the `keeper` process starts a bubblewrap, `command` says what is inside,
`toolbox` is what every box is made with.
"""
