/**
 * A peer that sends and reads AMQP as bytes: what no library sends, and a
 * broker passes on.
 *
 * @module
 */

/** Text, or bytes that may be no text. */
export type Text = string | Uint8Array<ArrayBuffer>;

/** The properties of a message, each as it is to be on the wire. */
export interface RawProperties {
  contentType?: Text;
  contentEncoding?: Text;
  /** The entries of the table, as {@linkcode entry} makes them. */
  headers?: Uint8Array<ArrayBuffer>;
  deliveryMode?: number;
  priority?: number;
  correlationId?: Text;
  replyTo?: Text;
  expiration?: Text;
  messageId?: Text;
  timestamp?: bigint;
  type?: Text;
  userId?: Text;
  appId?: Text;
  clusterId?: Text;
}

/** A message from a queue: its short strings and its headers as the bytes on the wire. */
export interface RawMessage {
  body: Bytes;
  properties: Partial<Record<keyof RawProperties, Bytes>>;
}

const FRAME = { METHOD: 1, HEADER: 2, BODY: 3 } as const;
const FRAME_END = 0xce;

/** As large as RabbitMQ allows. */
const FRAME_MAX = 131_072;
const FRAME_OVERHEAD = 8;

/** Class and method, as AMQP 0-9-1 numbers them. */
const METHOD = {
  CONNECTION_START: [10, 10],
  CONNECTION_START_OK: [10, 11],
  CONNECTION_TUNE: [10, 30],
  CONNECTION_TUNE_OK: [10, 31],
  CONNECTION_OPEN: [10, 40],
  CONNECTION_OPEN_OK: [10, 41],
  CONNECTION_CLOSE: [10, 50],
  CONNECTION_CLOSE_OK: [10, 51],
  CHANNEL_OPEN: [20, 10],
  CHANNEL_OPEN_OK: [20, 11],
  CHANNEL_CLOSE: [20, 40],
  BASIC_QOS: [60, 10],
  BASIC_QOS_OK: [60, 11],
  QUEUE_DECLARE: [50, 10],
  QUEUE_DECLARE_OK: [50, 11],
  BASIC_PUBLISH: [60, 40],
  BASIC_GET: [60, 70],
  BASIC_GET_OK: [60, 71],
  BASIC_GET_EMPTY: [60, 72],
} as const;

const BASIC_CLASS = 60;
const CHANNEL = 1;
const NO_HEARTBEAT = 0;

/** A connection with one channel. */
export class RawSocket implements AsyncDisposable {
  readonly #connection: Deno.TcpConn;
  #serverVersion = "";
  #input: Bytes = new Uint8Array();
  #written: Promise<void> = Promise.resolve();

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Connects, and opens the channel. */
  static async open(url: string): Promise<RawSocket> {
    const { hostname, port, username, password } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port || 5672) });
    connection.setNoDelay(true);
    const socket = new RawSocket(connection);
    try {
      await socket.#handshake(username || "guest", password || "guest");
    } catch (error) {
      connection.close();
      throw error;
    }
    return socket;
  }

  /** The broker's version, such as `4.0.5`. */
  get serverVersion(): string {
    return this.#serverVersion;
  }

  /** Publishes to a queue. */
  async publish(queue: Text, body: Text, properties: RawProperties = {}): Promise<void> {
    await this.write(message(queue, body, properties));
  }

  /** Declares a transient queue that goes with this connection. */
  async declare(queue: Text): Promise<void> {
    const EXCLUSIVE = 4;
    const args = [u16(0), shortString(queue), u8(EXCLUSIVE), u32(0)];
    await this.#call(CHANNEL, METHOD.QUEUE_DECLARE, METHOD.QUEUE_DECLARE_OK, ...args);
  }

  /** Takes a message from a queue. */
  async get(queue: Text): Promise<RawMessage | undefined> {
    const NO_ACK = 1;
    await this.write(method(CHANNEL, METHOD.BASIC_GET, u16(0), shortString(queue), u8(NO_ACK)));
    const answer = await this.#expect(METHOD.BASIC_GET_OK, METHOD.BASIC_GET_EMPTY);
    if (answer[3] === METHOD.BASIC_GET_EMPTY[1]) return undefined;
    const header = await this.#readFrame();
    const size = Number(new DataView(header.buffer).getBigUint64(4));
    let body: Bytes = new Uint8Array();
    while (body.length < size) body = concat(body, await this.#readFrame());
    return { body, properties: decode(header.subarray(12)) };
  }

  /** Sends bytes, such as several {@linkcode message}s, after those of the calls before. */
  write(bytes: Bytes): Promise<void> {
    // A write may take only a part: another one must not come in between.
    this.#written = this.#written.then(async () => {
      for (let at = 0; at < bytes.length;) {
        at += await this.#connection.write(bytes.subarray(at));
      }
    });
    return this.#written;
  }

  /**
   * Waits until the broker has taken all that was sent.
   *
   * @throws {Error} With the broker's code and text, if it closed the channel or the connection.
   */
  async sync(): Promise<void> {
    await this.#call(CHANNEL, METHOD.BASIC_QOS, METHOD.BASIC_QOS_OK, u32(0), u16(0), u8(0));
  }

  /** Ends the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }

  async #handshake(username: string, password: string): Promise<void> {
    await this.write(concat(bytesOf("AMQP"), u8(0), u8(0), u8(9), u8(1)));
    const properties = new TextDecoder().decode(await this.#expect(METHOD.CONNECTION_START));
    // deno-lint-ignore no-control-regex
    this.#serverVersion = /\x07versionS[^]{4}([\d.]+)/.exec(properties)?.[1] ?? "";
    const credentials = bytesOf(`\0${decodeURIComponent(username)}\0${password}`);
    await this.#call(
      0,
      METHOD.CONNECTION_START_OK,
      METHOD.CONNECTION_TUNE,
      u32(0),
      shortString("PLAIN"),
      longString(credentials),
      shortString("en_US"),
    );
    const tuned = [u16(CHANNEL), u32(FRAME_MAX), u16(NO_HEARTBEAT)];
    await this.write(method(0, METHOD.CONNECTION_TUNE_OK, ...tuned));
    const vhost = concat(shortString("/"), u8(0), u8(0));
    await this.#call(0, METHOD.CONNECTION_OPEN, METHOD.CONNECTION_OPEN_OK, vhost);
    await this.#call(CHANNEL, METHOD.CHANNEL_OPEN, METHOD.CHANNEL_OPEN_OK, u8(0));
  }

  async #call(
    channel: number,
    request: MethodId,
    answer: MethodId,
    ...args: Bytes[]
  ): Promise<void> {
    await this.write(method(channel, request, ...args));
    await this.#expect(answer);
  }

  async #expect(...expected: MethodId[]): Promise<Bytes> {
    const payload = await this.#readFrame();
    const view = new DataView(payload.buffer, payload.byteOffset);
    const is = (id: MethodId) => view.getUint16(0) === id[0] && view.getUint16(2) === id[1];
    if (expected.some(is)) return payload;
    if (is(METHOD.CONNECTION_CLOSE) || is(METHOD.CHANNEL_CLOSE)) {
      const text = new TextDecoder().decode(payload.subarray(7, 7 + payload[6]!));
      throw new Error(`${view.getUint16(4)} ${text}`);
    }
    throw new Error(`unexpected method ${view.getUint16(0)}.${view.getUint16(2)}`);
  }

  async #readFrame(): Promise<Bytes> {
    const HEADER_BYTES = 7;
    await this.#read(HEADER_BYTES);
    const size = new DataView(this.#input.buffer, this.#input.byteOffset).getUint32(3);
    await this.#read(HEADER_BYTES + size + 1);
    const payload = this.#input.slice(HEADER_BYTES, HEADER_BYTES + size);
    this.#input = this.#input.slice(HEADER_BYTES + size + 1);
    return payload;
  }

  async #read(length: number): Promise<void> {
    const chunk = new Uint8Array(65_536);
    while (this.#input.length < length) {
      const count = await this.#connection.read(chunk);
      if (count === null) throw new Error("the broker closed the connection");
      this.#input = concat(this.#input, chunk.subarray(0, count));
    }
  }
}

/** Bytes, as sockets take them. */
export type Bytes = Uint8Array<ArrayBuffer>;
/** The numbers of a class and of a method. */
export type MethodId = readonly [number, number];

/** The frames that publish a message to a queue. */
export function message(queue: Text, body: Text, properties: RawProperties = {}): Bytes {
  const bytes = bytesOf(body);
  const header = concat(u16(BASIC_CLASS), u16(0), u64(BigInt(bytes.length)), encode(properties));
  const frames = [
    method(CHANNEL, METHOD.BASIC_PUBLISH, u16(0), shortString(""), shortString(queue), u8(0)),
    frame(FRAME.HEADER, CHANNEL, header),
  ];
  const most = FRAME_MAX - FRAME_OVERHEAD;
  for (let at = 0; at < bytes.length; at += most) {
    frames.push(frame(FRAME.BODY, CHANNEL, bytes.subarray(at, at + most)));
  }
  return concat(...frames);
}

/** One entry of a header table: a name, the letter of a type, and the value's bytes. */
export function entry(name: Text, type: string, value: Bytes): Bytes {
  return concat(shortString(name), bytesOf(type), value);
}

/** A table or an array `depth` deep, as the value of an {@linkcode entry} of that type. */
export function nested(type: "A" | "F", depth: number): Bytes {
  // From the inside out, but written from its end: each level adds to the front.
  const perLevel = type === "A" ? [bytesOf("A")] : [shortString("k"), bytesOf("F")];
  const prefix = concat(...perLevel);
  const size = prefix.length + 4;
  const result = new Uint8Array(4 + depth * size);
  const view = new DataView(result.buffer);
  for (let level = 0; level <= depth; level++) {
    const at = level * size;
    view.setUint32(at, (depth - level) * size);
    if (level < depth) result.set(prefix, at + 4);
  }
  return result;
}

/** Joins bytes. */
export function concat(...parts: readonly Bytes[]): Bytes {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** UTF-8, or the bytes themselves. */
export function bytesOf(text: Text): Bytes {
  return typeof text === "string" ? new TextEncoder().encode(text) : text;
}

/** AMQP's long string: at most 4 GiB, after its length. */
export function longString(text: Text): Bytes {
  const bytes = bytesOf(text);
  return concat(u32(bytes.length), bytes);
}

/** AMQP's short string: at most 255 bytes, after its length. */
export function shortString(text: Text): Bytes {
  const bytes = bytesOf(text);
  if (bytes.length > 255) throw new RangeError(`${bytes.length} bytes are no short string`);
  return concat(u8(bytes.length), bytes);
}

/** 8 bits. */
export function u8(value: number): Bytes {
  return new Uint8Array([value]);
}

/** 16 bits, as AMQP has them: big-endian. */
export function u16(value: number): Bytes {
  return new Uint8Array([value >> 8, value]);
}

/** 32 bits. */
export function u32(value: number): Bytes {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

/** 64 bits. */
export function u64(value: bigint): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** Every property, in the order of AMQP 0-9-1, section 1.8.3: the first has the highest flag. */
const PROPERTIES = [
  "contentType",
  "contentEncoding",
  "headers",
  "deliveryMode",
  "priority",
  "correlationId",
  "replyTo",
  "expiration",
  "messageId",
  "timestamp",
  "type",
  "userId",
  "appId",
  "clusterId",
] as const;

function decode(bytes: Bytes): RawMessage["properties"] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const flags = view.getUint16(0);
  const properties: RawMessage["properties"] = {};
  let at = 2;
  for (const [index, name] of PROPERTIES.entries()) {
    if ((flags & 1 << (15 - index)) === 0) continue;
    const [prefix, length] = name === "headers"
      ? [4, view.getUint32(at)]
      : name === "deliveryMode" || name === "priority"
      ? [0, 1]
      : name === "timestamp"
      ? [0, 8]
      : [1, view.getUint8(at)];
    properties[name] = bytes.slice(at + prefix, at + prefix + length);
    at += prefix + length;
  }
  return properties;
}

function encode(properties: RawProperties): Bytes {
  const values = PROPERTIES.map((name) => {
    const value = properties[name];
    if (value === undefined) return undefined;
    if (typeof value === "number") return u8(value);
    if (typeof value === "bigint") return u64(value);
    return name === "headers" ? longString(value) : shortString(value);
  });
  const flags = values.reduce(
    (sum, value, index) => value === undefined ? sum : sum | 1 << (15 - index),
    0,
  );
  return concat(u16(flags), ...values.filter((value) => value !== undefined));
}

/** A method's frame. */
export function method(channel: number, [classId, methodId]: MethodId, ...args: Bytes[]): Bytes {
  return frame(FRAME.METHOD, channel, concat(u16(classId), u16(methodId), ...args));
}

/** Any frame. */
export function frame(type: number, channel: number, payload: Bytes): Bytes {
  return concat(u8(type), u16(channel), u32(payload.length), payload, u8(FRAME_END));
}
