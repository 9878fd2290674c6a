"""A client in the shape of RabbitMQ's tutorial six, with aio-pika.

Keeps a future for each correlation id, and sends all requests at once. Prints
the bodies of the replies, whatever they are.
"""

import argparse
import asyncio
import uuid

import aio_pika


class Client:
    def __init__(self, queue):
        self.queue = queue
        self.futures = {}

    async def connect(self, url):
        self.connection = await aio_pika.connect(url)
        self.channel = await self.connection.channel()
        self.callback_queue = await self.channel.declare_queue(exclusive=True)
        await self.callback_queue.consume(self.on_response, no_ack=True)

    async def on_response(self, message):
        future = self.futures.pop(message.correlation_id, None)
        if future is not None:
            future.set_result(message.body)

    async def call(self, n):
        correlation_id = str(uuid.uuid4())
        future = asyncio.get_running_loop().create_future()
        self.futures[correlation_id] = future
        await self.channel.default_exchange.publish(
            aio_pika.Message(
                str(n).encode(),
                content_type="text/plain",
                correlation_id=correlation_id,
                reply_to=self.callback_queue.name,
            ),
            routing_key=self.queue,
        )
        return await future


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", default="rpc_queue")
    parser.add_argument("n", type=int, nargs="+")
    args = parser.parse_args()

    client = Client(args.queue)
    await client.connect(args.url)
    for body in await asyncio.gather(*map(client.call, args.n)):
        print(body.decode(), flush=True)
    await client.connection.close()


asyncio.run(main())
