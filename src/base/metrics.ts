/**
 * Counters, gauges and histograms in one registry, written as Prometheus text (exposition format
 * 0.0.4). Metrics are declared once, with their help; a label value is looked up once and kept.
 */
export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(amount?: number): void;
}
export interface Gauge {
  set(value: number): void;
}
export interface Histogram {
  observe(value: number): void;
}

export const SECONDS_BUCKETS = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
] as const;

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Label set, already written as text, to the function that writes its samples. */
  readonly series: Map<
    string,
    { handle: unknown; write: (name: string, labels: string) => string }
  >;
}

export class Metrics {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#series("counter", name, help, labels, () => {
      let value = 0;
      const handle: Counter = { add: (amount = 1) => void (value += amount) };
      return { handle, write: (id, text) => `${id}${text} ${value}\n` };
    });
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    return this.#series("gauge", name, help, labels, () => {
      let value = 0;
      const handle: Gauge = { set: (next) => void (value = next) };
      return { handle, write: (id, text) => `${id}${text} ${value}\n` };
    });
  }

  /** A gauge that is asked when the page is read. */
  gaugeOf(name: string, help: string, labels: Labels, read: () => number): void {
    this.#series("gauge", name, help, labels, () => ({
      handle: null,
      write: (id, text) => `${id}${text} ${read()}\n`,
    }));
  }

  histogram(
    name: string,
    help: string,
    labels: Labels = {},
    buckets: readonly number[] = SECONDS_BUCKETS,
  ): Histogram {
    return this.#series("histogram", name, help, labels, () => {
      const counts = new Array<number>(buckets.length + 1).fill(0);
      let sum = 0;
      const handle: Histogram = {
        observe: (value) => {
          const at = buckets.findIndex((bound) => value <= bound);
          const index = at < 0 ? buckets.length : at;
          counts[index] = (counts[index] ?? 0) + 1;
          sum += value;
        },
      };
      return { handle, write: (id, text) => histogramText(id, text, buckets, counts, sum) };
    });
  }

  /** Forgets the series of one label set, as when a database is dropped. */
  remove(name: string, labels: Labels): void {
    this.#families.get(name)?.series.delete(labelText(labels));
  }

  text(): string {
    let out = "";
    for (const [name, family] of [...this.#families].sort(([a], [b]) => (a < b ? -1 : 1))) {
      out += `# HELP ${name} ${family.help}\n# TYPE ${name} ${family.type}\n`;
      for (const [labels, series] of family.series) out += series.write(name, labels);
    }
    return out;
  }

  #series<T>(
    type: Family["type"],
    name: string,
    help: string,
    labels: Labels,
    make: () => { handle: T; write: (name: string, labels: string) => string },
  ): T {
    let family = this.#families.get(name);
    if (!family) this.#families.set(name, family = { type, help, series: new Map() });
    const key = labelText(labels);
    let series = family.series.get(key);
    if (!series) family.series.set(key, series = make());
    return series.handle as T;
  }
}

function histogramText(
  name: string,
  labels: string,
  buckets: readonly number[],
  counts: readonly number[],
  sum: number,
): string {
  const inner = labels.slice(1, -1);
  const withBound = (bound: string) => `{${inner}${inner ? "," : ""}le="${bound}"}`;
  let out = "";
  let total = 0;
  buckets.forEach((bound, index) => {
    total += counts[index] ?? 0;
    out += `${name}_bucket${withBound(String(bound))} ${total}\n`;
  });
  total += counts[buckets.length] ?? 0;
  return out + `${name}_bucket${withBound("+Inf")} ${total}\n` +
    `${name}_sum${labels} ${sum}\n${name}_count${labels} ${total}\n`;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`
  );
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
