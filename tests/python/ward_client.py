"""A ward: asks, takes back, reads the answer.

    ward_client.py submit form.json     sends the form, prints the receipt
    ward_client.py again MESSAGE_ID     sends it again; prints the first receipt again
    ward_client.py withdraw REQUEST_ID  takes it back
    ward_client.py listen               prints what comes, until Ctrl-C
    ward_client.py read REQUEST_ID      a person has read the answer

Environment: XM_HOST, XM_PORT, XM_VHOST, XM_WARD, XM_WARD_PASSWORD; XM_CAFILE for TLS; XM_STORE,
the file of outbox and inbox (ward.db).
"""

import json
import os
import sys

from office import Office, Store, settings_from


class Ward(Office):
    """An office in its role of asking."""

    def submit(self, form):
        """Asks. What this returns is the id of the message and of the request."""
        return self.send("request.submit", f"submit.{form['lane']}", form)

    def resubmit(self, refused, lane, **changes):
        """Makes a refused submit whole with what changes of it; gives the new id."""
        return self.send("request.submit", f"submit.{lane}", {"resubmits": refused, **changes})

    def withdraw(self, request_id, reason, lane="normal"):
        """Takes a request back, in the lane it was submitted in."""
        return self.send("request.withdraw", f"withdraw.{lane}", {"request_id": request_id, "reason": reason})

    def read(self, request_id):
        """A person has read the answer. Gets a receipt only if refused."""
        return self.send("answer.read", "answer.read", {"request_id": request_id})

    def pick(self, form, candidate):
        """The form with the unit that somebody picked of those of `home_ambiguous`."""
        home = {"code": candidate["unit"], "as_of": self.clock.now().date().isoformat()}
        return {**form, "home": home}


def show_receipt(item):
    """A receipt's item in a few lines."""
    if item["outcome"] == "accepted":
        office = item.get("responder", {})
        print(f"accepted: {item.get('request_id')} is {item.get('state')}; asked: {office.get('name')}, {office.get('phone')};"
              f" due {item.get('file_due_on')}; odd: {', '.join(item.get('warnings', [])) or 'nothing'}")
        return
    refusal = item["refusal"]
    print(f"refused: {refusal['code']} at {refusal['pointer'] or 'the message'}: {refusal['sentence']} {refusal.get('detail', '')}")
    for candidate in refusal.get("candidates", []):
        print(f"  {candidate['unit']} {candidate['name']}, {candidate['province']}: {candidate['office_name']}")


def show(message):
    """Whatever comes to a ward."""
    if message.type == "xacminh.receipt.v1":
        for item in message.body["items"]:
            show_receipt(item)
    elif message.type == "xacminh.answer.deliver.v1":
        body = message.body
        print(f"answer {body['code']} to {body['request_id']}{' (late)' if body['late'] else ''}: {body['sentence']['text']}")
    elif message.type == "xacminh.notice.v1":
        for item in message.body["items"]:
            print(f"notice {item['topic']} for the {item['for']}: {item['sentence']}")


def main():
    what, *rest = sys.argv[1:] or ["help"]
    if what not in ("submit", "again", "withdraw", "listen", "read"):
        sys.exit(__doc__)
    ward = Ward(settings_from("XM_WARD", "XM_WARD_PASSWORD"), Store(os.environ.get("XM_STORE", "ward.db")))
    ward.send_unconfirmed()
    if what == "read":
        ward.read(rest[0])
        return
    sent = None
    if what == "submit":
        with open(rest[0], encoding="utf-8") as file:
            sent = ward.submit(json.load(file))
    elif what == "withdraw":
        sent = ward.withdraw(rest[0], "no_longer_needed")
    elif what == "again":
        ward.send_again(rest[0])
        sent = rest[0]
    for message in ward.receive(30 if sent else 86_400):
        show(message)
        items = message.body["items"] if message.type == "xacminh.receipt.v1" else []
        if sent and any(item.get("message_id") == sent for item in items):
            return
    if sent:
        sys.exit(f"no receipt yet; send it again: ward_client.py again {sent}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
