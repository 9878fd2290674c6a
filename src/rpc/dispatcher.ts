/**
 * What a server does with one request, from its arrival to the moment it is
 * answered, dropped or rejected.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../errors.ts";
import {
  CONTENT_TYPE_TEXT,
  DIRECT_REPLY_TO,
  encodeError,
  SUSPECTS_SUFFIX,
  TRANSIENT,
} from "../protocol.ts";
import type { RpcServerCodec } from "./codec.ts";
import { BodyLimit } from "./body_limit.ts";
import { unanswerable } from "./reply_address.ts";
import type { ReceivedRequest } from "./request.ts";
import type { ResolvedServerOptions, RpcHandler, RpcServerStats } from "./server_options.ts";

const logger = getLogger(["fibrpc", "server"]);

/** How often rejected requests are logged, in milliseconds. */
const LOG_EVERY_MS = 10_000;

/** What a caller is told of a failure that isn't its own. */
const INTERNAL_MESSAGE = "the server failed; its log says why";

/** See the module. */
export class Dispatcher<Request, Response> {
  /** What was done so far. */
  readonly stats: RpcServerStats = {
    requests: 0,
    responses: 0,
    errors: 0,
    expired: 0,
    abandoned: 0,
    rejected: 0,
    givenUp: 0,
    duplicates: 0,
  };
  readonly #codec: RpcServerCodec<Request, Response>;
  readonly #handler: RpcHandler<Request, Response>;
  readonly #options: ResolvedServerOptions;
  /** A reply to one of them would come back as a request. */
  readonly #ownQueues: readonly string[];
  /** What handlers are at work on. */
  readonly #underWay = new Set<string>();
  readonly #limit: BodyLimit;
  #rejectionLoggedAt = -Infinity;

  /**
   * @param codec What the bodies mean.
   * @param handler Computes the responses.
   * @param options The server's.
   */
  constructor(
    codec: RpcServerCodec<Request, Response>,
    handler: RpcHandler<Request, Response>,
    options: ResolvedServerOptions,
  ) {
    this.#codec = codec;
    this.#handler = handler;
    this.#options = options;
    this.#limit = new BodyLimit(options.maxMessageBytes);
    this.#ownQueues = [options.queue, options.queue + SUSPECTS_SUFFIX];
  }

  /** Requests come by this connection now. */
  startOn(connection: object): void {
    this.#limit.startOn(connection);
  }

  /** A channel was closed, perhaps because of a reply: the next one like it is not sent. */
  learn(reason: Error): void {
    this.#limit.learn(reason);
  }

  /** Starts it; the promise, if one is needed, resolves when it is settled. */
  serve(request: ReceivedRequest): void | Promise<void> {
    if (request.inbox.isLost || !this.#isAnswerable(request)) return;
    if (request.expired) {
      this.#expire(request);
      return;
    }
    if (this.#underWay.size > 0 && this.#underWay.has(keyOf(request))) {
      // Its caller lost patience and sent it again; one reply is enough.
      this.stats.duplicates += 1;
      request.inbox.drop(request);
      return;
    }
    try {
      const body = request.message.body ?? new Uint8Array();
      const result = this.#handler(this.#codec.decodeRequest(body), request);
      if (!(result instanceof Promise)) {
        this.#reply(request, result);
        return;
      }
      result.then(
        (response) => this.#reply(request, response),
        (error) => this.#replyError(request, error),
      );
      const key = keyOf(request);
      this.#underWay.add(key);
      return request.settled.then(() => void this.#underWay.delete(key));
    } catch (error) {
      this.#replyError(request, error);
    }
  }

  /** What cost its server the connection may have been the reply. */
  async serveSuspect(request: ReceivedRequest): Promise<void> {
    if (await this.#isHeard(request)) await this.serve(request);
  }

  /** Answers a request that took its server with it too often. */
  async giveUp(request: ReceivedRequest): Promise<void> {
    const { maxAttempts, queue } = this.#options;
    this.stats.givenUp += 1;
    logger.error("gave up a request of {queue} that took its server with it {maxAttempts} times", {
      queue,
      maxAttempts,
      correlationId: request.message.properties.correlationId,
    });
    if (!await this.#isHeard(request)) return;
    const text = `the request was given up: its server died ${maxAttempts} times in a row`;
    this.#replyError(request, new RpcError("internal", text));
  }

  /** Whether the reply has somewhere to go; if it hasn't, the request is rejected. */
  async #isHeard(request: ReceivedRequest): Promise<boolean> {
    if (!this.#isAnswerable(request)) return false;
    if (!request.replyTo.startsWith(DIRECT_REPLY_TO)) return true;
    const isGone = await request.isCallerGone();
    if (isGone) this.#abandon(request);
    return !isGone && !request.inbox.isLost;
  }

  #abandon(request: ReceivedRequest): void {
    this.stats.abandoned += 1;
    request.inbox.reject(request);
  }

  #isAnswerable(request: ReceivedRequest): boolean {
    const reason = unanswerable(request, this.#ownQueues, this.#isAllowed);
    if (reason === undefined) return true;
    this.stats.rejected += 1;
    request.inbox.reject(request);
    this.#logRejection(reason);
    return false;
  }

  readonly #isAllowed = (replyTo: string): boolean => {
    try {
      return this.#options.allowReplyTo?.(replyTo) ?? true;
    } catch (error) {
      logger.error("allowReplyTo failed, so it does not allow: {error}", { error: stackOf(error) });
      return false;
    }
  };

  #logRejection(reason: string): void {
    const now = performance.now();
    if (now - this.#rejectionLoggedAt < LOG_EVERY_MS) return;
    this.#rejectionLoggedAt = now;
    const { rejected } = this.stats;
    logger.warn("rejected a request that can't be answered: {reason} ({rejected} so far)", {
      reason,
      rejected,
    });
  }

  #reply(request: ReceivedRequest, response: Response): void {
    if (this.#isUnwanted(request)) return;
    try {
      const body = this.#codec.encodeResponse(response);
      if (!this.#limit.allows(body)) throw this.#limit.error(body, "the result");
      this.stats.responses += 1;
      request.inbox.reply(request, body, {
        contentType: CONTENT_TYPE_TEXT,
        deliveryMode: TRANSIENT,
      });
    } catch (error) {
      this.#replyError(request, error);
    }
  }

  /** Whether nobody waits for a reply; then the request is settled without one. */
  #isUnwanted(request: ReceivedRequest): boolean {
    if (request.inbox.isLost) return true; // It is delivered again, here or elsewhere.
    if (request.isAbandoned) this.#abandon(request);
    else if (request.expired) this.#expire(request);
    else return false;
    return true;
  }

  /** Its time is up. */
  #expire(request: ReceivedRequest): void {
    this.stats.expired += 1;
    request.inbox.drop(request);
  }

  #replyError(request: ReceivedRequest, thrown: unknown): void {
    if (this.#isUnwanted(request)) return;
    if (!(thrown instanceof RpcError)) {
      logger.error("a handler failed: {error}", { error: stackOf(thrown) });
    }
    const error = RpcError.from(thrown, "internal", INTERNAL_MESSAGE);
    const { body, properties } = encodeError(error);
    this.stats.errors += 1;
    request.inbox.reply(request, body, properties);
  }
}

/** Bodies up to this many bytes are compared. */
const MAX_KEY_BYTES = 256;

/** The same for requests that one call sent: some callers use a correlation id twice. */
function keyOf({ replyTo, message }: ReceivedRequest): string {
  const { correlationId } = message.properties;
  const body = message.body ?? new Uint8Array();
  if (correlationId === undefined || body.length > MAX_KEY_BYTES) return crypto.randomUUID();
  return `${correlationId} ${replyTo} ${String.fromCharCode(...body)}`;
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.stack ?? String(thrown) : String(thrown);
}
