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
import { BuildError, bundleProgram, type Bundles } from "./bundle.ts";

/** Build-only: fetched by {@linkcode bunBinary}, not a dependency. */
const BUN_VERSION = "1.4.5";

/** SHA-256 of that release's binaries: they become the product. */
const BUN_SHA256: Record<string, string> = {
  "linux-x64": "f05d28a3862f4b84395c7fa32480b835dd47482e80b7e7a49a115227f0c06083",
  "linux-aarch64": "04778f1f42399a69d086853e9c7af4acf574b2f21a43d0dc673853d8b84a2923",
  "darwin-x64": "88f97645b270aef20f9f9442f1658461cab3e7128e658af4615144e3396f084a",
  "darwin-aarch64": "e2984124f1514e1e6bbda20adedbf07a02c443c6a5828853a15c7c7abf78e19f",
  "windows-x64": "e06ad0864463c68892ae71a2a64af7eae1585cac5dd9b80bc042f45605587cb1",
  "windows-aarch64": "8bd7f9210f9d58cc21f398d1478e53b2ff919a0c8fc935b5086f3f64667cec6d",
};

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

interface Result {
  success: boolean;
  output: string;
}

/** Runs a command to its end, or to ours: never leaves it behind. */
async function run(
  command: string,
  args: string[],
  options: { cwd?: string; limitMs?: number } = {},
): Promise<Result> {
  const signals = [stopped.signal];
  if (options.limitMs) signals.push(AbortSignal.timeout(options.limitMs));
  const result = await new Deno.Command(command, {
    args,
    cwd: options.cwd ?? path("."),
    env: { NO_COLOR: "1" },
    signal: AbortSignal.any(signals),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  stopped.signal.throwIfAborted();
  const timedOut = signals[1]?.aborted ? "\nno end in sight, stopped" : "";
  return {
    success: result.success,
    output: new TextDecoder().decode(result.stderr).trim() + timedOut,
  };
}

async function must(what: string, result: Promise<Result>): Promise<void> {
  const { success, output } = await result;
  if (!success) throw new BuildError(`Could not ${what}:\n${output}`);
}

/** Bun's binary for a platform, as its npm package brings it. */
async function bunBinary(platform: string): Promise<string> {
  const name = `@oven/bun-${platform}`;
  const folder = path(`.fibrpc/bun-${platform}-${BUN_VERSION}/`);
  const suffix = platform.startsWith("windows") ? ".exe" : "";
  const binary = `${folder}node_modules/${name}/bin/bun${suffix}`;
  const isGenuine = async () => await sha256(binary) === BUN_SHA256[platform];
  if (await isGenuine()) return binary;

  // A project of its own, so that neither deno.lock nor the executable nor the
  // published package ever hears of Bun. Deno fetches it: npm need not exist.
  await Deno.remove(folder, { recursive: true }).catch(ignoreAbsence);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(
    `${folder}deno.json`,
    JSON.stringify({
      nodeModulesDir: "auto",
      lock: false,
      imports: { [name]: `npm:${name}@${BUN_VERSION}` },
    }),
  );
  await must(
    `get the npm package ${name}@${BUN_VERSION}`,
    // Files of Deno's cache and of projects may be the same ones: not from there.
    run(Deno.execPath(), ["install", "--reload"], { cwd: folder }),
  );
  if (await isGenuine()) return binary;
  throw new BuildError(
    `${binary} is not the one that is known as Bun ${BUN_VERSION}: its SHA-256 is another`,
  );
}

/** In hexadecimal digits; `undefined` if there is no such file. */
async function sha256(file: string): Promise<string | undefined> {
  const bytes = await Deno.readFile(file).catch(ignoreAbsence);
  if (bytes === undefined) return undefined;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function ignoreAbsence(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}

async function compileWithDeno(
  [main, worker]: Bundles,
  output: string,
  target: string,
): Promise<Result> {
  const args = ["compile", "--config", path("deno.json")];
  // What is not listed is refused: a server has nobody to ask.
  args.push("--permission-set", "--no-prompt");
  if (target !== Deno.build.target) args.push("--target", target);
  args.push("--include", worker, "--output", output, main);
  return await run(Deno.execPath(), args, { limitMs: DENO_COMPILE_LIMIT_MS });
}

async function compileWithBun(
  bundles: Bundles,
  output: string,
  target: string,
): Promise<void> {
  const host = TARGETS[Deno.build.target];
  if (!host) {
    throw new BuildError(`Bun has no base for ${Deno.build.target}`);
  }
  const args = ["build", "--compile", "--format=esm", "--outfile", output];
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
    args.push("--compile-executable-path", await bunBinary(platform));
  }
  await must(
    "compile with Bun",
    run(await bunBinary(host), [...args, ...bundles], {
      // Not where a bunfig.toml or .env could be; and it leaves its own
      // temporary file where it is when it is stopped.
      cwd: dirname(bundles[0]),
    }),
  );
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
