"""What an event means, in either format."""


def tell(event):
    """An event as format 2 has it."""
    if event.format == 2:
        return {"version": event.version, "type": event.type, "amount": event.data["amount"]}
    cents = int(event.data["amount"].replace(".", ""))
    type = "deposited" if cents > 0 else "withdrawn"
    return {"version": event.version, "type": type, "amount": abs(cents)}


def change(event):
    told = tell(event)
    return told["amount"] if told["type"] == "deposited" else -told["amount"]
