/**
 * The tutorial's service: a number in decimal text both ways.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import type { ServedService, Service } from "../../rpc/service.ts";
import { quote } from "../../text.ts";
import { checkArgument, decodeArgument } from "./argument.ts";
import { decodeEnvelope } from "./envelope.ts";

/** What a result looks like. */
const DECIMAL = /^\s*\d+\s*$/;

const CONTENT_TYPE = "text/plain";

const utf8 = new TextDecoder();

/**
 * Fibonacci numbers: the input is n in decimal digits, the output fib(n).
 *
 * @param queue The request queue.
 */
export function fibonacci(queue: string = DEFAULT_QUEUE): Service<string, string> {
  return {
    queue,
    idempotent: true,
    input: {
      contentType: CONTENT_TYPE,
      encode: (digits) => String(digits), // What calls from JavaScript is not checked.
      decode: (body) => checkArgument(utf8.decode(body)),
    },
    output: { contentType: CONTENT_TYPE, encode: (digits) => digits, decode: decodeResult },
    describe: (digits) => `fib(${digits.length > 20 ? `${digits.slice(0, 20)}...` : digits})`,
  };
}

/**
 * The same for a server: n as a number that is not over a limit, the result as
 * text or as bytes.
 */
export function servedFibonacci(
  queue: string,
  maxN: number,
): ServedService<number, string | Uint8Array> {
  return {
    queue,
    input: { decode: (body) => decodeArgument(body, { maxN }) },
    output: { contentType: CONTENT_TYPE, encode: (decimal) => decimal },
  };
}

function decodeResult(body: Uint8Array): string {
  const text = utf8.decode(body);
  const envelope = DECIMAL.test(text) ? { response: text } : decodeEnvelope(text);
  if (envelope !== undefined && "error" in envelope) {
    throw new RpcError("internal", `the server failed: ${envelope.error}`);
  }
  if (envelope === undefined || !DECIMAL.test(envelope.response)) {
    throw new RpcError("internal", `the server replied ${quote(text)}, which is no number`);
  }
  return envelope.response.trim();
}
