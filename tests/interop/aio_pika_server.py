"""A server in the shape of RabbitMQ's tutorial six, with aio-pika."""

import argparse
import asyncio

import aio_pika

QUEUE_TYPES = {
    "transient": {},
    "quorum": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
}


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", default="rpc_queue")
    parser.add_argument(
        "--queue-type", choices=QUEUE_TYPES, default="transient"
    )
    args = parser.parse_args()

    connection = await aio_pika.connect(args.url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    exchange = channel.default_exchange
    queue = await channel.declare_queue(
        args.queue, **QUEUE_TYPES[args.queue_type]
    )
    async with queue.iterator() as requests:
        print(f"aio-pika server ready on {args.queue}", flush=True)
        async for message in requests:
            # Acks at its end.
            async with message.process(requeue=False):
                n = int(message.body.decode())
                print(f"answering fib({n})", flush=True)
                await exchange.publish(
                    aio_pika.Message(
                        body=str(fib(n)).encode(),
                        correlation_id=message.correlation_id,
                    ),
                    routing_key=message.reply_to,
                )


asyncio.run(main())
