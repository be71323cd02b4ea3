"""The log: what events mean, and how they are read."""

from datetime import datetime


def change(event):
    """Cents that an event of either format adds to the balance."""
    _, type, format, data = event
    if format == 1:
        euros, cents = data["amount"].lstrip("-").split(".")
        amount = int(euros) * 100 + int(cents)
        return -amount if data["amount"].startswith("-") else amount
    return data["amount"] if type == "deposited" else -data["amount"]


def tell(event):
    """An event as format 2 has it."""
    amount = change(event)
    return {"version": event[0], "type": "deposited" if amount > 0 else "withdrawn",
            "amount": abs(amount)}


def events_between(db, account, after, until):
    """(version, type, format, data) of the versions after `after`, to `until`."""
    return db.execute(
        "select version, type, format, data from events"
        " where account = %s and version > %s and version <= %s order by version limit 100",
        (account, after, until)).fetchall()


def version_at(db, account, query):
    """The version at the moment that a query names, now if it names none; 0 when there was none."""
    latest = "select coalesce(max(version), 0) from events where account = %s"
    if "at" in query:
        at = datetime.fromisoformat(query["at"])
        return db.execute(latest + " and recorded_at <= %s", (account, at)).fetchone()[0]
    version = db.execute(latest, (account,)).fetchone()[0]
    wanted = int(query.get("version", version))
    return wanted if wanted <= version else 0


def balance_at(db, account, version):
    """The fold until a version, from the newest snapshot that is not too new."""
    start, balance = db.execute(
        "select version, balance from snapshots where account = %s and version <= %s"
        " order by version desc limit 1", (account, version)).fetchone() or (0, 0)
    return balance + sum(map(change, events_between(db, account, start, version)))
