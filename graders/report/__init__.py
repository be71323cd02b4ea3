"""The report: one JSON object, from which text, HTML and web pages are made.

Pages use `templates/report/card.html` (macro `evidence_card(check)`) with `card.css`.
"""

from graders.report.build import Report, build, refused
from graders.report.render import as_html, as_text

__all__ = ["Report", "as_html", "as_text", "build", "refused"]
