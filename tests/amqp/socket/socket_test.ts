import { assert, assertEquals, assertRejects } from "@std/assert";
import net from "node:net";
import { pause } from "../../../src/time.ts";
import { type BunSocket, bunSocket } from "../../../src/amqp/socket/bun.ts";
import { denoSocket } from "../../../src/amqp/socket/deno.ts";
import { nodeSocket } from "../../../src/amqp/socket/node.ts";
import type { Socket } from "../../../src/amqp/socket/socket.ts";
import { freePorts } from "../../support/ports.ts";
import { startProxy } from "../../support/proxy.ts";
import { waitFor } from "../../support/wait.ts";

// Bun's own carries every call of the executable that is compiled with Bun.
const IMPLEMENTATIONS = { denoSocket, nodeSocket };

const never = new AbortController().signal;

/** What a socket has told. */
class Events {
  readonly bytes: number[] = [];
  readonly reasons: (Error | undefined)[] = [];
  readonly data = (bytes: Uint8Array) => void this.bytes.push(...bytes);
  readonly close = (reason?: Error) => void this.reasons.push(reason);

  async closed(): Promise<Error | undefined> {
    await waitFor(() => this.reasons.length > 0, { what: "the close" });
    return this.reasons[0];
  }
}

const local = (port: number) => ({ address: "127.0.0.1", port });

/** A socket, and what is at its other end. */
async function pair(
  open: typeof denoSocket,
  test: (socket: Socket, events: Events, peer: Deno.TcpConn) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const events = new Events();
  const accepted = listener.accept();
  const socket = await open(local(listener.addr.port), events, never);
  using peer = await accepted;
  await test(socket, events, peer);
  socket.destroy();
  await events.closed();
  assertEquals(events.reasons.length, 1);
}

/** A listener whose system answers no more connections: its queue is full. */
async function fullListener() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const others: Deno.Conn[] = [];
  while (true) {
    const signal = AbortSignal.timeout(1_000);
    const other = await Deno.connect({ hostname: "127.0.0.1", port, signal })
      .catch(() => undefined);
    if (other === undefined) break;
    others.push(other);
  }
  let accepted = 0;
  return {
    port,
    /** How many connections were made to fill it. */
    others: others.length,
    /** How many connections there have been when so much time is over. */
    async acceptFor(ms: number): Promise<number> {
      const accepting = (async () => {
        for await (const connection of listener) {
          accepted += 1;
          connection.close();
        }
      })();
      await pause(ms, never);
      listener.close();
      await accepting;
      return accepted;
    },
    [Symbol.asyncDispose](): Promise<void> {
      for (const other of others) other.close();
      return Promise.resolve();
    },
  };
}

for (const [name, open] of Object.entries(IMPLEMENTATIONS)) {
  Deno.test(`${name}: bytes go both ways, in order`, () =>
    pair(open, async (socket, events, peer) => {
      socket.write(new Uint8Array([1, 2]));
      socket.write(new Uint8Array([3]));
      const read = new Uint8Array(3);
      for (let at = 0; at < read.length;) at += (await peer.read(read.subarray(at)))!;
      assertEquals([...read], [1, 2, 3]);
      await peer.write(new Uint8Array([4, 5]));
      await peer.write(new Uint8Array([6]));
      await waitFor(() => events.bytes.length === 3, { what: "the answer" });
      assertEquals(events.bytes, [4, 5, 6]);
    }));

  Deno.test(`${name}: what a slow reader doesn't take yet is kept, and comes in order`, () =>
    pair(open, async (socket, _events, peer) => {
      const count = 200;
      for (let i = 0; i < count; i++) socket.write(new Uint8Array(100_000).fill(i));
      const read = new Uint8Array(65_536);
      let at = 0;
      let isInOrder = true;
      while (at < count * 100_000) {
        const length = (await peer.read(read))!;
        for (let i = 0; i < length; i++) isInOrder &&= read[i] === Math.floor((at + i) / 100_000);
        at += length;
      }
      assert(isInOrder);
    }));

  Deno.test(`${name}: a peer that ends in good order is no error`, () =>
    pair(open, async (_socket, events, peer) => {
      peer.closeWrite();
      assertEquals(await events.closed(), undefined);
    }));

  Deno.test(`${name}: a reset is told with its code`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using proxy = await startProxy(listener.addr.port);
    const events = new Events();
    const accepted = listener.accept();
    await open(local(proxy.port), events, never);
    using _peer = await accepted;
    proxy.reset();
    assertEquals((await events.closed() as { code?: string }).code, "ECONNRESET");
  });

  Deno.test(`${name}: a refused connection names the address and the code`, async () => {
    const [port] = freePorts(1);
    const error = await assertRejects(() => open(local(port!), new Events(), never), Error);
    assertEquals(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`);
    assertEquals((error as { code?: string }).code, "ECONNREFUSED");
  });

  Deno.test(`${name}: an attempt that is not answered is given up, and nothing of it is left`, async () => {
    await using full = await fullListener();
    const giveUp = new AbortController();
    const events = new Events();
    let isOver = false;
    const opening = open(local(full.port), events, giveUp.signal).finally(() => isOver = true);
    opening.catch(() => {}); // It may fail before it is waited for.
    await pause(300, never); // No answer comes, but what would come at once has come.
    assertEquals(isOver, false);
    giveUp.abort(new Error("enough"));
    await waitFor(() => isOver, { what: "the end of it", timeoutMs: 10_000 });
    await assertRejects(() => opening, Error);
    // The system asks again after a second, and after three, if it has not given up.
    assertEquals(await full.acceptFor(3_500), full.others);
  });

  Deno.test(`${name}: gives up before it begins, if told to before`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const signal = AbortSignal.abort(new Error("enough"));
    const opening = open(local(listener.addr.port), new Events(), signal);
    await assertRejects(() => opening, Error);
  });

  Deno.test(`${name}: knows how much waits to be taken`, () =>
    pair(open, async (socket, _events, peer) => {
      assertEquals(socket.waitingBytes, 0);
      const total = 40_000_000; // More than the system's own buffers take.
      for (let i = 0; i < 40; i++) socket.write(new Uint8Array(1_000_000));
      assert(socket.waitingBytes > 1_000_000 && socket.waitingBytes <= total);
      await waitFor(() => socket.waitingBytes < total, { what: "some to be taken" });
      const read = new Uint8Array(65_536);
      for (let at = 0; at < total;) at += (await peer.read(read))!;
      await waitFor(() => socket.waitingBytes === 0, { what: "all to be taken" });
    }));
}

Deno.test("sockets: nothing waits for the answer to what was sent before (TCP_NODELAY)", async () => {
  const told: [name: string, noDelay: unknown][] = [];
  const { connect } = Deno;
  const { setNoDelay } = net.Socket.prototype;
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Deno.Conn[] = [];
  (async () => {
    for await (const connection of listener) accepted.push(connection);
  })();
  try {
    Object.assign(Deno, {
      async connect(options: Deno.ConnectOptions) {
        const connection = await connect(options);
        connection.setNoDelay = (noDelay) => void told.push(["deno", noDelay]);
        return connection;
      },
    });
    net.Socket.prototype.setNoDelay = function (noDelay) {
      told.push(["node", noDelay]);
      return this;
    };
    for (const open of Object.values(IMPLEMENTATIONS)) {
      const events = new Events();
      const socket = await open(local(listener.addr.port), events, never);
      socket.destroy();
      await events.closed();
    }
  } finally {
    Object.assign(Deno, { connect });
    net.Socket.prototype.setNoDelay = setNoDelay;
  }
  const system = {
    write: () => 0,
    terminate() {},
    setNoDelay: (on: boolean) => told.push(["bun", on]),
  };
  await bunSocket({ connect: () => Promise.resolve(system) }, local(1), new Events(), never);
  for (const name of ["deno", "node", "bun"]) {
    assert(told.some(([who, on]) => who === name && on === true), `${name}: ${told}`);
  }
  await waitFor(() => accepted.length === 2, { what: "both connections" });
  for (const connection of accepted) connection.close();
});

Deno.test("bunSocket: what the system doesn't take at once follows in order", async () => {
  const taken: number[] = [];
  let room = 0;
  const system: BunSocket = {
    write(bytes) {
      const part = bytes.subarray(0, room);
      taken.push(...part);
      room -= part.length;
      return part.length;
    },
    setNoDelay() {},
    terminate() {},
  };
  let drained = () => {};
  const bun = {
    connect({ socket }: { socket: { drain(socket: BunSocket): void } }) {
      drained = () => socket.drain(system);
      return Promise.resolve(system);
    },
  };
  const socket = await bunSocket(bun, local(1), new Events(), never);
  const sent: number[] = [];
  for (let i = 0; i < 100; i++) {
    const bytes = Array.from({ length: 1 + i % 7 }, (_, j) => (i + j) % 256);
    sent.push(...bytes);
    room = i % 5; // Also while something waits.
    socket.write(new Uint8Array(bytes));
    assertEquals(socket.waitingBytes, sent.length - taken.length);
    if (i % 3 === 0) drained();
    assertEquals(socket.waitingBytes, sent.length - taken.length);
  }
  room = Infinity;
  drained();
  assertEquals(socket.waitingBytes, 0);
  assertEquals(taken, sent);
});
