/**
 * Which processes of the system run, to see that none was left behind.
 *
 * @module
 */

/** The arguments of all processes that run and are no zombies, as Linux tells them. */
function commandLines(): string[] {
  const lines: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      lines.push(Deno.readTextFileSync(`/proc/${name}/cmdline`));
    } catch {
      // It has just ended.
    }
  }
  return lines;
}

/** How many processes have `word` as one of their arguments. */
export function running(word: string): number {
  return commandLines().filter((line) => line.split("\0").includes(word)).length;
}
