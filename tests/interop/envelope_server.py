"""A server that answers in an envelope, as some of the tutorial programs do:
{"response": N, "error": null} or {"response": null, "error": "..."}.
"""

import argparse
import json

import pika

QUEUE_TYPES = {
    "transient": {},
    "quorum": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
}


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", default="rpc_queue")
    parser.add_argument("--max-n", type=int, required=True)
    parser.add_argument(
        "--queue-type", choices=QUEUE_TYPES, default="transient"
    )
    args = parser.parse_args()

    def answer(body):
        n = int(body)
        if not 0 <= n <= args.max_n:
            raise ValueError(f"n must be between 0 and {args.max_n}")
        return fib(n)

    def on_request(channel, method, properties, body):
        try:
            envelope = {"response": answer(body), "error": None}
        except ValueError as error:
            envelope = {"response": None, "error": str(error)}
        channel.basic_publish(
            exchange="",
            routing_key=properties.reply_to,
            properties=pika.BasicProperties(
                correlation_id=properties.correlation_id
            ),
            body=json.dumps(envelope),
        )
        channel.basic_ack(delivery_tag=method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(args.url))
    channel = connection.channel()
    channel.queue_declare(queue=args.queue, **QUEUE_TYPES[args.queue_type])
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=args.queue, on_message_callback=on_request)
    print(f"envelope server ready on {args.queue}", flush=True)
    channel.start_consuming()


main()
