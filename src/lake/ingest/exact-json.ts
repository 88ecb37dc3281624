/**
 * JSON without the loss of digits. JSON.parse makes doubles of numbers; one that has more digits
 * than a double keeps, or a larger exponent, becomes a `LongNumber` here, its text. Few texts have
 * one, and only those take the parser's slow way.
 */
import { Misfit } from "./misfit.ts";

/** What JSON.rawJSON makes, so that JSON.stringify writes the same text again. */
export interface LongNumber {
  readonly rawJSON: string;
}

/** JSON as the proposal "JSON.parse source text access" has it, which the compiler's lib lacks. */
interface ExactJson {
  parse(text: string, take: Take): unknown;
  rawJSON(text: string): LongNumber;
  isRawJSON(value: unknown): value is LongNumber;
}

type Take = (key: string, value: unknown, context: Source) => unknown;

interface Source {
  readonly source?: string;
}

const EXACT: ExactJson = JSON as unknown as ExactJson;

/**
 * A number of at most 15 digits and an exponent of at most two has all of its digits in its double
 * (15 is what IEEE 754 promises of decimal texts).
 */
const IS_LONG = /^-?(?:[0-9.]{16}|[0-9.]+[eE][+-]?[0-9]{3})/;
/** Numbers follow these characters only, so digits within strings are rarely taken for one. */
const HAS_LONG = /(?:^|[:,[\s])-?(?:[0-9.]{16}|[0-9.]+[eE][+-]?[0-9]{3})/;
/** A tenth of the cost for texts that have nothing like it. */
const DIGITS = /[0-9.]{16}/;
const EXPONENT = /[0-9.][eE][+-]?[0-9]{3}/;

/** False only for texts all of whose numbers a double keeps. */
export function mayHaveLong(text: string): boolean {
  return (DIGITS.test(text) || EXPONENT.test(text)) && HAS_LONG.test(text);
}

const REASON_CHARACTERS_MAX = 100;

/** The value of a JSON text. `long` says whether it may have long numbers. Throws a misfit. */
export function parseExactly(
  text: string,
  column: string | null,
  long = mayHaveLong(text),
): unknown {
  return parsed(text, column, long ? keepLong : undefined);
}

/** The same with the text of every number, which tells 1.0 from 1. */
export function parseWithNumberTexts(text: string): unknown {
  return parsed(text, null, keepNumber);
}

function parsed(text: string, column: string | null, take?: Take): unknown {
  try {
    return take === undefined ? JSON.parse(text) : EXACT.parse(text, take);
  } catch (error) {
    const why = error instanceof SyntaxError
      ? error.message.replace(/^JSON Parse error: /, "")
      : "it is nested too deeply";
    const what = column === null ? "it" : `column ${JSON.stringify(column)}`;
    // The parser may quote what it found, all of it.
    throw new Misfit(column, `${what} is not JSON: ${why.slice(0, REASON_CHARACTERS_MAX)}`);
  }
}

export function isLongNumber(value: unknown): value is LongNumber {
  return EXACT.isRawJSON(value);
}

function keepLong(_key: string, value: unknown, { source }: Source): unknown {
  if (typeof value !== "number" || source === undefined || !IS_LONG.test(source)) return value;
  return EXACT.rawJSON(source);
}

function keepNumber(_key: string, value: unknown, { source }: Source): unknown {
  return typeof value === "number" && source !== undefined ? EXACT.rawJSON(source) : value;
}
