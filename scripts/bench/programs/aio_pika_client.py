"""The client of RabbitMQ's tutorial six, with aio-pika, in several tasks."""

import asyncio
import time
import uuid

import aio_pika

from measure import Stopwatch, arguments


class Client:
    def __init__(self, queue):
        self.queue = queue
        self.futures = {}

    async def connect(self, url):
        self.connection = await aio_pika.connect(url)
        # Without confirms, which no other client here waits for.
        self.channel = await self.connection.channel(publisher_confirms=False)
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
                n.encode(),
                content_type="text/plain",
                correlation_id=correlation_id,
                reply_to=self.callback_queue.name,
            ),
            routing_key=self.queue,
        )
        return await future

    async def run(self, n, calls, in_flight):
        times = []
        unsent = calls

        async def call_on():
            nonlocal unsent
            while unsent > 0:
                unsent -= 1
                start = time.perf_counter()
                await self.call(n)
                times.append(time.perf_counter() - start)

        await asyncio.gather(*(call_on() for _ in range(in_flight)))
        return times


async def main():
    args = arguments()
    client = Client(args.queue)
    await client.connect(args.url)
    await client.run(args.n, args.warm_up, args.in_flight)
    stopwatch = Stopwatch()
    stopwatch.times = await client.run(args.n, args.calls, args.in_flight)
    stopwatch.print()
    await client.connection.close()


asyncio.run(main())
