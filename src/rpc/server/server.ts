/**
 * The serving end.
 *
 * @module
 */
import type { Connection } from "../../amqp/connection.ts";
import { inspectQueue, type QueueInspection } from "../../amqp/queue.ts";
import {
  type ConnectionState,
  type ConnectionStateChange,
  ConnectionSupervisor,
  type Session,
  type StateListener,
} from "../../amqp/supervisor.ts";
import { anew, RpcError } from "../../errors.ts";
import { SUSPECTS_SUFFIX } from "../../protocol/names.ts";
import { quote } from "../../text.ts";
import { settledWithin } from "../../time.ts";
import { checkQueueName, type ServedService } from "../service.ts";
import type { RpcHandler } from "./handler.ts";
import { Observers, type RpcServerStats, ServerCounters } from "./observer.ts";
import {
  type ResolvedServerOptions,
  resolveServeOptions,
  resolveServerOptions,
  type RpcServerOptions,
  type ServeOptions,
} from "./options.ts";
import { ensureReplyPermission } from "./reply_to/reply_permission.ts";
import { ReplyProbe } from "./reply_to/reply_probe.ts";
import { RequestLog } from "./request_log.ts";
import { type QueueStatus, ServedQueue } from "./served_queue.ts";

/**
 * Whether a server takes requests: `ready`, or what keeps it from that.
 *
 * - `idle`, `connecting`, `blocked`, `draining`, `closed`: its connection's state.
 * - `refused`: the broker is there and refuses the connection, or the set-up.
 * - `not_consuming`: a consumer was cancelled or its queue deleted; it is being set up again.
 */
export type ServerReadiness =
  | "ready"
  | "idle"
  | "connecting"
  | "refused"
  | "blocked"
  | "not_consuming"
  | "draining"
  | "closed";

/** How long a drain waits until the broker confirms that no request comes any more, in milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;

/**
 * Serves requests from queues: hands each to a handler, sends its result to the
 * request's `reply_to`, then acknowledges it. A server that dies in between
 * leaves the request to another one.
 *
 * @example A service of one's own
 * ```ts
 * import { RpcServer, type Service, text } from "@fibrpc/fibrpc";
 *
 * const shout: Service<string, string> = { queue: "shout", input: text, output: text };
 *
 * export async function serve(url: string): Promise<void> {
 *   await using server = new RpcServer({ url });
 *   server.serve(shout, (words) => words.toUpperCase());
 *   await server.start();
 *   await server.closed;
 * }
 * ```
 */
export class RpcServer implements AsyncDisposable {
  /** Resolves when the server was closed. */
  readonly closed: Promise<void>;
  readonly #options: ResolvedServerOptions;
  readonly #stateListeners = new Set<StateListener>();
  readonly #counters = new ServerCounters();
  readonly #observer: Observers;
  readonly #queues: ServedQueue[] = [];
  /** The queues that are served, and those beside them. */
  readonly #ownQueues = new Set<string>();
  readonly #probe: ReplyProbe;
  readonly #guardProbe: ReplyProbe;
  readonly #closed = Promise.withResolvers<void>();
  readonly #ending = new AbortController();
  /** Where replies were seen to be permitted, and an address of that broker's. */
  #replies: { connection: Connection; address: string | undefined } | undefined;
  #supervisor: ConnectionSupervisor | undefined;
  #settingUp: Promise<unknown> = Promise.resolve();
  #closing: Promise<number> | undefined;
  #isClosed = false;
  #onSettled: () => void = () => {};

  /**
   * Creates a server. {@linkcode RpcServer.serve} says what it serves, and
   * {@linkcode RpcServer.start} starts it.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(options: RpcServerOptions = {}) {
    this.#options = resolveServerOptions(options);
    if (options.onStateChange !== undefined) this.#stateListeners.add(options.onStateChange);
    this.#observer = new Observers(this.#counters, new RequestLog(), options.observer);
    this.#probe = new ReplyProbe(this.#options);
    this.#guardProbe = new ReplyProbe(this.#options);
    this.closed = this.#closed.promise;
  }

  /** The state of the connection; `idle` before the start. */
  get state(): ConnectionState | "idle" {
    if (this.#closing !== undefined) return this.#isClosed ? "closed" : "draining";
    const state = this.#supervisor?.state ?? "idle";
    return state === "closed" ? "idle" : state;
  }

  /** Whether requests are taken, and if not, why; for a readiness probe. */
  get readiness(): ServerReadiness {
    const { state } = this;
    if (state === "connecting" && this.#supervisor?.isRefused) return "refused";
    if (state !== "connected") return state;
    return this.#queues.every(({ isConsuming }) => isConsuming) ? "ready" : "not_consuming";
  }

  /** Each queue that is served, at present. */
  get queues(): readonly QueueStatus[] {
    return this.#queues.map(({ status }) => status);
  }

  /**
   * By how much the handler that takes longest is over its `maxTimeMs`, in
   * milliseconds; 0 if none is. For a liveness probe: it was asked to end, and has not.
   */
  get overrunMs(): number {
    return Math.max(0, ...this.#queues.map(({ overrunMs }) => overrunMs));
  }

  /**
   * Looks at a queue of the broker's: one round trip. A look at one that does not
   * exist is an error in the broker's log.
   *
   * @throws {RpcError} `unavailable` without a connection, or if it is lost.
   */
  async inspect(queue: string): Promise<QueueInspection> {
    const connection = this.#supervisor?.connection;
    if (connection === undefined) throw new RpcError("unavailable", "there is no connection");
    try {
      return await inspectQueue(connection, queue);
    } catch (error) {
      throw RpcError.from(error, "unavailable");
    }
  }

  /** The broker in use, as `host:port`; `undefined` before the start. */
  get broker(): string | undefined {
    return this.#supervisor?.broker.toString();
  }

  /** What this server has done so far, for all its services. */
  get stats(): Readonly<RpcServerStats> {
    return { ...this.#counters.stats };
  }

  /** How many requests it has taken and not settled. */
  get pending(): number {
    return this.#queues.reduce((sum, { pending }) => sum + pending, 0);
  }

  /**
   * Calls `listener` once for each change of the connection's state from now on,
   * like the option of this name.
   *
   * @returns Takes the listener away again.
   */
  onStateChange(listener: (change: ConnectionStateChange) => void): () => void {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }

  /**
   * Adds a service, before the start.
   *
   * @param handler Computes the responses.
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range, or a
   * queue that is served already; `failed_precondition` after the start.
   */
  serve<Input, Output>(
    service: ServedService<Input, Output>,
    handler: RpcHandler<Input, Output>,
    options: ServeOptions = {},
  ): void {
    const { queue } = service;
    checkQueueName(queue, SUSPECTS_SUFFIX.length);
    if (this.#supervisor !== undefined || this.#closing !== undefined) {
      throw new RpcError("failed_precondition", "a service is added before the server starts");
    }
    if (this.#ownQueues.has(queue)) {
      throw new RpcError("invalid_argument", `queue ${quote(queue)} is served already`);
    }
    this.#ownQueues.add(queue).add(queue + SUSPECTS_SUFFIX);
    const owner = {
      maxMessageBytes: this.#options.maxMessageBytes,
      ownQueues: this.#ownQueues,
      counters: this.#counters,
      observer: this.#observer,
      interceptors: this.#options.interceptors,
      probe: this.#probe,
      guardProbe: this.#guardProbe,
      signal: this.#ending.signal,
      onSettled: () => this.#onSettled(),
    };
    this.#queues.push(
      new ServedQueue(
        service as ServedService<unknown, unknown>,
        handler as RpcHandler<unknown, unknown>,
        resolveServeOptions(options),
        owner,
      ),
    );
  }

  /**
   * Connects and consumes; it resolves once requests are taken, and goes on
   * trying while the broker is away. From then on it comes back by itself
   * after every loss.
   *
   * @throws {RpcError} `unauthenticated`, `permission_denied`, or `unavailable`
   * for a certificate that isn't trusted: the broker is there and refuses.
   * `failed_precondition` if there is no service.
   */
  async start(): Promise<void> {
    if (this.#closing !== undefined) {
      throw new RpcError("cancelled", "the server was closed");
    }
    if (this.#queues.length === 0) {
      throw new RpcError("failed_precondition", "the server has no service to start with");
    }
    this.#supervisor ??= new ConnectionSupervisor({
      ...this.#options,
      stateListeners: this.#stateListeners,
      establish: (connection) => {
        const settingUp = this.#setUp(connection);
        this.#settingUp = settingUp.catch(() => {}); // The connection acts on it.
        return settingUp;
      },
    });
    try {
      await this.#supervisor.open();
    } catch (error) {
      throw anew(RpcError.from(error)); // Its stack names whoever awaits this.
    }
  }

  /**
   * Takes no more requests, answers those in flight, then disconnects.
   *
   * @returns How many requests went back to their queues unanswered because
   * `drainTimeoutMs` passed: 0 after a clean drain.
   */
  close(): Promise<number> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  /** The same as {@linkcode RpcServer.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #setUp(connection: Connection): Promise<Session> {
    const address = await this.#ensureReplies(connection);
    const ended: Promise<Error>[] = [];
    for (const queue of this.#queues) ended.push((await queue.setUp(connection, address)).ended);
    return { ended: Promise.race(ended) };
  }

  /** Once for a connection: if that changes later, a reply costs its channel, and the log says why. */
  async #ensureReplies(connection: Connection): Promise<string | undefined> {
    if (this.#replies?.connection !== connection) {
      const timeoutMs = this.#options.connectTimeoutMs / 3; // The rest is the other steps'.
      const { signal } = this.#ending;
      const { broker } = connection;
      const address = await ensureReplyPermission(broker, this.#options, timeoutMs, signal);
      this.#replies = { connection, address };
    }
    return this.#replies.address;
  }

  async #drain(): Promise<number> {
    const end = performance.now() + this.#options.drainTimeoutMs;
    this.#ending.abort();
    for (const queue of this.#queues) queue.stop();
    this.#supervisor?.drain();
    await settledWithin(CANCEL_TIMEOUT_MS, this.#cancelConsumers());
    await settledWithin(end - performance.now(), this.#answered());
    const unanswered = this.pending;
    for (const queue of this.#queues) queue.close();
    await Promise.all([
      this.#supervisor?.close(),
      this.#probe.close(),
      this.#guardProbe.close(),
    ]);
    this.#isClosed = true;
    this.#closed.resolve();
    return unanswered;
  }

  async #cancelConsumers(): Promise<void> {
    await this.#settingUp;
    await Promise.all(this.#queues.map((queue) => queue.cancel()));
  }

  /** Resolves when no request is open. */
  #answered(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = () => {
        if (this.pending === 0) resolve();
      };
      this.#onSettled();
    });
  }
}
