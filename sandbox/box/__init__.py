"""Boxes: untrusted programs, confined; one contract, two drivers.

`Box.start` is the way in. A driver makes the box: `process` (bubblewrap, no daemon) or `docker`
(a local engine); `drivers` tells which. The rest is the same for both: the `keeper` process enters
a box's network, `seccomp` says what the kernel refuses, a `group` (cgroup_v1, cgroup_v2,
process_tree) limits, counts and freezes, `output` carries what is printed, `ending` judges how the
program ended.
"""

from sandbox.box.assurance import LEVELS, Assurance, assurance, check_level
from sandbox.box.box import Box
from sandbox.box.drivers import DRIVERS, driver_name, sweep_boxes
from sandbox.box.spec import BoxError, Exit, Limits, Reason

__all__ = [
    "DRIVERS",
    "LEVELS",
    "Assurance",
    "Box",
    "BoxError",
    "Exit",
    "Limits",
    "Reason",
    "assurance",
    "check_level",
    "driver_name",
    "sweep_boxes",
]
