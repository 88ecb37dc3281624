/** The effective configuration as YAML that can be read back, secrets masked. */
import { stringify } from "yaml";
import type { Config } from "./config.ts";
import { durationText } from "./duration.ts";
import { SECRET_KEYS } from "./schema.ts";

export function configText(config: Config): string {
  const { every_epoch_ms, window_ms } = config.retention;
  const shown = {
    ...config,
    retention: { every_epoch: durationText(every_epoch_ms), window: durationText(window_ms) },
  };
  return stringify(masked(shown), { lineWidth: 0 });
}

function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [key, inner],
    ) => [key, SECRET_KEYS.has(key) ? "***" : masked(inner)]),
  );
}
