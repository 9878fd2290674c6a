/**
 * One TCP or TLS connection to one broker: the AMQP library's protocol engine
 * on a socket of ours, through the seams that its base class is made of
 * (`connect`, `send`, `parseFrames`, `closeSocket`).
 *
 * - The writes of one turn of the event loop leave as one, when its promises
 *   have settled: see `frames/write_batch.ts`. Nothing waits longer than the turn
 *   itself, where `setImmediate` would cost a lone call 0.2 ms.
 * - Messages are encoded here: see `frames/publish_frames.ts`.
 * - Liveness both ways: see `liveness.ts`.
 * - Headers the library can't read cost the headers, not the process: see
 *   `frames/content_header.ts`.
 *
 * @module
 */
import { AMQPBaseClient } from "@cloudamqp/amqp-client/amqp-base-client";
import { addressesWithin } from "./socket/addresses.ts";
import { Backlog } from "./backlog.ts";
import { NoAnswer, pause } from "../time.ts";
import type { BrokerUrl } from "./broker_url.ts";
import { Channel, type ChannelOwner } from "./channel.ts";
import { type ConnectFailure, connectFailure, mostTelling, withoutClient } from "./failure.ts";
import { type CredentialsOptions, type Login, loginTo } from "./credentials.ts";
import { isPlainDelivery, withoutClusterId, withoutHeaders } from "./frames/content_header.ts";
import { FrameReader } from "./frames/frame_reader.ts";
import { FrameView } from "./frames/frame_view.ts";
import { MAX_TEXT_CHARACTERS } from "./frames/publish_frames.ts";
import { WriteBatch } from "./frames/write_batch.ts";
import {
  type BrokerInfo,
  brokerInfo,
  checkLogin,
  isStart,
  productOf,
  proposeHeartbeat,
  refusedMechanism,
} from "./handshake.ts";
import { Liveness } from "./liveness.ts";
import type { MessageProperties } from "./message.ts";
import { openSocket } from "./socket/open.ts";
import type { Socket } from "./socket/socket.ts";
import type { TlsOptions } from "./socket/tls.ts";
import { TlsExpected } from "./socket/tls_failure.ts";

export type { TlsOptions };

export interface ConnectionOptions extends CredentialsOptions {
  /** The connection's name on the broker's management page. */
  readonly name: string;
  /** The heartbeat interval in seconds, unless the URL has one; 0 turns it off. */
  readonly heartbeatSeconds: number;
}

/**
 * What RabbitMQ allows unless configured otherwise. A smaller one would be
 * sent headers that don't fit: they are never split.
 */
const FRAME_MAX = 131_072;

/**
 * The largest frame that the library sends: the least that AMQP 0-9-1 allows
 * to agree on. It allocates a buffer of this size for each publish of a turn.
 */
const LIBRARY_FRAME_MAX = 4_096;

/** The protocol header, a client's first bytes: AMQP 0-9-1, section 4.2.2. */
const PROTOCOL_HEADER = new Uint8Array([65, 77, 81, 80, 0, 0, 9, 1]);

/** AMQP 0-9-1, section 4.2.3. */
const FRAME_TYPE = { METHOD: 1, HEARTBEAT: 8, END: 206 } as const;

/** What a TLS server's complaint about plain AMQP starts with: RFC 8446, section 5.1. */
const TLS_ALERT = 21;

/**
 * How long a TLS connection listens before it says its first word, in
 * milliseconds, if the one before it was cut. In TLS 1.3 the broker's
 * complaint about a client's certificate comes after the handshake, and is
 * lost if something is written to the connection that the broker has closed.
 */
const ALERT_WAIT_MS = 500;

const MAYBE_TLS = "does this port want TLS? Then the URL must start with amqps://";

/**
 * The promises of a turn settle one after the other: a reply settles a call,
 * the call what awaits it, and that makes the next call. So many later the
 * turn's frames are written. `process.nextTick` would run after the last,
 * writes no larger batches, and takes 9 ms to load on Deno.
 */
const MICROTASKS_BEFORE_FLUSH = 8;

/** How long the broker may take to answer a close, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

const RESOLVED: Promise<void> = Promise.resolve();

const utf8 = new TextEncoder();

/** A single-use connection: after a loss, open another. */
export class Connection extends AMQPBaseClient implements ChannelOwner {
  /** Settles when the connection is gone, with the reason; it never rejects. */
  readonly gone: Promise<Error>;
  /** Resolves when the broker takes no messages for the first time: it doesn't even read on then. */
  readonly whenBlocked: Promise<void>;
  /** Called when {@linkcode AMQPBaseClient.blocked} has changed. */
  readonly blockedListeners: Set<() => void> = new Set();
  /** Called before a turn's frames are written, to add to them. */
  readonly flushListeners: Set<() => void> = new Set();

  readonly #broker: BrokerUrl;
  readonly #address: string;
  readonly #tls: TlsOptions | undefined;
  readonly #liveness: Liveness;
  readonly #backlog = new Backlog();
  readonly #reader = new FrameReader({
    frames: (view) => this.parseFrames(view),
    isPlain: isPlainDelivery,
  });
  readonly #batch = new WriteBatch((bytes) => this.#write(bytes));
  readonly #openChannels = new Set<Channel>();
  readonly #abandoned = new AbortController();
  /** Resolvers that wait for the next frame sent on a channel. */
  readonly #onSent = new Map<number, () => void>();
  readonly #settleGone: (reason: Error) => void;
  #reason: Error | undefined;
  #closing: Promise<void> | undefined;
  #promisesUntilFlush = 0;
  #agreedFrameMax = LIBRARY_FRAME_MAX;
  #socket: Socket | undefined;
  #hasReceived = false;
  /** The broker's first frame. */
  #start: FrameView | undefined;

  private constructor(
    broker: BrokerUrl,
    address: string,
    { username, password, tls }: Login,
    { name, heartbeatSeconds }: ConnectionOptions,
  ) {
    const platform = globalThis.navigator?.userAgent ?? ""; // Such as Deno/2.9.6.
    checkLogin(broker, { username, password }, name + platform);
    const heartbeat = broker.heartbeatSeconds ?? heartbeatSeconds;
    super(broker.vhost, username, password, name, platform, FRAME_MAX, heartbeat);
    this.#broker = broker;
    this.#address = address;
    this.#tls = tls;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.gone = promise;
    this.#settleGone = resolve;
    this.onerror = (error) => this.#reason ??= withoutClient(error) as Error;
    const whenBlocked = Promise.withResolvers<void>();
    this.whenBlocked = whenBlocked.promise;
    const changed = () => {
      for (const listener of this.blockedListeners) listener();
    };
    this.onblocked = () => {
      whenBlocked.resolve();
      changed();
    };
    this.onunblocked = changed;
    this.#liveness = new Liveness(
      () => this.#sendHeartbeat(),
      (reason) => this.destroy(reason),
    );
  }

  /**
   * Connects: each address of the broker's host in turn, whatever the ones
   * before it answered. They may lead to different brokers.
   *
   * @param broker Where to.
   * @param options How.
   * @param timeoutMs For all addresses together, in milliseconds.
   * @param signal Gives up early.
   * @throws {ConnectFailure} If no address could be had; whatever a provider of
   * credentials throws, or the search for the addresses.
   */
  static async open(
    broker: BrokerUrl,
    options: ConnectionOptions,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Connection> {
    const end = performance.now() + timeoutMs;
    const leftMs = () => Math.max(end - performance.now(), 1);
    const login = await loginTo(broker, options, timeoutMs, signal);
    const addresses = await addressesWithin(broker.host, leftMs(), signal);
    const failures: ConnectFailure[] = [];
    for (const [index, address] of addresses.entries()) {
      let reason: unknown;
      for (const alertWaitMs of broker.tls ? [0, ALERT_WAIT_MS] : [0]) {
        signal.throwIfAborted();
        const connection = new Connection(broker, address, login, options);
        // An address that doesn't answer leaves time for the others.
        const shareMs = leftMs() / (addresses.length - index);
        if (await connection.#connectWithin(shareMs, signal, alertWaitMs)) return connection;
        reason = connection.#reason;
        if (!connection.#wasClosedSilently) break;
        if (!broker.tls) reason = new Error(`${connection.#reason!.message} (${MAYBE_TLS})`);
      }
      failures.push(connectFailure(broker, reason, login.username));
    }
    throw mostTelling(failures);
  }

  /** @returns Whether it connected; otherwise `#reason` is set. */
  async #connectWithin(
    timeoutMs: number,
    signal: AbortSignal,
    alertWaitMs: number,
  ): Promise<boolean> {
    const timer = setTimeout(
      () => this.destroy(new NoAnswer("no answer", timeoutMs)),
      timeoutMs,
    );
    const abort = () => this.destroy(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.connect(alertWaitMs);
      return true;
    } catch (error) {
      this.destroy(error as Error);
      return false;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Whether the peer closed the connection before it sent anything. */
  get #wasClosedSilently(): boolean {
    if (this.#hasReceived) return false;
    const { code, message } = this.#reason as Error & { code?: unknown };
    return code === "ECONNRESET" || code === "EPIPE" || /closed$/.test(message);
  }

  /** When the last bytes came, on the clock of `performance.now()`. */
  get receivedAt(): number {
    return this.#liveness.receivedAt;
  }

  get broker(): BrokerUrl {
    return this.#broker;
  }

  /** What the broker says of itself. It is read when it is asked for: most connections are not. */
  get brokerInfo(): BrokerInfo {
    if (this.#start !== undefined) return brokerInfo(this.#start);
    return { product: undefined, version: undefined, clusterName: undefined };
  }

  /** Such as `RabbitMQ 4.3.6`, if the broker says so. */
  get product(): string | undefined {
    return productOf(this.brokerInfo);
  }

  /** How many bytes a frame may have. */
  get agreedFrameMax(): number {
    return this.#agreedFrameMax;
  }

  /**
   * Opens a channel without waiting for the broker's word: what is sent on it
   * next leaves in the same write.
   *
   * @throws If the connection is closed, or has too many channels.
   */
  async openChannel(): Promise<Channel> {
    const free = this.channels.findIndex((channel) => channel === undefined);
    const id = free === -1 ? this.channels.length : free;
    this.channel(id).catch(() => {}); // What is sent on it next fails too.
    const opened = this.channels[id];
    if (opened === undefined) throw this.#reason ?? new Error("too many channels");
    const channel = new Channel(opened, this);
    this.#openChannels.add(channel);
    channel.onEnd(() => this.#openChannels.delete(channel));
    await channel.requested();
    return channel;
  }

  /** @ignore */
  nextFrame(channelId: number): Promise<void> {
    return new Promise((resolve) => this.#onSent.set(channelId, resolve));
  }

  /** @ignore */
  override async connect(alertWaitMs = 0): Promise<this> {
    const lost = this.gone.then((reason) => Promise.reject(reason));
    lost.catch(() => {}); // Avoids an unhandled rejection once the races are decided.
    const accepted = new Promise<unknown>((resolve, reject) => {
      this.connectPromise = [resolve, reject];
    });
    accepted.catch(() => {}); // Maybe refused before it is waited for.
    // By default a channel forwards its error to the connection, with another text.
    this.channels[0]!.onerror = () => {};
    this.#socket = await Promise.race([this.#dial(), lost]);
    if (alertWaitMs > 0) await Promise.race([pause(alertWaitMs, this.#abandoned.signal), lost]);
    this.send(PROTOCOL_HEADER);
    this.#reader.maxBytes = FRAME_MAX;
    await Promise.race([accepted, lost]);
    if (this.frameMax === 0) this.#reader.maxBytes = Infinity; // Whatever the broker likes.
    this.#agreedFrameMax = Math.max(this.frameMax, LIBRARY_FRAME_MAX);
    this.frameMax = LIBRARY_FRAME_MAX;
    this.#liveness.start(this.heartbeat * 1000);
    return this;
  }

  #dial(): Promise<Socket> {
    const { host, port, tls } = this.#broker;
    return openSocket(
      { address: this.#address, port, tls: tls ? { host, options: this.#tls } : undefined },
      {
        data: (bytes) => this.#onData(bytes),
        close: (reason) => this.#onClose(reason),
      },
      this.#abandoned.signal,
    );
  }

  #onData(bytes: Uint8Array): void {
    if (this.#abandoned.signal.aborted) return;
    this.#liveness.received();
    if (!this.#hasReceived && bytes[0] !== FRAME_TYPE.METHOD) {
      this.destroy(
        bytes[0] === TLS_ALERT ? new TlsExpected() : new Error("it doesn't speak AMQP 0-9-1"),
      );
      return;
    }
    this.#hasReceived = true;
    try {
      this.#reader.push(bytes);
    } catch (error) {
      this.destroy(new Error("the broker sent what is not AMQP", { cause: error }));
    }
  }

  #onClose(failure: Error | undefined): void {
    const reason = this.#reason ??= failure ?? new Error("the connection was closed");
    this.closed = true;
    this.#liveness.stop();
    // The library leaves what waits on a channel waiting, if this side closed.
    for (const channel of this.channels) channel?.setClosed(reason);
    for (const channel of this.#openChannels) channel.end(reason);
    this.#settleGone(reason);
  }

  /** Takes a whole frame, or several of plain deliveries. */
  protected override parseFrames(view: FrameView): void {
    // The library would answer it with another one, which the other end may answer too.
    if (view.getUint8(0) === FRAME_TYPE.HEARTBEAT) return;
    if (this.connectPromise !== undefined) {
      const refused = refusedMechanism(view, this.#broker);
      if (refused !== undefined) return this.destroy(refused);
      proposeHeartbeat(view, this.heartbeat);
      if (isStart(view)) this.#start = copyOf(view);
    }
    const frame = withoutClusterId(view) ?? view;
    try {
      super.parseFrames(frame);
    } catch (error) {
      const readable = withoutHeaders(frame);
      if (readable === undefined) throw error;
      super.parseFrames(readable);
    }
  }

  /** Adds a frame to the turn's batch. It never rejects: `gone` reports a loss. */
  override send(bytes: Uint8Array): Promise<void> {
    if (this.#socket === undefined) return RESOLVED;
    this.#batch.add(bytes);
    this.scheduleFlush();
    if (this.#onSent.size > 0) {
      const channel = bytes[1]! << 8 | bytes[2]!;
      this.#onSent.get(channel)?.();
      this.#onSent.delete(channel);
    }
    return RESOLVED;
  }

  /** @ignore */
  publish(
    channelId: number,
    routingKey: string,
    body: string | Uint8Array,
    properties: MessageProperties,
    mandatory: boolean,
  ): void {
    if (this.blocked !== undefined) {
      throw new Error(`the broker takes no messages: ${this.blocked}`);
    }
    const isLong = typeof body === "string" && body.length > MAX_TEXT_CHARACTERS;
    const content = isLong ? utf8.encode(body) : body;
    const message = { channel: channelId, routingKey, body: content, properties, mandatory };
    this.#batch.addPublish(message, this.#agreedFrameMax);
    this.scheduleFlush();
  }

  /** Makes sure that {@linkcode Connection.flushListeners} runs at the end of this turn. */
  scheduleFlush(): void {
    if (this.#promisesUntilFlush > 0) return;
    this.#promisesUntilFlush = MICROTASKS_BEFORE_FLUSH;
    queueMicrotask(this.#flushSoon);
  }

  readonly #flushSoon = (): void => {
    if (this.#promisesUntilFlush === 0) return; // It was flushed meanwhile.
    this.#promisesUntilFlush -= 1;
    if (this.#promisesUntilFlush === 0) this.flush();
    else queueMicrotask(this.#flushSoon);
  };

  /** Writes what this turn has gathered so far. */
  readonly flush = (): void => {
    this.#promisesUntilFlush ||= 1; // What the hooks send needs no other.
    for (const hook of this.flushListeners) hook();
    this.#promisesUntilFlush = 0;
    this.#batch.flush();
  };

  #write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#liveness.sent();
    socket.write(bytes);
    // A broker that takes no messages may read nothing for as long as its alarm lasts.
    if (this.#backlog.isStuck(bytes.length, socket.waitingBytes) && this.blocked === undefined) {
      this.destroy(new Error(`it takes nothing: ${socket.waitingBytes} bytes wait to be sent`));
    }
  }

  #sendHeartbeat(): void {
    this.send(
      new Uint8Array([FRAME_TYPE.HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_TYPE.END]),
    );
  }

  /** Ends the connection at once, without `connection.close`. */
  destroy(reason: Error): void {
    this.#reason ??= reason;
    this.closed = true;
    this.#liveness.stop();
    this.#abandoned.abort(reason);
    if (this.#socket === undefined) this.#settleGone(this.#reason);
    else this.#socket.destroy();
  }

  /** The library calls this after `connection.close-ok`. */
  protected override closeSocket(): void {
    this.#batch.flush();
    this.#socket?.destroy();
    this.#onClose(undefined); // The close was asked for, so there is no other reason.
  }

  /** Closes with `connection.close`, and without it if the broker does not answer in time. */
  override close(reason = "", code = 200): Promise<void> {
    this.#closing ??= this.closed ? this.gone.then(() => {}) : this.#closeInOrder(reason, code);
    return this.#closing;
  }

  async #closeInOrder(reason: string, code: number): Promise<void> {
    this.#reason ??= new Error("closed by this side");
    const timer = setTimeout(
      () => this.destroy(new Error("the broker did not confirm the close")),
      CLOSE_TIMEOUT_MS,
    );
    this.flush(); // What is added before a write must not come after the close.
    super.close(reason, code).catch(() => {}); // `gone` tells.
    await this.gone;
    clearTimeout(timer);
  }
}

function copyOf(view: FrameView): FrameView {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  return new FrameView(bytes.buffer);
}
