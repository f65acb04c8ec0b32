"""One request from the first message to the last, between two offices that speak only the protocol.

Prints one line a step and, at the end, `life: ok`. Anything else ends with a line that says which
step failed and why, and with status 1.

Environment: XM_HOST, XM_PORT, XM_VHOST, XM_WARD, XM_WARD_PASSWORD, XM_HOME, XM_HOME_PASSWORD,
XM_HOME_CODE and XM_HOME_AS_OF (the home unit, served by XM_HOME, and a day on which that code was
right). XM_NOW (RFC 3339) when the broker under test does not go by today's clock; XM_PATIENCE, the
longest wait of a step in seconds (15). Nobody else may read the two inboxes meanwhile.
"""

import os
import secrets
import sys
import time

import pika.exceptions

from home_client import Home
from office import Clock, settings_from
from ward_client import Ward

PATIENCE = float(os.environ.get("XM_PATIENCE", "15"))
PERSON = {"full_name": "Nguyễn Thị Thử", "birth": "1990-02-03", "person_no": "999190001234",
          "address": "Số 1, ngõ Thử", "origin": {"country": "VN", "text": "Thái Bình"}}


class Failed(Exception):
    """A step did not go as the protocol says."""


class Steps:
    """Says what is being done, and how long it took."""

    def __init__(self):
        self.name, self.began = "start", time.monotonic()

    def begin(self, name):
        self.name, self.began = name, time.monotonic()

    def done(self, found=""):
        print(f"life: {self.name}: {found or 'done'} ({(time.monotonic() - self.began) * 1000:.0f} ms)", flush=True)


def must(what, found, expected):
    if found != expected:
        raise Failed(f"{what}: expected {expected!r}, found {found!r}")


def wait(office, is_it):
    """What `is_it` makes of the first message that it takes; others are passed over, except for
    refusals that nobody waits for."""
    for message in office.receive(PATIENCE):
        found = is_it(message)
        if found is not None:
            return found
        for item in message.body["items"] if message.type == "xacminh.receipt.v1" else []:
            if item["outcome"] == "refused" and office.store.sent(item.get("message_id")):
                refusal = item["refusal"]
                raise Failed(f"{item.get('command')} was refused: {refusal['code']} at {refusal['pointer']!r}:"
                             f" {refusal['sentence_en']} {refusal.get('detail', '')}")
    raise Failed(f"nothing came within {PATIENCE:g} s")


def receipt_of(message_id):
    """Takes the receipt's item about a command."""
    def is_it(message):
        if message.type != "xacminh.receipt.v1":
            return None
        return next((item for item in message.body["items"] if item.get("message_id") == message_id), None)
    return is_it


def about(kind, request_id):
    """Takes a message of a type about a request."""
    def is_it(message):
        return message.body if message.type == kind and message.body["request_id"] == request_id else None
    return is_it


def accepted(item):
    if item["outcome"] != "accepted":
        refusal = item["refusal"]
        raise Failed(f"refused: {refusal['code']} at {refusal['pointer']!r}: {refusal['sentence_en']} {refusal.get('detail', '')}")
    return item


def form_of(clock):
    """A form that is right."""
    return {
        "kind": "temp_residence", "case_code": f"TT-{secrets.token_hex(4)}", "received_on": clock.now().date().isoformat(),
        "purpose": "registration", "lane": "normal", "lookup": "done",
        "home": {"code": os.environ["XM_HOME_CODE"], "as_of": os.environ["XM_HOME_AS_OF"]},
        "person": PERSON,
    }


def life(step, ward, home):
    form = form_of(ward.clock)

    step.begin("submit")
    request = ward.submit(form)
    step.done(f"confirmed, {request}")

    step.begin("receipt of the submit")
    first = accepted(wait(ward, receipt_of(request)))
    must("request_id", first.get("request_id"), request)
    must("responder", first["responder"]["office"], home.settings.office)
    step.done(f"accepted, {first['state']}, file due {first['file_due_on']}")

    step.begin("request.deliver")
    work = wait(home, about("xacminh.request.deliver.v1", request))
    must("person, as typed", work["person"], PERSON)
    must("case_code", work["case_code"], form["case_code"])
    must("requester", work["requester"]["office"], ward.settings.office)
    step.done(f"from {work['requester']['name']}, asked {', '.join(work['questions'])}")

    step.begin("request.received")
    home.received(request)
    step.done("confirmed")

    step.begin("request.opened")
    home.opened(request, "cb-017")
    step.done("confirmed")

    step.begin("answer.give A01")
    answer = home.answer(request, "A01", "cb-017", dwelling_status={"status": "determined"})
    step.done("confirmed")

    step.begin("receipt of the answer")
    item = accepted(wait(home, receipt_of(answer)))
    must("state", item["state"], "answered")
    step.done("accepted, answered" + (", late" if item.get("late") else ""))

    step.begin("answer.deliver")
    result = wait(ward, about("xacminh.answer.deliver.v1", request))
    must("code", result["code"], "A01")
    must("responder", result["responder"]["office"], home.settings.office)
    must("dwelling_status", result["dwelling_status"], {"status": "determined"})
    step.done(result["sentence"]["text"])

    step.begin("answer.read")
    ward.read(request)
    step.done("confirmed")

    step.begin("the same submit again")
    ward.send_again(request)
    must("receipt", wait(ward, receipt_of(request)), first)
    step.done("the very same receipt")

    step.begin("a form that cannot be right")
    bad = ward.submit({**form, "person": {**PERSON, "person_no": "99919000123"}})
    item = wait(ward, receipt_of(bad))
    must("outcome", item["outcome"], "refused")
    refusal = item["refusal"]
    must("code and pointer", (refusal["code"], refusal["pointer"]), ("id_malformed", "/person/person_no"))
    step.done(f"refused, {refusal['code']} at {refusal['pointer']}: {refusal['sentence']}")

    step.begin("the same form with its number alone")
    mended = ward.resubmit(bad, form["lane"], person={"person_no": PERSON["person_no"]})
    item = accepted(wait(ward, receipt_of(mended)))
    must("request_id", item.get("request_id"), mended)
    work = wait(home, about("xacminh.request.deliver.v1", mended))
    must("person, as typed", work["person"], PERSON)
    step.done("accepted, whole")


def main():
    step = Steps()
    try:
        clock = Clock(os.environ.get("XM_NOW"))
        ward = Ward(settings_from("XM_WARD", "XM_WARD_PASSWORD"), clock=clock)
        home = Home(settings_from("XM_HOME", "XM_HOME_PASSWORD"), clock=clock)
        life(step, ward, home)
        ward.close()
        home.close()
    except KeyError as missing:
        sys.exit(f"life: FAILED at {step.name}: missing {missing}")
    except Failed as failed:
        sys.exit(f"life: FAILED at {step.name}: {failed}")
    except pika.exceptions.AMQPError as error:
        sys.exit(f"life: FAILED at {step.name}: RabbitMQ: {error!r}")
    print("life: ok")


if __name__ == "__main__":
    main()
