"""What every answer carries and every unsafe request must show.

Browsers get a Content-Security-Policy that allows our own files and nothing else, so a script that
slips into a page does not run. Requests that change something need a CSRF token (Flask-WTF), and,
as a second and independent belt, must come from our own pages: `Sec-Fetch-Site` says so in every
current browser on https and localhost, the `Origin` header says so everywhere else.
"""

from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, request

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
# same-origin, not no-referrer: under no-referrer a browser sends "Origin: null" with our own
# forms. Invite links still reach nobody but us.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ONE_YEAR = "max-age=31536000"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def init_app(app: Flask, *, secure: bool) -> None:
    """Add the headers to every answer and the check of origin to every request."""

    @app.before_request
    def refuse_foreign_pages() -> None:
        if not comes_from_us(request):
            abort(403, "This request came from another site, so it was not carried out.")

    @app.before_request
    def refuse_nul() -> None:
        # No address of ours has one, and PostgreSQL takes none in a text.
        if "\0" in request.path or any("\0" in value for value in request.args.values()):
            abort(404)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        if secure:
            response.headers["Strict-Transport-Security"] = ONE_YEAR
        if request.endpoint == "static" or "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = caching()
        return response


def caching() -> str:
    """How long a browser may keep the answer: our own files by their version, pages
    never unless their view says otherwise."""
    if request.endpoint != "static":
        return "no-store"
    return "public, max-age=31536000, immutable" if "v" in request.args else "no-cache"


def comes_from_us(request: Request) -> bool:
    """Whether this request may change something as far as the browser tells its origin.

    A request with neither header comes from a program, not a browser page: it has no cookies
    of a victim to abuse, and the CSRF token still has to be right.
    """
    if request.method in SAFE_METHODS:
        return True
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in ("same-origin", "none")
    if origin := request.headers.get("Origin"):
        return urlsplit(origin).netloc == request.host
    return True
