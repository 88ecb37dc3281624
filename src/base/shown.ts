/** A value of a request in an error message: short, and safe for whatever a client may send. */

const CHARACTERS_MAX = 60;

export function shown(value: unknown): string {
  if (value === undefined) return "missing";
  // JSON says "null" of these: 1e400 for one.
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = json(value);
  return text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text;
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    // What JSON.parse reads, JSON.stringify may be too deep to write.
    return Array.isArray(value)
      ? "a list in lists, too deep to show"
      : "an object, too deep to show";
  }
}
