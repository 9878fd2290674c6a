/**
 * Packages of npm that build and test with fibrpc, and are no part of it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { BuildError } from "./build_error.ts";
import { run } from "./run.ts";

/** Options of {@linkcode npmPackage}. */
export interface NpmPackageOptions {
  /** Whether what is in a folder is the package that was asked for. */
  readonly isGenuine: (folder: string) => Promise<boolean>;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/**
 * Gets a package. Each has a project of its own in `.fibrpc`, so that neither
 * `deno.lock` nor the executable nor the published package ever hears of it.
 * Deno fetches it: npm need not exist.
 *
 * @returns The package's folder.
 * @throws {BuildError} If it can't be had, or isn't genuine when it was fetched.
 */
export async function npmPackage(
  name: string,
  version: string,
  { isGenuine, signal }: NpmPackageOptions,
): Promise<string> {
  const project = fileURLToPath(
    new URL(`../.fibrpc/${name.replaceAll("/", "+")}-${version}/`, import.meta.url),
  );
  const folder = `${project}node_modules/${name}`;
  if (await isGenuine(folder)) return folder;

  await Deno.remove(project, { recursive: true }).catch(ignoreAbsence);
  await Deno.mkdir(project, { recursive: true });
  await Deno.writeTextFile(
    `${project}deno.json`,
    JSON.stringify({
      nodeModulesDir: "auto",
      lock: false,
      imports: { [name]: `npm:${name}@${version}` },
    }),
  );
  // Files of Deno's cache and of projects may be the same ones: not from there.
  const installed = await run(Deno.execPath(), ["install", "--reload"], { cwd: project, signal });
  signal?.throwIfAborted();
  if (!installed.success) {
    throw new BuildError(`Could not get the npm package ${name}@${version}:\n${installed.output}`);
  }
  if (await isGenuine(folder)) return folder;
  throw new BuildError(
    `${folder} is not the one that is known as ${version}: its SHA-256 is another`,
  );
}

/** In hexadecimal digits; `undefined` if there is no such file. */
export async function sha256(file: string): Promise<string | undefined> {
  const bytes = await Deno.readFile(file).catch(ignoreAbsence);
  if (bytes === undefined) return undefined;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function ignoreAbsence(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}
