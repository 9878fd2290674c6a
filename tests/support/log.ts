/**
 * What is logged while something runs.
 *
 * @module
 */
import { configure, type LogRecord, reset } from "@logtape/logtape";

/** The log of this process, until it is disposed of. */
export class CollectedLog implements AsyncDisposable {
  /** All records so far. */
  readonly records: LogRecord[] = [];

  private constructor() {}

  /** Begins to collect. */
  static async start(): Promise<CollectedLog> {
    const log = new CollectedLog();
    await configure({
      sinks: { collected: (record) => void log.records.push(record) },
      loggers: [
        { category: "fibrpc", sinks: ["collected"], lowestLevel: "debug" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
      ],
    });
    return log;
  }

  /** The messages that match, of a level or of all. */
  messages(pattern: RegExp, level?: LogRecord["level"]): string[] {
    return this.records
      .filter((record) => level === undefined || record.level === level)
      .map(({ message }) => message.map(String).join(""))
      .filter((message) => pattern.test(message));
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await reset();
  }
}
