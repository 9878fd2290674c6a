/**
 * What both ends of a service share: its descriptor, its codecs, its errors.
 * It loads neither end.
 *
 * @example A file that client and server import
 * ```ts
 * import { json, type Service, text } from "@fibrpc/fibrpc/service";
 *
 * export const count: Service<string, { words: number }> = {
 *   queue: "count",
 *   input: text,
 *   output: json(),
 *   idempotent: true,
 * };
 * ```
 *
 * @module
 */
export { RPC_ERROR_CODES, RpcError, type RpcErrorCode, type RpcErrorOptions } from "../errors.ts";
export { bytes, type Codec, type Decoder, type Encoder, json, text } from "../rpc/codec.ts";
export type { StandardIssue, StandardResult, StandardSchema } from "../rpc/standard_schema.ts";
export type { CalledService, ServedService, Service, ServiceTarget } from "../rpc/service.ts";
export type { MessageHeader, MessageProperties } from "../amqp/message.ts";
