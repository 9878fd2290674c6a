/**
 * Keeps replies from addresses that would cost the connection which serves,
 * and all requests on it: see `direct_address.ts`.
 *
 * The broker's own addresses show their form and its node. Another node is
 * looked at once, on a connection that may be lost, while its requests wait.
 * Both are bounded: whoever makes up nodes may cost a few connections a second,
 * and half of the requests that a server holds.
 *
 * @module
 */
import { pause } from "../../../time.ts";
import { DIRECT_REPLY_TO } from "../../../protocol/names.ts";
import type { BrokerUrl } from "../../../amqp/broker_url.ts";
import { parseDirectAddress } from "./direct_address.ts";
import type { Look } from "./reply_probe.ts";

/** After a look that was lost there is no other, in milliseconds. */
const PAUSE_MS = 200;

/** After so long, in milliseconds, a request no longer waits for a look that has not begun. */
const WAIT_MS = 2_000;

/**
 * For how long a look that was lost keeps its group refused, and the number of
 * requests that wait small, in milliseconds: a node may come back.
 */
const DOUBT_MS = 10_000;

/** How many nodes, or requests, wait at most, and no more than half of what the server holds. */
const MAX_WAITING = 64;

/** How many groups of addresses are remembered. */
const MAX_GROUPS = 4_096;

/** How many addresses are remembered as usable. */
const MAX_USABLE = 1_024;

/** What a guard needs of its server. */
export interface ReplyGuardOptions {
  /** Looks at an address; one at a time is under way. */
  readonly look: (broker: BrokerUrl, address: string) => Promise<Look>;
  /** How many requests the server holds at most. */
  readonly prefetch: number;
}

/** Why an address can't be used; `undefined` if it can. */
export type Refusal = string | undefined;

const TOO_MANY = "too many requests wait until their reply_to was looked at";

/** What is known of a group of addresses. */
interface Verdict {
  readonly refusal: Refusal;
  readonly until: number;
}

/** A look that requests wait for. */
interface Waiting {
  readonly address: string;
  readonly since: number;
  readonly verdict: PromiseWithResolvers<Refusal>;
  requests: number;
}

/** Decides which direct reply-to addresses may be published to. */
export class ReplyGuard {
  readonly #options: ReplyGuardOptions;
  readonly #closing = new AbortController();
  #broker: BrokerUrl | undefined;
  #isFormKnown = false;
  /** Addresses that may be published to: most requests need no more than this. */
  readonly #usable = new Set<string>();
  /** What was found out of groups of addresses; the one that was asked for last is the last. */
  readonly #verdicts = new Map<string, Verdict>();
  #waiting = new Map<string, Waiting>();
  #requests = 0;
  #lostAt = -Infinity;
  #isLooking = false;
  #isPausing = false;

  constructor(options: ReplyGuardOptions) {
    this.#options = options;
  }

  /**
   * Requests come by another connection now; what was learned counts no more.
   *
   * @param broker Its broker.
   * @param address A direct address that the broker gave; none if it can't be had.
   */
  startOn(broker: BrokerUrl, address: string | undefined): void {
    this.#broker = broker;
    this.#usable.clear();
    this.#verdicts.clear();
    this.#forgetWaiting(); // Their requests are out of reach.
    const own = address === undefined ? undefined : parseDirectAddress(address);
    this.#isFormKnown = own !== undefined;
    if (own !== undefined) this.#remember(own.group, undefined, Infinity);
  }

  /** Whether a reply address may be published to: a promise if it has to be looked at first. */
  check(address: string): Refusal | Promise<Refusal> {
    if (!address.startsWith(DIRECT_REPLY_TO) || this.#usable.has(address)) return undefined;
    const parsed = parseDirectAddress(address);
    if (parsed === undefined && this.#isFormKnown) return "its reply_to is malformed";
    // An address of another form, say of another kind of broker, stands for itself.
    const { group, probe } = parsed ?? { group: address, probe: address };
    const verdict = this.#verdicts.get(group);
    if (verdict === undefined || verdict.until < performance.now()) return this.#wait(group, probe);
    this.#remember(group, verdict.refusal, verdict.until);
    if (verdict.refusal === undefined) this.#use(address);
    return verdict.refusal;
  }

  /** Looks no more; what waits is left unanswered, for the broker to deliver again. */
  close(): void {
    this.#closing.abort();
    this.#forgetWaiting();
  }

  #forgetWaiting(): void {
    this.#waiting = new Map();
    this.#requests = 0;
  }

  #use(address: string): void {
    if (this.#usable.size >= MAX_USABLE) this.#usable.clear();
    this.#usable.add(address);
  }

  #remember(group: string, refusal: Refusal, until: number): void {
    this.#verdicts.delete(group);
    this.#verdicts.set(group, { refusal, until });
    if (this.#verdicts.size <= MAX_GROUPS) return;
    const [oldest] = this.#verdicts.keys();
    this.#verdicts.delete(oldest!);
  }

  #wait(group: string, address: string): Refusal | Promise<Refusal> {
    let waiting = this.#waiting.get(group);
    // A burst of one node's requests waits for a single look, which is fast unless it is lost.
    const isBurst = waiting !== undefined && !this.#wasLost;
    const count = this.#wasLost ? this.#requests : this.#waiting.size;
    if (!isBurst && count >= this.#most) return TOO_MANY;
    if (waiting === undefined) {
      const verdict = Promise.withResolvers<Refusal>();
      waiting = { address, since: performance.now(), verdict, requests: 0 };
      this.#waiting.set(group, waiting);
    }
    waiting.requests += 1;
    this.#requests += 1;
    if (!this.#isLooking) this.#run();
    return waiting.verdict.promise;
  }

  /** Whether a look was lost lately. */
  get #wasLost(): boolean {
    return performance.now() - this.#lostAt <= DOUBT_MS;
  }

  get #most(): number {
    const half = Math.min(Math.floor(this.#options.prefetch / 2), MAX_WAITING);
    // A server that holds one request may wait for a look, but not for a pause before it.
    return this.#isPausing ? half : Math.max(half, 1);
  }

  /** Refuses what is too much: first those of the groups with the fewest requests. */
  #shed(): void {
    const fewestFirst = [...this.#waiting].sort(([, a], [, b]) => a.requests - b.requests);
    for (const [group, waiting] of fewestFirst) {
      if (this.#requests <= this.#most) return;
      this.#settle(group, waiting, TOO_MANY);
    }
  }

  #settle(group: string, waiting: Waiting, refusal: Refusal): void {
    this.#waiting.delete(group);
    this.#requests -= waiting.requests;
    waiting.verdict.resolve(refusal);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    this.#isLooking = true;
    for (let next; (next = this.#next()) !== undefined;) {
      const [group, waiting] = next;
      const look = await this.#options.look(this.#broker!, waiting.address);
      if (this.#waiting.get(group) !== waiting) continue; // The connection is another one.
      // That nobody listens says of a node's address that it can be decoded, of others nothing.
      const isUsable = look === "found" || look === "unseen" ||
        look === "missing" && waiting.address !== group;
      const refusal = isUsable ? undefined : "its reply_to was looked at, and can't be used";
      const isProven = isUsable && look !== "unseen";
      this.#remember(group, refusal, isProven ? Infinity : performance.now() + DOUBT_MS);
      this.#settle(group, waiting, refusal);
      if (look !== "lost") continue;
      this.#lostAt = performance.now();
      this.#isPausing = true;
      this.#shed();
      await pause(PAUSE_MS, signal);
      this.#isPausing = false;
    }
    this.#isLooking = false;
  }

  /** What most requests wait for: many forged nodes can't keep a real one waiting. */
  #next(): [string, Waiting] | undefined {
    let next: [string, Waiting] | undefined;
    for (const entry of this.#waiting) {
      const [group, waiting] = entry;
      if (performance.now() - waiting.since > WAIT_MS) {
        this.#settle(group, waiting, "its reply_to could not be looked at in time");
      } else if (next === undefined || waiting.requests > next[1].requests) {
        next = entry;
      }
    }
    return next;
  }
}
