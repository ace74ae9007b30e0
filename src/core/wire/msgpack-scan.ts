/**
 * Walks over a msgpack value without building it and says whether it is plain and small: only nil,
 * booleans, numbers, strings, bytes, lists and maps with string keys, few items, little depth, nothing cut
 * short, nothing left over. Run before the library decodes anything of a peer (Rule 55): what
 * extension types, huge counts or deep nesting would do there is then no question.
 */

const depthMax = 4;
const itemsMax = 2_048;

/** Returns what is wrong with `bytes[start, end)`, in words, or undefined. */
export function scanMsgpack(bytes: Uint8Array, start: number, end: number): string | undefined {
  const walk: Walk = { bytes, end, at: start, items: 0, problem: undefined };
  visit(walk, 0, false);
  if (walk.problem === undefined && walk.at !== end) walk.problem = 'bytes after the message';
  return walk.problem;
}

interface Walk {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  items: number;
  /** The first thing found wrong; nothing is visited after it. */
  problem: string | undefined;
}

function visit(walk: Walk, depth: number, mustBeText: boolean): boolean {
  if (walk.problem !== undefined) return false;
  walk.items += 1;
  if (walk.items > itemsMax) return fail(walk, 'message of too many parts');
  if (depth > depthMax) return fail(walk, 'message nested too deep');
  if (walk.at >= walk.end) return fail(walk, 'message cut short');
  const token = walk.bytes[walk.at]!;
  walk.at += 1;
  if (token >= 0xa0 && token <= 0xbf) return skip(walk, token & 0x1f);
  if (token >= 0xd9 && token <= 0xdb) return skip(walk, number(walk, 1 << (token - 0xd9)));
  if (mustBeText) return fail(walk, 'message key is no text');
  if (token <= 0x7f || token >= 0xe0) return true;
  if (token <= 0x8f) return visitMap(walk, token & 0x0f, depth);
  if (token <= 0x9f) return visitList(walk, token & 0x0f, depth);
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return true;
    case 0xca: // float 32
      return skip(walk, 4);
    case 0xcb: // float 64
      return skip(walk, 8);
    case 0xc4: // bytes
    case 0xc5:
    case 0xc6:
      return skip(walk, number(walk, 1 << (token - 0xc4)));
    case 0xcc: // unsigned and signed integers of 1, 2, 4 and 8 bytes
    case 0xcd:
    case 0xce:
    case 0xcf:
      return skip(walk, 1 << (token - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return skip(walk, 1 << (token - 0xd0));
    case 0xdc:
    case 0xdd:
      return visitList(walk, number(walk, token === 0xdc ? 2 : 4), depth);
    case 0xde:
    case 0xdf:
      return visitMap(walk, number(walk, token === 0xde ? 2 : 4), depth);
    default:
      return fail(walk, 'message with a type that the protocol does not use');
  }
}

function visitList(walk: Walk, count: number, depth: number): boolean {
  for (let index = 0; index < count && walk.problem === undefined; index += 1) {
    visit(walk, depth + 1, false);
  }
  return walk.problem === undefined;
}

function visitMap(walk: Walk, count: number, depth: number): boolean {
  for (let index = 0; index < count && walk.problem === undefined; index += 1) {
    visit(walk, depth + 1, true);
    visit(walk, depth + 1, false);
  }
  return walk.problem === undefined;
}

/** A big-endian length; 0 with a problem set when it is cut short. */
function number(walk: Walk, width: number): number {
  let value = 0;
  const at = walk.at;
  skip(walk, width);
  if (walk.problem !== undefined) return 0;
  for (let index = at; index < at + width; index += 1) value = value * 256 + walk.bytes[index]!;
  return value;
}

function skip(walk: Walk, length: number): boolean {
  if (length > walk.end - walk.at) return fail(walk, 'message cut short');
  walk.at += length;
  return true;
}

function fail(walk: Walk, problem: string): boolean {
  walk.problem ??= problem;
  return false;
}
