/** Lakes: their tables and snapshots, rows into them, and queries over them. */
import type { Context, Hono } from "hono";
import { INGEST_BODY_BYTES_MAX, LAKE_TIMEOUT_MS } from "../base/lake-limits.ts";
import { catalogDatabase } from "../epoch/name.ts";
import { typeText } from "../lake/catalog/column-rows.ts";
import type { LakeTable } from "../lake/catalog/read-tables.ts";
import type { Column } from "../lake/column.ts";
import { formatOf } from "../lake/ingest/format.ts";
import type { RequestKey } from "../lake/kept-keys.ts";
import type { Freshness } from "../lake/lake-catalog.ts";
import { ofLake } from "../lake/lake-failure.ts";
import type { LakeQueryAnswer } from "../lake/lakes.ts";
import { fileAnswer, jsonAnswer, wrongMethod } from "./answer.ts";
import type { BodyReader } from "./body.ts";
import { parseColumnChange } from "./column-requests.ts";
import type { Guard } from "./guard.ts";
import {
  parseExpiry,
  parseFlush,
  parseKeyHeader,
  parseLake,
  parseLakeQuery,
  parseReadParameters,
  parseRowsParameters,
  parseTable,
  queryFormat,
  tableName,
} from "./lake-requests.ts";
import type { HttpParts } from "./parts.ts";
import { streamed } from "./streamed.ts";

const LAKES = "/v1/lakes";
const LAKE = `${LAKES}/:lake`;
const TABLES = `${LAKE}/tables`;
const TABLE = `${TABLES}/:table`;

export function lakeRoutes(app: Hono, parts: HttpParts, bodies: BodyReader, guard: Guard): void {
  const { lakes } = parts.node;
  app.get(LAKES, (c) => {
    const { grants } = guard.callerOf(c.req.raw);
    return jsonAnswer(parts, {
      lakes: lakes.list().filter(({ name }) => grants.allow("read", name)),
    });
  });
  app.post(LAKES, async (c) => {
    const lake = await lakes.create(parseLake(await bodies.json(c.req.raw)));
    const headers = { location: `${LAKES}/${lake.name}` };
    return jsonAnswer(parts, lake, { status: 201, headers });
  });
  app.all(LAKES, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, POST"));

  app.delete(LAKE, async (c) => jsonAnswer(parts, await lakes.drop(lakeOf(c))));
  app.all(LAKE, (c) => wrongMethod(parts, c.req.raw, "DELETE"));

  app.get(`${LAKE}/snapshots`, async (c) => {
    const { value, epoch } = await lakes.snapshots(lakeOf(c), freshnessOf(parts, c));
    const snapshots = value.map(({ id, atMs, schemaVersion, changes }) => ({
      snapshot: id,
      at: new Date(atMs).toISOString(),
      schema_version: schemaVersion,
      changes,
    }));
    return jsonAnswer(parts, { snapshots, epoch });
  });
  app.all(`${LAKE}/snapshots`, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD"));

  app.get(`${LAKE}/catalog`, async (c) => {
    // Hono answers HEAD by GET; nobody wants a catalog built to be thrown away.
    if (c.req.raw.method === "HEAD") return wrongMethod(parts, c.req.raw, "GET");
    const lake = lakeOf(c);
    const { databases } = parts.node;
    const file = await ofLake(lake, () => databases.export(catalogDatabase(lake), "now"));
    return fileAnswer(parts, file, {
      "content-type": "application/vnd.sqlite3",
      "content-disposition": `attachment; filename="${lake}-${file.epoch}.db"`,
    });
  });
  app.all(`${LAKE}/catalog`, (c) => wrongMethod(parts, c.req.raw, "GET"));

  app.post(`${LAKE}/flush`, async (c) => {
    const table = parseFlush(await bodies.optionalJson(c.req.raw));
    return jsonAnswer(parts, await lakes.flush(lakeOf(c), table));
  });
  app.all(`${LAKE}/flush`, (c) => wrongMethod(parts, c.req.raw, "POST"));
  upkeepRoutes(app, parts, bodies);

  app.post(`${LAKE}/query`, async (c) => {
    const { timeoutMs, moment, level, minEpoch, ...query } = parseLakeQuery(
      await bodies.json(c.req.raw),
    );
    const answer = await lakes.query(lakeOf(c), {
      ...query,
      moment,
      format: queryFormat(c.req.header("accept") ?? null),
      signal: c.req.raw.signal,
      freshness: {
        level,
        ...(minEpoch !== undefined && { minEpoch }),
        deadlineMs: deadline(parts, timeoutMs),
      },
    });
    return streamAnswer(parts, answer);
  });
  app.all(`${LAKE}/query`, (c) => wrongMethod(parts, c.req.raw, "POST"));
  tableRoutes(app, parts, bodies, guard);
}

function upkeepRoutes(app: Hono, parts: HttpParts, bodies: BodyReader): void {
  const { lakes } = parts.node;
  app.post(`${LAKE}/merge`, async (c) => {
    const table = parseFlush(await bodies.optionalJson(c.req.raw));
    return jsonAnswer(parts, await lakes.merge(lakeOf(c), table));
  });
  app.all(`${LAKE}/merge`, (c) => wrongMethod(parts, c.req.raw, "POST"));

  app.post(`${LAKE}/expire`, async (c) => {
    const wish = parseExpiry(await bodies.json(c.req.raw));
    return jsonAnswer(parts, await lakes.expire(lakeOf(c), wish));
  });
  app.all(`${LAKE}/expire`, (c) => wrongMethod(parts, c.req.raw, "POST"));
}

function tableRoutes(app: Hono, parts: HttpParts, bodies: BodyReader, guard: Guard): void {
  const { lakes } = parts.node;
  app.get(TABLES, async (c) => {
    const { value, epoch } = await lakes.tables(lakeOf(c), freshnessOf(parts, c));
    return jsonAnswer(parts, { tables: value.map(tableJson), epoch });
  });
  app.post(TABLES, async (c) => {
    const lake = lakeOf(c);
    const { columns, ...name } = parseTable(await bodies.json(c.req.raw));
    const changed = await lakes.createTable(lake, name, columns);
    // Names may hold what no header may.
    const path = encodeURIComponent(`${name.schema}.${name.name}`);
    const headers = { location: `${LAKES}/${lake}/tables/${path}` };
    return jsonAnswer(parts, { ...name, ...changed }, { status: 201, headers });
  });
  app.all(TABLES, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, POST"));

  app.get(TABLE, async (c) => {
    const name = tableName(c.req.param("table") ?? "");
    const { table, rows, bytes, epoch } = await lakes.table(
      lakeOf(c),
      name,
      freshnessOf(parts, c),
    );
    return jsonAnswer(parts, { ...tableJson(table), rows, file_bytes: bytes, epoch });
  });
  app.patch(TABLE, async (c) => {
    const name = tableName(c.req.param("table") ?? "");
    const change = parseColumnChange(await bodies.json(c.req.raw));
    return jsonAnswer(parts, {
      ...name,
      ...await lakes.changeColumns(lakeOf(c), name, change),
    });
  });
  app.delete(TABLE, async (c) => {
    const name = tableName(c.req.param("table") ?? "");
    return jsonAnswer(parts, await lakes.dropTable(lakeOf(c), name));
  });
  app.all(TABLE, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, PATCH, DELETE"));

  app.post(`${TABLE}/rows`, async (c) => {
    const request = c.req.raw;
    const lake = lakeOf(c);
    const table = tableName(c.req.param("table") ?? "");
    const { create, ack, timeoutMs } = parseRowsParameters(new URL(request.url).searchParams);
    const format = formatOf(request.headers.get("content-type"));
    const encoding = request.headers.get("content-encoding");
    const { subject } = guard.callerOf(request);
    const key = parseKeyHeader(request.headers.get("idempotency-key"));
    const deadlineMs = deadline(parts, timeoutMs);
    const place = lakes.enter();
    try {
      const body = await bodies.bytes(request, INGEST_BODY_BYTES_MAX, place);
      const hashed = () => keyOf({ subject, key: key ?? "" }, [lake, c.req.path, format], body);
      const answer = await lakes.store({
        ...{ lake, table, create, ack, format, encoding, body, deadlineMs },
        ...(key !== undefined && { key: hashed() }),
      });
      // Accepted: what is stored is not visible yet.
      return jsonAnswer(parts, answer, "stored" in answer ? { status: 202 } : {});
    } finally {
      place.leave();
    }
  });
  app.all(`${TABLE}/rows`, (c) => wrongMethod(parts, c.req.raw, "POST"));
}

/** The same key with another table, format or body is a mistake of the client. */
function keyOf(
  of: Omit<RequestKey, "hash">,
  facts: readonly string[],
  body: Uint8Array,
): RequestKey {
  const hasher = new Bun.CryptoHasher("sha256").update(JSON.stringify(facts)).update(body);
  return { ...of, hash: hasher.digest("base64url") };
}

function streamAnswer(parts: HttpParts, answer: LakeQueryAnswer): Response {
  return new Response(streamed(answer.body), {
    headers: {
      "content-type": answer.contentType,
      "headgate-epoch": `${answer.epoch}`,
      "headgate-snapshot": `${answer.snapshot}`,
      "headgate-node": parts.node.id,
    },
  });
}

function tableJson({ id, schema, name, version, columns }: LakeTable) {
  return { id, schema, name, schema_version: version, columns: columns.map(columnJson) };
}

function columnJson({ id, name, type, nullable, children }: Column): object {
  return {
    id,
    name,
    type: typeText(type),
    nullable,
    ...(children.length > 0 && { children: children.map(columnJson) }),
  };
}

function lakeOf(c: Context): string {
  const lake = c.req.param("lake") ?? "";
  // Throws `invalid` for what is no name.
  catalogDatabase(lake);
  return lake;
}

function freshnessOf(parts: HttpParts, c: Context): Freshness {
  const { minEpoch, timeoutMs } = parseReadParameters(new URL(c.req.url).searchParams);
  const deadlineMs = deadline(parts, timeoutMs);
  return minEpoch === undefined
    ? { level: "local", deadlineMs }
    : { level: "session", minEpoch, deadlineMs };
}

function deadline({ clock }: HttpParts, timeoutMs: number = LAKE_TIMEOUT_MS): number {
  return clock.monotonicMs() + timeoutMs;
}
