/**
 * The library's messages name its own options; those of the command line have
 * other names.
 *
 * @module
 */

const OPTION = /\btls\.(ca|cert|key)\b/g;

/** A message of the library in the command line's words. */
export function withOptionNames(message: string): string {
  return message.replace(OPTION, "--tls-$1");
}
