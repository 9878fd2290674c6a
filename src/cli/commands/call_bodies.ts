/**
 * `fibrpc call --body`, `--lines`: calls of any service.
 *
 * @module
 */
import type { MessageHeader } from "../../amqp/message.ts";
import { RpcClient } from "../../rpc/client/client.ts";
import type { CallObserver } from "../../rpc/client/observer.ts";
import type { RpcClientOptions } from "../../rpc/client/options.ts";
import type { CalledService } from "../../rpc/service.ts";
import type { Environment } from "../environment.ts";
import { type BodyFormat, bodyFormat, type BodyOutcome, type Response } from "../io/body_format.ts";
import { startTracing, traceHeaders } from "../tracing.ts";
import { callAll, type CallInputs, type CallSettings, timed } from "./call.ts";

/** One request. */
export interface BodyInput {
  readonly body: Uint8Array;
  /** The line that holds it. */
  readonly line?: number;
}

/** All requests. */
export interface BodyInputs extends CallInputs<BodyInput> {
  /** Where they are from, for a message. */
  readonly name: string;
}

export interface CallBodiesOptions extends RpcClientOptions, CallSettings {
  readonly queue: string;
  readonly contentType: string;
  readonly headers: Record<string, MessageHeader>;
  readonly idempotent: boolean;
  readonly output: BodyFormat;
}

/**
 * Calls a service with each body, and prints the responses in their order.
 *
 * @returns The exit code.
 */
export async function callBodies(
  environment: Environment,
  inputs: BodyInputs,
  options: CallBodiesOptions,
): Promise<number> {
  const { queue, contentType, idempotent, output, quiet, inFlight } = options;
  const headers = { ...traceHeaders(environment), ...options.headers };
  const tracing = await startTracing(environment);
  const client = new RpcClient({ ...options, interceptors: tracing.calls });
  const service: CalledService<Uint8Array, Response> = {
    queue,
    idempotent,
    input: { contentType, encode: (body) => body },
    // A body is a view of what was read, which is overwritten.
    output: {
      decode: (body, { contentType, headers }) => ({ body: body.slice(), contentType, headers }),
    },
  };
  let index = 0;
  const exitCode = await callAll<BodyInput, BodyOutcome>(environment, {
    client,
    inputs,
    sizeOf: ({ response }) => response?.body.length ?? 0,
    format: bodyFormat(output, inputs.name, environment.isStdoutTerminal),
    async call({ body, line }, refusal) {
      const about = { index: index++, line };
      let requestId: string | undefined;
      const observer: CallObserver = { requestSent: (id) => requestId = id };
      const { result, ...ended } = await timed(() => {
        if (refusal !== undefined) throw refusal;
        return client.call(service, body, { headers, observer });
      }, `fibrpc serve --queue ${queue} -- command`);
      return { ...about, requestId, ...ended, ...(result !== undefined && { response: result }) };
    },
  }, { quiet, ...(inFlight !== undefined && { inFlight }) });
  await tracing.end();
  return exitCode;
}
