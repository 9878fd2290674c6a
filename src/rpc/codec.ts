/**
 * Codecs: how the values of a service become message bodies, and back.
 *
 * @module
 */
import type { MessageProperties } from "../amqp/message.ts";
import { RpcError } from "../errors.ts";
import type { StandardSchema } from "./standard_schema.ts";

/** Makes bodies of values. */
export interface Encoder<Value> {
  /** The content type of the bodies, such as `application/json`. */
  readonly contentType: string;
  /**
   * The body of a value. A client keeps the bytes of a request until the call
   * ends, for it may be sent again: nothing may write to them meanwhile.
   */
  encode(value: Value): string | Uint8Array;
}

/** Makes values of bodies. */
export interface Decoder<Value> {
  /**
   * The value in a body. What it throws for a request is sent to the caller: an
   * {@linkcode RpcError} as it is, anything else as `invalid_argument`.
   *
   * @param properties The message's: its content type, its headers.
   */
  decode(body: Uint8Array, properties: MessageProperties): Value;
}

/** Both directions. */
export interface Codec<Value> extends Encoder<Value>, Decoder<Value> {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text in UTF-8. A body that is not UTF-8 is refused. */
export const text: Codec<string> = {
  contentType: "text/plain",
  encode: (value) => value,
  decode: (body) => utf8.decode(body),
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array> = {
  contentType: "application/octet-stream",
  encode: (value) => value,
  decode: (body) => body,
};

/**
 * JSON in UTF-8.
 *
 * @example
 * ```ts
 * import { json, type Service, text } from "@fibrpc/fibrpc";
 *
 * export const search: Service<string, { id: number }[]> = {
 *   queue: "search",
 *   input: text,
 *   output: json(),
 * };
 * ```
 * @param schema Checks decoded values, and may change them: one of any library
 * that implements Standard Schema (Zod, Valibot, ArkType, ...), without promises.
 */
export function json<Value = unknown>(schema?: StandardSchema<Value>): Codec<Value> {
  return {
    contentType: "application/json",
    encode(value) {
      const body = JSON.stringify(value);
      if (body === undefined) throw new TypeError(`${typeof value} can't be written as JSON`);
      return body;
    },
    decode(body) {
      const value: unknown = JSON.parse(utf8.decode(body));
      return schema === undefined ? value as Value : validated(schema, value);
    },
  };
}

function validated<Value>(schema: StandardSchema<Value>, value: unknown): Value {
  const result = schema["~standard"].validate(value);
  if (result instanceof Promise) throw new TypeError("a schema that validates later can't be used");
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => {
    const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
    return { path: keys.join("."), message };
  });
  const shown = issues.map(({ path, message }) => path === "" ? message : `${path}: ${message}`);
  throw new RpcError("invalid_argument", shown.join("; "), { details: { issues } });
}
