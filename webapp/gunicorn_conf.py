"""How gunicorn serves us: gevent, so that hundreds of live streams need no thread each.

The patching comes first, before anything below imports ssl or threading.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from gunicorn.workers.ggevent import GeventWorker  # noqa: E402

from sandbox.home import closed_parent  # noqa: E402
from sandbox.process import service_user  # noqa: E402
from webapp import migrate  # noqa: E402
from webapp.config import database_url  # noqa: E402
from webapp.db import make_engine  # noqa: E402


class Worker(GeventWorker):
    """Ends its live streams when told to stop: they would last until their runs end."""

    wsgi = None  # until the application is loaded

    def handle_exit(self, sig, frame):
        if self.wsgi:
            self.wsgi.extensions["hub"].close()
        super().handle_exit(sig, frame)


def unprivileged_user() -> str | None:
    """Whom the web processes run as: nobody special, where such a user can read Python and us."""
    needed = [Path(__file__).parent, Path(sys.prefix), Path(sys.base_prefix)]
    return None if any(map(closed_parent, needed)) else service_user()


def on_starting(server):
    """Bring the schema up to date, once, before anybody is served."""
    engine = make_engine(database_url())
    migrate.upgrade(engine)
    engine.dispose()


worker_class = Worker
preload_app = True  # loaded once, shared by all processes
worker_connections = 1000
user = group = unprivileged_user()
timeout = 60
graceful_timeout = 3
keepalive = 5
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
proc_name = "offsetzero"
