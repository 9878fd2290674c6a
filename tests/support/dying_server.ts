/**
 * A server that answers nothing, and dies with all that it holds.
 *
 * @module
 */
import { RawChannel } from "./raw_channel.ts";

/** See the module. */
export class DyingServer implements AsyncDisposable {
  /** How many requests it holds. */
  held = 0;
  readonly #connection: RawChannel;

  private constructor(connection: RawChannel) {
    this.#connection = connection;
  }

  /** Begins to take requests from a queue. */
  static async start(url: string, queue: string): Promise<DyingServer> {
    const server = new DyingServer(await RawChannel.open(url));
    const take = () => void (server.held += 1);
    await server.#connection.channel.basicConsume(queue, { noAck: false }, take);
    return server;
  }

  /** Dies: what it holds is delivered again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}
