"""What a ward and a home office have in common: a login, an inbox, an outbox.

Written from docs/PROTOCOL.md alone, as a model for other languages. Needs Python 3.9 and pika.

    send    the message goes to the store, then to RabbitMQ, then the confirm is noted
    receive the message goes to the store, then it is acknowledged, then somebody sees it

The store is what makes it safe: whatever dies in between, the next start sends again what has no
confirm, with the same id and the same bytes, and drops what it has had before.
"""

import json
import os
import secrets
import sqlite3
import ssl
import time
from collections import namedtuple
from datetime import datetime, timedelta, timezone

import pika
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelWrongStateError, NackError

VIETNAM = timezone(timedelta(hours=7))
EXCHANGE = "xacminh.in"

Message = namedtuple("Message", "type message_id body")
Settings = namedtuple("Settings", "host port vhost office password cafile", defaults=(None,))


def settings_from(office, password, env=os.environ):
    """The settings of an office; `office` and `password` name environment variables."""
    return Settings(env["XM_HOST"], int(env["XM_PORT"]), env["XM_VHOST"], env[office], env[password],
                    env.get("XM_CAFILE"))


class Clock:
    """The time, or the one that a test says it is."""

    def __init__(self, start=None):
        self.start = datetime.fromisoformat(start.replace("Z", "+00:00")) if start else None
        self.began = time.monotonic()

    def now(self):
        if self.start is None:
            return datetime.now(VIETNAM)
        return self.start.astimezone(VIETNAM) + timedelta(seconds=time.monotonic() - self.began)


def uuid7(at):
    """A UUID of version 7: 48 bits of milliseconds, version, 12 random bits, variant, 62 more."""
    value = int(at.timestamp() * 1000) << 80
    value |= 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Store:
    """Outbox and inbox, in a file that outlives the process."""

    def __init__(self, path=":memory:"):
        self.db = sqlite3.connect(path)
        with self.db:
            self.db.execute("create table if not exists sent (message_id text primary key, type text,"
                            " routing_key text, body blob, confirmed int default 0, receipt text)")
            self.db.execute("create table if not exists got (message_id text primary key, type text, body blob)")

    def keep(self, message_id, kind, routing_key, body):
        with self.db:
            self.db.execute("insert into sent (message_id, type, routing_key, body) values (?, ?, ?, ?)",
                            (message_id, kind, routing_key, body))

    def sent(self, message_id):
        """Type, routing key and the very bytes of a message."""
        return self.db.execute("select type, routing_key, body from sent where message_id = ?", (message_id,)).fetchone()

    def unconfirmed(self):
        return [row[0] for row in self.db.execute("select message_id from sent where not confirmed order by rowid")]

    def confirmed(self, message_id):
        with self.db:
            self.db.execute("update sent set confirmed = 1 where message_id = ?", (message_id,))

    def take_in(self, message_id, kind, body):
        """False if it was there already. Receipts are noted at what they are about."""
        with self.db:
            new = self.db.execute("insert or ignore into got values (?, ?, ?)", (message_id, kind, body)).rowcount
            if kind == "xacminh.receipt.v1":
                for item in json.loads(body)["items"]:
                    self.db.execute("update sent set receipt = ? where message_id = ?",
                                    (json.dumps(item), item.get("message_id")))
        return new == 1


class Office:
    """An office's line to the broker."""

    def __init__(self, settings, store=None, clock=None):
        self.settings = settings
        self.store = store or Store()
        self.clock = clock or Clock()
        self.channels = {}

    def send(self, message, routing_key, body):
        """Sends a command and returns its id. When this returns, RabbitMQ has it on disk."""
        message_id = uuid7(self.clock.now())
        self.store.keep(message_id, f"xacminh.{message}.v1", routing_key, json.dumps(body, ensure_ascii=False).encode())
        self.send_again(message_id)
        return message_id

    def send_again(self, message_id):
        """Sends what is in the store: the same id, the same bytes. Changes nothing if it was there."""
        kind, routing_key, body = self.store.sent(message_id)
        properties = pika.BasicProperties(
            type=kind, message_id=message_id, user_id=self.settings.office, content_type="application/json",
            delivery_mode=2, headers={"xm-time": self.clock.now().isoformat(timespec="milliseconds")})
        for attempt in (1, 2, 3):
            try:
                self._channel("sending").basic_publish(EXCHANGE, routing_key, body, properties)
                self.store.confirmed(message_id)
                return
            except (AMQPConnectionError, ChannelWrongStateError, NackError):
                self._drop("sending")  # not known, not failed: once more with the same id
                if attempt == 3:
                    raise

    def send_unconfirmed(self):
        """After a start: whatever was being sent when the process ended."""
        for message_id in self.store.unconfirmed():
            self.send_again(message_id)

    def receive(self, seconds):
        """Yields what comes in, each once, until that many seconds have passed in all."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                channel = self._channel("receiving")
                for method, about, body in channel.consume(f"xacminh.office.{self.settings.office}", inactivity_timeout=0.5):
                    if method is not None:
                        new = self.store.take_in(about.message_id, about.type, body)
                        channel.basic_ack(method.delivery_tag)
                        # A receipt that was asked for again is worth seeing again.
                        if new or about.type == "xacminh.receipt.v1":
                            yield Message(about.type, about.message_id, json.loads(body))
                    elif "sending" in self.channels:
                        self._channel("sending").connection.process_data_events(0)  # heartbeats
                    if time.monotonic() >= until:
                        return
            except (AMQPConnectionError, ChannelWrongStateError):
                self._drop("receiving")
                self._drop("sending")

    def close(self):
        for name in list(self.channels):
            self._drop(name)

    def _channel(self, name):
        """One connection for sending and one for receiving, made when needed."""
        channel = self.channels.get(name)
        if channel is None or not channel.is_open:
            self._drop(name)
            s = self.settings
            tls = pika.SSLOptions(ssl.create_default_context(cafile=s.cafile), s.host) if s.cafile else None
            connection = pika.BlockingConnection(pika.ConnectionParameters(
                s.host, s.port, s.vhost, pika.PlainCredentials(s.office, s.password), ssl_options=tls, heartbeat=30,
                connection_attempts=5, retry_delay=1 + secrets.randbelow(3), blocked_connection_timeout=30))
            channel = self.channels[name] = connection.channel()
            if name == "sending":
                channel.confirm_delivery()
            else:
                channel.basic_qos(prefetch_count=50)
        return channel

    def _drop(self, name):
        channel = self.channels.pop(name, None)
        if channel is not None and channel.connection.is_open:
            try:
                channel.connection.close()
            except AMQPError:
                pass  # it was lost already, and nobody had noticed
