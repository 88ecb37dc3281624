import { LAKE_QUERY_PIECE_BYTES } from "../../base/lake-limits.ts";

/** Bytes of any length in pieces that may be sent. */
export function* bytePieces(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += LAKE_QUERY_PIECE_BYTES) {
    yield bytes.subarray(at, at + LAKE_QUERY_PIECE_BYTES);
  }
}
