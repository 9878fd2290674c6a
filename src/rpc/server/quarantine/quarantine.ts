/**
 * Requests that may have killed a server.
 *
 * When a server dies, the broker delivers again what it held: the request that
 * killed it, and all that merely waited there. A classic queue doesn't say how
 * often (only quorum queues count, and only deliveries, not starts), so each
 * start of one of them goes on record: see `start_records.ts`. It is started
 * among others first, so that a server's death costs its neighbours no time;
 * one that was started when another server died as well is started with
 * nothing beside it from then on, so that the guilty can be found among its
 * neighbours, and is given up after so many deaths.
 *
 * A lost connection looks like a death. So a request with a lost start waits
 * for a moment first: a server that lives comes back and removes its records.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../time.ts";
import { ATTEMPTS_HEADER } from "../../../protocol/names.ts";
import type { QueueType } from "../../../amqp/queue.ts";
import type { Connection } from "../../../amqp/connection.ts";
import type { Delivery } from "../../../amqp/message.ts";
import type { RequestChannel } from "../request_channel.ts";
import type { OwnLosses } from "./own_losses.ts";
import type { ReceivedRequest } from "../request.ts";
import { type StartRecord, StartRecords, type StartRecordsOptions } from "./start_records.ts";

const logger = getLogger(["fibrpc", "server"]);

/** For how long redelivered requests are gathered, in milliseconds: the records of a dead server come at about the same time. */
const GATHER_MS = 50;

/** For how long a server that lost its connection may remove its records, in milliseconds. */
const GRACE_MS = 2_000;

/** How often a server looks for what others left in the suspects' queue, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/** How soon it looks again when there were requests, in milliseconds. */
const LOOK_AGAIN_MS = 500;

/** How often it looks for records of its own that it has to remove, in milliseconds, and how often at the most. */
const LOOK_SOON = { everyMs: 100, times: 20 };

/** For how long a record is kept when its request's time is up, and at the most, in milliseconds. */
const RECORD_LIFE_MS = { extra: 10_000, most: 60 * 60 * 1000 };

/** For how long after one request that was put straight into the suspects' queue no other one runs alone, in milliseconds. */
const MAX_REST_MS = 2_000;

/** What a lane needs of its server. */
export interface QuarantineOptions {
  readonly queue: string;
  readonly queueType: QueueType;
  /** How many requests are taken from it at the same time. */
  readonly prefetch: number;
  /** After so many starts, each of which took its server with it, a suspect is given up. */
  readonly maxAttempts: number;
  /** The requests that this server lost with a connection. */
  readonly losses: OwnLosses;
  readonly openRequestChannel: StartRecordsOptions["openRequestChannel"];
  /** Calls `begin` for a request that can be answered, and rejects any other. */
  readonly admit: (request: ReceivedRequest, begin: () => void) => void;
  /** Serves a request among others. */
  readonly serve: (request: ReceivedRequest) => void;
  /** Runs a task when nothing else is under way. */
  readonly alone: (task: () => Promise<void>) => Promise<void>;
  readonly serveAlone: (request: ReceivedRequest) => Promise<void>;
  readonly giveUp: (request: ReceivedRequest) => void;
}

/** A request that was delivered before. */
interface Suspect {
  readonly request: ReceivedRequest;
  /** How often it was started and lost before there were records. */
  readonly earlierStarts: number;
  /** Whether it was put into the suspects' queue itself, by an older server or by anybody. */
  readonly wasMoved: boolean;
}

/** Starts redelivered requests so that one that kills its servers is found. */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #records: StartRecords;
  readonly #stopping = new AbortController();
  readonly #waiting = new Set<Suspect>();
  #gathered: Suspect[] = [];
  readonly #accused: Suspect[] = [];
  #isRunningAlone = false;
  #moved = 0;
  #hasWarned = false;

  constructor(options: QuarantineOptions) {
    this.#options = options;
    this.#records = new StartRecords({
      ...options,
      onRequest: (requests, message) => this.#takeMoved(requests, message),
      signal: this.#stopping.signal,
    });
  }

  /** Looks into the suspects' queue now and then, as long as this connection lives. */
  async startOn(connection: Connection): Promise<void> {
    const { signal } = this.#stopping;
    this.#records.startOn(connection);
    for (let looks = 1; !connection.closed && !signal.aborted; looks++) {
      await this.#records.record([]);
      const isSoon = this.#records.hasStray && looks < LOOK_SOON.times;
      const waitMs = this.#moved > 0 ? LOOK_AGAIN_MS : LOOK_EVERY_MS;
      await pause(isSoon ? LOOK_SOON.everyMs : waitMs, signal);
    }
  }

  /** Starts a request that was delivered before, when it is its turn. */
  add(request: ReceivedRequest): void {
    this.#add({ request, earlierStarts: 0, wasMoved: false });
  }

  /** Starts none any more; what was not started goes back to its queue. */
  stop(): void {
    this.#stopping.abort();
    for (const { request } of this.#waiting) request.channel.requeue(request);
  }

  #add(suspect: Suspect): void {
    const { request } = suspect;
    if (this.#stopping.signal.aborted) {
      request.channel.requeue(request);
      return;
    }
    this.#waiting.add(suspect);
    request.settled.then(() => this.#waiting.delete(suspect));
    this.#gathered.push(suspect);
    if (this.#gathered.length === 1) this.#gather();
  }

  async #gather(): Promise<void> {
    await pause(GATHER_MS, this.#stopping.signal);
    const suspects = this.#gathered;
    this.#gathered = [];
    const accused = await this.#start(suspects);
    if (accused.length === 0) return;
    await pause(GRACE_MS, this.#stopping.signal);
    this.#accused.push(...await this.#start(accused));
    if (!this.#isRunningAlone) await this.#runAccused();
  }

  /** @returns Those that must not be started among others. */
  async #start(suspects: readonly Suspect[]): Promise<Suspect[]> {
    const waiting = suspects.filter((suspect) => this.#waiting.has(suspect));
    const records = await this.#record(waiting);
    return waiting.filter((suspect, n) => {
      const record = records[n];
      if (!this.#waiting.has(suspect)) {
        record?.end(false);
        return false;
      }
      if (!this.#mustBeAlone(suspect, record)) {
        this.#begin(suspect, record);
        this.#options.serve(suspect.request);
        return false;
      }
      record?.end(false);
      return true;
    });
  }

  /** The last start before it would be given up can accuse only one. */
  #mustBeAlone(suspect: Suspect, record: StartRecord | undefined): boolean {
    if (record === undefined) return suspect.earlierStarts > 0;
    return lostStarts(suspect, record) > 0 || this.#options.maxAttempts === 2;
  }

  async #runAccused(): Promise<void> {
    this.#isRunningAlone = true;
    for (let suspect; (suspect = this.#accused.shift()) !== undefined;) {
      if (!this.#waiting.has(suspect)) continue;
      const start = performance.now();
      await this.#options.alone(() => this.#runAlone(suspect));
      // Anybody may put requests there: half of the time is the others'.
      const restMs = Math.min(performance.now() - start, MAX_REST_MS);
      if (suspect.wasMoved) await pause(restMs, this.#stopping.signal);
    }
    this.#isRunningAlone = false;
  }

  async #runAlone(suspect: Suspect): Promise<void> {
    const { maxAttempts, giveUp, serveAlone } = this.#options;
    const [record] = await this.#record([suspect], true);
    if (!this.#waiting.has(suspect)) {
      record?.end(false);
      return;
    }
    const { request } = suspect;
    this.#begin(suspect, record);
    // The first start, among others, is not on record.
    if (1 + lostStarts(suspect, record) >= maxAttempts) giveUp(request);
    else await serveAlone(request);
  }

  #begin(suspect: Suspect, record: StartRecord | undefined): void {
    const { request } = suspect;
    this.#waiting.delete(suspect);
    request.settled.then(() => record?.end(this.#options.losses.isExhausted(request)));
  }

  async #record(
    suspects: readonly Suspect[],
    takesOver = false,
  ): Promise<(StartRecord | undefined)[]> {
    if (suspects.length === 0) return [];
    const starts = suspects.map(({ request: { key, deadline = Infinity } }) => {
      const leftMs = Math.max(deadline - performance.now(), 0);
      return { key, lifeMs: Math.min(leftMs + RECORD_LIFE_MS.extra, RECORD_LIFE_MS.most) };
    });
    const records = await this.#records.record(starts, takesOver);
    this.#warn();
    return records;
  }

  /** Once for each time that it stops working. */
  #warn(): void {
    const { failure } = this.#records;
    const { queue } = this.#options;
    if (failure !== undefined && !this.#hasWarned) {
      const text = "can't use {queue}: {failure}; redelivered requests are served like others, " +
        "and one that kills its server again and again can't be found among them";
      logger.warn(text, { queue, failure });
    }
    this.#hasWarned = failure !== undefined;
  }

  /** What is no record was moved there by an older server, or put there by anybody. */
  #takeMoved(requests: RequestChannel, message: Delivery): boolean {
    if (this.#stopping.signal.aborted || this.#moved >= this.#options.prefetch) return false;
    this.#moved += 1;
    const request = requests.take(message);
    request.settled.then(() => this.#moved -= 1);
    this.#options.admit(request, () => {
      if (this.#options.losses.has(request)) {
        this.#options.serve(request);
      } else {
        const earlierStarts = attemptsOf(message) + (message.redelivered ? 1 : 0);
        this.#add({ request, earlierStarts, wasMoved: true });
      }
    });
    return true;
  }
}

/** The record of a moved request's start by this version comes back with the request. */
function lostStarts({ earlierStarts }: Suspect, record: StartRecord | undefined): number {
  return Math.max(earlierStarts, record?.lostStarts ?? 0);
}

function attemptsOf(message: Delivery): number {
  const attempts = message.properties.headers?.[ATTEMPTS_HEADER];
  return Number.isSafeInteger(attempts) && (attempts as number) > 0 ? attempts as number : 0;
}
