/**
 * Control messages to bytes and back: the one msgpackr packer of the link, and the description of
 * every message. A message of a peer is bounded, scanned (msgpack-scan.ts), decoded and rebuilt from
 * known fields only; whatever is wrong becomes a problem in words, never a throw. A message of our
 * own that does not fit its description is a bug and asserts. Blocks of data never come here.
 */
import { FLOAT32_OPTIONS, Packr } from 'msgpackr';
import { assert } from '../assert.js';
import {
  controlPayloadMax,
  deviceNameMax,
  devicesPerGroupMax,
  dirtBytesMax,
  hashBlocksMax,
} from '../constants.js';
import type { ControlMessage, OwnChanges, WireDevice, WirePosition } from './messages.js';
import { scanMsgpack } from './msgpack-scan.js';
import {
  bad,
  binary,
  count,
  details,
  type Fields,
  flag,
  isMap,
  list,
  matching,
  oneOf,
  optional,
  type Parse,
  record,
  text,
} from './parse.js';

export type DecodedControl =
  | { readonly message: ControlMessage; readonly problem?: undefined }
  | { readonly message?: undefined; readonly problem: string };

/** Returns memory of its own, at most `controlPayloadMax` bytes. */
export function encodeControl(message: ControlMessage): Uint8Array {
  assert(parseMessage(message) !== bad, `a ${message.kind} message fits its description`);
  const bytes = packr.pack(toWire(message));
  assert(bytes.length <= controlPayloadMax, `a ${message.kind} message fits a control frame`);
  return bytes;
}

export function decodeControl(bytes: Uint8Array, offset: number, length: number): DecodedControl {
  if (length < 1 || length > controlPayloadMax) return { problem: 'control message length' };
  if (offset + length > bytes.length) return { problem: 'control message outside its memory' };
  const scanned = scanMsgpack(bytes, offset, offset + length);
  if (scanned !== undefined) return { problem: scanned };
  let value: unknown;
  try {
    value = packr.unpack(bytes.subarray(offset, offset + length));
  } catch (error) {
    return {
      problem: `control message: ${error instanceof Error ? error.message : 'undecodable'}`,
    };
  }
  const kind = isMap(value) && typeof value['kind'] === 'string' ? value['kind'].slice(0, 32) : '?';
  if (!Object.hasOwn(messageFields, kind)) return { problem: `unknown control message ${kind}` };
  const message = parseMessage(fromWire(value));
  return message === bad ? { problem: `control message ${kind} is not as described` } : { message };
}

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
  useFloat32: FLOAT32_OPTIONS.NEVER,
  int64AsType: 'number',
});

/** Devices travel as short lists, without names of fields: 64 of them must fit the first frame. */
function toWire(message: ControlMessage): Record<string, unknown> {
  const wire: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) if (value !== undefined) wire[name] = value;
  if (message.kind === 'hello') {
    wire['devices'] = message.devices.map(({ name, sizeBytes, blockBytes }) => [
      name,
      sizeBytes,
      blockBytes,
    ]);
  }
  return wire;
}

function fromWire(value: unknown): unknown {
  if (!isMap(value) || !Array.isArray(value['devices'])) return value;
  const devices = value['devices'].map((device: unknown) =>
    Array.isArray(device) && device.length === 3
      ? { name: device[0], sizeBytes: device[1], blockBytes: device[2] }
      : bad,
  );
  return { ...value, devices };
}

const id = text(64, 1);
const era = matching(/^[0-9a-f]{32}$/);
const sequence = count();
const u32 = count(0xffff_ffff);
const deviceIndex = count(devicesPerGroupMax - 1);
const version = text(32);
const code = matching(/^TDMF_[A-Z0-9_]{1,60}$/);
const position: Parse<WirePosition> = record<WirePosition>({ era, sequence });
const state = oneOf('never', 'coherent', 'recoverable', 'incoherent', 'unknown');
const device = record<WireDevice>({
  name: text(deviceNameMax, 1),
  sizeBytes: sequence,
  blockBytes: u32,
});

type Described = { readonly [M in ControlMessage as M['kind']]: Fields<M> };

const messageFields: Described = {
  hello: {
    kind: oneOf('hello'),
    protocol: u32,
    features: u32,
    version,
    role: oneOf('primary'),
    nodeId: id,
    loopback: flag,
    launch: id,
    heartbeatMs: u32,
    devices: list(device, devicesPerGroupMax),
    era,
    s0: sequence,
    stamped: sequence,
    released: sequence,
    sentMax: sequence,
    lease: sequence,
    refreshId: optional(id),
    refreshKind: optional(oneOf('full', 'smart', 'checksum', 'back')),
    purpose: oneOf('mirror', 'backfresh'),
  },
  welcome: {
    kind: oneOf('welcome'),
    protocol: u32,
    features: u32,
    version,
    nodeId: id,
    bootId: id,
    state,
    refreshId: optional(id),
    position: optional(position),
    durable: optional(position),
    base: optional(position),
    history: list(era, 16),
    windowBytes: u32,
    checkpoint: oneOf('off', 'on'),
    own: record<OwnChanges>({
      changes: oneOf('none', 'known', 'unknown'),
      bytes: sequence,
      since: sequence,
    }),
  },
  refused: { kind: oneOf('refused'), code, details },
  resume: { kind: oneOf('resume'), era, from: sequence, sentMax: sequence },
  refreshBegin: {
    kind: oneOf('refreshBegin'),
    refreshId: id,
    refresh: oneOf('full', 'smart', 'checksum'),
    union: flag,
  },
  refreshReady: { kind: oneOf('refreshReady'), refreshId: id, kept: flag },
  dirt: {
    kind: oneOf('dirt'),
    device: deviceIndex,
    firstBlock: sequence,
    bits: binary(dirtBytesMax),
  },
  hashes: {
    kind: oneOf('hashes'),
    batch: sequence,
    device: deviceIndex,
    offset: sequence,
    hashes: binary(hashBlocksMax * 16),
  },
  differs: { kind: oneOf('differs'), batch: sequence, bits: binary(hashBlocksMax / 8) },
  era: { kind: oneOf('era'), from: optional(position), era, s0: sequence, adopt: flag },
  eraTaken: { kind: oneOf('eraTaken'), era },
  backfreshBegin: { kind: oneOf('backfreshBegin'), refreshId: id, union: flag },
  checkpointOff: { kind: oneOf('checkpointOff') },
  checkpointState: {
    kind: oneOf('checkpointState'),
    state: oneOf('off', 'on', 'failed'),
    sequence,
    code: optional(code),
    details,
  },
  checkpointWanted: { kind: oneOf('checkpointWanted'), on: flag },
  checkpointRefused: { kind: oneOf('checkpointRefused'), on: flag, code, details },
  phaseB: { kind: oneOf('phaseB'), refreshId: id, era, s0: sequence },
  mark: { kind: oneOf('mark'), refreshId: id, mark: sequence, blocks: sequence },
  committed: { kind: oneOf('committed'), refreshId: id, era, mark: sequence },
  abortB: { kind: oneOf('abortB'), refreshId: id },
  refreshEnd: { kind: oneOf('refreshEnd'), refreshId: id },
  flushWanted: { kind: oneOf('flushWanted'), sequence },
  stateChanged: { kind: oneOf('stateChanged'), state },
  bye: { kind: oneOf('bye'), code, details },
};

export const controlKinds = Object.keys(messageFields) as readonly ControlMessage['kind'][];

function parseMessage(value: unknown): ControlMessage | typeof bad {
  if (!isMap(value) || typeof value['kind'] !== 'string') return bad;
  if (!Object.hasOwn(messageFields, value['kind'])) return bad;
  const fields = messageFields[value['kind'] as ControlMessage['kind']];
  return record<ControlMessage>(fields)(value);
}
