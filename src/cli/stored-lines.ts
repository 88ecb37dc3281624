/** What of which file is stored, to be said when the rest could not be. */

interface Stored {
  readonly source: string;
  /** Null for all of it. */
  readonly lines: readonly [first: number, last: number] | null;
}

/** Ranges that are named; the rest is counted. */
const SHOWN_MAX = 8;

export class StoredLines {
  /** Requests end in any order, but only a few are under way: so many gaps there are at most. */
  #ranges: Stored[] = [];
  rows = 0;

  add(stored: Stored, rows: number): void {
    this.rows += rows;
    this.#ranges.push(stored);
    this.#ranges.sort((a, b) => (a.lines?.[0] ?? 0) - (b.lines?.[0] ?? 0));
    const of = this.#ranges.filter(({ source }) => source === stored.source);
    const others = this.#ranges.filter(({ source }) => source !== stored.source);
    this.#ranges = [...others, ...joined(of)];
  }

  /** "40960 rows: lines 2 to 40961 of events.csv", or "nothing". */
  get text(): string {
    if (this.#ranges.length === 0) return "nothing";
    const named = this.#ranges.slice(0, SHOWN_MAX).map(({ source, lines }) =>
      lines === null ? `all of ${source}` : `lines ${lines[0]} to ${lines[1]} of ${source}`
    );
    const more = this.#ranges.length - named.length;
    return `${this.rows} rows: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  }
}

/** Of one file, in their order: those that touch become one. */
function joined(ranges: readonly Stored[]): readonly Stored[] {
  const all: Stored[] = [];
  for (const range of ranges) {
    const last = all.at(-1);
    if (last?.lines && range.lines && last.lines[1] + 1 >= range.lines[0]) {
      const end = Math.max(last.lines[1], range.lines[1]);
      all.splice(-1, 1, { ...last, lines: [last.lines[0], end] });
    } else all.push(range);
  }
  return all;
}
