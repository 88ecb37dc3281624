/** Lakes as the HTTP routes see them, with what they do counted and timed. */
import type { Clock } from "../base/clock.ts";
import { isFailure } from "../base/failure.ts";
import type { Metrics } from "../base/metrics.ts";
import type { HeadgateNode } from "../http/node.ts";

type LakesPort = HeadgateNode["lakes"];

/**
 * `headgate_lake_requests_total{operation,outcome}` and `headgate_lake_seconds{operation}` for rows,
 * queries and flushes (outcome: ok, or the kind of the failure), and
 * `headgate_lake_rows_total{operation}` and `headgate_lake_bytes_total` for the rows that were stored
 * or flushed and for the bodies that brought them. A query counts until its first row.
 */
export function measuredLakes(lakes: LakesPort, metrics: Metrics, clock: Clock): LakesPort {
  // A label value is looked up once: rows may come in tens of thousands of requests a second.
  const secondsOf = kept((operation) =>
    metrics.histogram("headgate_lake_seconds", SECONDS_HELP, { operation })
  );
  const requestsOf = kept((operation) =>
    kept((outcome) =>
      metrics.counter("headgate_lake_requests_total", REQUESTS_HELP, { operation, outcome })
    )
  );
  const rowsOf = kept((operation) =>
    metrics.counter("headgate_lake_rows_total", ROWS_HELP, { operation })
  );
  const bytes = kept((name) => metrics.counter(name, BYTES_HELP));
  const timed = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const startMs = clock.monotonicMs();
    let outcome = "ok";
    try {
      return await work();
    } catch (error) {
      outcome = isFailure(error) ? error.kind : "bug";
      throw error;
    } finally {
      requestsOf(operation)(outcome).add();
      secondsOf(operation).observe((clock.monotonicMs() - startMs) / 1000);
    }
  };
  const store: LakesPort["store"] = async (request) => {
    const answer = await timed("rows", () => lakes.store(request));
    rowsOf("stored").add(answer.rows);
    bytes("headgate_lake_bytes_total").add(request.body.length);
    return answer;
  };
  const flush: LakesPort["flush"] = async (...which) => {
    const flushed = await timed("flush", () => lakes.flush(...which));
    rowsOf("flushed").add(flushed.rows);
    return flushed;
  };
  const query: LakesPort["query"] = (...asked) => timed("query", () => lakes.query(...asked));
  const all: Partial<LakesPort> = { store, flush, query };
  return new Proxy(lakes, {
    get: (target, name) => {
      const own: unknown = Reflect.get(all, name);
      if (own !== undefined) return own;
      const found: unknown = Reflect.get(target, name);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
}

const REQUESTS_HELP = "Requests to lakes by outcome.";
const SECONDS_HELP = "Time of a request to a lake; of a query until its first row.";
const ROWS_HELP = "Rows stored for clients, and rows moved from catalogs into files on request.";
const BYTES_HELP = "Bodies whose rows were stored, as they were sent.";

/** What was made for a name before, or is made now: series appear when they first count. */
function kept<T>(make: (name: string) => T): (name: string) => T {
  const made = new Map<string, T>();
  return (name) => {
    let one = made.get(name);
    if (one === undefined) made.set(name, one = make(name));
    return one;
  };
}
