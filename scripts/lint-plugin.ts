/** Our style guide as a program: the rules of docs and design that a machine can keep. */
import { noAmbientWorld, pureLayers } from "./lint/ambient.ts";
import { importsGoDown } from "./lint/layers.ts";
import { noBarrels, noDrawers, noHoles, nothingLeftToDo, sizeLimits } from "./lint/shape.ts";
import type { Rule } from "./lint/syntax.ts";

const rules: Readonly<Record<string, Rule>> = {
  "imports-go-down": importsGoDown,
  "pure-layers": pureLayers,
  "no-ambient-world": noAmbientWorld,
  "size-limits": sizeLimits,
  "no-drawers": noDrawers,
  "no-barrels": noBarrels,
  "no-holes": noHoles,
  "nothing-left-to-do": nothingLeftToDo,
};

export default { name: "headgate", rules };
