/** Server-sent events (WHATWG HTML, section 9.2), as far as nodes write them: data in one line each. */

/** The data of each event. Ends when the stream does; `onInput` hears of every piece that comes. */
export async function* eventData(
  reader: { read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }> },
  onInput: () => void,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onInput();
    pending += decoder.decode(value, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}
