/** Columns without children where Parquet has not what Arrow has. */
import { type DuckDBTimestampSecondsValue, DuckDBTypeId, type DuckDBValue } from "@duckdb/node-api";
import * as arrow from "apache-arrow";
import { Failure } from "../../base/failure.ts";
import { bigintColumn, decimalColumn, flatColumn, type FlatColumns } from "./arrow-flat.ts";

const DECIMAL_LIMIT = 10n ** 38n;
/** DuckDB's infinity as a timestamp, whatever its unit, and negated. */
const INFINITY = 2n ** 63n - 1n;

/**
 * Of a column of this name, and of what is in it. Values throw `invalid` where only Parquet cannot
 * hold them: its decimals end at 38 digits, and its timestamps begin at milliseconds.
 */
export function parquetFlat(column: string): FlatColumns {
  const hugeint = decimalColumn(38, 0, (value) => {
    const integer = value as bigint;
    if (integer < DECIMAL_LIMIT && integer > -DECIMAL_LIMIT) return integer;
    throw refusal(column, "HUGEINT", `${integer} has more than 38 digits`);
  });
  const seconds = bigintColumn(new arrow.TimestampMicrosecond(), (value) => {
    const micros = microseconds(value);
    if (BigInt.asIntN(64, micros) === micros) return micros;
    throw refusal(column, "TIMESTAMP_S", `${micros} microseconds do not fit into 64 bits`);
  });
  return (type) => {
    if (type.typeId === DuckDBTypeId.HUGEINT) return hugeint;
    if (type.typeId === DuckDBTypeId.TIMESTAMP_S) return seconds;
    return flatColumn(type);
  };
}

function microseconds(value: DuckDBValue): bigint {
  const { seconds } = value as DuckDBTimestampSecondsValue;
  return seconds === INFINITY || seconds === -INFINITY ? seconds : seconds * 1_000_000n;
}

function refusal(column: string, type: string, why: string): Failure {
  const name = JSON.stringify(column);
  return new Failure(
    "invalid",
    `Cannot write the column ${name} ${type} as Parquet: ${why}; cast it, or ask for another format`,
    { details: { reason: "parquet", column } },
  );
}
