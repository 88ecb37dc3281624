/**
 * Values of several Arrow vectors of one type, in any order, as one vector. By the layout of the
 * type, so a value is copied and never understood: what cannot be shown exactly stays as it is.
 */
import { Data, DataType } from "apache-arrow";
import { assert } from "../../base/assert.ts";

/** Where each value comes from: which of the sources, and which of its values. */
export interface Places {
  readonly source: Uint32Array;
  readonly index: Uint32Array;
}

/** `type` has the layout of the sources' own types. No source is a slice of a vector. */
export function take(type: DataType, sources: readonly Data[], places: Places): Data {
  const length = places.source.length;
  const { bits, nulls } = validity(sources, places);
  const { offsets, values, children } = parts(type, sources, places);
  // In the order of Arrow's `BufferType`.
  return new Data(type, 0, length, nulls, [offsets, values, bits] as never, [...children ?? []]);
}

interface Parts {
  readonly offsets?: Int32Array;
  readonly values?: ArrayBufferView;
  readonly children?: readonly Data[];
}

function parts(type: DataType, sources: readonly Data[], places: Places): Parts {
  if (DataType.isBool(type)) {
    return { values: takeBits(sources.map(({ values }) => values), places) };
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) return takePieces(sources, places);
  if (DataType.isList(type) || DataType.isMap(type)) {
    const { offsets, inside } = takeOffsets(sources, places);
    return { offsets, children: [takeChild(type, 0, sources, inside)] };
  }
  if (DataType.isStruct(type)) {
    return { children: type.children.map((_, at) => takeChild(type, at, sources, places)) };
  }
  return { values: takeFixed(sources, places) };
}

function takeChild(type: DataType, at: number, sources: readonly Data[], places: Places): Data {
  const field = type.children[at];
  assert(field !== undefined, `${type} has a child ${at}`);
  const children = sources.map((source) => {
    const child = source.children[at];
    assert(child !== undefined, `a vector of ${type} has a child ${at}`);
    return child;
  });
  return take(field.type, children, places);
}

function validity(
  sources: readonly Data[],
  places: Places,
): { readonly bits?: Uint8Array; readonly nulls: number } {
  for (const { offset } of sources) assert(offset === 0, "no source is a slice");
  if (sources.every(({ nullCount }) => nullCount === 0)) return { nulls: 0 };
  // A vector without nulls may have no bits.
  const all = sources.map(({ nullCount, nullBitmap }) => nullCount === 0 ? null : nullBitmap);
  const bits = takeBits(all, places);
  let nulls = 0;
  for (let at = 0; at < places.source.length; at++) {
    if (((bits[at >> 3] ?? 0) >> (at & 7) & 1) === 0) nulls++;
  }
  return { bits, nulls };
}

/** Bits, the lowest first; all are set where there are none. */
function takeBits(
  sources: readonly (Uint8Array | null)[],
  { source, index }: Places,
): Uint8Array {
  const taken = new Uint8Array((source.length + 7) >> 3);
  for (let at = 0; at < source.length; at++) {
    const bits = sources[source[at] ?? 0];
    const from = index[at] ?? 0;
    const isSet = bits === null || ((bits?.[from >> 3] ?? 0) >> (from & 7) & 1) === 1;
    if (isSet) taken[at >> 3] = (taken[at >> 3] ?? 0) | 1 << (at & 7);
  }
  return taken;
}

type Values = Uint8Array | BigInt64Array;

function takeFixed(sources: readonly Data[], { source, index }: Places): ArrayBufferView {
  const [first] = sources;
  assert(first !== undefined, "values are taken from something");
  const { stride, values: { constructor: Array } } = first;
  const all = sources.map(({ values }) => values as Values);
  const taken: Values = new Array(source.length * stride);
  for (let at = 0; at < source.length; at++) {
    const values = all[source[at] ?? 0];
    const from = (index[at] ?? 0) * stride;
    for (let part = 0; part < stride; part++) {
      taken[at * stride + part] = values?.[from + part] ?? 0;
    }
  }
  return taken;
}

/** Texts and blobs. */
function takePieces(sources: readonly Data[], { source, index }: Places): Parts {
  const offsets = new Int32Array(source.length + 1);
  for (let at = 0; at < source.length; at++) {
    const [begin, end] = bounds(sources, source[at] ?? 0, index[at] ?? 0);
    offsets[at + 1] = (offsets[at] ?? 0) + end - begin;
  }
  const values = new Uint8Array(offsets[source.length] ?? 0);
  for (let at = 0; at < source.length; at++) {
    const which = source[at] ?? 0;
    const [begin, end] = bounds(sources, which, index[at] ?? 0);
    const bytes: Uint8Array | undefined = sources[which]?.values;
    if (bytes !== undefined && end > begin) values.set(bytes.subarray(begin, end), offsets[at]);
  }
  return { offsets, values };
}

/** Of lists and maps: where each ends, and the places of what is inside. */
function takeOffsets(
  sources: readonly Data[],
  { source, index }: Places,
): { readonly offsets: Int32Array; readonly inside: Places } {
  const offsets = new Int32Array(source.length + 1);
  for (let at = 0; at < source.length; at++) {
    const [begin, end] = bounds(sources, source[at] ?? 0, index[at] ?? 0);
    offsets[at + 1] = (offsets[at] ?? 0) + end - begin;
  }
  const count = offsets[source.length] ?? 0;
  const inside = { source: new Uint32Array(count), index: new Uint32Array(count) };
  for (let at = 0; at < source.length; at++) {
    const which = source[at] ?? 0;
    const [begin, end] = bounds(sources, which, index[at] ?? 0);
    const to = offsets[at] ?? 0;
    for (let element = begin; element < end; element++) {
      inside.source[to + element - begin] = which;
      inside.index[to + element - begin] = element;
    }
  }
  return { offsets, inside };
}

function bounds(
  sources: readonly Data[],
  source: number,
  index: number,
): readonly [number, number] {
  const offsets = sources[source]?.valueOffsets as Int32Array | undefined;
  return [offsets?.[index] ?? 0, offsets?.[index + 1] ?? 0];
}
