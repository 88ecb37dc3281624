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
  const timed = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const startMs = clock.monotonicMs();
    let outcome = "ok";
    try {
      return await work();
    } catch (error) {
      outcome = isFailure(error) ? error.kind : "bug";
      throw error;
    } finally {
      const counted = { operation, outcome };
      metrics.counter("headgate_lake_requests_total", REQUESTS_HELP, counted).add();
      const seconds = (clock.monotonicMs() - startMs) / 1000;
      metrics.histogram("headgate_lake_seconds", SECONDS_HELP, { operation }).observe(seconds);
    }
  };
  const rows = (operation: string, count: number) =>
    metrics.counter("headgate_lake_rows_total", ROWS_HELP, { operation }).add(count);
  const store: LakesPort["store"] = async (request) => {
    const answer = await timed("rows", () => lakes.store(request));
    rows("stored", answer.rows);
    metrics.counter("headgate_lake_bytes_total", BYTES_HELP).add(request.body.length);
    return answer;
  };
  const flush: LakesPort["flush"] = async (...which) => {
    const flushed = await timed("flush", () => lakes.flush(...which));
    rows("flushed", flushed.rows);
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
