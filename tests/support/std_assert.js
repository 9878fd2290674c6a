// @ts-self-types="./std_assert.d.ts"
/**
 * Deno's `@std/assert`, from its copy on npm, which has no types: the package
 * itself is on JSR only, and the project is to install from an npm mirror alone.
 *
 * @module
 */
export {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "deno-std/assert";
