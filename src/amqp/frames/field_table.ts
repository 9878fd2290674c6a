/**
 * Field tables, which hold a message's headers (AMQP 0-9-1, section 4.2.5.5,
 * with the types that RabbitMQ has).
 *
 * @module
 */
import type { MessageHeader } from "../message.ts";
import { quote } from "../../text.ts";
import { writeText } from "./text.ts";

/** A field table, read. */
export type FieldTable = Record<string, MessageHeader>;

const SIZE_BYTES = 4;
const MAX_NAME_BYTES = 255;

/** A type's letter, and the longest value of a fixed size. */
const FIXED_BYTES = 1 + 8;

/** The most bytes of UTF-8 that one of UTF-16's code units makes. */
const MAX_CHARACTER_BYTES = 3;

/** What {@linkcode encodeTable} writes to. */
let scratch = new Uint8Array(1_024);
let view = new DataView(scratch.buffer);

/**
 * The bytes of a table, its size first. They are valid until the next call.
 *
 * @throws {RangeError} For a value that no field can hold, or a name over 255 bytes.
 * @throws {TypeError} For a value of a type that no field has.
 */
export function encodeTable(table: FieldTable): Uint8Array {
  const end = writeTable(0, table);
  return scratch.subarray(0, end);
}

/** Makes room for more bytes. */
function reserve(at: number, bytes: number): void {
  if (at + bytes <= scratch.length) return;
  const larger = new Uint8Array(2 * (at + bytes));
  larger.set(scratch.subarray(0, at));
  scratch = larger;
  view = new DataView(larger.buffer);
}

function writeTable(start: number, table: FieldTable): number {
  reserve(start, SIZE_BYTES);
  let at = start + SIZE_BYTES;
  for (const name of Object.keys(table)) {
    const value = table[name];
    if (value === undefined) continue;
    at = writeName(at, name);
    at = writeField(at, value);
  }
  return endSized(start, at);
}

function writeName(start: number, name: string): number {
  reserve(start, 1 + MAX_CHARACTER_BYTES * name.length);
  const end = writeText(scratch, start + 1, name);
  const bytes = end - start - 1;
  if (bytes > MAX_NAME_BYTES) {
    throw new RangeError(`the header name ${quote(name)} has more than ${MAX_NAME_BYTES} bytes`);
  }
  view.setUint8(start, bytes);
  return end;
}

/** A type's letter, and a value. */
function writeField(at: number, value: MessageHeader): number {
  reserve(at, FIXED_BYTES);
  switch (typeof value) {
    case "string":
      return writeString(writeType(at, "S"), value);
    case "boolean":
      view.setUint8(at + 1, value ? 1 : 0);
      return writeType(at, "t") + 1;
    case "bigint":
      return writeInt64(writeType(at, "l"), value);
    case "number":
      return writeNumber(at, value);
    case "object":
      return value === null ? writeType(at, "V") : writeObject(at, value);
  }
  throw new TypeError(`a header can't hold a ${typeof value}`);
}

function writeType(at: number, letter: string): number {
  view.setUint8(at, letter.charCodeAt(0));
  return at + 1;
}

function writeNumber(at: number, value: number): number {
  if (!Number.isSafeInteger(value)) {
    view.setFloat64(at + 1, value);
    return writeType(at, "d") + 8;
  }
  if (value !== (value | 0)) return writeInt64(writeType(at, "l"), BigInt(value));
  view.setInt32(at + 1, value);
  return writeType(at, "I") + 4;
}

function writeInt64(at: number, value: bigint): number {
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} has more than 64 bits`);
  view.setBigInt64(at, value);
  return at + 8;
}

function writeObject(at: number, value: object): number {
  if (value instanceof Date) {
    const seconds = Math.floor(value.getTime() / 1000);
    return writeInt64(writeType(at, "T"), BigInt(seconds));
  }
  if (value instanceof Uint8Array) return writeBytes(writeType(at, "x"), value);
  if (value instanceof ArrayBuffer) return writeBytes(writeType(at, "x"), new Uint8Array(value));
  if (Array.isArray(value)) return writeArray(writeType(at, "A"), value);
  return writeTable(writeType(at, "F"), value as FieldTable);
}

function writeString(start: number, value: string): number {
  reserve(start, SIZE_BYTES + MAX_CHARACTER_BYTES * value.length);
  return endSized(start, writeText(scratch, start + SIZE_BYTES, value));
}

function writeBytes(start: number, value: Uint8Array): number {
  reserve(start, SIZE_BYTES + value.length);
  const end = start + SIZE_BYTES + value.length;
  scratch.set(value, start + SIZE_BYTES);
  return endSized(start, end);
}

function writeArray(start: number, values: readonly MessageHeader[]): number {
  reserve(start, SIZE_BYTES);
  let at = start + SIZE_BYTES;
  for (const value of values) at = writeField(at, value ?? null);
  return endSized(start, at);
}

/** Writes before a value how many bytes it has. */
function endSized(start: number, end: number): number {
  view.setUint32(start, end - start - SIZE_BYTES);
  return end;
}
