/**
 * How much memory a process has used.
 *
 * @module
 */

/** In mebibytes. */
export interface Memory {
  /** At present. */
  readonly now: number;
  /** At the most, since its start. */
  readonly peak: number;
}

/** A process's resident memory, from /proc; `undefined` on a system without. */
export async function memoryOf(pid: number): Promise<Memory | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const mebibytes = (name: string) =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]) / 1024);
  return { now: mebibytes("VmRSS"), peak: mebibytes("VmHWM") };
}
