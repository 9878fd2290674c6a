/**
 * A `fibrpc serve` process that is sent all kinds of things, and good
 * requests among them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { AMQPMessage } from "@cloudamqp/amqp-client";
import { uniqueQueue } from "./broker.ts";
import { spawnFibrpc } from "./fibrpc_command.ts";
import { memoryOf } from "./memory.ts";
import type { Program } from "./process.ts";
import { RawChannel } from "./raw_channel.ts";
import { RawSocket } from "./raw_socket.ts";
import { waitFor } from "./wait.ts";

/** See the module. */
export class Victim implements AsyncDisposable {
  /** Its request queue. */
  readonly queue: string;
  /** Whoever asks it properly. */
  readonly peer: RawChannel;
  /** Whoever doesn't. */
  readonly socket: RawSocket;
  /** The server's process. */
  readonly server: Program;
  #asked = 0;

  private constructor(queue: string, peer: RawChannel, socket: RawSocket, server: Program) {
    this.queue = queue;
    this.peer = peer;
    this.socket = socket;
    this.server = server;
  }

  /** Starts a server with a queue of its own. */
  static async start(url: string, ...args: string[]): Promise<Victim> {
    const queue = uniqueQueue("victim");
    const server = spawnFibrpc(["serve", "--url", url, "--queue", queue, ...args]);
    await server.waitForStderr(/Awaiting RPC requests/);
    return new Victim(queue, await RawChannel.open(url), await RawSocket.open(url), server);
  }

  /** The replies with that correlation id so far. */
  replies(id: string): readonly AMQPMessage[] {
    return this.peer.replies.filter(({ properties }) => properties.correlationId === id);
  }

  /** The reply with that correlation id, when it comes. */
  async reply(id: string): Promise<AMQPMessage> {
    const [reply] = await waitFor(() => this.replies(id).length > 0 && this.replies(id), {
      what: `the reply to ${id}`,
    });
    return reply!;
  }

  /** A good request that is sent now; call the result to wait for its answer. */
  async neighbour(): Promise<() => Promise<void>> {
    const id = `neighbour ${this.#asked++}`;
    await this.peer.send(this.queue, "30", { correlationId: id });
    return async () => assertEquals((await this.reply(id)).bodyToString(), "832040", id);
  }

  /** Does something hostile between good requests, which are answered. */
  async between(hostile: () => Promise<void>): Promise<void> {
    const before = await this.neighbour();
    await hostile();
    await this.socket.sync();
    const after = await this.neighbour();
    await before();
    await after();
  }

  /** Waits until nothing is in its queues, and asks whether it is still what was started. */
  async assertUnharmed(maxMemory: number): Promise<void> {
    for (const queue of [this.queue, `${this.queue}.suspects`]) {
      await waitFor(async () => await this.peer.messagesIn(queue) === 0, {
        what: `${queue} to be empty`,
      });
    }
    await (await this.neighbour())();
    assert(!this.server.ended, this.server.stderr);
    const memory = await memoryOf(this.server.pid);
    if (memory !== undefined) assert(memory.peak < maxMemory, `it took ${memory.peak} MiB`);
    this.server.kill("SIGTERM");
    const { code } = await this.server.waitForExit();
    assertEquals(code, 0, this.server.stderr); // It drained: nothing was left in its hands.
    assertEquals(await this.peer.look(this.queue), { messages: 0, consumers: 0 });
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.socket[Symbol.asyncDispose]();
    await this.peer[Symbol.asyncDispose]();
  }
}
