/**
 * Services for tests of what is the same for every service.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import { RpcClient } from "../../src/rpc/client/client.ts";
import type { CallOptions } from "../../src/rpc/client/call_options.ts";
import type { RpcClientOptions } from "../../src/rpc/client/options.ts";
import { text } from "../../src/rpc/codec.ts";
import type { RpcServerOptions, ServeOptions } from "../../src/rpc/server/options.ts";
import { RpcServer } from "../../src/rpc/server/server.ts";
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

/** A client that calls one idempotent service of texts. */
export class EchoClient extends RpcClient {
  readonly #service: Service<string, string>;

  constructor({ queue = "echo", ...options }: RpcClientOptions & { queue?: string } = {}) {
    super(options);
    this.#service = texts(queue, { idempotent: true });
  }

  /** Calls the service, which is described as `work(<input>)`. */
  echo(input: string, options?: CallOptions): Promise<string> {
    return this.call(this.#service, input, options);
  }
}

/** A server that answers texts with themselves; it is not started yet. */
export function echoServer(
  { queue, ...options }: RpcServerOptions & ServeOptions & { queue: string },
): RpcServer {
  const server = new RpcServer(options);
  server.serve(texts(queue), (input) => input, options);
  return server;
}
