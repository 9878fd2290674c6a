/**
 * One supervised connection: made, watched, and made again after every loss,
 * with everything that its user set up on it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../errors.ts";
import { backoffMs } from "./backoff.ts";
import { NoAnswer, pause } from "../time.ts";
import type { BrokerUrl } from "./broker_url.ts";
import {
  brokerText,
  type ConnectFailure,
  connectFailure,
  mostTelling,
  REPLY_CODE,
  replyCodeOf,
} from "./failure.ts";
import { TransientRefused } from "./queue.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

const logger = getLogger(["fibrpc", "amqp"]);

/**
 * - `connecting`: not there yet, or lost and being made again.
 * - `connected`: ready for use.
 * - `blocked`: connected, but the broker takes no messages (a memory or disk alarm).
 * - `draining`: being ended by its owner, who finishes what is under way.
 * - `closed`: given up, or closed by its owner.
 */
export type ConnectionState = "connecting" | "connected" | "blocked" | "draining" | "closed";

/** A change of {@linkcode ConnectionState}. */
export interface ConnectionStateChange {
  /** The state now. */
  readonly state: ConnectionState;
  /** The broker concerned, as `host:port`. */
  readonly broker: string;
  /** Why, where there is a reason. */
  readonly reason?: string;
  /** What the broker says that it is, when it is `connected`: such as `RabbitMQ 4.3.6`. */
  readonly product?: string;
}

/** Is called with each change of state. */
export type StateListener = (change: ConnectionStateChange) => void;

/** What was set up on a connection; it may end while the connection lives. */
export interface Session {
  /** Settles with the reason when the set-up has to be made again (a channel closed, a consumer cancelled). */
  readonly ended: Promise<Error>;
}

/** How a {@linkcode ConnectionSupervisor} behaves. */
export interface SupervisorOptions extends ConnectionOptions {
  readonly brokers: readonly BrokerUrl[];
  /** The bound of one attempt to connect, and that of one set-up, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Bounds all attempts before the first success, in milliseconds; without it they go on. */
  readonly firstConnectWithinMs?: number | undefined;
  /**
   * Sets up what the connection is for; again after each loss, and at once
   * after {@linkcode TransientRefused}, which is none.
   */
  readonly establish: (connection: Connection) => Promise<Session>;
  /**
   * Are called once for each change of state. The first `connecting` comes when
   * every broker was tried in vain; failures after it are no changes.
   */
  readonly stateListeners: ReadonlySet<StateListener>;
  /**
   * Called when it is no use to wait for the connection: {@linkcode ConnectionSupervisor.open}
   * has failed, or a broker that was there refuses it now.
   */
  readonly onRefused?: ((error: RpcError) => void) | undefined;
}

/** A session that lives this long, in milliseconds, was a success: the back-off starts anew. */
const STABLE_MS = 1_000;

/**
 * The last attempt is made when so much of the time is left, in milliseconds:
 * a later one could only fail for want of it, and hide what is really wrong.
 */
const LAST_ATTEMPT_MS = 250;

/** A refusal that lasts is an error in the log so often, in milliseconds. */
const REFUSAL_LOG_MS = 60_000;

/** Keeps one connection to one of several brokers, and what its owner set up on it. */
export class ConnectionSupervisor {
  readonly #options: SupervisorOptions;
  /** Aborts when no session is wanted any more. */
  readonly #draining = new AbortController();
  readonly #closing = new AbortController();
  #opening: PromiseWithResolvers<void> | undefined;
  #running: Promise<void> = Promise.resolve();
  #state: ConnectionState = "connecting";
  /** The state that was announced last. */
  #announced: ConnectionState | undefined;
  #connection: Connection | undefined;
  #everConnected = false;
  /** How often in a row it failed, all brokers counting as one: the back-off grows with it. */
  #failures = 0;
  /** How the brokers failed that were tried since the last pause. */
  #round: ConnectFailure[] = [];
  #turn = 0;
  #lostAt = performance.now();
  #lastReason: string | undefined;
  #refusal: RpcError | undefined;
  #retryAt = 0;
  readonly #loggedRefusals = new Map<BrokerUrl, { reason: string; at: number }>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The live connection, with its session established. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** The broker in use, or tried at present. */
  get broker(): BrokerUrl {
    const { brokers } = this.#options;
    return this.#connection?.broker ?? brokers[this.#turn % brokers.length]!;
  }

  /** Why there is no connection, and since when: for an error's message. */
  get outage(): string | undefined {
    if (this.#state === "blocked") {
      return `${this.broker} takes no messages: ${this.#lastReason}`;
    }
    if (this.#state !== "connecting") return undefined;
    const seconds = ((performance.now() - this.#lostAt) / 1000).toFixed(1);
    const why = this.#lastReason ?? `${this.broker} has not answered`;
    return this.#everConnected ? `${why} (reconnecting for ${seconds} s)` : why;
  }

  /**
   * Why the last attempt was refused for good, until the back-off allows
   * another one: a loop of calls must be no loop of logins.
   */
  get refusal(): RpcError | undefined {
    if (this.#refusal === undefined || performance.now() >= this.#retryAt) return undefined;
    return this.#refusal;
  }

  /** Whether the brokers were there the last time, and refused. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /**
   * Connects, unless that is done or under way. If it fails it can be called
   * again; after a refusal that attempt waits until the back-off allows it.
   *
   * @returns Resolves at the first success.
   * @throws {RpcError} If a broker refuses the connection and no other takes
   * it, or `firstConnectWithinMs` are over; `cancelled` if it is closed.
   */
  open(): Promise<void> {
    if (this.#opening === undefined) {
      this.#opening = Promise.withResolvers();
      this.#opening.promise.catch(() => {}); // Its owner may not wait for it.
      if (this.#state === "closed") this.#setState("connecting");
      this.#running = this.#run();
    }
    return this.#opening.promise;
  }

  /**
   * Expects the end of the session: it is not set up again, and the connection,
   * which stays as long as it lives or until it is closed, is not replaced.
   */
  drain(): void {
    if (this.#draining.signal.aborted) return;
    this.#draining.abort(new Error("draining"));
    this.#opening?.reject(new RpcError("cancelled", "the connection was closed"));
    this.#setState("draining");
  }

  async close(): Promise<void> {
    this.#draining.abort(new Error("closed"));
    this.#closing.abort(new Error("closed"));
    await this.#running;
    this.#setState("closed");
  }

  async #run(): Promise<void> {
    try {
      await this.#keepConnected();
      throw new RpcError("cancelled", "the connection was closed");
    } catch (thrown) {
      const opening = this.#opening!;
      if (!this.#draining.signal.aborted) {
        this.#opening = undefined;
        this.#setState("closed", (thrown as RpcError).message);
        this.#options.onRefused?.(thrown as RpcError);
      }
      opening.reject(thrown);
    }
  }

  /** @throws {RpcError} If there is no first success. */
  async #keepConnected(): Promise<void> {
    const { brokers, firstConnectWithinMs = Infinity } = this.#options;
    const giveUpAt = performance.now() + firstConnectWithinMs;
    const lastMs = Math.min(LAST_ATTEMPT_MS, firstConnectWithinMs / 10);
    const leftMs = () => this.#everConnected ? Infinity : giveUpAt - performance.now();
    const nextRound = async () => {
      const waitMs = Math.min(this.#retryAt - performance.now(), leftMs() - lastMs);
      if (waitMs > 0) await pause(waitMs, signal);
      before = this.#round;
      this.#round = [];
    };
    let before: readonly ConnectFailure[] = [];
    const { signal } = this.#draining;
    this.#lostAt = performance.now();
    this.#round = [];
    if (this.refusal !== undefined) await nextRound();
    while (!signal.aborted) {
      try {
        const reason = await this.#use(await this.#connect(leftMs()), leftMs);
        if (signal.aborted) return this.#logEnd(reason);
        this.#lost(reason);
      } catch (thrown) {
        if (signal.aborted) return;
        if (thrown instanceof TransientRefused) continue; // The broker is there, and asked for less.
        const { broker } = this;
        const failure = connectFailure(broker, thrown);
        this.#round.push(failure);
        this.#turn += 1;
        if (this.#round.length < brokers.length && leftMs() > 0) {
          this.#failed(broker, failure);
          continue;
        }
        const { error, final, message } = mostTelling(this.#round);
        this.#backOff();
        this.#refusal = final ? error : undefined;
        if (!this.#everConnected && (final || leftMs() <= lastMs)) {
          // The last attempt has little time: those before it may know more.
          throw mostTelling([...this.#round, ...before]).error;
        }
        this.#failed(broker, failure);
        this.#setState("connecting", message, broker);
        if (final) this.#options.onRefused?.(error);
      }
      await nextRound();
    }
  }

  #connect(leftMs: number): Promise<Connection> {
    return Connection.open(
      this.broker,
      this.#options,
      this.#boundMs(leftMs),
      this.#draining.signal,
    );
  }

  /** A broker that doesn't answer leaves time for those after it. */
  #boundMs(leftMs: number): number {
    const { brokers, connectTimeoutMs } = this.#options;
    return Math.max(Math.min(connectTimeoutMs, leftMs / (brokers.length - this.#round.length)), 1);
  }

  /**
   * Sets up a session, and another where one ends while the connection lives.
   *
   * @returns Why the connection is gone.
   * @throws What kept a session from being set up.
   */
  async #use(connection: Connection, leftMs: () => number): Promise<Error> {
    const { signal } = this.#closing;
    const onBlockedChange = () => this.#connection && this.#setAlive(connection);
    connection.blockedListeners.add(onBlockedChange);
    const close = () => void connection.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      while (true) {
        signal.throwIfAborted();
        let session: Session;
        try {
          session = await this.#establish(connection, this.#boundMs(leftMs()));
        } catch (error) {
          // It was in use: that is a loss, not a failure to connect.
          const isLost = this.#connection !== undefined && connection.closed;
          if (isLost && !(error instanceof TransientRefused)) return await connection.gone;
          throw error;
        }
        this.#connection = connection;
        this.#everConnected = true;
        this.#lastReason = undefined;
        this.#refusal = undefined;
        this.#setAlive(connection);
        this.#opening!.resolve();
        const since = performance.now();
        const reason = await Promise.race([connection.gone, session.ended]);
        if (this.#draining.signal.aborted) return await connection.gone;
        const isStable = performance.now() - since >= STABLE_MS;
        if (isStable) this.#failures = 0;
        if (connection.closed) return reason;
        logger.warn("{broker}: {reason}; setting up again", {
          broker: String(connection.broker),
          reason: brokerText(reason),
        });
        // Requests in flight can still be answered on the old channel.
        if (!isStable) await pause(this.#backOff(), this.#draining.signal);
      }
    } finally {
      signal.removeEventListener("abort", close);
      connection.blockedListeners.delete(onBlockedChange);
      this.#connection = undefined;
      await connection.close();
    }
  }

  async #establish(connection: Connection, timeoutMs: number): Promise<Session> {
    const timer = setTimeout(
      () => connection.destroy(new NoAnswer("no answer", timeoutMs)),
      timeoutMs,
    );
    const done = new AbortController();
    const lost = connection.gone.then(async (reason) => {
      await pause(0, done.signal); // What the set-up itself makes of it comes first.
      throw reason;
    });
    lost.catch(() => {}); // Avoids an unhandled rejection once the race is decided.
    try {
      return await Promise.race([this.#options.establish(connection), lost]);
    } catch (error) {
      if (error instanceof TransientRefused) throw error;
      throw connectFailure(connection.broker, error, connection.username);
    } finally {
      clearTimeout(timer);
      done.abort();
    }
  }

  /** @returns How long to wait, in milliseconds. */
  #backOff(): number {
    const waitMs = backoffMs(++this.#failures);
    this.#retryAt = performance.now() + waitMs;
    return waitMs;
  }

  #lost(reason: Error): void {
    // A broker that failed at a message is there, and not in need of rest.
    if (replyCodeOf(reason) === REPLY_CODE.INTERNAL_ERROR) this.#failures = 0;
    this.#backOff();
    this.#lostAt = performance.now();
    const text = brokerText(reason);
    const broker = String(this.broker);
    logger.warn("lost {broker}: {reason}; reconnecting", { broker, reason: text });
    this.#setState("connecting", text);
  }

  #failed(broker: BrokerUrl, { message: reason, final }: ConnectFailure): void {
    this.#lastReason = reason;
    if (final && this.#everConnected) {
      const now = performance.now();
      const last = this.#loggedRefusals.get(broker);
      if (last?.reason === reason && now - last.at < REFUSAL_LOG_MS) return;
      this.#loggedRefusals.set(broker, { reason, at: now });
      logger.error("{reason}; trying again", { reason });
    } else {
      // At first, and then ever less often.
      const isRare = (this.#failures & (this.#failures - 1)) === 0;
      logger[isRare ? "warn" : "debug"]("{reason}; trying again", { reason });
    }
  }

  /** It ended while draining: as it was meant to, unless it was lost. */
  #logEnd(reason: Error): void {
    if (this.#closing.signal.aborted) return;
    const broker = String(this.broker);
    logger.warn("lost {broker} while draining: {reason}", { broker, reason: brokerText(reason) });
  }

  #setAlive({ blocked }: Connection): void {
    if (this.#draining.signal.aborted) return;
    this.#setState(blocked === undefined ? "connected" : "blocked", blocked);
  }

  #setState(state: ConnectionState, reason?: string, broker = this.broker): void {
    this.#lastReason = reason;
    this.#state = state;
    if (state === this.#announced) return;
    this.#announced = state;
    const product = state === "connected" ? this.#connection?.product : undefined;
    const change = {
      state,
      broker: String(broker),
      ...(reason !== undefined && { reason }),
      ...(product !== undefined && { product }),
    };
    if (state === "connected") logger.debug("connected to {broker}", change);
    if (state === "blocked") logger.warn("{broker} takes no messages: {reason}", change);
    for (const listener of this.#options.stateListeners) {
      try {
        listener(change);
      } catch (error) {
        logger.error("onStateChange failed: {error}", { error: String(error) });
      }
    }
  }
}
