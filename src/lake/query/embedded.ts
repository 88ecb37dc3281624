/**
 * The files of DuckDB's binding inside this program. None here: the build puts a list in place of
 * this one when it makes an executable for a target whose binding is installed.
 */
export interface EmbeddedFile {
  /** As the binding's package calls it; its two files must lie side by side. */
  readonly name: string;
  /** Where the running program finds its bytes. */
  readonly path: string;
}

export const embeddedFiles: readonly EmbeddedFile[] = [];
