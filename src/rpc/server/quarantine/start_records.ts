/**
 * A record of each start of a request that was delivered before, kept by the
 * broker: who starts one publishes a small message to the suspects' queue,
 * fetches it back and holds it, unacknowledged, until the request is settled.
 * When the server dies, the record goes back to the queue, and the next server
 * that is handed the request sees that it was started.
 *
 * The request itself stays in its own queue all the time. Whatever becomes of
 * the suspects' queue, by a policy, a permission or an operator, costs records,
 * and never a request.
 *
 * @module
 */
import { pause } from "../../../time.ts";
import { CONTENT_TYPE_START, TRANSIENT } from "../../../protocol/names.ts";
import { brokerText } from "../../../amqp/failure.ts";
import { declareExpiringQueue, type QueueType } from "../../../amqp/queue.ts";
import type { Connection } from "../../../amqp/connection.ts";
import { type Delivery, encodeText } from "../../../amqp/message.ts";
import type { RequestChannel } from "../request_channel.ts";

/** The most that is read at once. */
const READ_LIMIT = 2_000;

/** How long what was published may take to come back, in milliseconds: another server may be reading it. */
const RETURN_MS = 1_000;

/** How long to wait before it is looked for again, in milliseconds, at the least and at random. */
const AGAIN_MS = { least: 10, random: 50 };

/** How long all of it may take, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** How long the queue is left alone when it can't be used, in milliseconds: the broker logs each refusal. */
const PAUSE_MS = 60_000;

/** After so long without use, in milliseconds, the broker removes the queue. */
const QUEUE_EXPIRES_MS = 60 * 60 * 1000;

/** A request that is about to be started. */
export interface Start {
  /** The same for every delivery of the request, and of no other. */
  readonly key: string;
  /** For how long a record of it is of use, in milliseconds. */
  readonly lifeMs: number;
}

export interface StartRecord {
  /** How many servers started the request and have not ended their records. */
  readonly lostStarts: number;
  /**
   * Removes the record, if need be when this server is connected again.
   *
   * @param isLostWithServer Leaves it where it is if the connection is gone.
   */
  end(isLostWithServer: boolean): void;
}

export interface StartRecordsOptions {
  readonly queue: string;
  readonly queueType: QueueType;
  readonly openRequestChannel: (
    connection: Connection,
    onSettled: () => void,
  ) => Promise<RequestChannel>;
  /** Takes what is no record, or not: then it stays in the queue. */
  readonly onRequest: (requests: RequestChannel, message: Delivery) => boolean;
  /** Aborts when nothing is recorded any more. */
  readonly signal: AbortSignal;
}

/** Records starts in the suspects' queue. */
export class StartRecords {
  readonly #options: StartRecordsOptions;
  /** Records of this server that went back to the queue with an earlier connection. */
  readonly #stray = new Set<string>();
  #connection: Connection | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #mayDeclare = true;
  #pausedUntil = -Infinity;
  #failure: string | undefined;

  constructor(options: StartRecordsOptions) {
    this.#options = options;
  }

  startOn(connection: Connection): void {
    this.#connection = connection;
    this.#mayDeclare = true;
    this.#pausedUntil = -Infinity;
    // What never came back was dropped, or has expired.
    for (const id of this.#stray) if (this.#stray.size > READ_LIMIT) this.#stray.delete(id);
  }

  /** Why not all starts can be recorded at present. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Whether there are records of this server's to be removed. */
  get hasStray(): boolean {
    return this.#stray.size > 0;
  }

  /**
   * Records starts, and removes records that are of no use any more.
   *
   * @param starts None: it only looks what is there.
   * @param takesOver Whether lost records of these requests are ended with the new ones.
   * @returns A record for each, `undefined` where that was not possible.
   */
  record(starts: readonly Start[], takesOver = false): Promise<(StartRecord | undefined)[]> {
    const turn = this.#last.then(() => this.#record(starts, takesOver));
    this.#last = turn;
    return turn;
  }

  /** It never rejects. */
  async #record(
    starts: readonly Start[],
    takesOver: boolean,
  ): Promise<(StartRecord | undefined)[]> {
    const none = starts.map(() => undefined);
    const connection = this.#connection;
    if (connection === undefined || connection.closed) return none;
    // While an alarm lasts nothing can be published.
    if (connection.blocked !== undefined || performance.now() < this.#pausedUntil) return none;
    let reading: Reading | undefined;
    let isLate = false;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      isLate = true;
      late.reject(new Error(`no answer within ${TIMEOUT_MS} ms`));
    }, TIMEOUT_MS);
    const look = async () => {
      if (await this.#isEmpty(connection) && starts.length === 0) return [];
      reading = await Reading.open(this.#options, connection, this.#stray);
      if (isLate) reading.abandon();
      return await reading.record(starts, takesOver);
    };
    try {
      const records = await Promise.race([look(), late.promise]);
      const isPartial = records.includes(undefined);
      this.#failure = isPartial ? "not all that is published to it comes back" : undefined;
      return records;
    } catch (error) {
      reading?.abandon();
      if (!connection.closed && connection.blocked === undefined) this.#fail(error);
      return none;
    } finally {
      clearTimeout(timer);
    }
  }

  #fail(error: unknown): void {
    this.#failure = brokerText(error);
    this.#pausedUntil = performance.now() + PAUSE_MS;
    this.#mayDeclare = true;
  }

  /** Declares the queue where this server may, so that it is there, and stays. */
  async #isEmpty(connection: Connection): Promise<boolean> {
    if (!this.#mayDeclare) return false;
    const { queue, queueType } = this.#options;
    const found = await declareExpiringQueue(connection, queue, queueType, QUEUE_EXPIRES_MS);
    this.#mayDeclare = found !== undefined;
    return found?.messages === 0;
  }
}

/** One look at the queue, and the records that are made with it, on a channel of their own. */
class Reading {
  readonly #options: StartRecordsOptions;
  readonly #requests: RequestChannel;
  readonly #stray: Set<string>;
  /** The keys of records that other servers left, by their ids. */
  readonly #left = new Map<string, string>();
  /** The delivery tags of the records that are held, by their ids. */
  readonly #held = new Map<string, number>();
  /** The keys whose lost records are held too. */
  #takenOver: readonly string[] = [];
  #ids: readonly string[] = [];
  #isDone = false;

  private constructor(
    options: StartRecordsOptions,
    requests: RequestChannel,
    stray: Set<string>,
  ) {
    this.#options = options;
    this.#requests = requests;
    this.#stray = stray;
  }

  static async open(
    options: StartRecordsOptions,
    connection: Connection,
    stray: Set<string>,
  ): Promise<Reading> {
    const requests = await options.openRequestChannel(
      connection,
      () => reading.#closeIfUnused(),
    );
    const reading = new Reading(options, requests, stray);
    return reading;
  }

  /** @throws If the queue can't be read, or keeps nothing. */
  async record(
    starts: readonly Start[],
    takesOver: boolean,
  ): Promise<(StartRecord | undefined)[]> {
    const keys = await Promise.all(starts.map(({ key }) => digest(key)));
    if (takesOver) this.#takenOver = keys;
    await this.#requests.channel.qos(READ_LIMIT);
    // Before anything is published to it: it may not be readable at all.
    await this.#read();
    this.#ids = starts.map(() => crypto.randomUUID());
    for (const [n, { lifeMs }] of starts.entries()) this.#publish(this.#ids[n]!, keys[n]!, lifeMs);
    const end = performance.now() + RETURN_MS;
    const isHeld = (id: string) => this.#held.has(id);
    while (starts.length > 0) {
      await this.#read();
      if (this.#ids.every(isHeld) || performance.now() >= end) break;
      await pause(AGAIN_MS.least + AGAIN_MS.random * Math.random(), this.#options.signal);
    }
    if (starts.length > 0 && !this.#ids.some(isHeld)) {
      throw new Error("what is published to it does not come back");
    }
    this.#isDone = true;
    this.#closeIfUnused();
    return this.#ids.map((id, n) => isHeld(id) ? this.#recordOf(id, keys[n]!) : undefined);
  }

  #recordOf(id: string, key: string): StartRecord {
    const ids = [id];
    let lostStarts = 0;
    for (const [other, otherKey] of this.#left) {
      if (otherKey !== key) continue;
      lostStarts += 1;
      if (this.#held.has(other)) ids.push(other);
    }
    const { connection } = this.#requests;
    return {
      lostStarts,
      end: (isLostWithServer) => {
        if (!this.#requests.isLost && !connection.closed) {
          for (const held of ids) this.#end(held);
        } else if (!isLostWithServer) this.#stray.add(id);
      },
    };
  }

  /** Reads all that is in the queue, and gives back what is of no concern here. */
  async #read(): Promise<void> {
    const messages: Delivery[] = [];
    const consumer = await this.#requests.channel.consume(
      this.#options.queue,
      { noAck: false },
      (message) => void messages.push(message),
    );
    await consumer.cancel();
    for (const message of messages) this.#sort(message);
  }

  #sort(message: Delivery): void {
    const { channel } = this.#requests;
    const { deliveryTag, properties: { contentType, correlationId: id = "" } } = message;
    if (contentType !== CONTENT_TYPE_START) {
      if (!this.#options.onRequest(this.#requests, message)) channel.reject(deliveryTag, true);
    } else if (this.#ids.includes(id)) {
      this.#held.set(id, deliveryTag);
    } else if (this.#stray.delete(id)) {
      channel.ack(deliveryTag);
    } else {
      const key = new TextDecoder().decode(message.body ?? undefined);
      this.#left.set(id, key);
      if (this.#takenOver.includes(key)) this.#held.set(id, deliveryTag);
      else channel.reject(deliveryTag, true);
    }
  }

  #publish(id: string, key: string, lifeMs: number): void {
    try {
      this.#requests.channel.publish(this.#options.queue, key, {
        contentType: CONTENT_TYPE_START,
        correlationId: id,
        expiration: String(Math.ceil(lifeMs)),
        deliveryMode: TRANSIENT,
      });
    } catch {
      // Then it does not come back.
    }
  }

  #end(id: string): void {
    const deliveryTag = this.#held.get(id);
    if (deliveryTag === undefined) return;
    this.#requests.channel.ack(deliveryTag);
    this.#held.delete(id);
    this.#closeIfUnused();
  }

  /** Closes the channel: the broker takes back what is held. */
  abandon(): void {
    this.#requests.close();
  }

  #closeIfUnused(): void {
    if (this.#isDone && this.#held.size === 0 && this.#requests.open.size === 0) {
      this.#requests.close();
    }
  }
}

/** Requests are not readable in the records: who may read these may not be meant to see those. */
async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", encodeText(text));
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
