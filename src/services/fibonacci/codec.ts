/**
 * Fibonacci requests and replies as message bodies: decimal text both ways.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { decodeEnvelope } from "./envelope.ts";
import { quote } from "../../text.ts";
import type { RpcClientCodec, RpcServerCodec } from "../../rpc/codec.ts";
import { decodeArgument } from "./argument.ts";

/** What a result looks like. */
const DECIMAL = /^\s*\d+\s*$/;

const utf8 = new TextDecoder();

/** The caller's half: a request is a number in canonical decimal digits, a response likewise. */
export const fibonacciClientCodec: RpcClientCodec<string, string> = {
  encodeRequest: (digits) => String(digits), // What calls from JavaScript is not checked.
  decodeResponse(body) {
    const text = utf8.decode(body);
    const envelope = DECIMAL.test(text) ? { response: text } : decodeEnvelope(text);
    if (envelope !== undefined && "error" in envelope) {
      throw new RpcError("internal", `the server failed: ${envelope.error}`);
    }
    if (envelope === undefined || !DECIMAL.test(envelope.response)) {
      throw new RpcError("internal", `the server replied ${quote(text)}, which is no number`);
    }
    return envelope.response.trim();
  },
  describe: (digits) => `fib(${digits.length > 20 ? `${digits.slice(0, 20)}...` : digits})`,
};

/**
 * The server's half.
 *
 * @param maxN The largest n that is computed.
 */
export function fibonacciServerCodec(
  maxN: number,
): RpcServerCodec<number, string | Uint8Array> {
  return {
    decodeRequest: (body) => decodeArgument(body, { maxN }),
    encodeResponse: (decimal) => decimal,
  };
}
