/**
 * Random messages: whatever a broker passes on.
 *
 * @module
 */
import type { Random } from "./random.ts";
import {
  bytesOf,
  concat,
  entry,
  longString,
  type RawProperties,
  type Text,
  u16,
  u32,
  u64,
  u8,
} from "./raw_socket.ts";

/** The first 100 KB or so of this are random, which is slow to make. */
const HUGE_BYTES = 1_000_000;

/** Text, or what is none: of at most 255 bytes. */
export function randomText(random: Random): Text {
  return random.pick([
    () => "",
    () => "x".repeat(255),
    () => "\u{1F600}\0\u202E",
    () => `${random.below(1_000)}`,
    () => random.bytes(random.below(256)),
    () => new Uint8Array([0xff, 0xfe]),
  ])();
}

/** A body: a number, almost one, or anything else. */
export function randomBody(random: Random): Text {
  if (random.oneIn(200)) return new Uint8Array(HUGE_BYTES).fill(random.below(256));
  return random.pick([
    () => "",
    () => String(random.below(1_000)),
    () => ` ${random.below(1_000)}\r\n`,
    () => `-${random.below(1_000)}`,
    () => "9".repeat(random.below(100)),
    () => "1e3",
    () => '{"n": 30}',
    () => random.bytes(random.below(1_000)),
    () => utf16(String(random.below(1_000))),
    () => "\u0663\u0660", // 30 in Arabic-Indic digits.
  ])();
}

/** Any of the properties but a reply address and a correlation id, each of any value that a broker passes on. */
export function randomProperties(random: Random): RawProperties {
  const makers: { [Name in keyof RawProperties]: () => RawProperties[Name] } = {
    contentType: () => randomText(random),
    contentEncoding: () => randomText(random),
    headers: () => randomTable(random, 3),
    deliveryMode: () => random.pick([1, 2]),
    priority: () => random.below(256),
    expiration: () => random.pick(["0", "1", "60000", "4294967295", "0007", "+5"]),
    messageId: () => randomText(random),
    timestamp: () => random.pick([0n, 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]),
    type: () => random.pick<Text>(["error", "", randomText(random)]),
    userId: () => "guest",
    appId: () => randomText(random),
    clusterId: () => randomText(random),
  };
  const chosen = Object.entries(makers).filter(() => random.oneIn(3));
  return Object.fromEntries(chosen.map(([name, make]) => [name, make()]));
}

function randomTable(random: Random, depth: number): Uint8Array<ArrayBuffer> {
  const entries = Array.from({ length: random.below(6) }, () => {
    const name = random.pick<Text>([
      "x-fibrpc-attempts",
      "x-error-code",
      "x-death",
      "__proto__",
      "constructor",
      randomText(random),
    ]);
    const [type, value] = randomValue(random, depth);
    return entry(name, type, value);
  });
  return concat(...entries);
}

function randomValue(random: Random, depth: number): [string, Uint8Array<ArrayBuffer>] {
  const type = random.pick([..."tbBsuIilLfdDSxTVAF"]);
  switch (type) {
    case "t":
    case "b":
    case "B":
      return [type, u8(random.below(256))];
    case "s":
    case "u":
      return [type, u16(random.below(65_536))];
    case "I":
    case "i":
      return [type, u32(random.below(2 ** 32))];
    case "f":
      return [type, u32(random.below(0x7f800000))]; // A broker refuses what is no number.
    case "d":
    case "T":
    case "l":
    case "L":
      return [type, u64(BigInt(random.below(2 ** 31)) << 31n)];
    case "D":
      return [type, concat(u8(random.below(256)), u32(random.below(2 ** 32)))];
    case "V":
      return [type, new Uint8Array()];
    case "A": {
      const values = Array.from({ length: depth > 0 ? random.below(4) : 0 }, () => {
        const [inner, value] = randomValue(random, depth - 1);
        return concat(bytesOf(inner), value);
      });
      return [type, longString(concat(...values))];
    }
    case "F":
      return [type, longString(depth > 0 ? randomTable(random, depth - 1) : new Uint8Array())];
    default:
      return [type, longString(randomText(random))];
  }
}

function utf16(text: string): Uint8Array<ArrayBuffer> {
  return concat(...Array.from(text, (char) => new Uint8Array([char.charCodeAt(0), 0])));
}
