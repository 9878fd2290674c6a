/**
 * How far a batch of calls is, in one line that stays at the bottom of a
 * terminal. It is seen by those who wait, and by nobody else: not in the first
 * second, not in a pipe, and not where the results themselves are on the screen.
 *
 * The packages for such a line move a cursor of their own, and know nothing of
 * the lines that are written above it meanwhile, which {@linkcode StderrWriter} does.
 *
 * @module
 */
import type { Environment } from "../environment.ts";

/** When it is first shown, and how often it changes, in milliseconds. */
const FIRST_MS = 1_000;
const EVERY_MS = 200;

const BAR_WIDTH = 20;

/** Counts results, and shows how many there are. */
export class Progress {
  readonly #environment: Environment;
  readonly #total: number | undefined;
  readonly #start = performance.now();
  #done = 0;
  #timer: ReturnType<typeof setInterval>;

  /** @param total How many results there will be, if that is known. */
  constructor(environment: Environment, total: number | undefined) {
    this.#environment = environment;
    this.#total = total;
    // To ask whether they are terminals costs more than a call: only a batch that takes long does.
    this.#timer = setTimeout(() => {
      if (!environment.stderr.isTTY || environment.isStdoutTerminal) return;
      this.#show();
      this.#timer = setInterval(() => this.#show(), EVERY_MS);
    }, FIRST_MS);
  }

  /** There is one result more. */
  add(): void {
    this.#done += 1;
  }

  /** Takes the line away. */
  end(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    if (this.#environment.stderr.status !== undefined) this.#environment.stderr.status = "";
  }

  #show(): void {
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = this.#done / seconds;
    const perSecond = `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;
    this.#environment.stderr.status = this.#total === undefined
      ? `${this.#done} done, ${perSecond}`
      : `${bar(this.#done / this.#total)} ${this.#done}/${this.#total}, ${perSecond}${
        this.#left(rate, this.#total)
      }`;
  }

  #left(rate: number, total: number): string {
    return rate === 0 ? "" : `, ${duration((total - this.#done) / rate)} left`;
  }
}

function bar(part: number): string {
  const full = Math.floor(Math.min(part, 1) * BAR_WIDTH);
  return `[${"=".repeat(full)}${" ".repeat(BAR_WIDTH - full)}]`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${whole % 60}s`;
}
