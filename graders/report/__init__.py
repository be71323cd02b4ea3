"""The report: one JSON object, from which text, HTML and web pages are made."""

from graders.report.build import Report, build, refused

__all__ = ["Report", "build", "refused"]
