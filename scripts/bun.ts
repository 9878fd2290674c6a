/**
 * Bun, as its npm package brings it.
 *
 * @module
 */
import { npmPackage, sha256 } from "./npm_package.ts";

/** The release whose binary is the base of executables. */
export const BUN_VERSION = "1.4.5";

/** SHA-256 of that release's binaries: they become the product. */
const BUN_SHA256: Record<string, string> = {
  "linux-x64": "f05d28a3862f4b84395c7fa32480b835dd47482e80b7e7a49a115227f0c06083",
  "linux-aarch64": "04778f1f42399a69d086853e9c7af4acf574b2f21a43d0dc673853d8b84a2923",
  "darwin-x64": "88f97645b270aef20f9f9442f1658461cab3e7128e658af4615144e3396f084a",
  "darwin-aarch64": "e2984124f1514e1e6bbda20adedbf07a02c443c6a5828853a15c7c7abf78e19f",
  "windows-x64": "e06ad0864463c68892ae71a2a64af7eae1585cac5dd9b80bc042f45605587cb1",
  "windows-aarch64": "8bd7f9210f9d58cc21f398d1478e53b2ff919a0c8fc935b5086f3f64667cec6d",
};

/** The file for a platform, such as `linux-x64`. */
export async function bunBinary(platform: string, signal?: AbortSignal): Promise<string> {
  const suffix = platform.startsWith("windows") ? ".exe" : "";
  const binary = (folder: string) => `${folder}/bin/bun${suffix}`;
  const folder = await npmPackage(`@oven/bun-${platform}`, BUN_VERSION, {
    isGenuine: async (folder) => await sha256(binary(folder)) === BUN_SHA256[platform],
    ...(signal && { signal }),
  });
  return binary(folder);
}
