"""A home office: confirms what comes, opens it, answers.

    home_client.py listen                      confirms and prints what comes, until Ctrl-C
    home_client.py open REQUEST_ID HANDLER     a person has opened it
    home_client.py answer REQUEST_ID A01 HANDLER

Environment: XM_HOST, XM_PORT, XM_VHOST, XM_HOME, XM_HOME_PASSWORD; XM_CAFILE for TLS; XM_STORE,
the file of outbox and inbox (home.db). HANDLER is the office's own opaque id, never a name.
"""

import os
import sys

from office import Office, Store, settings_from
from ward_client import show


class Home(Office):
    """An office in its role of answering."""

    def received(self, request_id):
        """It is in our store: the clock starts. Gets a receipt only if refused."""
        return self.send("request.received", "request.received", {"request_id": request_id})

    def opened(self, request_id, handler):
        """A person has it. Gets a receipt only if refused."""
        return self.send("request.opened", "request.opened", {"request_id": request_id, "handler": handler})

    def answer(self, request_id, code, answered_by, **more):
        """Answers; `more` is what the code needs: fields, basis, cause, approved_by."""
        body = {"request_id": request_id, "code": code, "answered_by": answered_by, **more}
        return self.send("answer.give", "answer.give", body)


def main():
    what, *rest = sys.argv[1:] or ["help"]
    if what not in ("listen", "open", "answer"):
        sys.exit(__doc__)
    home = Home(settings_from("XM_HOME", "XM_HOME_PASSWORD"), Store(os.environ.get("XM_STORE", "home.db")))
    home.send_unconfirmed()
    if what == "open":
        home.opened(*rest)
        return
    sent = home.answer(*rest) if what == "answer" else None
    for message in home.receive(30 if sent else 86_400):
        if message.type == "xacminh.request.deliver.v1":
            body = message.body
            home.received(body["request_id"])
            print(f"{body['request_id']} {body['kind']} of {body['requester']['name']}, file due {body.get('file_due_on')}")
        else:
            show(message)
        items = message.body["items"] if message.type == "xacminh.receipt.v1" else []
        if sent and any(item.get("message_id") == sent for item in items):
            return


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
