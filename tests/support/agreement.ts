/** Whether nodes hold the same: each says up to which epoch it has a database, and its checksum. */
import { type Client, must } from "./client.ts";
import { eventually } from "./eventually.ts";

export interface Agreement {
  readonly epoch: number;
  /** Of the whole database at that epoch, 16 hex digits. */
  readonly checksum: string;
}

/**
 * Resolves once all nodes have the same newest epoch, which must be the newest that any of them
 * knows. Throws at once when two of them have the same epoch and not the same content.
 */
export async function agreement(
  clients: readonly Client[],
  database: string,
  withinMs = 60_000,
): Promise<Agreement> {
  let infos: { head: number; tip: number; checksum: string | null }[] = [];
  const look = async () => {
    const answers = await Promise.all(
      clients.map((client) => client.get(`/v1/databases/${database}`)),
    );
    // One that reads the chain anew cannot say.
    if (answers.some(({ status }) => status === 503)) return null;
    infos = answers.map(must);
    const epoch = Math.max(...infos.map(({ tip }) => tip));
    if (infos.some(({ head }) => head !== epoch)) return null;
    const [checksum, ...others] = new Set(infos.map((info) => info.checksum));
    if (others.length > 0 || typeof checksum !== "string") {
      throw new Error(`the nodes differ at epoch ${epoch} of ${database}: ${shown()}`);
    }
    return { epoch, checksum };
  };
  const shown = () => JSON.stringify(infos);
  const what = `all nodes have the newest epoch of ${database}`;
  return await eventually(what, look, { withinMs, instead: shown });
}
