/**
 * Load with known answers: calls that go on until they are told to stop, and
 * a verdict on all of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import {
  FibonacciClient,
  type FibonacciClientOptions,
} from "../../src/services/fibonacci/client.ts";
import { RawChannel } from "./raw_channel.ts";
import { waitFor } from "./wait.ts";

/** The numbers that are asked for, and their answers. */
const ANSWERS = [0n, 1n];
for (let n = 2; n <= 300; n++) ANSWERS.push(ANSWERS[n - 2]! + ANSWERS[n - 1]!);

/** What load to make. */
export interface LoadOptions {
  /** Settings of the clients; one client each. */
  readonly clients: readonly FibonacciClientOptions[];
  /** How many calls each client has under way. Default: 16. */
  readonly inFlight?: number;
  /**
   * Whether a caller that is told at once that the queue doesn't exist calls
   * again, as it may: nothing was lost. Default: that is a wrong answer.
   */
  readonly repeatNoServer?: boolean;
}

/** What became of the calls. */
export interface Verdict {
  /** Calls made. */
  readonly calls: number;
  /** Calls with a right answer. */
  readonly right: number;
  /** All others, in words. */
  readonly wrong: readonly string[];
  /** Requests that clients sent again. */
  readonly resubmissions: number;
  /** Replies that came late or twice, and were dropped. */
  readonly dropped: number;
}

/** Running load; see the module. */
export class Load implements AsyncDisposable {
  readonly #clients: readonly FibonacciClient[];
  readonly #callers: readonly Promise<void>[];
  readonly #wrong: string[] = [];
  readonly #repeatNoServer: boolean;
  #calls = 0;
  #right = 0;
  #stopped = false;

  /** Starts to call. */
  constructor({ clients, inFlight = 16, repeatNoServer = false }: LoadOptions) {
    this.#repeatNoServer = repeatNoServer;
    this.#clients = clients.map((options) => new FibonacciClient(options));
    this.#callers = this.#clients.flatMap((client) =>
      Array.from({ length: inFlight }, () => this.#call(client))
    );
  }

  /** The clients' states. */
  get states(): readonly string[] {
    return this.#clients.map(({ state }) => state);
  }

  /** Waits until so many more calls have ended well: the load flows. */
  async flows(calls: number = 300): Promise<void> {
    const goal = this.#right + calls;
    await waitFor(() => this.#right >= goal || this.#wrong.length > 0, {
      what: `${calls} more right answers`,
    });
    assertEquals(this.#wrong, []);
  }

  /** Makes no more calls, and waits for those under way. */
  async finish(): Promise<Verdict> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    const sum = (of: (client: FibonacciClient) => number) =>
      this.#clients.reduce((total, client) => total + of(client), 0);
    return {
      calls: this.#calls,
      right: this.#right,
      wrong: this.#wrong,
      resubmissions: sum((client) => client.stats.resubmissions),
      dropped: sum((client) => client.stats.repliesDropped),
    };
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#callers);
  }

  async #call(client: FibonacciClient): Promise<void> {
    while (!this.#stopped) {
      const n = Math.floor(Math.random() * ANSWERS.length);
      this.#calls += 1;
      try {
        const answer = await client.fibonacci(n);
        if (answer === ANSWERS[n]) this.#right += 1;
        else this.#wrong.push(`fib(${n}) = ${answer}`);
      } catch (error) {
        if (this.#repeatNoServer && error instanceof RpcError && error.code === "no_server") {
          this.#calls -= 1;
          continue;
        }
        this.#wrong.push(`fib(${n}): ${error instanceof RpcError ? error.code : ""} ${error}`);
      }
    }
  }
}

/** Ends the load and fails unless every call was answered right and the queues are empty. */
export async function assertNothingLost(
  load: Load,
  url: string,
  queue: string,
): Promise<Verdict> {
  const verdict = await load.finish();
  assertEquals(verdict.wrong, []);
  assertEquals(verdict.right, verdict.calls);
  await using peer = await RawChannel.open(url);
  for (const name of [queue, `${queue}.suspects`]) {
    await waitFor(async () => await peer.messagesIn(name) === 0, { what: `${name} to be empty` });
  }
  return verdict;
}
