import { assert, assertEquals, assertRejects } from "@std/assert";
import { startProxy } from "./proxy.ts";
import { waitFor } from "./wait.ts";

/** A server that sends back what it gets, and tells how connections ended. */
class EchoServer implements AsyncDisposable {
  readonly ends: string[] = [];
  accepted = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #done = this.#serve();
  readonly #open = new Set<Promise<void>>();

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#done;
    await Promise.all(this.#open);
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      this.accepted++;
      const end = this.#echo(connection);
      this.#open.add(end);
    }
  }

  async #echo(connection: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let n; (n = await connection.read(buffer)) !== null;) {
        for (let sent = 0; sent < n;) {
          sent += await connection.write(buffer.subarray(sent, n));
        }
      }
      this.ends.push("end");
    } catch (error) {
      this.ends.push((error as Error).name);
    } finally {
      connection.close();
    }
  }
}

const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port, transport: "tcp" });

async function say(connection: Deno.Conn, text: string): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
}

/** Reads as many characters as `text` has, and checks them. */
async function hear(connection: Deno.Conn, text: string): Promise<void> {
  let heard = "";
  const buffer = new Uint8Array(text.length);
  while (heard.length < text.length) {
    const n = await connection.read(buffer.subarray(heard.length));
    if (n === null) break;
    heard += new TextDecoder().decode(
      buffer.subarray(heard.length, heard.length + n),
    );
  }
  assertEquals(heard, text);
}

/** Whether nothing comes for a while; `pending` goes on reading. */
async function isSilent(pending: Promise<unknown>): Promise<boolean> {
  let timer;
  const silence = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), 200);
  });
  const result = await Promise.race([
    silence,
    pending.then(() => false, () => false),
  ]);
  clearTimeout(timer);
  return result;
}

Deno.test("startProxy() passes data, counts it, and passes a half close", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await say(client, "hello");
  await hear(client, "hello");
  assertEquals(proxy.bytes, { toServer: 5, toClient: 5 });
  assertEquals([proxy.connections, proxy.accepted], [1, 1]);

  await client.closeWrite();
  assertEquals(await client.read(new Uint8Array(1)), null);
  assertEquals(server.ends, ["end"]);
  await waitFor(() => proxy.connections === 0, { what: "the link to close" });
  assertEquals(proxy.accepted, 1);
});

Deno.test("startProxy() passes much data unchanged in both directions", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  const sent = crypto.getRandomValues(new Uint8Array(65_536));
  const rounds = 100;
  const writing = (async () => {
    for (let round = 0; round < rounds; round++) {
      for (let done = 0; done < sent.length;) {
        done += await client.write(sent.subarray(done));
      }
    }
  })();
  const buffer = new Uint8Array(65_536);
  for (let position = 0; position < rounds * sent.length;) {
    const n = await client.read(buffer);
    assert(n !== null, "the connection ended early");
    for (let i = 0; i < n; i++) {
      if (buffer[i] !== sent[(position + i) % sent.length]) {
        throw new Error(`byte ${position + i} differs`);
      }
    }
    position += n;
  }
  await writing;
  assertEquals(proxy.bytes.toServer, rounds * sent.length);
  assertEquals(proxy.bytes.toClient, rounds * sent.length);
});

Deno.test("FaultProxy.url() puts the proxy in the place of the broker", async () => {
  await using proxy = await startProxy(1);
  assertEquals(
    proxy.url("amqp://guest:secret@localhost:5672"),
    `amqp://guest:secret@127.0.0.1:${proxy.port}`,
  );
  assertEquals(
    proxy.url("amqp://localhost/a%2Fb?heartbeat=1"),
    `amqp://127.0.0.1:${proxy.port}/a%2Fb?heartbeat=1`,
  );
});

Deno.test("FaultProxy.reset() resets the connections of both peers", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await say(client, "x");
  await hear(client, "x");
  const pending = client.read(new Uint8Array(1));
  proxy.reset();
  await assertRejects(() => pending, Deno.errors.ConnectionReset);
  await waitFor(() => server.ends.length, { what: "the server to notice" });
  assertEquals(server.ends, ["ConnectionReset"]);

  using again = await connect(proxy.port);
  await say(again, "y");
  await hear(again, "y");
});

Deno.test("FaultProxy.blackhole() passes nothing, restore() passes what was held back", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await say(client, "1");
  await hear(client, "1");

  proxy.blackhole();
  await say(client, "2");
  const held = hear(client, "2");
  using late = await connect(proxy.port);
  await say(late, "3");
  const answer = hear(late, "3");
  assert(await isSilent(Promise.race([held, answer])));
  assertEquals(proxy.bytes, { toServer: 1, toClient: 1 });

  await proxy.restore();
  await Promise.all([held, answer]);
});

Deno.test("FaultProxy.blackhole() hides the end of a peer from the other", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  const client = await connect(proxy.port);
  await say(client, "1");
  await hear(client, "1");
  proxy.blackhole();
  client.close();
  const noticed = waitFor(() => server.ends.length, { what: "an end" });
  assert(await isSilent(noticed));
  await proxy.restore();
  await noticed;
});

Deno.test("FaultProxy.refuse() refuses new connections and keeps open ones", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await say(client, "1");
  await hear(client, "1");
  proxy.refuse();
  await assertRejects(
    () => connect(proxy.port),
    Deno.errors.ConnectionRefused,
  );
  await say(client, "2");
  await hear(client, "2");

  await proxy.restore();
  using again = await connect(proxy.port);
  await say(again, "3");
  await hear(again, "3");
});

Deno.test("FaultProxy.delay() makes data late and keeps its order", async () => {
  await using server = new EchoServer();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  proxy.delay(1, 100);
  const start = performance.now();
  await say(client, "slow");
  await hear(client, "slow");
  // Once each way; timers may be a little early.
  assert(performance.now() - start > 190);

  proxy.delay(0.5, 2);
  const digits = "0123456789".repeat(20);
  const hearing = hear(client, digits);
  for (const digit of digits) await say(client, digit);
  await hearing;
});

Deno.test("a proxy whose target is away resets its clients", async () => {
  const server = new EchoServer();
  await server[Symbol.asyncDispose]();
  await using proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await assertRejects(
    () => client.read(new Uint8Array(1)),
    Deno.errors.ConnectionReset,
  );
});

Deno.test("FaultProxy.close() ends its connections and its port, even in a black hole", async () => {
  await using server = new EchoServer();
  const proxy = await startProxy(server.port);
  using client = await connect(proxy.port);
  await say(client, "1");
  await hear(client, "1");
  proxy.blackhole();
  await say(client, "2");
  await proxy.close();
  await client.read(new Uint8Array(1)).catch(() => null);
  await assertRejects(
    () => connect(proxy.port),
    Deno.errors.ConnectionRefused,
  );
  assertEquals(proxy.connections, 0);
});
