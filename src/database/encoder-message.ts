/** What is said to an encoder process. JSON has no 64-bit numbers, so they travel as text. */
import type { EpochHeader } from "../epoch/epoch.ts";
import type { AnswerFailure } from "./workspace.ts";

export type WideKey = "nodeId" | "databaseChecksum" | "link";

export interface EncodeOrder {
  readonly source: string;
  readonly target: string;
  readonly header: Omit<EpochHeader, WideKey>;
  readonly wide: Readonly<Record<WideKey, string>>;
}

export type EncodeOutcome =
  | { readonly size: number; readonly fileChecksum: string }
  | { readonly failure: AnswerFailure };

export function orderOf(source: string, target: string, header: EpochHeader): EncodeOrder {
  const { nodeId, databaseChecksum, link, ...plain } = header;
  return {
    source,
    target,
    header: plain,
    wide: {
      nodeId: String(nodeId),
      databaseChecksum: String(databaseChecksum),
      link: String(link),
    },
  };
}

export function headerOf({ header, wide }: EncodeOrder): EpochHeader {
  return {
    ...header,
    nodeId: BigInt(wide.nodeId),
    databaseChecksum: BigInt(wide.databaseChecksum),
    link: BigInt(wide.link),
  };
}
