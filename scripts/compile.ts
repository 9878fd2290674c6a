/**
 * Compiles the command line to one executable, `dist/fibrpc`:
 *
 *     deno task compile [--target <deno triple>] [--base deno|bun] [--output <file>]
 *
 * `deno compile` is the first choice: its executable has the permissions that
 * deno.json lists for it and no others. But its runtime base is a download of
 * Deno's own. Where only a package registry can be reached, the same bundle is
 * put on the base that Bun's npm package carries.
 */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BuildError } from "./build_error.ts";
import { BUN_VERSION, bunBinary } from "./bun.ts";
import { bundleProgram, type Bundles } from "./bundle.ts";
import { type Result, run } from "./run.ts";

/** A silent network must not hold up the build for ever. */
const DENO_COMPILE_LIMIT_MS = 120_000;

const TARGETS: Record<string, string> = {
  "x86_64-unknown-linux-gnu": "linux-x64",
  "aarch64-unknown-linux-gnu": "linux-aarch64",
  "x86_64-apple-darwin": "darwin-x64",
  "aarch64-apple-darwin": "darwin-aarch64",
  "x86_64-pc-windows-msvc": "windows-x64",
  "aarch64-pc-windows-msvc": "windows-aarch64",
};

const root = new URL("../", import.meta.url);
const stopped = new AbortController();

function path(relative: string): string {
  return fileURLToPath(new URL(relative, root));
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function compileWithDeno(
  [main, ...others]: Bundles,
  output: string,
  target: string,
): Promise<Result> {
  const args = ["compile", "--config", path("deno.json")];
  // What is not listed is refused: a server has nobody to ask.
  args.push("--permission-set", "--no-prompt");
  if (target !== Deno.build.target) args.push("--target", target);
  for (const file of others) args.push("--include", file);
  args.push("--output", output, main);
  const limit = AbortSignal.timeout(DENO_COMPILE_LIMIT_MS);
  const signal = AbortSignal.any([stopped.signal, limit]);
  const { success, output: said } = await run(Deno.execPath(), args, { signal });
  stopped.signal.throwIfAborted();
  return { success, output: limit.aborted ? `${said}\nno end in sight, stopped` : said };
}

async function compileWithBun(
  [main, worker]: Bundles,
  output: string,
  target: string,
): Promise<void> {
  const host = TARGETS[Deno.build.target];
  if (!host) {
    throw new BuildError(`Bun has no base for ${Deno.build.target}`);
  }
  // It finds the other files by itself; what is split is not loaded before it is needed.
  const args = ["build", "--compile", "--splitting", "--format=esm", "--outfile", output];
  // Else the executable would obey files of whatever folder it is started in.
  args.push("--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig");
  // And the options that BUN_OPTIONS holds, such as scripts to run first: here they come after
  // the end of all options.
  args.push("--compile-exec-argv=--");
  if (target === Deno.build.target) {
    args.push("--bytecode");
  } else {
    const platform = TARGETS[target]!;
    args.push(`--target=bun-${platform}`);
    args.push("--compile-executable-path", await bunBinary(platform, stopped.signal));
  }
  const compiled = await run(await bunBinary(host, stopped.signal), [...args, main, worker], {
    // Not where a bunfig.toml or .env could be; and it leaves its own
    // temporary file where it is when it is stopped.
    cwd: dirname(main),
    signal: stopped.signal,
  });
  stopped.signal.throwIfAborted();
  if (!compiled.success) throw new BuildError(`Could not compile with Bun:\n${compiled.output}`);
}

/** The line that tells why, out of Deno's chain of causes. */
function reason(output: string): string {
  const [causes] = output.split(/\n\s*Stack backtrace/);
  return causes!.trim().split("\n").at(-1)!.replace(/^\s*\d+:\s*/, "");
}

async function compile(target: string, base: string | undefined, file: string | undefined) {
  const name = target.includes("windows") ? "fibrpc.exe" : "fibrpc";
  const output = file === undefined ? path(`dist/${name}`) : resolve(file);
  await Deno.mkdir(dirname(output), { recursive: true });
  // Beside the result, so that the last step is a rename: one that runs keeps
  // its file, and nobody ever sees half of one.
  const temporary = await Deno.makeTempDir({
    dir: dirname(output),
    prefix: ".compile-",
  });
  try {
    const bundles = await bundleProgram(temporary, stopped.signal);
    let used = `deno ${Deno.version.deno}`;
    if (base !== "bun") {
      const { success, output: said } = await compileWithDeno(
        bundles,
        `${temporary}/${name}`,
        target,
      );
      if (!success) {
        const noBase = /base binary|denort|no end in sight/.test(said);
        if (base === "deno" || !noBase) {
          throw new BuildError(`Could not compile with Deno:\n${said}`);
        }
        say(`Deno's runtime base can't be downloaded (${reason(said)}).`);
        say("Using Bun's. (--base deno: fail instead, --base bun: don't try)");
        base = "bun";
      }
    }
    if (base === "bun") {
      await compileWithBun(bundles, `${temporary}/${name}`, target);
      used = `bun ${BUN_VERSION}`;
    }

    const { size } = await Deno.stat(`${temporary}/${name}`);
    await Deno.rename(`${temporary}/${name}`, output);
    say(`${file ?? `dist/${name}`}: ${Math.round(size / 1e6)} MB, ${target}, ${used}`);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

function usage(problem: string): never {
  say(problem);
  say("Usage: deno task compile [--target <triple>] [--base deno|bun] [--output <file>]");
  say(`Targets: ${Object.keys(TARGETS).join(", ")}`);
  Deno.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        target: { type: "string" },
        base: { type: "string" },
        output: { type: "string" },
      },
    });
    return values;
  } catch (error) {
    usage((error as Error).message);
  }
}

const { target = Deno.build.target, base, output } = options();
if (!Object.hasOwn(TARGETS, target)) usage(`Unknown target: "${target}"`);
if (base !== undefined && base !== "deno" && base !== "bun") {
  usage(`Unknown base: "${base}"`);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => stopped.abort());
}
try {
  await compile(target, base, output);
} catch (error) {
  if (stopped.signal.aborted) Deno.exit(130);
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  Deno.exit(1);
}
// The signal listeners would keep the process.
Deno.exit(0);
