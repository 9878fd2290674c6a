/**
 * A file that says whether a server is ready: for probes without HTTP.
 *
 * @module
 */
import { rm, utimes, writeFile } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../text.ts";

const logger = getLogger(["fibrpc", "health"]);

/** How often the file is touched, in milliseconds: one that is older says that the process stands still. */
const TOUCH_MS = 1_000;

/** Touches a file while something is so, and removes it otherwise. */
export class HealthFile {
  readonly #path: string;
  readonly #isReady: () => boolean;
  readonly #timer: ReturnType<typeof setInterval>;
  #working: Promise<void> = Promise.resolve();
  #failure: string | undefined;

  constructor(path: string, isReady: () => boolean) {
    this.#path = path;
    this.#isReady = isReady;
    this.#timer = setInterval(() => this.update(), TOUCH_MS);
    this.update();
  }

  /** Looks now, and not only at the next turn. */
  update(): void {
    this.#working = this.#working.then(() => this.#write(this.#isReady()));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#working = this.#working.then(() => this.#write(false));
    await this.#working;
  }

  async #write(isReady: boolean): Promise<void> {
    try {
      if (!isReady) {
        await rm(this.#path, { force: true });
      } else {
        const now = new Date();
        await utimes(this.#path, now, now).catch(() => writeFile(this.#path, ""));
      }
      this.#failure = undefined;
    } catch (error) {
      const failure = messageOf(error);
      if (failure !== this.#failure) logger.error("--health-file: {failure}", { failure });
      this.#failure = failure;
    }
  }
}
