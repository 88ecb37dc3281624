/** Lines that a child writes to its standard error go to the log, bounded in length. */
import type { Log } from "../base/log.ts";

const LINE_CHARACTERS_MAX = 2_000;

/** Resolves when the stream ends. */
export async function logLines(stream: ReadableStream<Uint8Array>, log: Log): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  const emit = (line: string) => {
    if (line.trim() !== "") log.warn(line.slice(0, LINE_CHARACTERS_MAX));
  };
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = (lines.pop() ?? "").slice(-LINE_CHARACTERS_MAX);
    for (const line of lines) emit(line);
  }
  emit(rest);
}
