"""A server in the shape of RabbitMQ's tutorial six, with pika.

One request at a time, the naive recursion, the reply before the ack.
"""

import argparse

import pika

QUEUE_TYPES = {
    "transient": {},
    "quorum": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
}


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def on_request(channel, method, properties, body):
    n = int(body)
    print(f"answering fib({n})", flush=True)
    channel.basic_publish(
        exchange="",
        routing_key=properties.reply_to,
        properties=pika.BasicProperties(
            correlation_id=properties.correlation_id
        ),
        body=str(fib(n)),
    )
    channel.basic_ack(delivery_tag=method.delivery_tag)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", default="rpc_queue")
    parser.add_argument(
        "--queue-type", choices=QUEUE_TYPES, default="transient"
    )
    args = parser.parse_args()

    connection = pika.BlockingConnection(pika.URLParameters(args.url))
    channel = connection.channel()
    channel.queue_declare(queue=args.queue, **QUEUE_TYPES[args.queue_type])
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=args.queue, on_message_callback=on_request)
    print(f"pika server ready on {args.queue}", flush=True)
    channel.start_consuming()


main()
