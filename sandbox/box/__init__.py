"""The `process` driver: untrusted programs in bubblewrap boxes.

`Box.start` is the way in. A box is made in `launch`, by the `keeper` process; `command` says what
is inside, `seccomp` what the kernel refuses, a `group` (cgroup_v1, cgroup_v2, process_tree) limits
and freezes it, `output` carries what it prints, `ending` judges how it ended.
"""

from sandbox.box.assurance import Assurance, assurance
from sandbox.box.box import Box
from sandbox.box.cgroupfs import sweep_boxes
from sandbox.box.spec import BoxError, Exit, Limits, Reason

__all__ = [
    "Assurance",
    "Box",
    "BoxError",
    "Exit",
    "Limits",
    "Reason",
    "assurance",
    "sweep_boxes",
]
