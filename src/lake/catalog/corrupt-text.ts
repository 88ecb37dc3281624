/** The failure for a text in the catalog that is not one of its type. */
import { Failure } from "../../base/failure.ts";

const SHOWN_CHARACTERS_MAX = 60;

export function corruptText(text: string, what: string): Failure {
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX));
  return new Failure("corrupt", `Cannot read ${what} in the catalog: it is ${shown}`);
}
