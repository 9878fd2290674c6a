/**
 * A program that runs in a process group of its own, so that it can be ended
 * with everything that it has started. (Packages that start programs end the one
 * they have started, or look for its children in the system's list.)
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";

/** How long a group has between SIGTERM and SIGKILL, in milliseconds. */
const TERM_MS = 2_000;

/** How often it is looked whether a group is gone, in milliseconds. */
const LOOK_MS = 20;

/**
 * How long after the program's end its output may stay open, and in how many
 * steps: something that it has started may hold the pipes. A process that stood
 * still for longer has used one step only, and reads what is there in the next.
 */
const HELD = { ms: 1_000, steps: 10 };

/** What is run, and what becomes of its output. */
export interface GroupOptions {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What it reads from its standard input; it need not read it. */
  readonly input: Uint8Array;
  readonly onStdout: (bytes: Uint8Array) => void;
  readonly onStderr: (bytes: Uint8Array) => void;
}

/** How a program ended: one of the two is there. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Whether something that it had started still held its output. */
  readonly isHeld: boolean;
}

/** The system could not start the program: nothing of it has run. */
export class SpawnError extends Error {
  override readonly name = "SpawnError";
}

/** A program that was started. */
export class ProcessGroup {
  /** The id of the group, which is that of the program. */
  readonly id: number;
  /** Settles when the program has ended and its output was read, or given up. */
  readonly ended: Promise<Exit>;
  readonly #child: ChildProcess;
  #termination: Promise<void> | undefined;

  private constructor(child: ChildProcess, { input, onStdout, onStderr }: GroupOptions) {
    this.#child = child;
    this.id = child.pid!;
    const { stdin, stdout, stderr } = child;
    stdin!.on("error", () => {}); // It doesn't read, or no more.
    stdin!.end(input);
    stdout!.on("data", onStdout);
    stderr!.on("data", onStderr);
    this.ended = new Promise((resolve) => {
      let held: ReturnType<typeof setTimeout> | undefined;
      let isHeld = false;
      const wait = (steps: number) => {
        held = setTimeout(() => {
          if (steps > 1) return wait(steps - 1);
          isHeld = true;
          this.#closePipes();
          resolve({ code: child.exitCode, signal: child.signalCode, isHeld });
        }, HELD.ms / HELD.steps);
      };
      child.on("exit", () => wait(HELD.steps));
      child.on("close", (code, signal) => {
        clearTimeout(held);
        if (!isHeld) resolve({ code, signal, isHeld });
      });
    });
  }

  /**
   * Starts a program.
   *
   * @throws {SpawnError} If the system can't.
   */
  static async start(options: GroupOptions): Promise<ProcessGroup> {
    const { command: [program, ...args], env } = options;
    try {
      const child = spawn(program, args, { detached: true, stdio: "pipe", env });
      if (child.pid === undefined) {
        throw await new Promise((resolve) => child.on("error", resolve));
      }
      child.on("error", () => {}); // Nothing more can fail but a signal, which goes to its group.
      return new ProcessGroup(child, options);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      throw new SpawnError(`can't start ${program}: ${code ?? message}`, { cause: error });
    }
  }

  /** Ends the whole group: SIGTERM, and SIGKILL after two seconds for what is left. */
  terminate(): Promise<void> {
    this.#termination ??= this.#terminate();
    return this.#termination;
  }

  async #terminate(): Promise<void> {
    const end = performance.now() + TERM_MS;
    for (let signal: "SIGTERM" | 0 = "SIGTERM"; this.#signal(signal); signal = 0) {
      // Zombies, which stay where nobody reaps orphans, are still of the group.
      if (performance.now() >= end) {
        this.#signal("SIGKILL");
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    await this.ended;
  }

  /** @returns Whether there is somebody in the group. */
  #signal(signal: "SIGTERM" | "SIGKILL" | 0): boolean {
    try {
      process.kill(-this.id, signal);
      return true;
    } catch (error) {
      // EPERM: it has become another user's.
      return (error as { code?: string }).code === "EPERM";
    }
  }

  #closePipes(): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const pipe of [stdin, stdout, stderr]) pipe?.destroy();
  }
}
