/**
 * All that a command knows of its process.
 *
 * @module
 */

/** The signals that end a command. */
export type EndSignal = "SIGHUP" | "SIGINT" | "SIGQUIT" | "SIGTERM";

/** What a process gives to a command; tests give something else. */
export interface Environment {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** All of its variables, for the programs that it starts. */
  allVariables(): Record<string, string | undefined>;
  /** Its host and its number there, `host:pid`. */
  readonly identity: string;
  /** Where `-` reads from. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Writes results, and nothing else: whole lines, one write after the other. */
  writeStdout(bytes: Uint8Array): Promise<void>;
  /** Whether a terminal shows the results. */
  readonly isStdoutTerminal: boolean;
  readonly stderr: {
    /** Writes whole lines, or drops them where nobody reads; it neither waits nor throws. */
    write(lines: string): void;
    /** Makes the line that takes the place of dropped ones. */
    describeLost?: (count: number) => string;
    /** A line that stays below all others on a terminal; empty takes it away. */
    status?: string;
    readonly isTTY?: boolean;
  };
  /**
   * From now on `listener` is called for every signal, with its time in
   * milliseconds, instead of any before it.
   */
  onSignal(listener: (signal: EndSignal, at: number) => void): void;
  /** Calls `listener` with what the runtime or a library prints about itself, instead of printing it. */
  onWarning(listener: (text: string) => void): void;
  exit(code: number): void;
}
