/**
 * The limit on bodies: a larger one would cost its channel, and all calls on
 * it, instead of arriving.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { MAX_BODY_BYTES } from "../protocol.ts";

/**
 * Refuses a body that the broker would.
 *
 * @param what What it is, for the message.
 * @throws {RpcError} `resource_exhausted`.
 */
export function checkSize(body: string | Uint8Array, what: string): void {
  // A string's UTF-8 is at most three times as long: mostly no need to encode it.
  if (body.length * 3 <= MAX_BODY_BYTES) return;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
  if (bytes <= MAX_BODY_BYTES) return;
  throw new RpcError(
    "resource_exhausted",
    `${what} has ${bytes} bytes, over the message limit of ${MAX_BODY_BYTES}`,
  );
}
