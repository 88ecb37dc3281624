/** Every limit of lakes, with its unit in its name; see `limits.ts` for all others. */

const KIB = 1024;
const MIB = 1024 * KIB;

// The catalogs of lakes.

/** UTF-16 units of a smallest or largest value in a catalog's statistics. */
export const STATISTIC_CHARACTERS_MAX = 256;
/** UTF-16 units of the name of a lake's schema, table or column. */
export const LAKE_NAME_CHARACTERS_MAX = 255;
/** Columns of one table, nested ones too; SQLite takes 2,000 in an inlined table. */
export const LAKE_COLUMNS_MAX = 1_900;
/** How deep lists, structs and maps may stand in one another. */
export const LAKE_NESTING_MAX = 32;
/** Rows that a request brings: its body as sent, and once more when it is decompressed. */
export const INGEST_BODY_BYTES_MAX = 64 * MIB;
export const INGEST_DECOMPRESSED_BYTES_MAX = 512 * MIB;
/** One row's text in JSON or CSV. */
export const INGEST_ROW_BYTES_MAX = 16 * MIB;
/** Text that is decoded and read at once. */
export const INGEST_PIECE_BYTES = 256 * KIB;
/** Text whose rows make one batch at most, however many rows may be in one. */
export const INGEST_BATCH_CHARACTERS = 16 * MIB;
/** Rows from whose values the columns of a new table are told. */
export const INGEST_SAMPLE_ROWS = 10_000;
/** After so many bytes the rows so far are enough. */
export const INGEST_SAMPLE_BYTES = 4 * MIB;
/** The columns of one table, nested ones too, how deep they nest, and their names. */
export const COLUMNS_MAX = 2_000;
export const COLUMN_DEPTH_MAX = 16;
export const COLUMN_NAME_CHARACTERS_MAX = 255;
/** One message of an Arrow stream: what describes it, its buffers, and its rows. */
export const ARROW_HEAD_BYTES_MAX = 4 * MIB;
export const ARROW_MESSAGE_BYTES_MAX = 128 * MIB;
export const ARROW_BATCH_ROWS_MAX = 4 * 1024 * 1024;
/** Rows of one row group of a Parquet file, DuckDB's own number. */
export const PARQUET_ROW_GROUP_ROWS = 122_880;
/** Rows, and bytes as Arrow vectors, that are written as one Parquet file; more are `too_large`. */
export const PARQUET_ROWS_MAX = 1_048_576;
export const PARQUET_INPUT_BYTES_MAX = 64 * MIB;
/** Columns, counted without those that have children, whose values are encoded in one file. */
export const PARQUET_ENCODED_LEAVES_MAX = 128;
/** Values that are looked at to tell whether a column repeats itself. */
export const PARQUET_SAMPLE_VALUES = 1_024;
/** Queries over lakes that run at the same time at one node, and that wait for one to end. */
export const LAKE_QUERIES_MAX = 4;
export const LAKE_QUERIES_WAITING_MAX = 64;
/** Memory that DuckDB may take for one query. */
export const LAKE_QUERY_BYTES_MAX = 512 * MIB;
/** What its child may take beyond that: the runtime, and the rows that are being written out. */
export const LAKE_QUERY_CHILD_BYTES = 320 * MIB;
/** A child that has kept more than this of a query's memory is not given another. */
export const LAKE_QUERY_IDLE_BYTES_MAX = 256 * MIB;
export const LAKE_QUERY_THREADS = 2;
/** Encoded result of one query. It is streamed, so it may be large. */
export const LAKE_QUERY_RESULT_BYTES_MAX = 4 * KIB * MIB;
/** One row of it as text. */
export const LAKE_QUERY_ROW_CHARACTERS_MAX = 16 * MIB;
/** As Parquet: the vectors of one row group, and so of one row; how many of them, and the footer. */
export const LAKE_QUERY_ROW_GROUP_BYTES_MAX = 8 * MIB;
export const LAKE_QUERY_ROW_GROUPS_MAX = 32_767;
export const LAKE_QUERY_FOOTER_BYTES_MAX = 32 * MIB;
/** Vectors that are written as Parquet before the garbage of making them is collected. */
export const LAKE_QUERY_GARBAGE_BYTES = 4 * MIB;
/** About a piece of it between two processes, and pieces that its reader has not taken. */
export const LAKE_QUERY_PIECE_BYTES = 256 * KIB;
export const LAKE_QUERY_PIECES_AHEAD_MAX = 4;
/** How long a query that was interrupted may take to end before its process is killed. */
export const LAKE_QUERY_INTERRUPT_MS = 500;
/** How often a running query is held against its limit on memory. */
export const LAKE_QUERY_LOOK_MS = 100;

// Loading rows into lakes.

/** Vectors of one Parquet file, a margin below what a file may have. */
export const LOAD_FILE_BYTES_MAX = 48 * MIB;
/** Rows that are read and checked at a time. */
export const LOAD_BATCH_ROWS = 16_384;
/** Bodies below this, together, go into the catalog; so does their text, unless it has grown. */
export const LOAD_INLINED_BYTES_MAX = MIB;
export const LOAD_INLINED_CHARACTERS_MAX = 4 * MIB;
/** Processes that read bodies at one node, and orders that wait for one of them. */
export const LOADERS_MAX = 2;
export const LOADS_WAITING_MAX = 256;
/** So long after rows of a client were loaded, more are expected. */
export const LOADING_QUIET_MS = 2_000;
/** A loader that takes more is ended; its order fails. */
export const LOADER_BYTES_MAX = 1_536 * MIB;
export const LOADER_LOOK_MS = 100;

// Lakes at one node.

/** Between two attempts at a change of a catalog whose outcome is not known. */
export const LAKE_RETRY_MS = 50;
export const LAKE_TABLES_KNOWN_MAX = 1_000;
/** Copies of data files that queries read; more only while queries read them. */
export const LAKE_CACHE_BYTES_MAX = 512 * MIB;
export const LAKE_FETCHES_MAX = 8;
/** Attempts at storing rows of a table that changes meanwhile. */
export const LAKE_JOB_ATTEMPTS_MAX = 5;
/** Attempts at a change of the columns of a table that others change meanwhile. */
export const LAKE_COLUMNS_CHANGE_ATTEMPTS_MAX = 5;
/** How long rows that do not fit wait to hear whether their table has changed, where nobody need lead. */
export const STAGED_MISFITS_ASK_MS = 1_000;
/** What one job stores, and jobs of one table at the same time. */
export const LAKE_JOB_BYTES_MAX = 16 * MIB;
export const LAKE_JOB_REQUESTS_MAX = 4_096;
export const LAKE_JOBS_MAX = 8;
/** The same where rows go into files, unless so much waits that the next file is a large one. */
export const LAKE_SMALL_FILES_MAX = 2;
export const LAKE_JOB_BYTES_MIN = 4 * MIB;
/** Requests with rows at one node that are not answered, and their bodies. */
export const LAKE_WAITING_MAX = 65_536;
export const LAKE_WAITING_BYTES_MAX = 256 * MIB;
/** How often they are held against their deadlines. */
export const LAKE_LOOK_MS = 100;
/** Attempts at reading a lake whose files are rewritten meanwhile. */
export const LAKE_VIEW_ATTEMPTS_MAX = 5;
/** Snapshots of a lake that one request removes. */
export const EXPIRED_SNAPSHOTS_MAX = 10_000;
/** For changes of a lake that name no deadline, and for rows and queries. */
export const LAKE_TIMEOUT_MS = 30_000;
/** When the leader moves rows from a catalog into files: so many, or after so long. */
export const FLUSH_ROWS_MIN = 50_000;
export const FLUSH_AGE_MS = 300_000;
/** How often it looks at the catalogs that have moved, and how long one table may take. */
export const FLUSH_LOOK_MS = 5_000;
export const FLUSH_TIMEOUT_MS = 120_000;

// Upkeep of lakes.

/** Vectors of one merged file: a margin below what a file may have. */
export const MERGE_VECTOR_BYTES_MAX = 46 * MIB;
/** A file whose vectors have less is small; larger ones stay as they are. */
export const MERGE_SMALL_BYTES = 24 * MIB;
/** Vectors of a file that was not read yet are taken to be so many times its bytes. */
export const MERGE_GROWTH = 4;
/** Small files that make the leader merge, and files of one merge. */
export const MERGE_FILES_MIN = 4;
export const MERGE_FILES_MAX = 256;
/** How often the leader looks at the files of lakes that have moved; time of one merge. */
export const UPKEEP_LOOK_MS = 10_000;
export const MERGE_TIMEOUT_MS = 120_000;
/** While rows come in, a lake is merged so often: reading them is what somebody waits for. */
export const MERGE_EVERY_MS = 60_000;
/** A table whose files could not be merged is left alone for so long. */
export const MERGE_PAUSE_MS = 600_000;
/** Files whose sizes as vectors are remembered. */
export const MERGE_SIZES_MAX = 100_000;
/** Attempts at merging files that change meanwhile, of one request. */
export const MERGE_ATTEMPTS_MAX = 5;
/** How often the leader looks for files that may be deleted, unless the restore window is short. */
export const CLEAN_EVERY_MS_MAX = 600_000;
/** What has left the restore window is kept for so long beyond it: moments in it have 30 s each. */
export const CLEAN_MARGIN_MS = 60_000;
/** Files that are deleted at once. */
export const CLEAN_FILES_MAX = 1_000;
/** A file that no catalog names is let alone for so long, and how often files are listed for it. */
export const ORPHAN_AGE_MS = 24 * 3600 * 1000;
export const ORPHANS_EVERY_MS = 24 * 3600 * 1000;
/** After a node has come to lead, or a lake to be, so long passes before the first list. */
export const ORPHANS_FIRST_MS = 3600 * 1000;
/** How often the copy of a catalog for other readers is replaced, and how large it may be. */
export const CATALOG_COPY_EVERY_MS = 60_000;
export const CATALOG_COPY_BYTES_MAX = 256 * MIB;

/**
 * The command line cuts what it ingests after so many bytes. Idempotency keys are made of the
 * pieces: with another number, a file that was half stored before an update is doubled after it.
 */
export const CLI_PIECE_BYTES = 8 * MIB;
/** Requests with rows that the command line has under way. */
export const CLI_REQUESTS_MAX = 4;
/** How long the command line tries to store one piece. */
export const CLI_STORE_MS = 300_000;
/** Waits between its attempts: the first, and the longest. */
export const CLI_RETRY_MS = 100;
export const CLI_RETRY_MS_MAX = 5_000;
/** Of a result that is shown as a table. */
export const CLI_TABLE_ROWS_MAX = 2_000;
export const CLI_TABLE_CHARACTERS_MAX = 16 * MIB;

// Rows that are stored and not yet visible.

/** Staged objects that one request to a catalog adopts, and their bytes together. */
export const ADOPTED_AT_ONCE_MAX = 32;
export const ADOPTED_BYTES_MAX = 4 * MIB;
/** Staged objects that a node keeps in memory until they are adopted; more are found by a list. */
export const ADOPTIONS_WAITING_MAX = 1_024;
/** How long one attempt at an adoption waits for somebody to lead. */
export const ADOPTION_TIMEOUT_MS = 30_000;
/** One staged object: what a catalog has to know of the files of one job. */
export const STAGED_BYTES_MAX = 16 * MIB;
