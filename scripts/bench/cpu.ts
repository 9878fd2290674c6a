/**
 * How much processor time programs have used.
 *
 * @module
 */

/** Linux counts in hundredths of a second on all its platforms (`getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

/** That of a running process in seconds, from /proc; `undefined` on a system without. */
export async function cpuSecondsOf(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined || Deno.build.os !== "linux") return undefined;
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  // After the name, which is in parentheses, the 12th and the 13th field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** That of the ended children of a shell in seconds, from what its `times` printed. */
export function childrensCpuSeconds(times: string): number {
  const children = times.trim().split("\n").at(-1) ?? "";
  let sum = 0;
  for (const [, minutes, seconds] of children.matchAll(/(\d+)m([\d.]+)s/g)) {
    sum += Number(minutes) * 60 + Number(seconds);
  }
  return sum;
}
