/** A body that holds something for as long as it is read. */

/** Calls `done` when the body was read to its end or returned from, even before its first piece. */
export function endingWith(
  body: AsyncIterable<Uint8Array>,
  done: () => void,
): AsyncIterable<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        try {
          const piece = await pieces.next();
          if (piece.done === true) done();
          return piece;
        } catch (error) {
          done();
          throw error;
        }
      },
      return: async () => {
        done();
        await pieces.return?.();
        return { done: true, value: undefined };
      },
    }),
  };
}
