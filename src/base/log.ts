/** Structured logging: one line an event, a message for people and fields for machines. */
import { masked } from "./masked.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line carries `fields` too. */
  with(fields: LogFields): Log;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  readonly nowMs: () => number;
  readonly write: (line: string) => void;
}

/**
 * A log that writes whole lines, without a trailing newline and without what may be a secret, to
 * `options.write`.
 */
export function createLog(options: LogOptions, fields: LogFields = {}): Log {
  const emit = (level: LogLevel, message: string, extra: LogFields = {}): void => {
    if (RANK[level] < RANK[options.level]) return;
    const at = new Date(options.nowMs()).toISOString();
    const all = { ...fields, ...extra };
    if (options.format === "json") {
      return options.write(masked(JSON.stringify({ at, level, message, ...all })));
    }
    const tail = Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${quoted(value)}`)
      .join("");
    options.write(masked(`${at} ${level.padEnd(5)} ${message}${tail}`));
  };
  return {
    debug: (message, extra) => emit("debug", message, extra),
    info: (message, extra) => emit("info", message, extra),
    warn: (message, extra) => emit("warn", message, extra),
    error: (message, extra) => emit("error", message, extra),
    with: (extra) => createLog(options, { ...fields, ...extra }),
  };
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};

function quoted(value: string | number | boolean | null | undefined): string {
  const text = String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
