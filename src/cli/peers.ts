/** `doctor` about the network: can this machine reach the other nodes, and could they reach it? */
import { lookup } from "node:dns/promises";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { isFailure } from "../base/failure.ts";
import { silentLog } from "../base/log.ts";
import { hostOf, isLoopback, portOf } from "../config/address.ts";
import type { Config } from "../config/config.ts";
import { type BrokerFile, listBrokers, readBrokerFile } from "../server/cluster-files.ts";
import { addressOf } from "../server/hosting.ts";
import { probeAddress } from "../server/probe-address.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { openStore } from "../store/open.ts";
import type { Finding } from "./doctor.ts";

/** Nodes that are tried. */
const NODES_MAX = 32;
const CONNECT_MS = 2_000;

export async function peerFindings(config: Config, around: Surroundings): Promise<Finding[]> {
  try {
    const others = await otherNodes(config, around);
    const [own, ...tried] = await Promise.all([
      ownAddress(config, others),
      ...others.map((file) => tryNode(file, around)),
    ]);
    return [...own, ...tried];
  } catch (error) {
    // What the store does wrong was said.
    if (!isFailure(error)) throw error;
    return [];
  }
}

/** Those that wrote their files within the time that a node counts as there. */
async function otherNodes(config: Config, { clock, random }: Surroundings): Promise<BrokerFile[]> {
  const store = await openStore(config.storage.primary_backend, { clock, random, log: silentLog });
  try {
    const brokers = await listBrokers(store);
    const storeMs = clock.nowMs() + store.clockOffsetMs();
    const staleMs = config.cluster_mode.broker_stale_threshold_secs * 1000;
    const fresh = brokers.filter(({ modifiedAtMs }) => storeMs - modifiedAtMs <= staleMs);
    const { node_id_path } = config.cluster_mode;
    const own = existsSync(node_id_path) ? readFileSync(node_id_path, "utf8").trim() : "";
    const files = await Promise.all(
      fresh.filter(({ node }) => node !== own).slice(0, NODES_MAX)
        .map(({ node }) => readBrokerFile(store, node)),
    );
    return files.filter((file) => file !== null);
  } finally {
    await store.close();
  }
}

/** Where the others will look for this node. */
export async function ownAddress(
  config: Config,
  others: readonly Pick<BrokerFile, "address">[],
): Promise<Finding[]> {
  const { hostname } = new URL(addressOf(config, portOf(config.listen)));
  const host = hostname.replace(/^\[|\]$/g, "");
  const isAlone = others.every(({ address }) => isLoopback(`${new URL(address).hostname}:1`));
  if (isLoopback(`${hostname}:1`)) {
    if (isAlone) return [];
    const what = `this node would tell the others to reach it at ${host}; ` +
      "set cluster_mode.advertised_host to its name or address in their network";
    return [{ verdict: "wrong", what }];
  }
  if (isLoopback(config.listen)) {
    const what =
      `this node would listen at ${hostOf(config.listen)} only, where nobody can reach ` +
      `it as ${host}; set listen to 0.0.0.0:${portOf(config.listen)}`;
    return [{ verdict: "wrong", what }];
  }
  try {
    const { address } = await lookup(host);
    if (!isAlone && isLoopback(`${address}:1`)) {
      const what =
        `${host}, where others would look for this node, is ${address} on this machine; ` +
        "make sure that it is not on theirs, or set cluster_mode.advertised_host";
      return [{ verdict: "warning", what }];
    }
    return [{ verdict: "good", what: `the others would reach this node at ${host} (${address})` }];
  } catch {
    const what = `${host}, where others would look for this node, has no address; ` +
      "set cluster_mode.advertised_host";
    return [{ verdict: "wrong", what }];
  }
}

async function tryNode(
  { node, address, peer_address }: BrokerFile,
  around: Surroundings,
): Promise<Finding> {
  const [presence, isOpen] = await Promise.all([
    probeAddress(address),
    peer_address === "" ? true : opens(peer_address, around),
  ]);
  const isThere = presence.kind === "answered" && presence.node === node;
  if (isThere && isOpen) {
    return { verdict: "good", what: `${node} answers at ${address} and at ${peer_address}` };
  }
  const closed = `its port for nodes, ${peer_address}, cannot be reached: is a firewall between?`;
  if (isThere) return { verdict: "wrong", what: `${node} answers at ${address}, but ${closed}` };
  return {
    verdict: "warning",
    what: `${node} does not answer at ${address}: it does not run, or cannot be reached from here`,
  };
}

/** "host:port". Whether a connection is made in time. */
function opens(address: string, { clock }: Surroundings): Promise<boolean> {
  const { hostname, port } = new URL(`http://${address}`);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, ""));
  const cancel = clock.after(CONNECT_MS, () => resolve(false));
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  return promise.finally(() => {
    cancel();
    socket.destroy();
  });
}
