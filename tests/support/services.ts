/**
 * Services for tests of what is the same for every service.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import { text } from "../../src/rpc/codec.ts";
import type { ServedService, Service } from "../../src/rpc/service.ts";

/** Text both ways. */
export function texts(
  queue: string,
  rest: Partial<Service<string, string>> = {},
): Service<string, string> {
  return { queue, input: text, output: text, describe: (text) => `work(${text})`, ...rest };
}

/** Whole numbers in decimal text, up to a limit; any decimal text or bytes back. */
export function numbers(queue: string, max = 1_000): ServedService<number, string | Uint8Array> {
  return {
    queue,
    input: {
      decode(body) {
        const digits = new TextDecoder().decode(body);
        if (!/^\d+$/.test(digits)) throw new RpcError("invalid_argument", `${digits} is no number`);
        if (Number(digits) > max) throw new RpcError("out_of_range", `${digits} is over ${max}`);
        return Number(digits);
      },
    },
    output: { contentType: "text/plain", encode: (decimal) => decimal },
  };
}
