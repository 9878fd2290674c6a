/**
 * Error replies: how they are encoded, recognized and decoded.
 *
 * @module
 */
import { isRpcErrorCode, RpcError } from "../errors.ts";
import { parseJsonObject, quote } from "../text.ts";
import { CONTENT_TYPE_JSON, ERROR_CODE_HEADER, ERROR_TYPE, TRANSIENT } from "./names.ts";

/** The properties of a message that a reply is decoded by. */
export interface ReplyProperties {
  readonly type?: string | undefined;
  readonly headers?: Record<string, unknown> | undefined;
}

export interface ErrorReply {
  readonly body: string;
  /** The properties, without the correlation id. */
  readonly properties: {
    contentType: string;
    type: string;
    headers: Record<string, string>;
    deliveryMode: number;
  };
}

/**
 * Encodes what the caller may see of an error: its code, message and details,
 * never its cause. Details that are not JSON are left out.
 */
export function encodeError(error: RpcError): ErrorReply {
  return {
    body: encodeBody(error),
    properties: {
      contentType: CONTENT_TYPE_JSON,
      type: ERROR_TYPE,
      headers: { [ERROR_CODE_HEADER]: error.code },
      deliveryMode: TRANSIENT,
    },
  };
}

function encodeBody({ code, message, details }: RpcError): string {
  try {
    return JSON.stringify({ code, message, details });
  } catch {
    return JSON.stringify({ code, message });
  }
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
  const body = parseJsonObject(text);
  const code = properties.headers?.[ERROR_CODE_HEADER] ?? body?.code;
  const message = typeof body?.message === "string" ? body.message : quote(text);
  const options = { remote: true, details: body?.details };
  if (isRpcErrorCode(code)) return new RpcError(code, message, options);
  const unknown = typeof code === "string" ? quote(code) : "no code";
  return new RpcError("internal", `the server failed with ${unknown}: ${message}`, options);
}
