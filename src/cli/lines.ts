/** Bytes as they come → lines of text. */
const LINE_FEED = 10;

/** Without their line feeds. The last one may lack its own. */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let open = "";
  for await (const chunk of body) {
    const lines = (open + decoder.decode(chunk, { stream: true })).split("\n");
    open = lines.pop() ?? "";
    yield* lines;
  }
  if (open !== "") yield open;
}

/** The last line of what went by. */
export class LastLine {
  #bytes: Uint8Array = new Uint8Array(0);

  push(piece: Uint8Array): void {
    // The piece may end with its line feed, which does not begin a line.
    const feed = piece.subarray(0, -1).lastIndexOf(LINE_FEED);
    if (feed >= 0 || this.#bytes.at(-1) === LINE_FEED) this.#bytes = new Uint8Array(0);
    this.#bytes = Buffer.concat([this.#bytes, piece.subarray(feed + 1)]);
  }

  get text(): string {
    return new TextDecoder().decode(this.#bytes);
  }
}
