/**
 * A broker that says what a test makes it say: the handshake's faults, and
 * those that depend on what comes in which order. It answers every method in
 * the ordinary way unless the script answers it; it keeps no queues.
 *
 * @module
 */
import {
  type Bytes,
  bytesOf,
  concat,
  frame,
  longString,
  method,
  type MethodId,
  shortString,
  u16,
  u32,
  u64,
  u8,
} from "./raw_socket.ts";

/** What a client sent: a method by its name in the specification, or `header`, `body`, `heartbeat`. */
export interface Received {
  readonly name: string;
  readonly channel: number;
  /** A method's arguments, or the frame's payload. */
  readonly args: Bytes;
  /** How many connections were made before its own. */
  readonly connection: number;
}

/** An answer: bytes to send (none is silence), or `undefined` for the ordinary one. */
export type Answer = (received: Received, connection: ScriptedConnection) => Bytes | undefined;

/** What a {@linkcode ScriptedBroker} does otherwise than a broker. */
export interface Script {
  /** What it offers in `connection.start`. Default: `PLAIN AMQPLAIN`. */
  mechanisms?: string;
  /** What it proposes in `connection.tune`. Default: 0. */
  heartbeatSeconds?: number;
  /** Default: `127.0.0.1`. */
  hostname?: string;
  /** Default: any that is free. */
  port?: number;
  /** The answers to methods, by their names. `accept` comes before the first. */
  answers?: Record<string, Answer>;
}

/** Sends nothing. */
export const SILENCE: Bytes = new Uint8Array();

const METHODS: Record<string, MethodId> = {
  "connection.start": [10, 10],
  "connection.start-ok": [10, 11],
  "connection.tune": [10, 30],
  "connection.tune-ok": [10, 31],
  "connection.open": [10, 40],
  "connection.open-ok": [10, 41],
  "connection.close": [10, 50],
  "connection.close-ok": [10, 51],
  "connection.blocked": [10, 60],
  "connection.unblocked": [10, 61],
  "channel.open": [20, 10],
  "channel.open-ok": [20, 11],
  "channel.close": [20, 40],
  "channel.close-ok": [20, 41],
  "queue.declare": [50, 10],
  "queue.declare-ok": [50, 11],
  "basic.qos": [60, 10],
  "basic.qos-ok": [60, 11],
  "basic.consume": [60, 20],
  "basic.consume-ok": [60, 21],
  "basic.cancel": [60, 30],
  "basic.cancel-ok": [60, 31],
  "basic.publish": [60, 40],
  "basic.deliver": [60, 60],
  "basic.get": [60, 70],
  "basic.get-empty": [60, 72],
  "basic.ack": [60, 80],
  "basic.reject": [60, 90],
  "basic.nack": [60, 120],
  "confirm.select": [85, 10],
  "confirm.select-ok": [85, 11],
};

const NAMES = new Map(Object.entries(METHODS).map(([name, id]) => [String(id), name]));
const FRAME_NAMES: Record<number, string> = { 2: "header", 3: "body", 8: "heartbeat" };
const PROTOCOL_HEADER_BYTES = 8;

/** A method's frame, by its name in the specification. */
export function send(name: string, channel: number, ...args: Bytes[]): Bytes {
  return method(channel, METHODS[name]!, ...args);
}

/** Closes the whole connection. */
export function closeConnection(code: number, text: string): Bytes {
  return send("connection.close", 0, u16(code), shortString(text), u32(0));
}

/** Closes a channel. */
export function closeChannel(channel: number, code: number, text: string): Bytes {
  return send("channel.close", channel, u16(code), shortString(text), u32(0));
}

/** A message for a consumer. The properties are flags and values, as they are to be on the wire. */
export function deliver(
  channel: number,
  tag: string,
  deliveryTag: bigint,
  body: string,
  properties: Bytes = u16(0),
): Bytes {
  const bytes = bytesOf(body);
  const header = concat(u16(60), u16(0), u64(BigInt(bytes.length)), properties);
  return concat(
    send(
      "basic.deliver",
      channel,
      shortString(tag),
      u64(deliveryTag),
      u8(0),
      shortString(""),
      shortString("queue"),
    ),
    frame(2, channel, header),
    frame(3, channel, bytes),
  );
}

/** The short string at an offset. */
export function shortStringAt(bytes: Bytes, at: number): string {
  return new TextDecoder().decode(bytes.subarray(at + 1, at + 1 + bytes[at]!));
}

const ORDINARY: Record<string, (received: Received, script: Script) => Bytes> = {
  "accept": (_, { mechanisms = "PLAIN AMQPLAIN" }) =>
    send("connection.start", 0, u8(0), u8(9), u32(0), longString(mechanisms), longString("en_US")),
  "connection.start-ok": (_, { heartbeatSeconds = 0 }) =>
    send("connection.tune", 0, u16(2047), u32(131_072), u16(heartbeatSeconds)),
  "connection.open": () => send("connection.open-ok", 0, shortString("")),
  "connection.close": () => send("connection.close-ok", 0),
  "channel.open": ({ channel }) => send("channel.open-ok", channel, u32(0)),
  "channel.close": ({ channel }) => send("channel.close-ok", channel),
  "queue.declare": ({ channel, args }) =>
    send(
      "queue.declare-ok",
      channel,
      shortString(shortStringAt(args, 2) || "amq.gen-1"),
      u32(0),
      u32(0),
    ),
  "basic.qos": ({ channel }) => send("basic.qos-ok", channel),
  "basic.consume": ({ channel, args }) =>
    send("basic.consume-ok", channel, shortString(consumerTag(args))),
  "basic.cancel": ({ channel, args }) =>
    send("basic.cancel-ok", channel, shortString(shortStringAt(args, 0))),
  "basic.get": ({ channel }) => send("basic.get-empty", channel, shortString("")),
  "confirm.select": ({ channel }) => send("confirm.select-ok", channel),
};

/** The tag that a `basic.consume` asks for, or one that is made up. */
export function consumerTag(args: Bytes): string {
  return shortStringAt(args, 3 + args[2]!) || "tag";
}

/** One connection to it. */
export class ScriptedConnection {
  /** How many were made before. */
  readonly index: number;
  readonly #connection: Deno.TcpConn;
  #reading = Promise.withResolvers<void>();
  #ended = false;
  #written = Promise.resolve();

  /** @param index How many were made before. */
  constructor(connection: Deno.TcpConn, index: number) {
    this.#connection = connection;
    this.index = index;
    this.#reading.resolve();
  }

  /** Whether either side has ended it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Sends bytes, whatever came. */
  send(bytes: Bytes): void {
    this.#written = this.#written.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    }).catch(() => this.close());
  }

  /** Reads nothing from now on. */
  stopReading(): void {
    this.#reading = Promise.withResolvers();
  }

  /** Ends it, without a word. */
  close(): void {
    this.#reading.resolve();
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.close();
  }

  /** Calls back for each frame; resolves at the end. */
  async read(onFrame: (type: number, channel: number, payload: Bytes) => void): Promise<void> {
    let input: Bytes = new Uint8Array();
    let skip = PROTOCOL_HEADER_BYTES;
    const chunk = new Uint8Array(65_536);
    try {
      for (let count; (count = await this.#connection.read(chunk)) !== null;) {
        input = concat(input, chunk.subarray(0, count));
        while (input.length >= skip + 7) {
          const view = new DataView(input.buffer, skip);
          const end = skip + 7 + view.getUint32(3) + 1;
          if (input.length < end) break;
          onFrame(view.getUint8(0), view.getUint16(1), input.slice(skip + 7, end - 1));
          input = input.slice(end);
          skip = 0;
        }
        await this.#reading.promise;
      }
    } catch {
      // It was ended.
    }
    this.close();
  }
}

/** See the module. */
export class ScriptedBroker implements AsyncDisposable {
  /** All that came, on all connections. */
  readonly received: Received[] = [];
  /** All connections that were made. */
  readonly connections: ScriptedConnection[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #script: Script;
  readonly #done: Promise<void>;

  /** See {@linkcode startScriptedBroker}. */
  constructor(script: Script) {
    const { hostname = "127.0.0.1", port = 0 } = script;
    this.#script = script;
    this.#listener = Deno.listen({ hostname, port });
    this.#done = this.#accept();
  }

  /** The port it listens on. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Its URL. */
  get url(): string {
    const { hostname = "127.0.0.1" } = this.#script;
    return `amqp://${hostname.includes(":") ? `[${hostname}]` : hostname}:${this.port}`;
  }

  /** How often a method came. */
  count(name: string): number {
    return this.received.filter((received) => received.name === name).length;
  }

  /** Ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.connections) connection.close();
    await this.#done;
  }

  async #accept(): Promise<void> {
    const ends: Promise<void>[] = [];
    for await (const accepted of this.#listener) {
      accepted.setNoDelay(true);
      const index = this.connections.length;
      const connection = new ScriptedConnection(accepted, index);
      this.connections.push(connection);
      this.#answer({ name: "accept", channel: 0, args: SILENCE, connection: index }, connection);
      ends.push(connection.read((type, channel, payload) => {
        const isMethod = type === 1;
        const view = new DataView(payload.buffer);
        const name = isMethod
          ? NAMES.get(`${view.getUint16(0)},${view.getUint16(2)}`) ?? "unknown"
          : FRAME_NAMES[type]!;
        const args = isMethod ? payload.slice(4) : payload;
        const received = { name, channel, args, connection: index };
        this.received.push(received);
        this.#answer(received, connection);
      }));
    }
    await Promise.all(ends);
  }

  #answer(received: Received, connection: ScriptedConnection): void {
    const { name } = received;
    const answer = this.#script.answers?.[name]?.(received, connection) ??
      ORDINARY[name]?.(received, this.#script);
    if (answer !== undefined && answer.length > 0) connection.send(answer);
  }
}

/** Starts one. Dispose of it. */
export function startScriptedBroker(script: Script = {}): ScriptedBroker {
  return new ScriptedBroker(script);
}
