/**
 * Text for a log or an error without what may be a secret in it. Clients put tokens into paths,
 * names and SQL by mistake, and messages show what was wrong.
 */

/** A signed token, or a piece of one: base64url that begins with `{"` (RFC 7515). */
const TOKEN = /eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g;
/** The third part of a token, which a parser may split off: 32 bytes as base64url. */
const SIGNATURE = new RegExp(
  "(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*[a-z])" +
    "[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
  "g",
);
/** A key as the cluster's secret is written, or most of one. */
const KEY = /[0-9a-fA-F]{48,}/g;

export function masked(text: string): string {
  return text.replace(TOKEN, "[token]").replace(SIGNATURE, "[token]").replace(KEY, "[key]");
}
