"""A client in the shape of RabbitMQ's tutorial six, with pika.

Prints the body of the reply, whatever it is. Its time is measured: it imports
little, and ends without closing, as the tutorial's does.
"""

import getopt
import sys
import uuid

import pika

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"


class Client:
    def __init__(self, url, queue, direct):
        self.queue = queue
        self.response = None
        self.correlation_id = None
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        if direct:
            self.callback_queue = DIRECT_REPLY_TO
        else:
            declared = self.channel.queue_declare(queue="", exclusive=True)
            self.callback_queue = declared.method.queue
        self.channel.basic_consume(
            queue=self.callback_queue,
            on_message_callback=self.on_response,
            auto_ack=True,
        )

    def on_response(self, _channel, _method, properties, body):
        if properties.correlation_id == self.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue,
                correlation_id=self.correlation_id,
            ),
            body=str(n),
        )
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return self.response


def main():
    found, numbers = getopt.gnu_getopt(sys.argv[1:], "", ["url=", "queue=", "direct"])
    options = {"--queue": "rpc_queue", **dict(found)}

    client = Client(options["--url"], options["--queue"], "--direct" in options)
    for n in numbers:
        print(client.call(n).decode(), flush=True)


main()
