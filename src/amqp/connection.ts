/**
 * One supervised connection: made, watched, and made again after every loss,
 * with everything that its user set up on it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../errors.ts";
import { backoffMs, pause } from "./backoff.ts";
import type { BrokerUrl } from "./broker_url.ts";
import { brokerText, ConnectFailure, connectFailure } from "./connect_failure.ts";
import { Transport, type TransportOptions } from "./transport.ts";

const logger = getLogger(["fibrpc", "amqp"]);

/**
 * - `connecting`: not there yet, or lost and being made again.
 * - `connected`: ready for use.
 * - `blocked`: connected, but the broker takes no messages (a memory or disk alarm).
 * - `closed`: given up, or closed by its owner.
 */
export type ConnectionState = "connecting" | "connected" | "blocked" | "closed";

/** A change of {@linkcode ConnectionState}. */
export interface ConnectionStateChange {
  /** The state now. */
  readonly state: ConnectionState;
  /** The broker concerned, as `host:port`. */
  readonly broker: string;
  /** Why, where there is a reason. */
  readonly reason?: string;
}

/** What was set up on a transport; it may end while the transport lives. */
export interface Session {
  /** Settles with the reason when the set-up has to be made again (a channel closed, a consumer cancelled). */
  readonly ended: Promise<Error>;
}

/** How a {@linkcode Connection} behaves. */
export interface ConnectionOptions extends TransportOptions {
  /** Tried in turn. */
  readonly brokers: readonly BrokerUrl[];
  /** One attempt's bound, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Bounds all attempts before the first success, in milliseconds; without it they go on. */
  readonly firstConnectWithinMs?: number | undefined;
  /** Sets up what the connection is for; again after each loss. */
  readonly establish: (transport: Transport) => Promise<Session>;
  /** Told of each change of state. */
  readonly onStateChange?:
    | ((change: ConnectionStateChange) => void)
    | undefined;
}

/** A session that lived this long, in milliseconds, was a success: the back-off starts anew. */
const STABLE_MS = 1_000;

/**
 * The last attempt is made when so much of the time is left, in milliseconds:
 * a later one could only fail for want of it, and hide what is really wrong.
 */
const LAST_ATTEMPT_MS = 250;

/** See the module. It starts to connect when it is made. */
export class Connection {
  /** Resolves at the first success; rejects with an {@linkcode RpcError} if there is none. */
  readonly opened: Promise<void>;
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;
  readonly #opened = Promise.withResolvers<void>();
  #state: ConnectionState = "connecting";
  #transport: Transport | undefined;
  #everConnected = false;
  #failures = 0;
  #turn = 0;
  #lostAt = performance.now();
  #lastReason: string | undefined;

  /** Starts to connect. */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.opened = this.#opened.promise;
    this.opened.catch(() => {}); // Its owner may ask later, or not at all.
    this.#done = this.#run();
  }

  /** The state now. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** The live transport, with its session established. */
  get transport(): Transport | undefined {
    return this.#state === "connected" || this.#state === "blocked" ? this.#transport : undefined;
  }

  /** The broker in use, or tried at present. */
  get broker(): BrokerUrl {
    const { brokers } = this.#options;
    return this.#transport?.broker ?? brokers[this.#turn % brokers.length]!;
  }

  /** Why there is no connection, and since when: for an error's message. */
  get outage(): string | undefined {
    if (this.#state === "blocked") {
      return `the broker takes no messages: ${this.#lastReason}`;
    }
    if (this.#state !== "connecting") return undefined;
    const seconds = ((performance.now() - this.#lostAt) / 1000).toFixed(1);
    const why = this.#lastReason === undefined ? "" : `: ${this.#lastReason}`;
    return this.#everConnected
      ? `reconnecting for ${seconds} s${why}`
      : `not connected after ${seconds} s${why}`;
  }

  /** Closes for good. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    await this.#done;
  }

  async #run(): Promise<void> {
    const { firstConnectWithinMs = Infinity } = this.#options;
    const giveUpAt = performance.now() + firstConnectWithinMs;
    const lastMs = Math.min(LAST_ATTEMPT_MS, firstConnectWithinMs / 10);
    const leftMs = () => this.#everConnected ? Infinity : giveUpAt - performance.now();
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const transport = await this.#open(leftMs());
        const reason = await this.#use(transport);
        this.#failures += 1;
        this.#lastReason = brokerText(reason);
      } catch (thrown) {
        if (signal.aborted) break;
        const failure = connectFailure(this.broker, thrown);
        this.#failures += 1;
        this.#turn += 1;
        this.#lastReason = failure.message;
        const isRoundOver = this.#failures % this.#options.brokers.length === 0;
        const isOver = leftMs() <= 0 || isRoundOver && leftMs() <= lastMs;
        if (!this.#everConnected && (failure.final || isOver)) {
          this.#opened.reject(failure.error);
          break;
        }
      }
      if (signal.aborted) break;
      this.#setState("connecting", this.#lastReason);
      await pause(Math.min(this.#waitMs(), leftMs() - lastMs), signal);
    }
    this.#opened.reject(new RpcError("cancelled", "the connection was closed"));
    this.#setState("closed");
  }

  /** Every broker is tried once before the first pause. */
  #waitMs(): number {
    const rounds = Math.floor(this.#failures / this.#options.brokers.length);
    return this.#failures % this.#options.brokers.length === 0 ? backoffMs(rounds) : 0;
  }

  #open(leftMs: number): Promise<Transport> {
    const { brokers, connectTimeoutMs, heartbeatSeconds } = this.#options;
    const { broker } = this;
    // A broker that doesn't answer leaves time for those after it.
    const untried = brokers.length - this.#failures % brokers.length;
    return Transport.open(
      broker,
      { ...this.#options, heartbeatSeconds: broker.heartbeatSeconds ?? heartbeatSeconds },
      Math.max(Math.min(connectTimeoutMs, leftMs / untried), 1),
      this.#closing.signal,
    );
  }

  /**
   * Sets up a session, and another where one ends while the transport lives.
   *
   * @returns Why the transport is gone.
   * @throws What kept the first session from being established.
   */
  async #use(transport: Transport): Promise<Error> {
    const { signal } = this.#closing;
    // Without a session it is neither: that is said when there is one.
    transport.onBlockedChange = () => this.#transport && this.#setAlive(transport);
    const goodbye = () => void transport.close();
    signal.addEventListener("abort", goodbye, { once: true });
    try {
      while (true) {
        signal.throwIfAborted();
        const session = await this.#establish(transport);
        this.#transport = transport;
        this.#everConnected = true;
        this.#lastReason = undefined;
        this.#setAlive(transport);
        this.#opened.resolve();
        const since = performance.now();
        const reason = await Promise.race([transport.gone, session.ended]);
        this.#lostAt = performance.now();
        if (this.#lostAt - since >= STABLE_MS) this.#failures = 0;
        if (transport.closed) return reason;
        // What is under way on the session's old channel can still be finished there.
        this.#transport = undefined;
        this.#failures += 1;
        this.#lastReason = brokerText(reason);
        this.#setState("connecting", this.#lastReason);
        await pause(this.#waitMs(), signal);
      }
    } finally {
      signal.removeEventListener("abort", goodbye);
      this.#transport = undefined;
      if (signal.aborted) await transport.close();
      else transport.destroy(new Error("given up"));
    }
  }

  async #establish(transport: Transport): Promise<Session> {
    const { connectTimeoutMs, establish } = this.#options;
    const timer = setTimeout(
      () => transport.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    const lost = transport.gone.then((reason) => Promise.reject(reason));
    lost.catch(() => {}); // It will be lost some time, long after the race.
    try {
      return await Promise.race([establish(transport), lost]);
    } catch (error) {
      throw error instanceof RpcError
        ? new ConnectFailure(error, error.code !== "unavailable")
        : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #setAlive({ blocked }: Transport): void {
    this.#setState(blocked === undefined ? "connected" : "blocked", blocked);
  }

  #setState(state: ConnectionState, reason?: string): void {
    if (state === "blocked") this.#lastReason = reason;
    if (state === this.#state && reason === undefined) return;
    this.#log(state, reason);
    this.#state = state;
    const broker = String(this.broker);
    try {
      this.#options.onStateChange?.({ state, broker, ...(reason === undefined ? {} : { reason }) });
    } catch (error) {
      logger.error("onStateChange failed: {error}", { error: String(error) });
    }
  }

  #log(state: ConnectionState, reason: string | undefined): void {
    const broker = String(this.broker);
    if (state === "connected") {
      logger.debug("connected to {broker}", { broker });
    } else if (state === "blocked") {
      logger.warn("{broker} takes no messages: {reason}", { broker, reason });
    } else if (state === "connecting" && this.#state !== "connecting") {
      logger.warn("lost {broker}: {reason}; reconnecting", { broker, reason });
    } else if (state === "connecting") {
      // At first, and then ever less often.
      const isRare = (this.#failures & (this.#failures - 1)) === 0;
      logger[isRare ? "warn" : "debug"]("{reason}; trying again", { reason });
    }
  }
}
