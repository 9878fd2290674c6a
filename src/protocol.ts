/**
 * What travels: every name and default of the wire contract, and the
 * encoding of requests and replies. Pure functions, no I/O.
 *
 * The contract is that of RabbitMQ's "tutorial six" programs: a request goes
 * to the default exchange with the queue's name as routing key, `reply_to`
 * and `correlation_id`; the reply goes to the default exchange with
 * `reply_to` as routing key and the same `correlation_id`.
 *
 * @module
 */
import { isRpcErrorCode, RpcError } from "./errors.ts";

/** The request queue of the tutorial programs. */
export const DEFAULT_QUEUE = "rpc_queue";

/** The broker that is meant when none is named; user and password are `guest` unless they come from elsewhere. */
export const DEFAULT_URL = "amqp://localhost:5672";

/**
 * RabbitMQ's pseudo-queue for replies. Consuming from it declares nothing;
 * the broker puts an address with this prefix into each request's `reply_to`.
 */
export const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";

/** Content type of requests and of successful replies. */
export const CONTENT_TYPE_TEXT = "text/plain";

/** Content type of what servers record in the suspects' queue: see `StartRecords`. */
export const CONTENT_TYPE_START = "application/x-fibrpc-start";

/** Content type of error replies. */
export const CONTENT_TYPE_JSON = "application/json";

/** The `type` property of an error reply. */
export const ERROR_TYPE = "error";

/** The header of an error reply that holds its {@linkcode RpcError.code}. */
export const ERROR_CODE_HEADER = "x-error-code";

/**
 * The header of a request in the suspects' queue, where older servers moved
 * it: how often it was started since, and took its server with it.
 */
export const ATTEMPTS_HEADER = "x-fibrpc-attempts";

/** The suffix that makes a request queue's name that of its suspects' queue: see `StartRecords`. */
export const SUSPECTS_SUFFIX = ".suspects";

/** AMQP's delivery mode of messages that don't survive a restart of the broker. */
export const TRANSIENT = 1;

/** The longest AMQP short string (queue names, correlation ids), in bytes of UTF-8. */
export const MAX_SHORT_STRING_BYTES = 255;

/**
 * The largest body that RabbitMQ 4.x accepts unless configured otherwise, in
 * bytes (its setting `max_message_size`; 3.x accepts 128 MiB). A larger one
 * would close the channel it was published on.
 */
export const DEFAULT_MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** The most that RabbitMQ's `max_message_size` can be, in bytes. */
export const MAX_MAX_MESSAGE_BYTES = 512 * 1024 * 1024;

/** The longest timeout, in milliseconds: 24 days, the most whole days that `setTimeout` can hold. */
export const MAX_TIMEOUT_MS = 24 * 24 * 60 * 60 * 1000;

/** The properties of a message that a reply is decoded by. */
export interface ReplyProperties {
  /** AMQP's `type`. */
  readonly type?: string | undefined;
  /** AMQP's `headers`. */
  readonly headers?: Record<string, unknown> | undefined;
}

/** An error reply, ready to publish. */
export interface ErrorReply {
  /** The body, JSON. */
  readonly body: string;
  /** The properties, without the correlation id. */
  readonly properties: {
    contentType: string;
    type: string;
    headers: Record<string, string>;
    deliveryMode: number;
  };
}

/** Encodes what the caller may see of an error: its code and message, never its cause. */
export function encodeError(error: RpcError): ErrorReply {
  return {
    body: JSON.stringify({ code: error.code, message: error.message }),
    properties: {
      contentType: CONTENT_TYPE_JSON,
      type: ERROR_TYPE,
      headers: { [ERROR_CODE_HEADER]: error.code },
      deliveryMode: TRANSIENT,
    },
  };
}

/** Whether a reply says that it is an error, by its `type` or its header. */
export function isErrorReply(properties: ReplyProperties): boolean {
  return properties.type === ERROR_TYPE ||
    properties.headers?.[ERROR_CODE_HEADER] !== undefined;
}

/**
 * Decodes an error reply. The header's code wins over the body's; a code this
 * version doesn't know becomes `internal`, with the code kept in the message.
 */
export function decodeError(
  text: string,
  properties: ReplyProperties,
): RpcError {
  const body = parseObject(text);
  const code = properties.headers?.[ERROR_CODE_HEADER] ?? body?.code;
  const message = typeof body?.message === "string" ? body.message : quote(text);
  if (isRpcErrorCode(code)) return new RpcError(code, message);
  const unknown = typeof code === "string" ? quote(code) : "no code";
  return new RpcError("internal", `the server failed with ${unknown}: ${message}`);
}

/** What the tutorials' own envelope holds. */
export type Envelope = { response: string } | { error: string };

/** A decimal integer as a reply holds it: a minus is understood, to be named in an error. */
const INTEGER = /^-?\d+$/;

/**
 * Decodes the form in which some of the tutorial programs answer,
 * `{"response": 832040, "error": null}` or `{"response": null, "error": "..."}`.
 *
 * @returns `undefined` if `text` is not of that form.
 */
export function decodeEnvelope(text: string): Envelope | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  const body = parseObject(text);
  if (body === undefined || !("response" in body || "error" in body)) {
    return undefined;
  }
  if (body.error !== null && body.error !== undefined) {
    return {
      error: typeof body.error === "string" ? body.error : JSON.stringify(body.error),
    };
  }
  const { response } = body;
  const digits = typeof response === "number" ? memberOf(text, "response") : response;
  return typeof digits === "string" && INTEGER.test(digits) ? { response: digits } : undefined;
}

/** A string, a mark, or a number or literal, in what is known to be JSON. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/**
 * What stands in an object's text for one of its own members:
 * `JSON.parse` would round every number above 2^53.
 */
function memberOf(json: string, name: string): string | undefined {
  let depth = 0;
  let [before, colon] = ["", ""];
  let found: string | undefined;
  for (const [token] of json.matchAll(TOKEN)) {
    if (depth === 1 && colon === ":" && JSON.parse(before) === name) found = token;
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    [before, colon] = [colon, token];
  }
  return found;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Not JSON: the caller says what it is instead.
  }
  return undefined;
}

const QUOTED_CHARS = 60;

/** `text` in JSON's quotes, shortened, for a message that names a value: {@linkcode printable}. */
export function quote(text: string): string {
  const json = printable(JSON.stringify(text.slice(0, QUOTED_CHARS)));
  return text.length <= QUOTED_CHARS ? json : `${json}... (${text.length} characters)`;
}

/**
 * One line of `text`: what a terminal or a log could act on, or nobody can see,
 * is escaped as in JSON. That is control and format characters, line
 * separators, and every blank but the space. It leaves valid JSON valid.
 */
export function printable(text: string): string {
  return text.replace(
    /(?! )[\p{C}\p{Z}]/gu,
    (character) => Array.from(character.split(""), escape).join(""),
  );
}

function escape(codeUnit: string): string {
  return `\\u${codeUnit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
