/** Something could not be made; the message says why. */
export class BuildError extends Error {}
