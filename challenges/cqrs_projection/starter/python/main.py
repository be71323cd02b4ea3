"""A view of customers. It connects, reads and answers; what is missing is the view itself."""

import logging
import signal

import settings
from consumer import Reader
from view import View
from web import serve

log = logging.getLogger("main")


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    view = View()
    serve(view)
    reader = Reader(view)
    signal.signal(signal.SIGTERM, reader.stop)
    reader.run()
    log.info("stopped")


main()
