/**
 * What both ends know of a service.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { DIRECT_REPLY_TO, MAX_SHORT_STRING_BYTES } from "../protocol/names.ts";
import { quote } from "../text.ts";
import type { Codec, Decoder, Encoder } from "./codec.ts";

/**
 * A service: a queue for its requests, and what the bodies mean. A server and
 * its clients share one.
 *
 * @example
 * ```ts
 * import { bytes, json, type Service } from "@fibrpc/fibrpc";
 *
 * interface Crop {
 *   readonly url: string;
 *   readonly width: number;
 * }
 *
 * export const thumbnail: Service<Crop, Uint8Array> = {
 *   queue: "thumbnail",
 *   input: json(),
 *   output: bytes,
 *   idempotent: true,
 * };
 * ```
 */
export interface Service<Input, Output> extends ServiceTarget<Input> {
  /** Of requests. */
  readonly input: Codec<Input>;
  /** Of responses. */
  readonly output: Codec<Output>;
}

/** What a {@linkcode Service} has besides its codecs. */
export interface ServiceTarget<Input> {
  /** The request queue. */
  readonly queue: string;
  /**
   * Whether a call may run more than once. Then a request that seems to be lost
   * is sent again:
   *
   * - with its connection: at once on the next one;
   * - with its queue, which was seen to be missing since: after `resendAfterMs`
   *   without a reply;
   * - if it is in its queue no more (which is empty, or a later request was
   *   answered), and so are more requests than the queue's consumers hold, at 64
   *   each: likewise;
   * - if it is in its queue no more otherwise: after six times as long, or when
   *   three quarters of the call's time have passed, since a server is probably
   *   at work on it.
   *
   * The wait doubles each time. Otherwise a request is never sent again once a
   * server may have started it: a call fails with `unavailable` when its
   * connection is lost (`outcome unknown`), and with `deadline_exceeded` when it
   * vanished in the broker. The broker may deliver it twice even so.
   *
   * @default false
   */
  readonly idempotent?: boolean;
  /**
   * Names a call in errors, such as `fib(30)`. Default: the queue's name.
   *
   * It is called when the call fails; for an object at the call, since it may be
   * changed later.
   */
  describe?(input: Input): string;
}

/** What a client uses of a {@linkcode Service}. */
export interface CalledService<Input, Output> extends ServiceTarget<Input> {
  /** Of requests. */
  readonly input: Encoder<Input>;
  /** Of responses. */
  readonly output: Decoder<Output>;
}

/** What a server uses of a {@linkcode Service}. */
export interface ServedService<Input, Output> {
  /** The request queue. */
  readonly queue: string;
  /** Of requests. */
  readonly input: Decoder<Input>;
  /** Of responses. */
  readonly output: Encoder<Output>;
}

/**
 * Refuses a name that no request queue can have.
 *
 * @param reservedBytes How many bytes are left for what is added to the name.
 * @throws {RpcError} `invalid_argument`.
 */
export function checkQueueName(queue: string, reservedBytes = 0): void {
  const refuse = (why: string) => {
    throw new RpcError("invalid_argument", `queue ${quote(queue)} ${why}`);
  };
  const bytes = new TextEncoder().encode(queue).length;
  const maxBytes = MAX_SHORT_STRING_BYTES - reservedBytes;
  if (bytes === 0 || bytes > maxBytes) refuse(`is not between 1 and ${maxBytes} bytes long`);
  // RabbitMQ takes line ends off the name that it declares, and then finds no queue of that name.
  if (/\p{Cc}/u.test(queue)) refuse("holds a control character");
  if (!queue.isWellFormed()) refuse("holds a lone surrogate"); // RabbitMQ wants UTF-8.
  if (queue.startsWith(DIRECT_REPLY_TO)) refuse("is an address of replies only");
}
