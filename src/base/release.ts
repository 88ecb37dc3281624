/**
 * Gives memory back at once that would else wait for the collector. Whoever reads a database makes
 * garbage as fast as the store delivers, and the collector lets some hundred MiB of it pile up.
 */

/** The bytes are done with, and nobody else has them. What is part of a larger buffer stays. */
export function release({ buffer, byteLength }: Uint8Array): void {
  const isWhole = buffer.byteLength === byteLength && byteLength > 0;
  if (isWhole && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
