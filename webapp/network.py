"""Addresses as they are written."""


def authority(host: str, port: int) -> str:
    """Host and port as in a URL; an IPv6 address gets its brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
