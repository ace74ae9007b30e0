/** One good sample of every control message, and generators of frames, for the tests of the wire. */
import type { Ack, ControlMessage, WireEntry } from '../../../../src/core/wire/messages.js';

export const era = '00112233445566778899aabbccddeeff';
export const otherEra = 'ffeeddccbbaa99887766554433221100';
export const nonce = { low: 0x11223344, high: 0xfedcba98 };

export const samples: { readonly [M in ControlMessage as M['kind']]: M } = {
  hello: {
    kind: 'hello',
    protocol: 1,
    features: 0,
    version: '0.1.0',
    role: 'primary',
    nodeId: 'node-a',
    loopback: true,
    launch: 'launch-1',
    heartbeatMs: 2000,
    devices: [
      { name: 'd0', sizeBytes: 2 ** 40, blockBytes: 512 },
      { name: 'd1', sizeBytes: 4096, blockBytes: 4096 },
    ],
    era,
    s0: 1,
    stamped: 77,
    released: 70,
    sentMax: 75,
    lease: 2 ** 24,
    refreshId: undefined,
    refreshKind: undefined,
    purpose: 'mirror',
  },
  welcome: {
    kind: 'welcome',
    protocol: 1,
    features: 0,
    version: '0.1.0',
    nodeId: 'node-b',
    bootId: 'boot-1',
    state: 'coherent',
    refreshId: undefined,
    position: { era, sequence: 75 },
    durable: { era, sequence: 71 },
    base: undefined,
    history: [otherEra],
    windowBytes: 16 * 2 ** 20,
    checkpoint: 'off',
    own: { changes: 'known', bytes: 65_536, since: 1_790_000_000_000 },
  },
  refused: { kind: 'refused', code: 'TDMF_RMD_SIZE', details: { path: '/srv/b.img', actual: 1 } },
  resume: { kind: 'resume', era, from: 76, sentMax: 75 },
  refreshBegin: { kind: 'refreshBegin', refreshId: 'refresh-1', refresh: 'full', union: false },
  refreshReady: { kind: 'refreshReady', refreshId: 'refresh-1', kept: true },
  dirt: { kind: 'dirt', device: 1, firstBlock: 64, bits: Uint8Array.of(1, 128) },
  hashes: {
    kind: 'hashes',
    batch: 3,
    device: 0,
    offset: 2 ** 20,
    hashes: Uint8Array.from({ length: 32 }, (_, index) => index),
  },
  differs: { kind: 'differs', batch: 3, bits: Uint8Array.of(2) },
  era: { kind: 'era', from: { era, sequence: 75 }, era: otherEra, s0: 1, adopt: false },
  eraTaken: { kind: 'eraTaken', era: otherEra },
  backfreshBegin: { kind: 'backfreshBegin', refreshId: 'refresh-2', union: true },
  checkpointOff: { kind: 'checkpointOff' },
  checkpointState: {
    kind: 'checkpointState',
    state: 'on',
    sequence: 78,
    code: undefined,
    details: {},
  },
  checkpointWanted: { kind: 'checkpointWanted', on: true },
  checkpointRefused: {
    kind: 'checkpointRefused',
    on: true,
    code: 'TDMF_MODE_REFUSED',
    details: { mode: 'TRACKING' },
  },
  phaseB: { kind: 'phaseB', refreshId: 'refresh-1', era, s0: 9 },
  mark: { kind: 'mark', refreshId: 'refresh-1', mark: 12, blocks: 4 },
  committed: { kind: 'committed', refreshId: 'refresh-1', era, mark: 12 },
  abortB: { kind: 'abortB', refreshId: 'refresh-1' },
  refreshEnd: { kind: 'refreshEnd', refreshId: 'refresh-1' },
  flushWanted: { kind: 'flushWanted', sequence: 77 },
  stateChanged: { kind: 'stateChanged', state: 'incoherent' },
  bye: { kind: 'bye', code: 'TDMF_DAEMON_STOPPING', details: {} },
};

export const sampleAck: Ack = {
  received: 2 ** 40 + 5,
  applied: 2 ** 40 + 3,
  durable: 2 ** 40 + 1,
  blocks: 9,
  freedBytes: 2 ** 35,
};

export const sampleEntries: readonly WireEntry[] = [
  { sequence: 76, dep: 70, device: 0, flags: 4, offset: 2 ** 39, length: 4 },
  { sequence: 77, dep: 70, device: 0, flags: 0, offset: 2 ** 39 + 4, length: 3 },
  { sequence: 78, dep: 77, device: 1, flags: 3, offset: 0, length: 4096 },
];

export const sampleBlocks: readonly WireEntry[] = [
  { sequence: 1, dep: 0, device: 1, flags: 0, offset: 1024, length: 5 },
  { sequence: 2, dep: 0, device: 0, flags: 1, offset: 65_536, length: 65_536 },
];

export const deviceSizes = [2 ** 40, 4096];
