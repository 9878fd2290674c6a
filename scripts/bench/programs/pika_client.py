"""The client of RabbitMQ's tutorial six, with pika.

With several calls in flight, it sends one whenever a reply has come.
"""

import time
import uuid

import pika

from measure import Stopwatch, arguments


class Client:
    def __init__(self, url, queue, reply):
        self.queue = queue
        self.sent = {}
        self.times = []
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        if reply == "direct":
            self.callback_queue = "amq.rabbitmq.reply-to"
        else:
            declared = self.channel.queue_declare(queue="", exclusive=True)
            self.callback_queue = declared.method.queue
        self.channel.basic_consume(
            queue=self.callback_queue,
            on_message_callback=self.on_response,
            auto_ack=True,
        )

    def on_response(self, _channel, _method, properties, _body):
        start = self.sent.pop(properties.correlation_id, None)
        if start is not None:
            self.times.append(time.perf_counter() - start)

    def send(self, n):
        correlation_id = str(uuid.uuid4())
        self.sent[correlation_id] = time.perf_counter()
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue, correlation_id=correlation_id
            ),
            body=n,
        )

    def run(self, n, calls, in_flight):
        self.times = []
        unsent = calls
        while len(self.times) < calls:
            while unsent > 0 and len(self.sent) < in_flight:
                self.send(n)
                unsent -= 1
            self.connection.process_data_events(time_limit=None)


def main():
    args = arguments()
    client = Client(args.url, args.queue, args.reply)
    client.run(args.n, args.warm_up, args.in_flight)
    stopwatch = Stopwatch()
    client.run(args.n, args.calls, args.in_flight)
    stopwatch.times = client.times
    stopwatch.print()
    client.connection.close()


main()
