/**
 * Objects of a chain as decoded epochs: small ones whole, large ones piece by piece, so that neither
 * the event loop nor memory is held for long.
 */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { FETCH_PIECE_BYTES, FETCH_PIECES_MAX, SLICE_BYTES } from "../base/limits.ts";
import { release } from "../base/release.ts";
import { EpochDecoder } from "../epoch/decode.ts";
import type { DecodedEpoch, EpochHeader, Page } from "../epoch/epoch.ts";
import { PageSlab } from "../epoch/page-slab.ts";
import type { Store } from "../store/store.ts";

/** Decodes an object in slices that leave others their turn. `what` names it in a failure. */
export async function decodeSliced(
  bytes: Uint8Array,
  what: string,
  clock: Clock,
): Promise<DecodedEpoch> {
  const decoder = new EpochDecoder(what);
  const pages: Page[] = [];
  for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
    if (at > 0) await clock.turn();
    for (const page of decoder.push(bytes.subarray(at, at + SLICE_BYTES))) pages.push(page);
  }
  return { ...decoder.finish(), pages };
}

export interface StreamedEpoch {
  readonly header: EpochHeader;
  readonly fileChecksum: bigint;
}

/**
 * Decodes pieces as they come and gives the pages on. Nobody keeps anything: the memory of a page is
 * used again once `onPages` has resolved, that of a piece is given back.
 */
export async function decodePieces(
  pieces: AsyncIterable<Uint8Array>,
  what: string,
  clock: Clock,
  onPages: (pages: readonly Page[], header: EpochHeader) => Promise<void>,
): Promise<StreamedEpoch> {
  const slab = new PageSlab();
  const decoder = new EpochDecoder(what, slab);
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; at += SLICE_BYTES) {
      slab.reset();
      const pages = decoder.push(piece.subarray(at, at + SLICE_BYTES));
      if (pages.length > 0 && decoder.header) await onPages(pages, decoder.header);
      await clock.turn();
    }
    release(piece);
  }
  return decoder.finish();
}

/** An object's bytes in order, the next pieces already on their way. */
export async function* fetchPieces(
  store: Store,
  key: string,
  size: number,
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<Uint8Array>[] = [];
  let asked = 0;
  const ask = () => {
    const length = Math.min(FETCH_PIECE_BYTES, size - asked);
    const piece = store.getRange(key, { offset: asked, length }).then((bytes) => {
      if (bytes !== null && bytes.byteLength === length) return bytes;
      throw bytes === null ? gone(key) : new Failure(
        "corrupt",
        `Cannot read ${key}: its size was ${size} bytes, but it ended after ${
          asked + bytes.byteLength
        }`,
      );
    });
    // It is awaited in its turn; a failure before that must not look unhandled.
    piece.catch(() => {});
    asked += length;
    ahead.push(piece);
  };
  while (asked < size || ahead.length > 0) {
    while (asked < size && ahead.length < FETCH_PIECES_MAX) ask();
    const piece = ahead.shift();
    if (piece) yield await piece;
  }
}

/** Removed since it was listed: by pruning, which wrote something better before. */
export function gone(key: string): Failure {
  return new Failure("missing", `Cannot read ${key}: it is not in the store`);
}
