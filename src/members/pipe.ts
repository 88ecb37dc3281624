/**
 * What a channel stands on: a stream of bytes each way. An HTTP/2 stream is one
 * (`http2-pipe.ts`), and the tests have one in memory.
 */
export interface Pipe {
  /**
   * The next bytes, or null when no more will come: the other end is finished or gone, or this one
   * was destroyed. What is not read holds the other end up. One read at a time.
   */
  read(): Promise<Uint8Array | null>;
  /** False once the other end is known to be gone: what is written then goes nowhere. */
  readonly isWritable: boolean;
  /**
   * Takes the bytes, which must not change any more. A promise, which never rejects, says that no
   * more should be given before it is resolved.
   */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Takes it that the other end is who it says: it may send much before it is read. */
  trust(): void;
  /** Ends both directions at once; what was not sent is lost. */
  destroy(): void;
}
