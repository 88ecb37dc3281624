/** Columns for tests, in few words. */
import type { Column, ColumnType } from "../../src/lake/column.ts";

type Wish = ColumnType["name"] | readonly ["decimal", precision: number, scale: number];

/** Gives out ids from 1 as columns are made, children before their parents. */
export class ColumnMaker {
  #id = 0;

  make(name: string, wish: Wish, children: readonly Column[] = []): Column {
    const type =
      (typeof wish === "string"
        ? { name: wish }
        : { name: wish[0], precision: wish[1], scale: wish[2] }) as ColumnType;
    return { id: ++this.#id, name, type, nullable: true, children };
  }

  list(name: string, element: Column): Column {
    return this.make(name, "list", [element]);
  }
}
