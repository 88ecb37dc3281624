/** A story as text: a title, its moral, then what happened, each line with its time. */
export class Transcript {
  readonly #lines: string[];
  readonly #nowMs: () => number;
  #saidAt = "";
  #isQuiet = false;
  #beganMs = 0;
  /** The last line, for one that says the same again. */
  #last = { line: "", times: 0 };

  constructor(title: string, moral: readonly string[], nowMs: () => number) {
    this.#lines = [title, "=".repeat(title.length), "", ...moral, ""];
    this.#nowMs = nowMs;
  }

  get text(): string {
    return `${this.#lines.join("\n").trimEnd()}\n`;
  }

  /** The story's time is counted from here. */
  beginNow(): void {
    this.#beganMs = this.#nowMs();
  }

  /** What happens in `work` is no part of the story. */
  quietly(work: () => void): void {
    this.#isQuiet = true;
    work();
    this.#isQuiet = false;
  }

  /** The same again and again is told once, with how often it was. */
  tell(line: string): void {
    if (this.#isQuiet) return;
    if (line === this.#last.line) {
      const said = this.#lines.pop()?.replace(/ \(\d+ times, until .*$/, "");
      this.#lines.push(`${said} (${++this.#last.times} times, until ${this.#at()})`);
      return;
    }
    this.#last = { line, times: 1 };
    const at = this.#at();
    this.#lines.push(`${(at === this.#saidAt ? "" : at).padStart(9)}  ${line}`);
    this.#saidAt = at;
  }

  note(text: string): void {
    if (this.#lines.at(-1) !== "") this.#lines.push("");
    this.#lines.push(text, "");
    this.#saidAt = "";
    this.#last = { line: "", times: 0 };
  }

  #at(): string {
    return `${((this.#nowMs() - this.#beganMs) / 1000).toFixed(1)} s`;
  }
}
