"""The challenges' Markdown as HTML that holds nothing but text and its structure.

The one place where text becomes markup. Authors are trusted, and even so: what is not on the list
of harmless tags does not reach a page.
"""

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

TAGS = {
    *("a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre"),
    *("strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}


def to_html(markdown: str) -> Markup:
    """Markdown (CommonMark with tables) as sanitised HTML."""
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    clean = nh3.clean(html, tags=TAGS, attributes={"a": {"href"}, "code": {"class"}})
    return Markup(clean)  # noqa: S704  sanitised in the line above
