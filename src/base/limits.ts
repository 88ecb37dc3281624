/**
 * Every limit of the system, with its unit in its name. Nothing that a client, a peer or the store
 * can make grow is without one. What an operator may change is in `config/` and defaults to these.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** Pages of one epoch that clients wrote together; a larger transaction is `too_large`. */
export const EPOCH_BYTES_MAX = 64 * MIB;
/** One object of a chain, whatever wrote it: the largest single PUT that S3 takes. */
export const OBJECT_BYTES_MAX = 5 * KIB * MIB;
/** Requests that one group commit takes from the queue. */
export const BATCH_REQUESTS_MAX = 16_384;
/** Statement text and parameters that one group commit takes from the queue. */
export const BATCH_BYTES_MAX = 32 * MIB;
/** Requests given to the workspace ahead of its answers, before it is known how long they take. */
export const FEED_REQUESTS_START = 128;
export const FEED_REQUESTS_MAX = 4_096;
/** The time that they should take. */
export const FEED_MS = 20;
/** How often requests are given to the workspace while an epoch is in flight. */
export const FEED_EVERY_MS = 4;
/** Answers of a durable epoch that are given without letting others have a turn. */
export const ANSWERS_A_TURN = 256;
/** How often pending writes are held against their deadlines. */
export const DEADLINE_LOOK_MS = 25;
/** Time for which a batch accepts further requests while it executes. */
export const BATCH_EXECUTE_MS_MAX = 1_000;
/** Requests that wait at one database before the next gets `busy`. */
export const QUEUE_REQUESTS_MAX = 65_536;
/** Bytes of requests that wait at one database before the next gets `busy`. */
export const QUEUE_BYTES_MAX = 256 * MIB;
/** Durable epochs that wait for the image's readers before writes get `busy`. */
export const UNAPPLIED_BYTES_MAX = 512 * MIB;

/** Body of `execute` and `query`. Holds the largest blob that fits an epoch, in base64. */
export const BODY_BYTES_MAX = 96 * MIB;
export const STATEMENTS_MAX = 1_000;
export const STATEMENT_BYTES_MAX = 1 * MIB;
export const PARAMETERS_MAX = 32_766;
/** Result of one `query` or one `execute`, encoded. */
export const RESULT_BYTES_MAX = 64 * MIB;
/** Answer of a request with an idempotency key that is kept word for word. */
export const KEPT_ANSWER_BYTES_MAX = 64 * KIB;
export const IDEMPOTENCY_KEY_BYTES_MAX = 256;
/** How long an answer is kept for its idempotency key. */
export const KEPT_ANSWER_MS = 24 * 3600 * 1000;
/** Own clock and the store's may differ by so much before nothing is deleted by age (I11). */
export const CLOCK_OFFSET_MS_MAX = 5 * 60 * 1000;

export const READ_TIMEOUT_MS = 30_000;
export const WRITE_TIMEOUT_MS = 5_000;
export const TIMEOUT_MS_MAX = 300_000;

/** Child processes that execute reads at the same time. */
export const READERS_MAX = 8;
/** Reads that wait for a reader before the next gets `busy`. */
export const READS_WAITING_MAX = 65_536;
/** Memory of a child above which its statement is ended. */
export const CHILD_BYTES_MAX = 1024 * MIB;
/** How long a child without work lives. */
export const CHILD_IDLE_MS = 60_000;
/** How long an epoch waits for readers before they are cancelled. */
export const REPLICATION_CONFLICT_MS = 5_000;
/** How long new reads queue behind a waiting epoch. */
export const READ_GATE_MS = 20;

/** One attempt at a request to the store. */
export const STORE_ATTEMPT_MS = 5_000;
/** A store that is slower than this (4 MiB a second) with the bytes of a request has failed. */
export const STORE_BYTES_PER_MS_MIN = 4 * KIB;
/** A connection to the store that is not made by then was never made. */
export const STORE_CONNECT_MS = 2_000;
/** Connections to the store at the same time; further requests wait. */
export const STORE_SOCKETS_MAX = 128;
export const STORE_ATTEMPTS_MAX = 6;
export const STORE_BACKOFF_MS_MIN = 25;
export const STORE_BACKOFF_MS_MAX = 2_000;
/** Keys of one delete request, as S3 has it. */
export const REMOVE_KEYS_MAX = 1_000;
/** Objects fetched at the same time when a database is opened. */
export const FETCHES_MAX = 16;
/** A clock further from the store's than this deletes nothing. */
export const CLOCK_SKEW_MS_MAX = 5 * 60 * 1000;

/** A chain since its snapshot is never snapshotted below this size for its size alone. */
export const SNAPSHOT_CHAIN_BYTES_MIN = 16 * MIB;
export const SNAPSHOT_AGE_MS_MAX = 24 * 3600 * 1000;
/** A snapshot older than this, with changes since, is overdue: no admin changes until there is one. */
export const BACKUP_OVERDUE_MS = 2 * SNAPSHOT_AGE_MS_MAX;

/** Work done on the event loop without giving others a turn. */
export const SLICE_MS_MAX = 5;
/** Pieces in which a large object is fetched, and how many of them are on their way. */
export const FETCH_PIECE_BYTES = 4 * MIB;
export const FETCH_PIECES_MAX = 4;
/** Encoded bytes that are decoded without giving others a turn: about a millisecond's work. */
export const SLICE_BYTES = 256 * KIB;
/** Encoded bytes that a join fetches ahead of decoding, and how often it plans anew. */
export const JOIN_BYTES_AHEAD_MAX = 32 * MIB;
export const JOIN_ATTEMPTS_MAX = 5;
/** How often a follower without a link looks for the next epoch. */
export const POLL_MS_MIN = 1_000;
export const POLL_MS_MAX = 10_000;
/** Pushed epochs that wait to be applied; of further ones only the numbers are kept. */
export const PUSHED_BYTES_MAX = 256 * MIB;
/** Least age of what is pruned: a follower that looks at its longest pace has seen it before. */
export const RETENTION_MS_MIN = 3 * POLL_MS_MAX;
/** How long a claim may take to be prepared, a large workspace included. */
export const CLAIM_TIMEOUT_MS = 60_000;

/** How often a leader pings the nodes that follow it, and they report. */
export const PING_MS = 1_000;
/** How long a node that shuts down waits for what it runs. */
export const DRAIN_MS = 30_000;
/** Between two attempts at forwarding what a node that led a moment ago turned down. */
export const FORWARD_RETRY_MS = 20;
/** How long a leader that steps down waits for its successor. */
export const STEP_DOWN_MS = 10_000;
/** How long a command waits for one node before it asks another, and its own token is good for. */
export const ANSWER_NODE_MS = 5_000;
/** How long it waits for the beginning of an answer: more than any statement may take. */
export const ANSWER_MS = TIMEOUT_MS_MAX + 60_000;
/** And for that of one that changes who leads, or a broker's state. */
export const ANSWER_ORDER_MS = 30_000;
export const COMMAND_TOKEN_LIFE_MS = 300_000;
/** How long a process that ends waits for its successor. */
export const LEAVE_MS = 3_000;
/** How long a node that is asked whether it hears the leader waits for an echo. */
export const ECHO_MS = 150;
/** How long a candidate waits for what the other nodes see. */
export const ASK_MS = 200;

/** Time for the body of a request to arrive. */
export const BODY_TIMEOUT_MS = 60_000;
/** An answer in a file up to this size is read into memory before it is sent. */
export const SPOOL_BYTES_READ_MAX = 1 * MIB;
/** Clients that watch the cluster's status at one node. */
export const EVENTS_CLIENTS_MAX = 256;
/** How long a server that stops lets running requests finish. */
export const STOP_TIMEOUT_MS = 30_000;

/** Log of a workspace above which it is copied into the database between two batches. */
export const WORKSPACE_CHECKPOINT_BYTES = 8 * MIB;
/** Log that one batch may write; pages that change often are in it often. */
export const WORKSPACE_LOG_BYTES_MAX = 4 * EPOCH_BYTES_MAX;
/** How often a working writer is held against its deadlines and limits. */
export const WRITER_LOOK_MS = 100;
/** What a request may still run when it reached the writer at its deadline, through no fault of its own. */
export const WRITER_GRACE_MS = 500;
/** Prepared statements that a child keeps. */
export const PREPARED_STATEMENTS_MAX = 512;
/** Bytes that cross between processes inside a message; more goes through a file. */
export const MESSAGE_BYTES_MAX = 64 * KIB;
/** Deaths of a writer that nothing explains, in a row, before its workspace is given up. */
export const WRITER_DEATHS_MAX = 3;
/** Free room below which /dev/shm is not taken for images by itself. */
export const MEMORY_DIR_BYTES_MIN = 256 * MIB;
/** Databases that are opened at the same time, and time a request waits for its database to open. */
export const OPENING_MAX = 4;
/** Databases that a new leader claims at the same time. */
export const TAKEN_AT_ONCE_MAX = 8;
/** How long a probe of another node's address may take. */
export const PROBE_ADDRESS_MS = 1_000;
/** Machinery's own statements, such as a new row of `system`. */
export const MACHINERY_TIMEOUT_MS = 30_000;

/** Reads that a reader process is given at once. */
export const READ_BATCH_MAX = 128;
/** Reads behind one that takes longer than this go to another reader. */
export const READ_STALL_MS = 10;
/** Results beyond this length travel as files. */
export const RESULT_TEXT_CHARACTERS_MAX = 64 * KIB;
/** Results in files that their receivers have not finished with. */
export const RESULT_FILES_BYTES_MAX = 1024 * MIB;
/** Images that a reader process keeps open. */
export const READER_IMAGES_MAX = 32;
/** How long the image may take to reach the tip when a workspace is made from it anew. */
export const REOPEN_WORKSPACE_MS = 60_000;
/** A process that may open fewer files is warned by `doctor`. */
export const OPEN_FILES_MIN = 4_096;

/** A token as it stands in the Authorization header. Holds `SCOPES_MAX` of the longest scopes. */
export const TOKEN_BYTES_MAX = 8 * KIB;
/** Verified tokens that are remembered by their bytes. */
export const TOKENS_CACHED_MAX = 4_096;
/** For how long a token is good; what was revoked is remembered for that long. */
export const TOKEN_LIFE_MS_MAX = 366 * DAY_MS;
export const TOKEN_LIFE_MS = 30 * DAY_MS;
/** The same for a token that a name and a password get. */
export const LOGIN_LIFE_MS_MAX = DAY_MS;
export const LOGIN_LIFE_MS = 12 * HOUR_MS;
export const SCOPES_MAX = 64;
/** Revoked tokens that are remembered; every node reads them all when one is added. */
export const REVOCATIONS_MAX = 10_000;
/** How often a node looks whether others have revoked tokens. */
export const REVOCATIONS_LOOK_MS = 1_000;
export const USERS_MAX = 10_000;
/** Body of a request about users or tokens; some come from whoever reaches the port. */
export const ACCESS_BODY_BYTES_MAX = 16 * KIB;
export const PASSWORD_CHARACTERS_MIN = 12;
export const PASSWORD_BYTES_MAX = 1 * KIB;
/** Argon2id: memory and passes of one hash. OWASP's least for a server, some 40 ms of a core. */
export const PASSWORD_MEMORY_KIB = 19 * KIB;
export const PASSWORD_PASSES = 2;
/** Passwords that are hashed at the same time, and that wait before the next gets `busy`. */
export const PASSWORDS_HASHED_MAX = 2;
export const PASSWORDS_WAITING_MAX = 32;
/** After a wrong password its name waits for this long; names that are remembered for it. */
export const PASSWORD_PAUSE_MS = 1_000;
export const PASSWORD_NAMES_MAX = 10_000;

/** One frame between nodes; holds the largest body of a request that is forwarded. */
export const PEER_FRAME_BYTES_MAX = BODY_BYTES_MAX + 4 * MIB;
/** The JSON part of a frame. */
export const PEER_HEAD_BYTES_MAX = 4 * MIB;
/** Of a larger epoch, which `epoch_bytes_max` may allow, only the number is pushed. */
export const PUSH_BYTES_MAX = PEER_FRAME_BYTES_MAX - PEER_HEAD_BYTES_MAX;
/** The first frame of a peer, which has not proven yet who it is. */
export const PEER_HELLO_BYTES_MAX = 64 * KIB;
/** Bytes that are signed and handed to the network at once. */
export const PEER_PIECE_BYTES = 256 * KIB;
/** Bytes from or to a peer that are handled without giving others a turn. */
export const PEER_TURN_BYTES = 1 * MIB;
/** Bytes that wait to be sent to one peer before it is cut off. */
export const PEER_UNSENT_BYTES_MAX = 256 * MIB;
/** Bytes that a trusted peer may send before the first of them is read, and one that is not. */
export const PEER_WINDOW_BYTES = 16 * MIB;
export const PEER_STRANGER_WINDOW_BYTES = 64 * KIB - 1;
/** A connection to a node that is not made by then was never made. */
export const PEER_CONNECT_MS = 1_000;
/** What comes before a channel is open, the peer's hello last, has this long each. */
export const PEER_HELLO_MS = 2_000;
/** How long a node may take to decide whether it takes a peer. */
export const PEER_CHECK_MS = 5_000;
/** What a closed channel still has to send has this long. */
export const PEER_CLOSE_MS = 1_000;
/** Connections whose peers have not proven yet who they are. */
export const PEER_STRANGERS_MAX = 256;

/** Calls to one peer that are not answered, and that one peer has here, before the next gets `busy`. */
export const PEER_CALLS_MAX = 65_536;
/** Bytes that wait to be sent to a peer before the next call gets `busy`. */
export const PEER_CALL_BYTES_MAX = 128 * MIB;
/** What a call or an answer says besides its text. */
export const PEER_CALL_HEAD_CHARACTERS_MAX = 64 * KIB;
/** Calls or answers that go in one frame, and their characters; a larger one goes alone. */
export const PEER_BATCH_CALLS_MAX = 4_096;
export const PEER_BATCH_CHARACTERS_MAX = 1 * MIB;
/** Databases whose workspaces a standby opens when it may have to lead, and how long it keeps them. */
export const DATABASES_PREPARED_MAX = 8;
export const WORKSPACE_PREPARED_MS = 10_000;

/** How long after a call's deadline its caller waits for the answer: who has it knows better. */
export const PEER_CALL_GRACE_MS = 250;
/** After so long without a byte a channel whose calls are not answered is not used any more. */
export const PEER_SILENT_MS = 5_000;

/** A program's own create in the store is tried for so long. */
export const CREATE_MS_MAX = 30_000;
/** A program's transaction, all of its attempts included. */
export const TRANSACTION_TIMEOUT_MS = 30_000;
/** Between two attempts at what a program asked for and nobody could do just then. */
export const PROGRAM_RETRY_MS = 50;
/** A program's call of another node, and the body of its request or response. */
export const PROGRAM_CALL_TIMEOUT_MS = 30_000;
export const PROGRAM_BODY_BYTES_MAX = 16 * MIB;
