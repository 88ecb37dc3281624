/** File, then environment, then flags → one frozen `Config`, or a `Failure` that says what is wrong. */
import { Failure } from "../base/failure.ts";
import type { StoreSettings } from "../store/url.ts";
import { isLoopback } from "./address.ts";
import { problemLines, readAs } from "./problems.ts";
import { type ConfigOutput, configSchema } from "./schema.ts";
import {
  applySetting,
  type ConfigFile,
  environmentSettings,
  isTree,
  readFileSettings,
  type Setting,
  type Settings,
} from "./source.ts";

type Frozen<T> = T extends readonly (infer Item)[] ? readonly Frozen<Item>[]
  : T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> }
  : T;

/** The effective configuration. Keys are spelled as in `config.yaml`; durations are in ms. */
export type Config = Frozen<
  Omit<ConfigOutput, "auth" | "storage"> & {
    readonly auth: { readonly required: boolean };
    readonly storage: {
      readonly primary_backend: StoreSettings;
      readonly simulate_latency_ms: number;
    };
  }
>;

export interface ConfigSources {
  readonly file?: ConfigFile;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A store given as a whole, as by `--store`: it replaces all of the file's but its secrets. */
  readonly store?: {
    readonly origin: string;
    readonly settings: StoreSettings;
  };
  readonly flags: readonly Setting[];
}

const STORE = ["storage", "primary_backend"] as const;

/** Throws `invalid`; its message has one line a problem. */
export function loadConfig(sources: ConfigSources): Config {
  const settings: Settings = sources.file
    ? readFileSettings(sources.file)
    : { tree: {}, origins: new Map() };
  for (const setting of environmentSettings(sources.environment)) put(settings, setting);
  if (sources.store) replaceStore(settings, sources.store.origin, sources.store.settings);
  for (const setting of sources.flags) put(settings, setting);

  if (storeOf(settings) === undefined) {
    const where = sources.file ? `${sources.file.name}: ` : "";
    throw new Failure(
      "invalid",
      `${where}storage.primary_backend is missing; give it there, by HEADGATE_STORAGE__` +
        "PRIMARY_BACKEND__TYPE and so on, or by --store, as in --store file:///var/lib/headgate",
    );
  }
  const result = configSchema.safeParse(settings.tree);
  if (!result.success) {
    throw new Failure("invalid", problemLines(settings, result.error.issues).join("\n"));
  }
  const { auth, storage, ...rest } = result.data;
  return freeze({
    ...rest,
    auth: { required: auth.required ?? !isLoopback(rest.listen) },
    storage: { ...storage, primary_backend: defined(storage.primary_backend) as StoreSettings },
  });
}

function put(settings: Settings, setting: Setting): void {
  const { value, path } = setting;
  applySetting(settings, {
    ...setting,
    value: typeof value === "string" ? readAs(path, value) : value,
  });
}

function replaceStore(
  settings: Settings,
  origin: string,
  store: StoreSettings,
): void {
  const before = storeOf(settings);
  for (const key of Object.keys(isTree(before) ? before : {})) {
    settings.origins.delete([...STORE, key].join("."));
  }
  const kept = isTree(before) && store.type === "s3"
    ? { access_key: before["access_key"], secret_key: before["secret_key"] }
    : {};
  applySetting(settings, { origin, path: STORE, value: defined({ ...kept, ...store }) });
}

function storeOf(settings: Settings): unknown {
  const storage = settings.tree["storage"];
  return isTree(storage) ? storage["primary_backend"] : storage;
}

function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined));
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
