/**
 * Runtimes that a package for npm may be installed on, and what installs it.
 *
 * @module
 */
import { bunBinary } from "../../scripts/bun.ts";
import { npmPackage } from "../../scripts/npm_package.ts";
import { run } from "./process.ts";

const { arch, os } = Deno.build;

/** The oldest release line of Node that the package takes, and its successor. */
export const NODE_VERSIONS = ["22.23.3", "24.9.0"] as const;

/** The binary of a release of Node, from npm. */
export async function nodeBinary(version: string): Promise<string> {
  const name = `node-${os}-${arch === "x86_64" ? "x64" : "arm64"}`;
  const binary = (folder: string) => `${folder}/bin/node`;
  const isGenuine = async (folder: string) => {
    const { stdout } = await run(binary(folder), ["--version"]).catch(() => ({ stdout: "" }));
    return stdout.trim() === `v${version}`;
  };
  return binary(await npmPackage(name, version, { isGenuine }));
}

/** Bun's binary; the one that executables are made with. */
export function bun(): Promise<string> {
  return bunBinary(`${os}-${arch === "x86_64" ? "x64" : arch}`);
}

/** A program of an npm package that runs on Node. */
export async function npmProgram(name: string, version: string, file: string): Promise<string> {
  const isGenuine = async (folder: string) => {
    const text = await Deno.readTextFile(`${folder}/package.json`).catch(() => "{}");
    return JSON.parse(text).version === version;
  };
  return `${await npmPackage(name, version, { isGenuine })}/${file}`;
}
