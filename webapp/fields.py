"""Form fields for what people type on one line."""

from wtforms import EmailField, StringField


def one_line(text: str | None) -> str:
    """The text without control characters and needless spaces."""
    printable = "".join(c if c.isprintable() else " " for c in text or "")
    return " ".join(printable.split())


class LineField(StringField):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, filters=[one_line], **kwargs)


class AddressField(EmailField):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, filters=[one_line], **kwargs)
